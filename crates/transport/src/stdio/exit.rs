use std::{fmt, process::ExitStatus, time::Duration};

/// Why a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// It was stopped or killed through its [`Handle`](super::Handle), or a part of it was dropped.
    Stopped,
    /// It exited by itself, or was killed by someone else.
    Exited,
    /// It closed its input or its output, lived on, and had to be stopped.
    ClosedPipe,
    /// The runtime ended first, and it was killed with its group.
    Abandoned,
}

/// How a child ended.
///
/// `Debug` shows how much standard error there is, not what it says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExitReport {
    /// Its process id.
    pub pid: u32,
    /// Its exit code or signal; none if that could not be learned.
    pub status: Option<ExitStatus>,
    /// Why it ended.
    pub cause: Cause,
    /// From its start to its exit, without the time its descendants took.
    pub uptime: Duration,
    /// The end of its standard error, as [`Handle::stderr_tail`](super::Handle::stderr_tail).
    pub stderr_tail: String,
    /// How many lines of its output were no messages.
    pub skipped_lines: u64,
}

impl fmt::Debug for ExitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExitReport")
            .field("pid", &self.pid)
            .field("status", &self.status)
            .field("cause", &self.cause)
            .field("uptime", &self.uptime)
            .field("stderr_bytes", &self.stderr_tail.len())
            .field("skipped_lines", &self.skipped_lines)
            .finish_non_exhaustive()
    }
}
