use std::{
    error::Error,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::Sleep;

/// Collects a request body of at most `limit` bytes within `timeout`.
///
/// A body whose announced length is over the limit is refused before a byte of it is read. A body
/// that comes in one piece is not copied, and one that is already here when it is asked for costs
/// no timer. Trailers are dropped.
///
/// # Errors
///
/// When the body is too large, too slow, or cut short.
///
/// # Cancellation
///
/// Dropping the future drops the body; hyper then closes the connection if much of it was unread.
pub fn collect<B: Body<Data = Bytes>>(body: B, limit: usize, timeout: Duration) -> Collect<B> {
    Collect {
        body,
        limit,
        timeout,
        first: Bytes::new(),
        all: BytesMut::new(),
        sleep: None,
    }
}

/// Why a request body was not collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// It is longer than allowed: 413.
    #[error("request body is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes that were allowed.
        limit: usize,
    },
    /// It did not come in time: 408.
    #[error("request body took more than {after:?}")]
    Timeout {
        /// The time that was allowed.
        after: Duration,
    },
    /// The client went away, or what it sent is no body: 400, should anybody still listen.
    #[error("request body was cut short: {cause}")]
    Disconnected {
        // Boxed so that hyper's, axum's and any other body fit; only broken bodies pay.
        /// What the connection says.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

/// The body to come of [`collect`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Collect<B> {
    #[pin]
    body: B,
    limit: usize,
    timeout: Duration,
    /// The first piece, as hyper read it, unless there were more.
    first: Bytes,
    /// A copy of all pieces, if there were several.
    all: BytesMut,
    #[pin]
    sleep: Option<Sleep>,
}

/// The most to reserve beyond what has come: an announced length is only a promise.
const AHEAD: u64 = 64 * 1024;

impl<B> Future for Collect<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Bytes, CollectError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let limit = *this.limit;
        let too_large = CollectError::TooLarge { limit };
        loop {
            let have = this.first.len() + this.all.len();
            let remaining = this.body.size_hint().lower();
            if remaining > (limit - have) as u64 {
                return Poll::Ready(Err(too_large));
            }
            // Asking first saves polling a body once more only to hear that it has ended.
            let frame = if this.body.is_end_stream() {
                None
            } else {
                match this.body.as_mut().poll_frame(cx) {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => break,
                }
            };
            match frame {
                None if this.all.is_empty() => return Poll::Ready(Ok(mem::take(this.first))),
                None => return Poll::Ready(Ok(mem::take(this.all).freeze())),
                Some(Err(error)) => {
                    let cause = error.into();
                    return Poll::Ready(Err(CollectError::Disconnected { cause }));
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if data.len() > limit - have {
                        return Poll::Ready(Err(too_large));
                    }
                    if have == 0 {
                        *this.first = data;
                        continue;
                    }
                    if this.all.is_empty() {
                        let ahead = remaining.saturating_sub(data.len() as u64).min(AHEAD);
                        this.all.reserve(have + data.len() + ahead as usize);
                        this.all.extend_from_slice(&mem::take(this.first));
                    }
                    this.all.extend_from_slice(&data);
                }
            }
        }
        // hyper has read what came along with the headers before it calls the service, so that
        // most bodies never get here and need no timer.
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep(*this.timeout)));
        }
        let ran_out = match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx).is_ready(),
            None => false,
        };
        if ran_out {
            let after = *this.timeout;
            return Poll::Ready(Err(CollectError::Timeout { after }));
        }
        Poll::Pending
    }
}
