//! Every task of the project: `cargo xtask TASK`.

mod asan;
mod bench;
mod book;
mod chaos;
mod codegen;
mod conformance;
mod dist;
mod packages;
mod parity;
mod programs;
mod protocol;
mod quickstart;
mod sim;
mod task;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use task::Failure;

const USAGE: &str = "\
usage: cargo xtask TASK

  quickstart [--input FILE --key COLUMN]   build, move records over three brokers, verify them
  test [rust|python|node|swift] [NAME]     every test, installing into .tools/ what they need
  codegen [--check]                        write what is generated, or fail if it is stale
  tidy                                     limits, banned calls, dead files, broken links
  bench [ARGS]                             this client and broker beside their peers
  failover [ARGS]                          a node of three killed under load, beside Apache Kafka
  clients [NAME..]                         other people's clients while a leader is killed
  book                                     the specification as a site with search
  protocol export|diff|check               what Kafka's releases define, as JSON, and by its jars
  conformance --target NAME                the suite against a target of conformance/targets
  conformance --client NAME|all            its scenarios against a client of conformance/shims
  conformance --pairs                      who reads what whom wrote, of the clients
  models [MODEL] [--large] [--bug NAME]    the protocols, state by state (models/README.md)
  sim [--seed N] [--minutes M] [--seeds K] brokers, clients and faults in simulation
  chaos [SCENARIO..] [--list] [--minutes M] faults on real processes, scenario by scenario
  dist [--check]                           the packages for PyPI, npm and SwiftPM, tried out
  asan                                     the bindings under the address sanitizer
  ci                                       all that a change must pass, as .ci/run";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match dispatch(name, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The test task's last line is its sum; the tests have said what failed.
            if name != "test" {
                eprintln!("xtask {name}: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(name: &str, rest: &[String]) -> Result<(), Failure> {
    match name {
        "quickstart" => quickstart::run(rest),
        "bench" => bench::run(rest),
        "clients" => conformance::leader_kill(rest),
        "failover" => bench::failover(rest),
        "book" => book::run(rest),
        "protocol" => protocol::run(rest),
        "ci" => programs::ci(),
        "test" => test::run(rest),
        "asan" => asan::run(rest),
        "conformance" => conformance::run(rest),
        "sim" => sim::run(rest),
        "chaos" => chaos::run(rest),
        "models" => programs::models(rest),
        "dist" => dist::run(rest),
        "tidy" => tidy::run(),
        "codegen" => match rest {
            [] => write_generated(),
            [flag] if flag == "--check" => check_generated(),
            _ => Err(Failure::new("codegen takes --check or nothing")),
        },
        _ => Err(Failure::new(format!("no such task\n\n{USAGE}"))),
    }
}

/// Rust from the schemas, then the documents that tests of other crates make from their tables.
fn write_generated() -> Result<(), Failure> {
    codegen::run(&task::root(), false).map_err(Failure::new)?;
    parity::codegen(&task::root(), true)?;
    programs::documents(true)
}

fn check_generated() -> Result<(), Failure> {
    codegen::run(&task::root(), true).map_err(Failure::new)?;
    parity::codegen(&task::root(), false)?;
    tidy::parity()?;
    programs::documents(false)
}
