use std::{fmt, sync::Arc};

use super::{
    Cause, ExitReport,
    state::{Level, Part, State},
};

/// Knows how a child is, and ends it. Dropping the last clone stops the child.
#[derive(Clone)]
pub struct Handle {
    part: Arc<Part>,
}

impl Handle {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self {
            part: Arc::new(Part(state)),
        }
    }

    fn state(&self) -> &Arc<State> {
        &self.part.0
    }

    /// The process id, which is also that of the process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.state().id()
    }

    /// Whether the child has neither exited nor been asked to.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state().is_running()
    }

    /// Ends the child and its descendants in good order, and waits for it.
    ///
    /// Takes at most [`stop_grace`](super::Limits::stop_grace) and twice
    /// [`term_grace`](super::Limits::term_grace), except for a process that the kernel cannot
    /// interrupt.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the child to end in the background.
    pub async fn stop(&self) -> Arc<ExitReport> {
        self.state().end(Level::Stop, Cause::Stopped);
        self.exited().await
    }

    /// Sends SIGKILL to the process group, soon. Also ends the patience of a stop under way.
    pub fn kill(&self) {
        self.state().end(Level::Kill, Cause::Stopped);
    }

    /// Waits until the child has been reaped, and every descendant in its group has got SIGKILL and
    /// a tenth of a second to die of it.
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing.
    pub async fn exited(&self) -> Arc<ExitReport> {
        self.state().exited().await
    }

    /// The end of the child's standard error, at most
    /// [`stderr_lines`](super::Limits::stderr_lines) and
    /// [`stderr_bytes`](super::Limits::stderr_bytes) before escaping.
    ///
    /// Control characters are escaped, and values that were [set](super::Command::env) for the
    /// child are replaced by their names. It may hold other secrets still, and what callers sent:
    /// show it to operators only. The log has it of a child that never said a message and ended by
    /// itself, and of others at the level `debug`.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.state().stderr.lock().render()
    }

    /// How many lines of the child's output were no messages and were left out.
    #[must_use]
    pub fn skipped_lines(&self) -> u64 {
        self.state().skipped()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id())
            .field("running", &self.is_running())
            .finish()
    }
}
