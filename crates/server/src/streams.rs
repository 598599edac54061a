//! Answers over HTTP/2, which a client can leave untaken one by one.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use pin_project::pin_project;
use thiserror::Error;
use tower_service::Service;

use crate::exchange::{ExchangeBody, ExchangeFuture, Exchanges};

type BoxError = Box<dyn Error + Send + Sync>;

/// As much of an answer as hyper gets at a time. It buffers what it gets, however little the
/// client wants of it; what it does not get can be given up. The largest frame that a client must
/// take.
const PIECE: usize = 16 * 1024;

/// The answers under way on one connection of HTTP/2.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, Arc<dyn Untaken>>,
}

impl Streams {
    /// Looks at each answer once more. What the client has left untaken for so many sweeps is
    /// given up, and with it what it holds of a service; the caller drops it, without locks.
    pub(crate) fn sweep(&self, most: u32) -> Vec<Box<dyn Send>> {
        let open = self.open.lock();
        let streams = open.streams.values();
        streams.filter_map(|stream| stream.look(most)).collect()
    }

    fn watch<B>(self: &Arc<Self>, body: B) -> StreamBody<B>
    where
        B: Body + Send + 'static,
    {
        let stream = Arc::new(Stream::new(body));
        let mut open = self.open.lock();
        let id = open.next;
        open.next += 1;
        open.streams.insert(id, Arc::clone(&stream) as _);
        StreamBody {
            stream,
            streams: Arc::downgrade(self),
            id,
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.open.lock().streams.len();
        f.debug_struct("Streams").field("open", &open).finish()
    }
}

/// An answer, whatever its body is.
trait Untaken: Send + Sync {
    /// What it holds, if the client has taken nothing of it for so many sweeps.
    fn look(&self, most: u32) -> Option<Box<dyn Send>>;
}

struct Stream<B>(Mutex<State<B>>);

struct State<B> {
    /// Empty once it has been given up.
    body: Option<Pin<Box<B>>>,
    /// What has come from the body and hyper has not got.
    rest: Bytes,
    /// How often hyper has asked for more.
    asked: u32,
    /// Whether the client is to take something before hyper asks again.
    is_clients_turn: bool,
    /// What a sweep saw last, and how many saw the same.
    seen: u32,
    stuck: u32,
}

impl<B> Stream<B> {
    fn new(body: B) -> Self {
        Self(Mutex::new(State {
            body: Some(Box::pin(body)),
            rest: Bytes::new(),
            asked: 0,
            // A window of zero has hyper not ask at all.
            is_clients_turn: true,
            seen: 0,
            stuck: 0,
        }))
    }
}

impl<B: Send + 'static> Untaken for Stream<B> {
    fn look(&self, most: u32) -> Option<Box<dyn Send>> {
        let mut state = self.0.lock();
        if !state.is_clients_turn || state.asked != state.seen {
            (state.seen, state.stuck) = (state.asked, 0);
            return None;
        }
        state.stuck = state.stuck.saturating_add(1);
        if state.stuck < most {
            return None;
        }
        state.rest = Bytes::new();
        state.body.take().map(|body| Box::new(body) as _)
    }
}

impl<B: Body> State<B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Some(Err(Box::new(GivenUp))));
        };
        if self.rest.is_empty() {
            let frame = match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame.map_data(|mut data| data.copy_to_bytes(data.remaining())),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// The client left an answer untaken.
#[derive(Debug, Error)]
#[error("the client took nothing of the answer for too long")]
struct GivenUp;

/// The body of an answer, which the sweep can take away.
pub(crate) struct StreamBody<B> {
    stream: Arc<Stream<B>>,
    streams: Weak<Streams>,
    id: u64,
}

impl<B> Body for StreamBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.stream.0.lock();
        let polled = state.poll(cx);
        state.asked = state.asked.wrapping_add(1);
        state.is_clients_turn = polled.is_ready();
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.stream.0.lock();
        let is_over = |body: &Pin<Box<B>>| body.is_end_stream();
        state.rest.is_empty() && state.body.as_ref().is_some_and(is_over)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.stream.0.lock();
        let rest = state.rest.len() as u64;
        let mut hint = state
            .body
            .as_ref()
            .map_or_else(SizeHint::new, |body| body.as_ref().size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl<B> Drop for StreamBody<B> {
    fn drop(&mut self) {
        if let Some(streams) = self.streams.upgrade() {
            let stream = streams.open.lock().streams.remove(&self.id);
            drop(stream);
        }
    }
}

/// [`Exchanges`] of a connection of HTTP/2.
pub(crate) struct Multiplexed<S>(pub(crate) Exchanges<S>);

impl<S, B> hyper::service::Service<Request<Incoming>> for Multiplexed<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<StreamBody<ExchangeBody<B>>>;
    type Error = S::Error;
    type Future = MultiplexedFuture<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        MultiplexedFuture {
            exchange: self.0.call(request),
            streams: Arc::clone(self.0.activity.streams()),
        }
    }
}

#[pin_project]
pub(crate) struct MultiplexedFuture<S: Service<Request<Incoming>>> {
    #[pin]
    exchange: ExchangeFuture<S>,
    streams: Arc<Streams>,
}

impl<S, B> Future for MultiplexedFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body + Send + 'static,
{
    type Output = Result<Response<StreamBody<ExchangeBody<B>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.exchange.poll(cx))?;
        Poll::Ready(Ok(response.map(|body| this.streams.watch(body))))
    }
}
