//! Other people's software that the tests need: found, or installed into `.tools/`, or by apt where
//! this is root on Debian. What cannot be had is named, and the tests that need it skip themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::conformance;
use crate::task::{self, Failure, root, run_quietly};

/// The versions of Apache Kafka that the client is tested against.
pub(crate) const KAFKA_VERSIONS: [&str; 2] = ["4.3.1", "3.9.2"];

/// A program, Debian's packages that bring it, how to see that it is there, and what needs it.
struct Program {
    packages: &'static [&'static str],
    check: &'static [&'static str],
    why: &'static str,
}

const PROGRAMS: [Program; 5] = [
    Program {
        packages: &["python3", "python3-venv"],
        check: &["python3", "-c", "import venv, ensurepip"],
        why: "confluent-kafka, kafka-python and aiokafka are run against the broker",
    },
    Program {
        packages: &["nodejs", "npm"],
        check: &["npm", "--version"],
        why: "KafkaJS is run against the broker",
    },
    Program {
        packages: &["openjdk-17-jdk-headless"],
        check: &["javac", "-version"],
        why: "Apache Kafka and its console tools are run, and a shim of its client is compiled",
    },
    Program {
        packages: &["maven"],
        check: &["mvn", "--version"],
        why: "Apache Kafka's jars are installed by it",
    },
    Program {
        packages: &["iproute2", "nftables"],
        check: &["sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; command -v nft && command -v ip"],
        why: "brokers are cut off from each other",
    },
];

/// The folder for what is installed; ignored by git.
pub(crate) fn folder() -> PathBuf {
    root().join(".tools")
}

/// The environment by which tests find the tools.
pub(crate) fn environment() -> [(&'static str, PathBuf); 3] {
    [
        ("OTTLA_PYTHON", folder().join("python/bin/python")),
        ("OTTLA_NODE_TOOLS", folder().join("node")),
        ("KAFKA_CACHE", folder().join("kafka")),
    ]
}

/// Installs what is missing for all tests, or for those of the bindings alone. A failure is told
/// and does not end the run.
pub(crate) fn install(for_rust: bool) {
    let report = |name: &str, result: Result<(), Failure>| {
        if let Err(failure) = result {
            println!("    {name} missing: {failure}");
        }
    };
    report("programs", programs());
    if for_rust {
        report("Python packages", python());
        report("Node packages", node());
    }
    report("Apache Kafka", kafka());
    if for_rust {
        report("the shim of its client", conformance::shims::java());
    }
}

fn works(command: &[&str]) -> bool {
    run_quietly(Command::new(command[0]).args(&command[1..])).is_ok()
}

/// Programs of the system, by apt where they are missing and this may be done.
pub(crate) fn programs() -> Result<(), Failure> {
    let missing: Vec<&Program> = PROGRAMS.iter().filter(|program| !works(program.check)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> =
        missing.iter().flat_map(|program| program.packages).copied().collect();
    let reasons: Vec<&str> = missing.iter().map(|program| program.why).collect();
    let reasons = reasons.join("; ");
    if !works(&["sh", "-c", "test \"$(id -u)\" = 0 && command -v apt-get"]) {
        let list = packages.join(" ");
        return Err(Failure::new(format!("install {list} ({reasons}); not root on Debian")));
    }
    task::step(&format!("apt-get install {}", packages.join(" ")), &reasons, || {
        run_quietly(Command::new("apt-get").args(["update", "-q"]))?;
        run_quietly(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["install", "-q", "-y", "--no-install-recommends"])
                .args(packages),
        )
        .map(drop)
    })
}

/// Does the work unless the folder was made from the same list before.
fn unless_done(
    folder: &Path,
    list: &str,
    what: &str,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stamp = folder.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == list) {
        return Ok(());
    }
    task::step(what, "the clients that are run against the broker; into .tools/", || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        work()?;
        Ok(fs::write(stamp, list)?)
    })
}

/// Other people's Python clients, into `.tools/python`.
pub(crate) fn python() -> Result<(), Failure> {
    let requirements = root().join("tests/interop/python/requirements.txt");
    let list = fs::read_to_string(&requirements)?;
    let folder = folder().join("python");
    unless_done(&folder, &list, "install Python packages", || {
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        run_quietly(pip.arg(&requirements)).map(drop)
    })
}

/// Other people's Node clients, into `.tools/node`.
pub(crate) fn node() -> Result<(), Failure> {
    let list = fs::read_to_string(root().join("tests/interop/node/package.json"))?;
    let folder = folder().join("node");
    unless_done(&folder, &list, "install Node packages", || {
        fs::write(folder.join("package.json"), &list)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]);
        run_quietly(npm.current_dir(&folder)).map(drop)
    })
}

/// The jars of Apache Kafka, into `.tools/kafka`.
pub(crate) fn kafka() -> Result<(), Failure> {
    let cache = folder().join("kafka");
    for version in KAFKA_VERSIONS {
        if cache.join(version).join(".complete").exists() {
            continue;
        }
        let why = "the tools of one and brokers of both are run; into .tools/";
        task::step(&format!("install Apache Kafka {version}"), why, || {
            let script = root().join("scripts/apache-kafka.sh");
            run_quietly(Command::new(script).args(["install", version]).env("KAFKA_CACHE", &cache))
                .map(drop)
        })?;
    }
    Ok(())
}

/// Python 3.13, to be completed with arguments: the machine's, or that of the root in which Swift
/// is (Debian trixie); none where there is neither.
pub(crate) fn newer_python() -> Option<Command> {
    const NEWER: &str = "python3.13";
    if works(&[NEWER, "--version"]) {
        return Some(Command::new(NEWER));
    }
    let in_root = swift_root()?.join("bin/swift-in-root");
    let run = |arguments: &[&str]| run_quietly(Command::new(&in_root).args(arguments));
    if run(&["/usr/bin/python3.13", "--version"]).is_err() {
        let why = "the Python suite runs on 3.13, too; into the root that has Swift";
        let install = task::step("apt-get install python3", why, || {
            run(&["apt-get", "update", "-q"])?;
            run(&["apt-get", "install", "-q", "-y", "--no-install-recommends", "python3"])
        });
        if let Err(failure) = install {
            println!("    {failure}");
            return None;
        }
    }
    let mut python = Command::new(in_root);
    python.arg("/usr/bin/python3.13");
    Some(python)
}

/// The root folder with Debian trixie that `scripts/swift.sh` makes, if it did.
fn swift_root() -> Option<PathBuf> {
    let named = std::env::var_os("SWIFT_ROOT").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = named.or_else(|| Some(cache.or_else(home)?.join("swift-root")))?;
    folder.join("bin/swift-in-root").exists().then_some(folder)
}

/// The `swift` command: the machine's, or the one that `scripts/swift.sh` installs.
pub(crate) fn swift() -> Result<PathBuf, Failure> {
    let script = root().join("scripts/swift.sh");
    Ok(PathBuf::from(run_quietly(Command::new(script).arg("--path"))?.trim()))
}

/// The folder with the newest Node: npm has each release as a package.
pub(crate) fn newest_node() -> Result<PathBuf, Failure> {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let package = format!("node-{system}-{machine}");
    let folder = folder().join("node-newest");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]);
    run_quietly(npm.arg(format!("{package}@latest")).current_dir(&folder))?;
    let bin = folder.join("node_modules").join(package).join("bin");
    let version = run_quietly(Command::new(bin.join("node")).arg("--version"))?;
    println!("    Node {}", version.trim());
    Ok(bin)
}
