use std::{fmt, sync::Arc};

use bartizan_protocol::lines;
use bytes::Bytes;
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc};

use super::{
    Cause, Closed, Limits,
    state::{Level, State},
};

/// One line, and the room it takes until it is written.
pub(super) struct Line {
    bytes: Bytes,
    weight: u32,
}

/// Sends messages to a child. Dropping the last clone stops the child.
#[derive(Clone)]
pub struct Outgoing {
    /// Bounded by `State::room`: nothing is put in without having acquired its weight.
    queue: mpsc::UnboundedSender<Line>,
    state: Arc<State>,
    limits: Limits,
}

impl Outgoing {
    pub(super) fn new(
        queue: mpsc::UnboundedSender<Line>,
        state: Arc<State>,
        limits: Limits,
    ) -> Self {
        Self {
            queue,
            state,
            limits,
        }
    }

    /// Queues one message, as one line.
    ///
    /// Line breaks between the tokens of the message become spaces, which is all that is ever
    /// changed. Waits while the queue is full, which for a child that does not read is until it
    /// is stopped: bound the wait.
    ///
    /// # Errors
    ///
    /// [`Closed`] once the child has ended or is to end. A message that was queued before may or
    /// may not have reached it.
    ///
    /// # Cancellation
    ///
    /// A message is queued whole or not at all. Dropping the future while it waits leaves no
    /// trace; what is queued is written whatever becomes of the caller, never in pieces between
    /// which another could come.
    pub async fn send(&self, message: Bytes) -> Result<(), Closed> {
        let weight = self.limits.weight(message.len());
        let room = self.state.room.acquire_many(weight).await;
        // The writer gives the room back when the line is written.
        room.map_err(|_| Closed)?.forget();
        let bytes = lines::encode(message);
        let line = Line { bytes, weight };
        self.queue.send(line).map_err(|_| Closed)
    }

    /// Whether the child takes no more messages.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.room.is_closed()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("id", &self.state.id())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Writes what is queued until the child is to end, then the rest, then closes its input.
pub(super) async fn write(
    mut stdin: ChildStdin,
    mut queue: mpsc::UnboundedReceiver<Line>,
    state: Arc<State>,
) {
    let mut wishes = state.wishes();
    let mut ending = !state.is_running();
    loop {
        if ending {
            queue.close();
        }
        let line = tokio::select! {
            biased;
            line = queue.recv() => line,
            _ = wishes.changed(), if !ending => {
                ending = true;
                continue;
            }
        };
        let Some(line) = line else {
            // Either the last sender is gone or the child is ending anyway.
            return state.end(Level::Stop, Cause::Stopped);
        };
        if stdin.write_all(&line.bytes).await.is_err() {
            return state.end(Level::Stop, Cause::ClosedPipe);
        }
        state.room.add_permits(line.weight as usize);
    }
}
