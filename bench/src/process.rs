//! Child processes, and what they cost.

use crate::Failure;
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// What a process used from start to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system CPU seconds.
    pub(crate) cpu_seconds: f64,
    /// Peak resident memory in MiB.
    pub(crate) peak_mib: f64,
}

/// Runs a command to its end; its standard output and its cost.
pub(crate) fn run(command: &mut Command) -> Result<(String, Usage), Failure> {
    let shown = format!("{command:?}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = String::new();
    child.stdout.take().expect("stdout is piped").read_to_string(&mut output)?;
    let (success, usage) = wait(&child)?;
    if success { Ok((output, usage)) } else { Err(format!("{shown} failed: {output}").into()) }
}

fn wait(child: &Child) -> Result<(bool, Usage), Failure> {
    let pid = i32::try_from(child.id())?;
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage; wait4 fills both out-parameters, which live on this
    // stack, and the child is reaped here and nowhere else (the `Child` is only read for its id).
    let (reaped, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &raw mut status, 0, &raw mut usage), usage)
    };
    if reaped != pid {
        return Err(std::io::Error::last_os_error().into());
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let usage = Usage {
        cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_mib: usage.ru_maxrss as f64 / 1024.0,
    };
    Ok((libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, usage))
}

/// CPU seconds that a running process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; what follows it does not.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks(11), ticks(12));
    // Linux reports in units of 1/100 s on every architecture that we run on.
    Ok((user.unwrap_or_default() + system.unwrap_or_default()) / 100.0)
}

/// Resident memory of a running process in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    Ok(kib.unwrap_or_default() / 1024.0)
}
