//! Standard input, read by a thread of its own.

use std::{
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::mpsc,
};

/// What one read may bring: all that a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// Begins to read standard input.
///
/// The thread ends with the input or with the process, whichever is first: tokio's own would
/// keep the runtime from ending for as long as the client says nothing.
pub(crate) fn read() -> Input {
    let (sender, chunks) = mpsc::channel(1);
    let reading = thread::Builder::new().name("stdin".to_owned());
    let spawned = reading.spawn(move || {
        let mut input = io::stdin().lock();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let chunk = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => Ok(Bytes::copy_from_slice(&buffer[..read])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_over = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || is_over {
                return;
            }
        }
    });
    Input {
        chunks,
        rest: Bytes::new(),
        failed: spawned.err(),
    }
}

/// What the thread reads.
#[derive(Debug)]
pub(crate) struct Input {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
    failed: Option<io::Error>,
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.rest.is_empty() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(chunk) => self.rest = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}
