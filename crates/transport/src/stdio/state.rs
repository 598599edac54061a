use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::{Cause, ExitReport, stderr::StderrTail};

/// How urgently a child is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Run,
    Stop,
    Kill,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) level: Level,
    /// The first reason to end; later ones follow from it.
    pub(super) cause: Cause,
}

/// What the parts of one child share.
pub(super) struct State {
    pub(super) pid: rustix::process::Pid,
    wish: watch::Sender<Wish>,
    report: watch::Sender<Option<Arc<ExitReport>>>,
    /// What the queue of messages has room for, in the unit of `Limits::weight`. Closed when the
    /// child is to end, which is what tells those who wait for room.
    pub(super) room: Semaphore,
    /// Taken by the task that reads standard error, a chunk at a time, and by who asks for it.
    pub(super) stderr: Mutex<StderrTail>,
    skipped: AtomicU64,
    /// Whether it has ever said anything that is a message.
    spoke: AtomicBool,
}

impl State {
    pub(super) fn new(pid: rustix::process::Pid, room: u32, stderr: StderrTail) -> Self {
        let running = Wish {
            level: Level::Run,
            cause: Cause::Exited,
        };
        Self {
            pid,
            wish: watch::Sender::new(running),
            report: watch::Sender::new(None),
            room: Semaphore::new(room as usize),
            stderr: Mutex::new(stderr),
            skipped: AtomicU64::new(0),
            spoke: AtomicBool::new(false),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Asks for the end of the child; what has been asked for is never taken back.
    pub(super) fn end(&self, level: Level, cause: Cause) {
        self.wish.send_if_modified(|wish| {
            let raised = level > wish.level;
            if wish.level == Level::Run && raised {
                wish.cause = cause;
            }
            wish.level = wish.level.max(level);
            raised
        });
        self.room.close();
    }

    pub(super) fn wish(&self) -> Wish {
        *self.wish.borrow()
    }

    pub(super) fn wishes(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }

    pub(super) fn is_running(&self) -> bool {
        self.wish().level == Level::Run
    }

    pub(super) fn publish(&self, report: ExitReport) {
        self.report.send_replace(Some(Arc::new(report)));
    }

    /// Whether there is a report, which is the last thing that happens.
    pub(super) fn is_gone(&self) -> bool {
        self.report.borrow().is_some()
    }

    pub(super) async fn exited(&self) -> Arc<ExitReport> {
        let mut report = self.report.subscribe();
        loop {
            if let Some(report) = report.borrow_and_update().clone() {
                return report;
            }
            // The sender is `self`, so it outlives this.
            let _ = report.changed().await;
        }
    }

    /// Counts a line that is no message; the number of those before it.
    pub(super) fn skip(&self) -> u64 {
        self.skipped.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that it said something that is a message.
    pub(super) fn speaks(&self) {
        self.spoke.store(true, Ordering::Relaxed);
    }

    pub(super) fn spoke(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

/// Held by every part of a child that it cannot do without; dropping it stops the child.
pub(super) struct Part(pub(super) Arc<State>);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.end(Level::Stop, Cause::Stopped);
    }
}
