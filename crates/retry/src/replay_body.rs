#[cfg(test)]
mod tests;

mod error;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

pub use error::ReplayError;

/// A streaming body of which every clone is the whole body, from its beginning.
///
/// What one attempt reads is remembered for the next, which gets the remembered chunks first
/// and reads on where the other stopped: nothing is read before an attempt asks for it, and
/// chunks are counted by reference and not copied. Once more than the cap has gone through, the
/// memory is dropped; the attempt in flight goes on undisturbed and
/// [`is_replayable`](Self::is_replayable) is false from then on. While there is no other clone,
/// nothing is remembered.
///
/// One clone at a time reads, the one that began last. An earlier one that is still being sent
/// somewhere ends with [`ReplayError::Superseded`].
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_retry::{HttpPolicy, ReplayBody};
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::{BodyExt, Full};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let body = ReplayBody::new(Full::new(Bytes::from_static(b"hello")));
/// let again = body.clone();
/// assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
/// assert_eq!(again.collect().await.unwrap().to_bytes(), "hello");
/// # });
/// let policy: HttpPolicy<ReplayBody<Full<Bytes>>> = HttpPolicy::streaming(Clock::default());
/// ```
///
/// # When not to use it
///
/// For bodies that are in memory anyway: `Full<Bytes>` is as cheap to clone and needs no lock.
pub struct ReplayBody<B> {
    shared: Arc<Mutex<Shared<B>>>,
    /// Which of the readers this is, once it has begun to read.
    reader: Option<u64>,
    /// How many of the remembered chunks it has returned.
    position: usize,
    trailers_returned: bool,
}

/// What all clones have together. The lock is taken once per frame by the one clone that reads.
struct Shared<B> {
    body: B,
    chunks: Vec<Bytes>,
    buffered: usize,
    cap: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// The beginning is not remembered, so no further reader can begin.
    lost: bool,
    /// How many readers have begun; the last of them owns the body.
    readers: u64,
    /// Wakes the owner, which must hear that it no longer is.
    waker: Option<Waker>,
}

impl<B: Body<Data = Bytes>> ReplayBody<B> {
    /// How many bytes are remembered by default: linkerd's 64 KiB, which holds most requests of
    /// programs and costs little per request in flight.
    pub const DEFAULT_CAP: usize = 64 * 1024;

    /// How many chunks are remembered at most, whatever they hold, so that a body of tiny chunks
    /// cannot cost many times the cap.
    pub const MAX_CHUNKS: usize = 1024;

    /// A body that can be sent again while no more than 64 KiB of it have been read.
    pub fn new(body: B) -> Self {
        Self::with_cap(body, Self::DEFAULT_CAP)
    }

    /// A body that can be sent again while no more than `cap` bytes of it have been read.
    ///
    /// Of one that announces to be longer nothing is remembered: it can be sent again until the
    /// first of it has been read.
    pub fn with_cap(body: B, cap: usize) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                body,
                chunks: Vec::new(),
                buffered: 0,
                cap,
                trailers: None,
                ended: false,
                lost: false,
                readers: 0,
                waker: None,
            })),
            reader: None,
            position: 0,
            trailers_returned: false,
        }
    }
}

impl<B> ReplayBody<B> {
    /// Whether the body can be sent once more, from the beginning.
    #[must_use]
    pub fn is_replayable(&self) -> bool {
        !self.shared().lost
    }

    /// Makes this clone the one that reads, if there still is a beginning to read.
    fn begin(&mut self) -> Option<u64> {
        let (reader, superseded) = {
            let mut shared = self.shared();
            if shared.lost {
                return None;
            }
            shared.readers += 1;
            (shared.readers, shared.waker.take())
        };
        if let Some(superseded) = superseded {
            superseded.wake();
        }
        self.reader = Some(reader);
        self.reader
    }

    fn shared(&self) -> MutexGuard<'_, Shared<B>> {
        lock(&self.shared)
    }

    /// Whether the next frame is one of the body and not an error.
    fn may_read(&self, shared: &Shared<B>) -> bool {
        match self.reader {
            Some(reader) => reader == shared.readers,
            None => !shared.lost,
        }
    }
}

/// A clone begins at the beginning, whatever this one has read.
impl<B> Clone for ReplayBody<B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            reader: None,
            position: 0,
            trailers_returned: false,
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let reader = match this.reader {
            Some(reader) => reader,
            None => match this.begin() {
                Some(reader) => reader,
                None => return Poll::Ready(Some(Err(ReplayError::NotReplayable))),
            },
        };
        let alone = Arc::strong_count(&this.shared) == 1;
        let mut shared = lock(&this.shared);
        let shared = &mut *shared;
        if reader != shared.readers {
            return Poll::Ready(Some(Err(ReplayError::Superseded)));
        }
        if let Some(chunk) = shared.chunks.get(this.position) {
            this.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if let Some(trailers) = &shared.trailers
            && !this.trailers_returned
        {
            this.trailers_returned = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        if shared.ended {
            return Poll::Ready(None);
        }
        if alone {
            shared.forget();
        }
        let frame = match ready!(shared.poll_body(cx)) {
            None => {
                shared.ended = true;
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                shared.ended = true;
                shared.forget();
                return Poll::Ready(Some(Err(ReplayError::Body(error))));
            }
            Some(Ok(frame)) => frame,
        };
        if let Some(trailers) = frame.trailers_ref() {
            this.trailers_returned = true;
            if !shared.lost {
                shared.trailers = Some(trailers.clone());
            }
        } else if let Some(chunk) = frame.data_ref() {
            shared.remember(chunk);
            this.position = shared.chunks.len();
        } else {
            // A kind of frame that did not exist when this was written.
            shared.forget();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let shared = self.shared();
        self.may_read(&shared)
            && self.position >= shared.chunks.len()
            && (shared.trailers.is_none() || self.trailers_returned)
            && (shared.ended || shared.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let shared = self.shared();
        if !self.may_read(&shared) {
            return SizeHint::default();
        }
        let ahead: usize = shared
            .chunks
            .iter()
            .skip(self.position)
            .map(Bytes::len)
            .sum();
        if shared.ended {
            return SizeHint::with_exact(ahead as u64);
        }
        let mut hint = shared.body.size_hint();
        let (lower, upper) = (hint.lower(), hint.upper());
        // The upper bound first: the lower one must never be above it.
        if let Some(upper) = upper {
            hint.set_upper(upper.saturating_add(ahead as u64));
        }
        hint.set_lower(lower.saturating_add(ahead as u64));
        hint
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("ReplayBody")
            .field("buffered", &shared.buffered)
            .field("cap", &shared.cap)
            .field("replayable", &!shared.lost)
            .finish_non_exhaustive()
    }
}

impl<B> Shared<B> {
    fn forget(&mut self) {
        self.lost = true;
        self.buffered = 0;
        self.chunks = Vec::new();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Shared<B> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            match &mut self.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => self.waker = Some(cx.waker().clone()),
            }
        }
        frame
    }

    fn remember(&mut self, chunk: &Bytes) {
        if self.lost || chunk.is_empty() {
            return;
        }
        self.buffered = self.buffered.saturating_add(chunk.len());
        let announced = self.body.size_hint().lower();
        let whole = announced.saturating_add(self.buffered as u64);
        if whole > self.cap as u64 || self.chunks.len() == ReplayBody::<B>::MAX_CHUNKS {
            self.forget();
        } else {
            self.chunks.push(chunk.clone());
        }
    }
}

/// A panic of the body inside the lock leaves nothing half done here, so the poison means nothing.
fn lock<B>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
