//! `ottla-broker dev` and `ottla-broker run --config FILE`.
//!
//! When the broker is ready, one line says so on standard output; the log goes to standard error.
//! An error at start is one line on standard error and exit status 1.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ottla_broker::testing::{FaultError, Temporary, admin};
use ottla_broker::{Broker, Config};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};

mod nodes;
mod rebalance;

use nodes::{Nodes, Plan};
use rebalance::Rebalance;

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
    /// Spread the replicas of a running cluster over its brokers, or take them from some.
    Rebalance(Rebalance),
}

#[derive(Args)]
struct Dev {
    /// How many nodes, each a process of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// The port on 127.0.0.1; 0 takes a free one. Several nodes take the ports from there on: one
    /// each for clients, then one each for the other nodes.
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// The data folder, made when it does not exist; ottla-data by default.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Remove the data folder at the end; it is a new one among the temporary files by default.
    #[arg(long)]
    temporary: bool,
    /// End when the standard input is closed, so that the broker never outlives who started it.
    #[arg(long)]
    until_stdin_closes: bool,
    /// Open a port on 127.0.0.1 by which tests make this broker, or these nodes, fail; a further
    /// line says which. With a file, do what its lines say when all is ready.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    chaos: Option<Option<PathBuf>>,
    /// The port for --chaos; 0 takes a free one. Each of several nodes has a free one of its own
    /// as well.
    #[arg(long, default_value_t = 0, requires = "chaos")]
    chaos_port: u16,
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
    /// The form of the log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// What is to be run.
enum Work {
    /// This process is the broker.
    Broker(Config, Extras),
    /// This process starts one for each node.
    Nodes(Dev),
    /// This process asks a cluster for something.
    Rebalance(Rebalance),
}

/// What `dev` can do that is no property.
#[derive(Default)]
struct Extras {
    temporary: Option<Temporary>,
    until_stdin_closes: bool,
    chaos: Option<Chaos>,
}

/// The port for faults, and the script that is obeyed beside it.
struct Chaos {
    port: u16,
    script: Vec<Map<String, Value>>,
}

impl Chaos {
    /// Reads the script before anything is started.
    fn read(
        dev: &Dev,
        check: impl Fn(&Map<String, Value>) -> Result<(), FaultError>,
    ) -> Result<Option<Self>, String> {
        let Some(file) = &dev.chaos else { return Ok(None) };
        let script = match file {
            None => Vec::new(),
            Some(path) => {
                let at = path.display();
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| format!("cannot read {at}: {error}"))?;
                admin::read_script(&text, check).map_err(|error| format!("{at}: {error}"))?
            }
        };
        Ok(Some(Self { port: dev.chaos_port, script }))
    }

    /// Opens the port, on this machine only, and begins with the script; answers where.
    async fn open<A, F>(self, stop: Arc<Notify>, answer: A) -> Result<String, String>
    where
        A: Fn(Map<String, Value>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Value, FaultError>> + Send + 'static,
    {
        let port = self.port;
        let failed = |error| format!("cannot listen on 127.0.0.1:{port} for --chaos: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (obey, told) = (answer.clone(), Arc::clone(&stop));
        drop(tokio::spawn(async move {
            for line in self.script {
                let text = serde_json::to_string(&line).unwrap_or_default();
                match obey(line).await {
                    Ok(answer) if answer["stops"] == true => return told.notify_one(),
                    Ok(answer) => tracing::info!(%answer, "chaos: {text}"),
                    Err(error) => return tracing::error!(%error, "chaos ends at: {text}"),
                }
            }
        }));
        drop(tokio::spawn(admin::serve_lines(listener, stop, answer)));
        Ok(address.to_string())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(match &cli.command {
        Command::Run(run) => run.log_format,
        _ => LogFormat::Text,
    });
    let run = || -> Result<(), String> {
        let work = work(cli.command)?;
        raise_file_limit();
        let mut runtime = match work {
            Work::Broker(..) => tokio::runtime::Builder::new_multi_thread(),
            Work::Nodes(_) | Work::Rebalance(_) => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = runtime.enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
        match work {
            Work::Broker(config, extras) => runtime.block_on(serve(config, extras)),
            Work::Nodes(dev) => runtime.block_on(serve_nodes(dev)),
            Work::Rebalance(rebalance) => runtime.block_on(rebalance.run()),
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    // What openraft says of its inside is no event to an operator: `ops` tells of those.
    let filter = std::env::var("OTTLA_LOG").unwrap_or_else(|_| "info".to_owned());
    let quiet = if filter.contains("openraft") { "" } else { ",openraft=off" };
    let filter = EnvFilter::try_new(filter + quiet);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info,openraft=off"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Whoever reads it may go; the broker serves all the same.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn work(command: Command) -> Result<Work, String> {
    let (mut config, extras, settings) = match command {
        Command::Dev(dev) if dev.nodes > 1 => return Ok(Work::Nodes(dev)),
        Command::Rebalance(rebalance) => return Ok(Work::Rebalance(rebalance)),
        Command::Dev(dev) => {
            let listener = format!("PLAINTEXT://127.0.0.1:{}", dev.port);
            let mut extras = Extras {
                temporary: None,
                until_stdin_closes: dev.until_stdin_closes,
                chaos: Chaos::read(&dev, admin::check)?,
            };
            if dev.temporary {
                extras.temporary = Some(Temporary::new(dev.data_dir.as_deref())?);
            }
            let data_dir = match (&extras.temporary, &dev.data_dir) {
                (Some(temporary), _) => temporary.path(),
                (None, Some(data_dir)) => data_dir,
                (None, None) => Path::new("ottla-data"),
            };
            let data_dir = data_dir.to_string_lossy().into_owned();
            let config = Config::dev()
                .set("listeners", &listener)
                .and_then(|config| config.set("log.dirs", &data_dir))
                .map_err(|error| error.to_string())?;
            (config, extras, dev.settings)
        }
        Command::Run(run) => {
            let config = Config::new().read_file(&run.config).map_err(|error| error.to_string())?;
            (config, Extras::default(), run.settings)
        }
    };
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(format!("--set {setting}: write it as name=value"));
        };
        config = config.set(name.trim(), value).map_err(|error| error.to_string())?;
    }
    Ok(Work::Broker(config, extras))
}

async fn serve(config: Config, extras: Extras) -> Result<(), String> {
    let data_dir = config.data_dir();
    let mut end = End::watch(extras.until_stdin_closes)?;
    let running = tokio::select! {
        running = Broker::start(config) => running.map_err(|error| error.to_string())?,
        // A node may wait for its quorum for as long as it takes.
        () = end.asked_for() => return Ok(()),
    };
    let mut lines = format!(
        "ottla-broker ready on {} (node {}, cluster {}, data {})\n",
        running.addr(),
        running.broker().node_id(),
        running.broker().cluster_id(),
        data_dir.display()
    );
    let stop = Arc::new(Notify::new());
    if let Some(chaos) = extras.chaos {
        let faults = running.faults();
        let answer = move |line| admin::obey(Arc::clone(&faults), line);
        let address = chaos.open(Arc::clone(&stop), answer).await?;
        lines += &format!("ottla-broker faults on {address}\n");
    }
    if let Some(address) = running.ops_addr() {
        lines += &format!("ottla-broker metrics on http://{address}/metrics\n");
    }
    say(&lines);
    let mut temporary = extras.temporary;
    tokio::select! {
        () = end.asked_for() => {}
        () = stop.notified() => temporary.take().into_iter().for_each(Temporary::keep),
        reason = running.over() => {
            running.kill().await;
            return Err(reason);
        }
    }
    tracing::info!("shutting down");
    if temporary.is_some() {
        running.kill().await;
        return Ok(());
    }
    running.shutdown().await.map_err(|error| format!("unclean shutdown: {error}"))
}

/// A process for each node; this one lives as long as they do.
async fn serve_nodes(dev: Dev) -> Result<(), String> {
    let mut end = End::watch(dev.until_stdin_closes)?;
    let temporary =
        if dev.temporary { Some(Temporary::new(dev.data_dir.as_deref())?) } else { None };
    let data_dir = match (&temporary, &dev.data_dir) {
        (Some(temporary), _) => temporary.path(),
        (None, Some(data_dir)) => data_dir,
        (None, None) => Path::new("ottla-data"),
    };
    let plan = Plan {
        nodes: dev.nodes,
        port: dev.port,
        data_dir,
        chaos: dev.chaos.is_some(),
        settings: &dev.settings,
    };
    let count = i32::try_from(dev.nodes).unwrap_or(i32::MAX);
    let chaos = Chaos::read(&dev, |line| nodes::chaos::Chaos::check(count, line))?;
    let (mut nodes, mut lines) = tokio::select! {
        started = Nodes::start(&plan) => started?,
        () = end.asked_for() => return Ok(()),
    };
    let stop = Arc::new(Notify::new());
    if let Some(chaos) = chaos {
        let all = Arc::new(nodes::chaos::Chaos::of(&nodes));
        let answer = move |line| Arc::clone(&all).obey(line);
        let address = chaos.open(Arc::clone(&stop), answer).await?;
        lines += &format!("ottla-broker faults on {address} (all nodes)\n");
    }
    say(&lines);
    let mut temporary = temporary;
    tokio::select! {
        () = end.asked_for() => {}
        () = stop.notified() => temporary.take().into_iter().for_each(Temporary::keep),
        () = nodes.run() => return Err("the last node has ended".into()),
    }
    nodes.stop(temporary.is_none()).await;
    Ok(())
}

/// Whoever started the broker may have closed the pipe; the broker serves all the same.
fn say(lines: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}

/// What asks this process to end: a signal, or the end of its standard input.
struct End {
    terminate: Signal,
    interrupt: Signal,
    stdin_closed: Option<oneshot::Receiver<()>>,
}

impl End {
    /// From now on; before the start, so that a signal in the middle of it is not lost.
    fn watch(stdin: bool) -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot handle signals: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            stdin_closed: stdin.then(watch_stdin).transpose()?,
        })
    }

    async fn asked_for(&mut self) {
        let stdin_closed = async {
            match &mut self.stdin_closed {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = stdin_closed => {}
        }
    }
}

/// Tells when the standard input ends. A thread of its own: a read of it cannot be cancelled, and
/// the process does not wait for it.
fn watch_stdin() -> Result<oneshot::Receiver<()>, String> {
    let (closed, is_closed) = oneshot::channel();
    let read = move || {
        let mut buffer = [0; 256];
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut buffer), Ok(1..)) {}
        drop(closed);
    };
    let thread = std::thread::Builder::new().name("stdin".into()).spawn(read);
    thread.map_err(|error| format!("cannot watch the standard input: {error}"))?;
    Ok(is_closed)
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
