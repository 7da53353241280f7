//! Ottla's Rust client as a shim; `conformance/shims/README.md` says what the lines mean.

mod admin;
mod consume;
mod lines;
mod produce;

use lines::{Input, say};
use serde_json::json;
use std::error::Error;
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// The suite knows it as "the client does not have it".
const UNIMPLEMENTED: u8 = 89;

fn main() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ottla-shim: {error}");
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(run());
    // The thread that reads standard input ends when that does: it is not waited for.
    runtime.shutdown_background();
    status
}

async fn run() -> ExitCode {
    let operation = std::env::args().nth(1).unwrap_or_default();
    let input = Input::default();
    let ended: Result<(), Box<dyn Error>> = match operation.as_str() {
        "version" => {
            say(&json!({"client": "ottla", "version": env!("CARGO_PKG_VERSION")}));
            return ExitCode::SUCCESS;
        }
        "produce" => produce::run(input).await,
        "consume-group" => consume::run(input).await,
        "admin" => admin::run(input).await,
        _ => {
            say(&json!({"unimplemented": format!("there is no operation {operation:?}")}));
            return ExitCode::from(UNIMPLEMENTED);
        }
    };
    match ended {
        Ok(()) => {
            say(&json!({"done": true}));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ottla-shim: {error}");
            ExitCode::FAILURE
        }
    }
}
