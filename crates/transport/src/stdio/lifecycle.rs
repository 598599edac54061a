use std::{process::ExitStatus, sync::Arc, time::Duration};

use bartizan_clock::{Clock, Instant};
use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
    },
};
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStderr},
    signal::unix,
    sync::watch,
    task::JoinHandle,
};

use super::{
    Cause, ExitReport, Limits,
    state::{Level, State, Wish},
};

/// How long standard error is read after the whole group was killed: what is in the pipe is there
/// at once, unless a process that left the group holds it open.
const DRAIN: Duration = Duration::from_millis(50);

/// Up to a tenth of a second in all: longer only in the hands of an init that does not reap.
const DYING_CHECKS: u32 = 20;
const DYING_PAUSE: Duration = Duration::from_millis(5);

/// Follows one child from its start until it and its descendants are gone.
///
/// The child stays a zombie until the very end: that keeps its id, and with it that of the group,
/// from being given to another.
pub(super) struct Lifecycle {
    pub(super) process: Child,
    pub(super) leader: Leader,
    pub(super) writer: JoinHandle<()>,
    /// None once it has ended.
    pub(super) stderr: Option<ChildStderr>,
    pub(super) wishes: watch::Receiver<Wish>,
    pub(super) state: Arc<State>,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) started: Instant,
    pub(super) exited: Option<Instant>,
    pub(super) reaped: bool,
    /// What the log calls it.
    pub(super) service: Option<Arc<str>>,
}

impl Lifecycle {
    pub(super) async fn run(mut self) {
        let mut signalled = None;
        self.read_until(Event::Ends, None).await;
        let steps = [
            (self.limits.stop_grace, Signal::TERM),
            (self.limits.term_grace, Signal::KILL),
        ];
        for (grace, signal) in steps {
            if self.exited.is_none() && !self.read_until(Event::Exits, Some(grace)).await {
                self.signal(signal);
                signalled = Some(signal);
            }
        }
        self.read_until(Event::ExitsForSure, None).await;
        self.state.end(Level::Stop, Cause::Exited);
        self.writer.abort();

        // The leader is dead. Who holds standard error is left to go in peace.
        if self.stderr.is_some() && signalled != Some(Signal::KILL) {
            if signalled.is_none() {
                self.signal(Signal::TERM);
            }
            self.read_until(Event::StderrEnds, Some(self.limits.term_grace))
                .await;
        }
        self.signal(Signal::KILL);
        self.read_until(Event::StderrEnds, Some(DRAIN)).await;
        let status = self.process.wait().await.ok();
        self.reaped = true;
        self.group_dies().await;
        self.report(status, signalled.is_some());
    }

    /// Reads standard error until the event, or until patience ends: that is after `grace`, or
    /// when the child is to be killed. Whether it was the event.
    async fn read_until(&mut self, event: Event, grace: Option<Duration>) -> bool {
        let deadline = self.clock.sleep(grace.unwrap_or_default());
        tokio::pin!(deadline);
        let mut chunk = [0; 4096];
        loop {
            let killed = self.state.wish().level == Level::Kill;
            let reads = self.stderr.is_some();
            match event {
                Event::Ends if !self.state.is_running() => return true,
                Event::StderrEnds if !reads => return true,
                Event::Exits | Event::ExitsForSure if self.exited.is_some() => return true,
                Event::Exits if killed => return false,
                // What is still in the pipe is read even then.
                Event::StderrEnds if killed && grace != Some(DRAIN) => return false,
                _ => {}
            }
            tokio::select! {
                biased;
                () = self.leader.exited(), if self.exited.is_none() => {
                    self.exited = Some(self.clock.now());
                    if event != Event::StderrEnds {
                        return true;
                    }
                }
                _ = self.wishes.changed(), if !killed => {}
                () = &mut deadline, if grace.is_some() => return false,
                read = read(&mut self.stderr, &mut chunk), if reads => {
                    if read == 0 {
                        self.stderr = None;
                    } else {
                        self.state.stderr.lock().push(&chunk[..read]);
                    }
                }
            }
        }
    }

    /// Fails only if there is no one left to signal, or if all changed their user.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.leader.pid, signal);
    }

    /// Gives those that got SIGKILL the moment that dying takes, so that the next child finds
    /// their locks and ports free. Asking does no harm should the id be someone else's by now.
    async fn group_dies(&self) {
        for _ in 0..DYING_CHECKS {
            if test_kill_process_group(self.leader.pid).is_err() {
                return;
            }
            self.clock.sleep(DYING_PAUSE).await;
        }
    }

    fn report(&self, status: Option<ExitStatus>, signalled: bool) {
        let mut cause = self.state.wish().cause;
        if cause == Cause::ClosedPipe && !signalled {
            // That was the beginning of its exit.
            cause = Cause::Exited;
        }
        if !self.reaped {
            cause = Cause::Abandoned;
        }
        let exited = self.exited.unwrap_or_else(|| self.clock.now());
        let report = ExitReport {
            pid: self.state.id(),
            status,
            cause,
            uptime: exited - self.started,
            stderr_tail: self.state.stderr.lock().render(),
            skipped_lines: self.state.skipped(),
        };
        let service = self.service.as_deref();
        let status = report.status.map(tracing::field::display);
        let uptime_ms = report.uptime.as_millis() as u64;
        if matches!(report.cause, Cause::Stopped | Cause::Abandoned) {
            tracing::info!(
                service,
                pid = report.pid,
                status,
                uptime_ms,
                "server process ended"
            );
        } else {
            // What it said last is mostly why. One that never answered knows no caller.
            let last_words = last_words(&report.stderr_tail);
            let stderr = last_words.filter(|_| !self.state.spoke());
            tracing::warn!(
                service,
                pid = report.pid,
                status,
                uptime_ms,
                cause = ?report.cause,
                stderr,
                "server process ended by itself"
            );
            if let (Some(stderr), None) = (last_words, stderr) {
                tracing::debug!(service, pid = report.pid, stderr, "what it said last");
            }
        }
        self.state.publish(report);
    }
}

/// The end of what a process wrote, for a line of a log; none if it wrote nothing.
fn last_words(stderr: &str) -> Option<&str> {
    const MOST: usize = 500;
    let stderr = stderr.trim();
    let start = stderr.len().saturating_sub(MOST);
    let start = (start..=stderr.len()).find(|at| stderr.is_char_boundary(*at));
    start
        .map(|at| &stderr[at..])
        .filter(|text| !text.is_empty())
}

impl Drop for Lifecycle {
    /// The runtime ends before the child did.
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            self.writer.abort();
            self.state.end(Level::Kill, Cause::Abandoned);
            self.report(None, true);
        }
    }
}

/// What [`Lifecycle::read_until`] waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The child exited or is to end.
    Ends,
    /// The child exited.
    Exits,
    /// The child exited, and nothing else helps: it got SIGKILL.
    ExitsForSure,
    /// Nobody holds its standard error any more.
    StderrEnds,
}

/// The child itself, as distinct from its descendants.
pub(super) struct Leader {
    pub(super) pid: Pid,
    pub(super) exits: unix::Signal,
}

impl Leader {
    /// Waits for its exit without reaping it.
    async fn exited(&mut self) {
        while !self.has_exited() {
            if self.exits.recv().await.is_none() {
                // Signals are never unregistered; if they were, nobody would know of the exit.
                return;
            }
        }
    }

    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(status) => status.is_some(),
            // It was reaped already, as happens where SIGCHLD is ignored.
            Err(error) => error == Errno::CHILD,
        }
    }
}

async fn read(stderr: &mut Option<ChildStderr>, chunk: &mut [u8]) -> usize {
    match stderr {
        Some(stderr) => stderr.read(chunk).await.unwrap_or(0),
        None => 0,
    }
}
