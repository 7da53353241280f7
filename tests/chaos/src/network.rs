//! Network namespaces: one for this program with a bridge, and one for each node.
//!
//! What is cut is dropped where it leaves, so that a cut has a direction, and nobody is told of it:
//! a connection stays open and silent, as with a switch that has failed.

use crate::Failure;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set in the environment of the program that is inside.
const INSIDE: &str = "OTTLA_CHAOS_INSIDE";
/// What prepares the namespaces that this program works in, and then is this program.
const PREPARE: &str = "mount --make-rprivate / && mount -t tmpfs ottla /run && mkdir /run/netns && \
    ip link set lo up && ip link add ottla type bridge && ip link set ottla up && \
    ip addr add 10.77.0.254/24 dev ottla && exec \"$0\" \"$@\"";

/// Replaces this process by one in namespaces of its own, unless it is that one.
pub(crate) fn enter() -> Result<(), Failure> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    // Where Debian has them, and where users other than root do not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    for program in ["ip", "nft", "unshare"] {
        let mut asked = Command::new(program);
        if asked.arg("-V").env("PATH", &path).stdout(Stdio::null()).status().is_err() {
            return Err(format!(
                "there is no program {program}: install Debian's iproute2, nftables and util-linux"
            )
            .into());
        }
    }
    let mut command = Command::new("unshare");
    command.env("PATH", path);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--mount", "--", "sh", "-c", PREPARE]);
    command.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Err(format!("cannot enter namespaces: {}", command.exec()).into())
}

/// Makes a node's namespace and takes it away again.
pub(crate) fn check() -> Result<(), Failure> {
    add(1)?;
    cut(1, 2)?;
    remove(1);
    Ok(())
}

/// Where a node is.
pub(crate) fn address(id: i32) -> String {
    format!("10.77.0.{id}")
}

fn namespace(id: i32) -> String {
    format!("n{id}")
}

/// The command that runs a program in a node's namespace.
pub(crate) fn inside(id: i32) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &namespace(id)]);
    command
}

/// Makes a node's namespace, connected to all others.
pub(crate) fn add(id: i32) -> Result<(), Failure> {
    let (name, link, address) = (namespace(id), format!("v{id}"), format!("{}/24", address(id)));
    run(Command::new("ip").args(["netns", "add", &name]))?;
    run(Command::new("ip")
        .args(["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name]))?;
    run(Command::new("ip").args(["link", "set", &link, "master", "ottla", "up"]))?;
    run(Command::new("ip").args(["-n", &name, "addr", "add", &address, "dev", "eth0"]))?;
    for device in ["lo", "eth0"] {
        run(Command::new("ip").args(["-n", &name, "link", "set", device, "up"]))?;
    }
    nft(id, "add table inet chaos")?;
    nft(id, "add chain inet chaos output { type filter hook output priority 0 ; }")
}

/// Takes a node's namespace away.
pub(crate) fn remove(id: i32) {
    // It goes with this program at the latest.
    let _ = run(Command::new("ip").args(["netns", "del", &namespace(id)]));
    let _ = run(Command::new("ip").args(["link", "del", &format!("v{id}")]));
}

/// Drops what one node sends to another.
pub(crate) fn cut(from: i32, to: i32) -> Result<(), Failure> {
    nft(from, &format!("add rule inet chaos output ip daddr {} drop", address(to)))
}

/// Drops so many of a hundred packets that one node sends to another.
pub(crate) fn lose(from: i32, to: i32, percent: u8) -> Result<(), Failure> {
    let to = address(to);
    let rule = format!("ip daddr {to} numgen random mod 100 < {percent} drop");
    nft(from, &format!("add rule inet chaos output {rule}"))
}

/// Everything that a node sends arrives again.
pub(crate) fn heal(id: i32) -> Result<(), Failure> {
    nft(id, "flush chain inet chaos output")
}

fn nft(id: i32, rule: &str) -> Result<(), Failure> {
    run(inside(id).arg("nft").arg(rule))
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{command:?}: {words}").into())
}
