use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    pin::{Pin, pin},
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_protocol::{
    error::{self, ErrorMessage},
    lines::{self, Decoder, TooLong},
};
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, watch},
};
use tower_service::Service;

use super::{End, FrontLimits, Target, relay, relay::weight};

/// What one read may bring. Pipes hold 64 KiB, and most messages are shorter than 4 KiB.
const READ_BYTES: usize = 16 << 10;
/// What is written at a time. Tokio's standard output takes far more at once, and does not say
/// how much of it has gone on to the client.
const WRITE_BYTES: usize = 16 << 10;

/// Serves one client that writes its messages as lines, by the service at `path`.
///
/// Ends when `reader` does and the client has heard all that it asked for, when `writer` does
/// not take any more, or when `stop` completes. A `writer` that takes nothing is waited for while
/// the client may say more; after the end of `reader`, for [`FrontLimits::stuck`] at a time. At the
/// end the client's session is ended.
///
/// # Errors
///
/// When `writer` fails; of the kind [`io::ErrorKind::BrokenPipe`] if the client has gone. What
/// fails while reading counts as the end of what the client says.
///
/// # Cancellation
///
/// Dropping the future drops every exchange, and may leave a line half written.
///
/// # Panics
///
/// Outside a tokio runtime with its timer enabled.
pub async fn serve<S, B, R, W>(
    service: S,
    path: Uri,
    reader: R,
    writer: W,
    limits: FrontLimits,
    stop: impl Future<Output = ()>,
) -> io::Result<End>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: fmt::Display + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
    R: AsyncRead,
    W: AsyncWrite,
{
    let (heard, messages) = mpsc::channel(1);
    let (out, said) = mpsc::channel(limits.queue.max(1));
    let (over, is_over) = watch::channel(false);
    let reads = read(reader, heard, out.clone(), over, limits);
    let relays = relay(service, Target::local(path), messages, out, limits, stop);
    let patience = Patience {
        is_over,
        stuck: limits.stuck,
    };
    let mut writes = pin!(write(writer, said, patience));
    let mut works = pin!(async {
        tokio::select! {
            end = relays => end,
            never = reads => match never {},
        }
    });
    tokio::select! {
        biased;
        written = &mut writes => {
            let end = works.await;
            written.map(|()| end)
        }
        end = &mut works => {
            let patience = if end == End::Said { limits.drain } else { limits.close };
            tokio::select! {
                written = writes => written.map(|()| end),
                () = Clock::default().sleep(patience) => Ok(end),
            }
        }
    }
}

enum Never {}

/// Reads lines to the end, and then waits for the relay to have enough.
async fn read(
    reader: impl AsyncRead,
    heard: mpsc::Sender<Bytes>,
    out: mpsc::Sender<Bytes>,
    over: watch::Sender<bool>,
    limits: FrontLimits,
) -> Never {
    if read_lines(reader, &heard, &out, &over, limits)
        .await
        .is_none()
    {
        tracing::debug!("nobody reads the client's messages any more");
    }
    drop((heard, out));
    std::future::pending().await
}

/// Reads ahead while nothing is taken: it may be the end. None if nobody is there to take what is
/// read.
async fn read_lines(
    reader: impl AsyncRead,
    heard: &mpsc::Sender<Bytes>,
    out: &mpsc::Sender<Bytes>,
    over: &watch::Sender<bool>,
    limits: FrontLimits,
) -> Option<()> {
    let mut reader = pin!(reader);
    let mut decoder = Decoder::new(limits.message_bytes);
    let mut buffer = BytesMut::new();
    let mut ahead = VecDeque::new();
    let mut ahead_bytes = 0;
    let mut is_over = false;
    while !is_over || !ahead.is_empty() {
        if buffer.capacity() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        let next: Option<&(&mpsc::Sender<Bytes>, Bytes)> = ahead.front();
        let room = async move {
            match next {
                Some((whither, _)) => whither.reserve().await.ok(),
                None => std::future::pending().await,
            }
        };
        let may_read = !is_over && ahead_bytes < limits.waiting_bytes;
        tokio::select! {
            biased;
            room = room => {
                let room = room?;
                if let Some((_, message)) = ahead.pop_front() {
                    ahead_bytes -= weight(&message);
                    room.send(message);
                }
                continue;
            }
            read = reader.read_buf(&mut buffer), if may_read => match read {
                Ok(0) => is_over = true,
                Ok(_) => decoder.push(buffer.split().freeze()),
                Err(error) => {
                    tracing::warn!(%error, "the client's messages cannot be read");
                    is_over = true;
                }
            },
        }
        let last = if is_over {
            over.send_replace(true);
            decoder.finish()
        } else {
            None
        };
        for line in decoder.by_ref().chain(last) {
            let (whither, message) = match line {
                Ok(line) => (heard, line),
                Err(error) => (out, refusal(&error)),
            };
            ahead_bytes += weight(&message);
            ahead.push_back((whither, message));
        }
    }
    Some(())
}

fn refusal(error: &TooLong) -> Bytes {
    let limit = error.limit;
    let refusal = ErrorMessage {
        id: None,
        code: error::TOO_LARGE,
        message: &error.to_string(),
        data: Some(&format!(r#"{{"limit":{limit}}}"#)),
    };
    refusal.to_bytes()
}

/// Writes each message as one line, and hands them over whenever there is a pause.
///
/// Ends when there are no more, or when they are no longer taken.
async fn write(
    writer: impl AsyncWrite,
    mut said: mpsc::Receiver<Bytes>,
    mut patience: Patience,
) -> io::Result<()> {
    let mut writer = pin!(writer);
    while let Some(message) = said.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            let line = lines::encode(message);
            if patience.write(&mut writer, line).await?.is_none() {
                return Ok(());
            }
            next = said.try_recv().ok();
        }
        if patience.with(writer.flush()).await.transpose()?.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

/// How long a client is waited for that takes nothing.
struct Patience {
    /// The client says no more.
    is_over: watch::Receiver<bool>,
    stuck: Duration,
}

impl Patience {
    /// None if the client takes nothing.
    async fn write<W>(
        &mut self,
        writer: &mut Pin<&mut W>,
        mut line: Bytes,
    ) -> io::Result<Option<()>>
    where
        W: AsyncWrite,
    {
        while line.has_remaining() {
            let piece = &line[..line.len().min(WRITE_BYTES)];
            match self.with(writer.write(piece)).await.transpose()? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(written) => line.advance(written),
                None => return Ok(None),
            }
        }
        Ok(Some(()))
    }

    /// None if this takes too long.
    async fn with<T>(&mut self, writing: impl Future<Output = T>) -> Option<T> {
        let Self { is_over, stuck } = self;
        let runs_out = async {
            if is_over.wait_for(|is_over| *is_over).await.is_err() {
                // Told to stop, which has a bound of its own.
                std::future::pending::<()>().await;
            }
            Clock::default().sleep(*stuck).await;
        };
        tokio::select! {
            biased;
            written = writing => Some(written),
            () = runs_out => {
                tracing::warn!("the client says no more and reads nothing");
                None
            }
        }
    }
}
