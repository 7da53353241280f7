//! Disks that take their time: strace holds a node's calls up.

use super::kills::coordinator_of;
use crate::Failure;
use crate::load::TOPIC;
use crate::world::{Report, World};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long strace may take to take hold of a process, or to let it go.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn fsync(world: &mut World) -> Result<Report, Failure> {
    let configs = [("flush.messages", "1")];
    hold_up(world, &configs, "fsync,fdatasync", Duration::from_secs(2)).await
}

pub(crate) async fn writes(world: &mut World) -> Result<Report, Failure> {
    hold_up(world, &[], "pwrite64,pwritev,fsync,fdatasync", Duration::from_millis(25)).await
}

/// Holds up these calls of the leader, the controller and the coordinator, one node after the
/// other; a node may be more than one of them.
async fn hold_up(
    world: &mut World,
    configs: &[(&str, &str)],
    calls: &str,
    delay: Duration,
) -> Result<Report, Failure> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return Ok(Report::elsewhere("there is no strace: install Debian's package"));
    }
    world.begin_with(3, configs).await?;
    for role in 0..3 {
        let node = match role {
            0 => world.leader(0).await?,
            1 => world.controller().await?,
            _ => coordinator_of(world).await?,
        };
        let slowness = Slowness::begin(world.cluster.pid(node)?, calls, delay).await?;
        world.progress(2000).await?;
        slowness.end().await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

/// A strace that has hold of a process; it lets go when it ends.
struct Slowness(Child);

impl Slowness {
    async fn begin(pid: Pid, calls: &str, delay: Duration) -> Result<Self, Failure> {
        let inject = format!("inject={calls}:delay_enter={}", delay.as_micros());
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject]);
        command.args(["-p", &pid.as_raw_nonzero().to_string()]).stderr(Stdio::piped());
        let mut this = Self(command.spawn()?);
        let mut stderr = BufReader::new(this.0.stderr.take().expect("standard error is a pipe"));
        let (first, told) = tokio::sync::oneshot::channel();
        spawn_blocking(move || {
            let mut line = String::new();
            // At an error it is empty, which is no word of success.
            let _ = stderr.read_line(&mut line);
            let _ = first.send(line);
            // It tells of every thread: nobody wants to know, and it must not wait for a reader.
            let _ = stderr.read_to_end(&mut Vec::new());
        });
        let line = timeout(PATIENCE, told).await.map_err(|_| "strace does not begin")??;
        if line.contains("attached") {
            return Ok(this);
        }
        Err(format!("strace cannot hold up a node: {line}").into())
    }

    async fn end(mut self) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        let ended = spawn_blocking(move || self.0.wait());
        timeout(PATIENCE, ended).await.map_err(|_| "strace does not end")???;
        Ok(())
    }
}

impl Drop for Slowness {
    fn drop(&mut self) {
        // Of one that has ended nothing is left to be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
