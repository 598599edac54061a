use std::{fmt, future::Future, io, pin::pin};

use bartizan_clock::Clock;
use bartizan_protocol::{
    error::{self, ErrorMessage},
    lines::{self, Decoder},
};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tower_service::Service;

use super::{End, FrontLimits, Target, relay};

/// What one read may bring. Pipes hold 64 KiB, and most messages are shorter than 4 KiB.
const READ_BYTES: usize = 16 << 10;

/// Serves one client that writes its messages as lines, by the service at `path`.
///
/// Ends when `reader` does and the client has heard all that it asked for, when `writer` does
/// not take any more, or when `stop` completes. At the end the client's session is ended.
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
    let reads = read(reader, heard, out.clone(), limits.message_bytes);
    let relays = relay(service, Target::local(path), messages, out, limits, stop);
    let mut writes = pin!(write(writer, said));
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
    limit: usize,
) -> Never {
    if read_lines(reader, &heard, &out, limit).await.is_none() {
        tracing::debug!("nobody reads the client's messages any more");
    }
    drop((heard, out));
    std::future::pending().await
}

/// None if nobody is there to take what is read.
async fn read_lines(
    reader: impl AsyncRead,
    heard: &mpsc::Sender<Bytes>,
    out: &mpsc::Sender<Bytes>,
    limit: usize,
) -> Option<()> {
    let mut reader = pin!(reader);
    let mut decoder = Decoder::new(limit);
    let mut buffer = BytesMut::new();
    loop {
        for line in decoder.by_ref() {
            match line {
                Ok(line) => heard.send(line).await.ok()?,
                Err(error) => {
                    let refusal = ErrorMessage {
                        id: None,
                        code: error::TOO_LARGE,
                        message: &error.to_string(),
                        data: Some(&format!(r#"{{"limit":{limit}}}"#)),
                    };
                    out.send(refusal.to_bytes()).await.ok()?;
                }
            }
        }
        if buffer.capacity() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        match reader.read_buf(&mut buffer).await {
            Ok(0) => break,
            Ok(_) => decoder.push(buffer.split().freeze()),
            Err(error) => {
                tracing::warn!(%error, "the client's messages cannot be read");
                break;
            }
        }
    }
    if let Some(line) = decoder.finish() {
        heard.send(line).await.ok()?;
    }
    Some(())
}

/// Writes each message as one line, and hands them over whenever there is a pause.
async fn write(writer: impl AsyncWrite, mut said: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let mut writer = pin!(writer);
    while let Some(message) = said.recv().await {
        writer.write_all(&lines::encode(message)).await?;
        while let Ok(message) = said.try_recv() {
            writer.write_all(&lines::encode(message)).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}
