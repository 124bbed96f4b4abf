//! A process that is measured, from outside.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends with this value.
pub struct Running {
    child: Child,
    what: String,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of all its threads, in and outside of the kernel.
    pub cpu: Duration,
    /// The memory it holds, in bytes.
    pub resident: u64,
    /// The most it ever held.
    pub peak: u64,
}

impl Running {
    /// Starts a command. What it has to say is not lost: its errors are ours.
    pub fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let child = command.stdin(Stdio::null()).spawn().expect("the command can be started");
        Self { child, what }
    }

    /// Its standard output, if it was piped.
    pub fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// What it has used. A process that has gone measured nothing, so this ends the bench.
    pub fn usage(&mut self) -> Usage {
        if let Some(status) = self.child.try_wait().expect("a child can be asked") {
            panic!("{} ended ({status})", self.what);
        }
        let read = |name| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default();
        let (stat, status) = (read("stat"), read("status"));
        // The name in brackets may hold spaces. Behind it, the 14th and 15th fields are what is asked for, in hundredths.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
        };
        Usage { cpu: Duration::from_millis(ticks * 10), resident: line("VmRSS:"), peak: line("VmHWM:") }
    }

    /// Ends it as a power cut would. It is gone when this returns.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
