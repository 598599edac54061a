use std::{process::Stdio, sync::Arc};

use bartizan_clock::Clock;
use rustix::process::Pid;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{
    Command, Handle, Incoming, Limits, Outgoing, SpawnError,
    lifecycle::{Leader, Lifecycle},
    outgoing, resolve,
    state::State,
    stderr::StderrTail,
};

/// A running MCP server. Dropping it stops the process and its descendants in the background.
#[derive(Debug)]
#[must_use = "dropping it stops the process"]
pub struct Child {
    outgoing: Outgoing,
    incoming: Incoming,
    handle: Handle,
}

impl Child {
    /// The parts, each of which can be moved to a task of its own. Dropping any of them stops the
    /// child: without one of its directions it is of no use.
    pub fn split(self) -> (Outgoing, Incoming, Handle) {
        (self.outgoing, self.incoming, self.handle)
    }

    /// Knows how the process is.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Starts a program as the leader of a process group of its own, with pipes to all three of its
/// streams.
///
/// Blocks for the time of a `fork` and `exec`, about a millisecond.
///
/// # Errors
///
/// [`SpawnError`], which says whether the program, its interpreter or the working directory is at
/// fault. Nothing runs then.
///
/// # Panics
///
/// Outside a tokio runtime with I/O and time enabled.
pub fn spawn(command: &Command, limits: &Limits) -> Result<Child, SpawnError> {
    let program = resolve::program(command)?;
    // Before the child is there, so that its exit cannot be missed.
    let exits = signal(SignalKind::child()).map_err(SpawnError::Io)?;
    let mut process = tokio::process::Command::new(&program);
    process
        .arg0(command.program())
        .args(command.arguments())
        .env_clear()
        .envs(command.variables())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // For its reaping, should the runtime end; the group is killed by `Lifecycle`.
        .kill_on_drop(true);
    if let Some(directory) = command.directory() {
        process.current_dir(directory);
    }
    let mut process = process
        .spawn()
        .map_err(|error| resolve::spawn_error(program, error))?;
    let pid = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let streams = (
        process.stdin.take(),
        process.stdout.take(),
        process.stderr.take(),
    );
    let (Some(pid), (Some(stdin), Some(stdout), Some(stderr))) = (pid, streams) else {
        return Err(SpawnError::Io(std::io::ErrorKind::BrokenPipe.into()));
    };

    let tail = StderrTail::new(command, limits);
    let state = Arc::new(State::new(pid, limits.budget(), tail));
    let (queue, queued) = mpsc::unbounded_channel();
    let clock = Clock::default();
    let started = clock.now();
    let lifecycle = Lifecycle {
        writer: tokio::spawn(outgoing::write(stdin, queued, state.clone())),
        process,
        stderr: Some(stderr),
        leader: Leader { pid, exits },
        wishes: state.wishes(),
        state: state.clone(),
        limits: *limits,
        clock,
        started,
        exited: None,
        reaped: false,
        service: command.service_name().cloned(),
    };
    tokio::spawn(lifecycle.run());
    let service = command.service_name().map(AsRef::<str>::as_ref);
    tracing::debug!(
        service,
        pid = state.id(),
        program = ?command.program(),
        "server process started"
    );
    Ok(Child {
        outgoing: Outgoing::new(queue, state.clone(), *limits),
        incoming: Incoming::new(stdout, state.clone(), limits),
        handle: Handle::new(state),
    })
}
