use std::{fmt, io, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bartizan_protocol::lines::{Decoder, TooLong};
use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use tokio::{io::AsyncReadExt, process::ChildStdout, time::timeout};

use super::{
    Cause, Limits, StdioError, shape,
    state::{Level, Part, State},
};

/// What one read may bring. A pipe holds 64 KiB; most messages are shorter than 4 KiB.
const READ_BYTES: usize = 16 << 10;

/// When all is dead, what is in the pipe is there at once. To wait longer than this in all means
/// that a process that left the group holds it open.
const DRAIN: Duration = Duration::from_millis(50);

/// More than a pipe can hold by default, so that such a process is not read for ever if it writes
/// without a pause.
const DRAIN_BYTES: usize = 1 << 20;

/// Receives the messages of a child. Dropping it stops the child.
///
/// Read it without long pauses: what is not read blocks the child once the pipe is full.
pub struct Incoming {
    /// None when the output has ended.
    stdout: Option<ChildStdout>,
    decoder: Decoder,
    buffer: BytesMut,
    clock: Clock,
    /// How long may still be waited for output, and how much of it may be read, after the end.
    drain: (Duration, usize),
    part: Part,
}

impl Incoming {
    pub(super) fn new(stdout: ChildStdout, state: Arc<State>, limits: &Limits) -> Self {
        Self {
            stdout: Some(stdout),
            decoder: Decoder::new(limits.max_message_bytes).telling_ends(),
            buffer: BytesMut::new(),
            clock: Clock::default(),
            drain: (DRAIN, DRAIN_BYTES),
            part: Part(state),
        }
    }

    /// The next message, a slice of what was read; none when the output has ended.
    ///
    /// Lines that are neither objects nor batches of them are left out and counted
    /// ([`Handle::skipped_lines`](super::Handle::skipped_lines)). A last line without its end is a
    /// message if it is complete JSON. The end of the output stops the child.
    ///
    /// # Errors
    ///
    /// [`StdioError`], after which the child is stopped and there is nothing more; but for
    /// [`TooLong`](StdioError::TooLong), after which the next message comes.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the next call goes on where this one was.
    pub async fn next(&mut self) -> Option<Result<Bytes, StdioError>> {
        loop {
            while let Some(line) = self.decoder.next() {
                match line {
                    Ok(line) if shape::is_message(&line) => {
                        self.part.0.speaks();
                        return Some(Ok(line));
                    }
                    Ok(line) => self.skip(line.len()),
                    Err(error) => {
                        if let Some(error) = self.too_long(&error) {
                            return Some(Err(error));
                        }
                    }
                }
            }
            match self.read().await {
                None => return None,
                Some(Ok(0)) => {
                    self.close(Cause::ClosedPipe);
                    return self.last_line();
                }
                Some(Ok(_)) => self.decoder.push(self.buffer.split().freeze()),
                Some(Err(error)) => {
                    self.close(Cause::ClosedPipe);
                    return Some(Err(error.into()));
                }
            }
        }
    }

    /// None if there is no output any more.
    async fn read(&mut self) -> Option<io::Result<usize>> {
        let stdout = self.stdout.as_mut()?;
        if self.buffer.capacity() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        if !self.part.0.is_gone() {
            tokio::select! {
                biased;
                read = stdout.read_buf(&mut self.buffer) => return Some(read),
                _ = self.part.0.exited() => {}
            }
        }
        let (patience, bytes) = &mut self.drain;
        let start = self.clock.now();
        let read = timeout(*patience, stdout.read_buf(&mut self.buffer)).await;
        let read = read.unwrap_or(Ok(0));
        *patience = patience.saturating_sub(self.clock.now() - start);
        *bytes = bytes.saturating_sub(*read.as_ref().unwrap_or(&0));
        Some(if *bytes == 0 { Ok(0) } else { read })
    }

    fn last_line(&mut self) -> Option<Result<Bytes, StdioError>> {
        let line = match self.decoder.finish()? {
            Ok(line) => line,
            Err(error) => return self.too_long(&error).map(Err),
        };
        if shape::is_message(&line) && serde_json::from_slice::<&RawValue>(&line).is_ok() {
            Some(Ok(line))
        } else if shape::begins_message(&line) {
            let length = line.len();
            Some(Err(StdioError::Truncated { length }))
        } else {
            self.skip(line.len());
            None
        }
    }

    /// What to say of a line that was too long, if it was a message.
    fn too_long(&self, error: &TooLong) -> Option<StdioError> {
        let limit = error.limit;
        let beginning = Bytes::copy_from_slice(self.decoder.skipped());
        if !shape::begins_message(&beginning) {
            self.skip(limit);
            return None;
        }
        Some(StdioError::TooLong {
            limit,
            beginning,
            end: Bytes::copy_from_slice(self.decoder.skipped_end()),
        })
    }

    fn skip(&self, bytes: usize) {
        if self.part.0.skip() == 0 {
            let pid = self.part.0.id();
            tracing::warn!(pid, bytes, "server prints what is no message, skipping it");
        }
    }

    fn close(&mut self, cause: Cause) {
        self.stdout = None;
        self.part.0.end(Level::Stop, cause);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("id", &self.part.0.id())
            .field("ended", &self.stdout.is_none())
            .finish()
    }
}
