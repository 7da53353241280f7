//! `ottla-broker dev` and `ottla-broker run --config FILE`.
//!
//! When the broker is ready, one line says so on standard output; the log goes to standard error.
//! An error at start is one line on standard error and exit status 1.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ottla_broker::{Broker, Config};
use tokio::signal::unix::{SignalKind, signal};

/// The Ottla reference broker: the Kafka protocol on real sockets and real disk.
#[derive(Parser)]
#[command(name = "ottla-broker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A broker for development and tests: quick groups, no configuration file.
    Dev(Dev),
    /// A broker from a configuration file with Kafka's property names (server.properties).
    Run(Run),
}

#[derive(Args)]
struct Dev {
    /// How many nodes; this version runs one.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// The data folder; made when it does not exist.
    #[arg(long, default_value = "ottla-data")]
    data_dir: PathBuf,
    /// A property, as name=value; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

#[derive(Args)]
struct Run {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// A property that overrides the file, as name=value; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let run = || -> Result<(), String> {
        let config = configuration(cli.command)?;
        raise_file_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the runtime: {error}"))?;
        runtime.block_on(serve(config))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("OTTLA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn configuration(command: Command) -> Result<Config, String> {
    let (mut config, settings) = match command {
        Command::Dev(dev) => {
            if dev.nodes != 1 {
                return Err(format!(
                    "--nodes {}: this version of the broker runs one node, leave --nodes away",
                    dev.nodes
                ));
            }
            let listener = format!("PLAINTEXT://127.0.0.1:{}", dev.port);
            let data_dir = dev.data_dir.to_string_lossy().into_owned();
            let config = Config::dev()
                .set("listeners", &listener)
                .and_then(|config| config.set("log.dirs", &data_dir))
                .map_err(|error| error.to_string())?;
            (config, dev.settings)
        }
        Command::Run(run) => {
            let config = Config::new().read_file(&run.config).map_err(|error| error.to_string())?;
            (config, run.settings)
        }
    };
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(format!("--set {setting}: write it as name=value"));
        };
        config = config.set(name.trim(), value).map_err(|error| error.to_string())?;
    }
    Ok(config)
}

async fn serve(config: Config) -> Result<(), String> {
    let data_dir = config.data_dir();
    // Before the start, so that a signal in the middle of it is not lost.
    let listen = |kind| signal(kind).map_err(|error| format!("cannot handle signals: {error}"));
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let running = Broker::start(config).await.map_err(|error| error.to_string())?;
    let ready = format!(
        "ottla-broker ready on {} (node {}, cluster {}, data {})",
        running.addr(),
        running.broker().node_id(),
        running.broker().cluster_id(),
        data_dir.display()
    );
    // Whoever started the broker may have closed the pipe; the broker serves all the same.
    let _ = writeln!(std::io::stdout(), "{ready}").and_then(|()| std::io::stdout().flush());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    running.shutdown().await.map_err(|error| format!("unclean shutdown: {error}"))
}

/// Thousands of connections and segments need more file descriptors than the usual soft limit.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
}
