use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::pin_project;
use tower_service::Service;

use crate::{
    RemoteAddr,
    activity::{Activity, InFlight},
};

/// A tower service as one connection's hyper service: tells each request where it came from and
/// counts the exchange.
pub(crate) struct Exchanges<S> {
    pub(crate) service: S,
    pub(crate) remote: SocketAddr,
    pub(crate) activity: Arc<Activity>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Exchanges<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = Response<ExchangeBody<B>>;
    type Error = S::Error;
    type Future = ExchangeFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(RemoteAddr(self.remote));
        ExchangeFuture {
            in_flight: Some(Activity::begin(&self.activity)),
            state: State::Waiting {
                service: self.service.clone(),
                request: Some(request),
            },
        }
    }
}

/// Makes a clone of the service ready, then calls that very clone.
#[pin_project]
pub(crate) struct ExchangeFuture<S: Service<Request<Incoming>>> {
    in_flight: Option<InFlight>,
    #[pin]
    state: State<S>,
}

#[pin_project(project = StateProj)]
#[allow(
    clippy::large_enum_variant,
    reason = "the futures of services are seldom smaller, and a box would cost an allocation"
)]
enum State<S: Service<Request<Incoming>>> {
    Waiting {
        service: S,
        request: Option<Request<Incoming>>,
    },
    Called(#[pin] S::Future),
}

impl<S, B> Future for ExchangeFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Output = Result<Response<ExchangeBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take().expect("called once");
                    let called = service.call(request);
                    this.state.set(State::Called(called));
                }
                StateProj::Called(response) => {
                    let response = ready!(response.poll(cx))?;
                    let in_flight = this.in_flight.take();
                    return Poll::Ready(Ok(response.map(|body| ExchangeBody { body, in_flight })));
                }
            }
        }
    }
}

/// A response body during which the exchange is still under way.
#[pin_project]
pub(crate) struct ExchangeBody<B> {
    #[pin]
    body: B,
    in_flight: Option<InFlight>,
}

impl<B: Body> Body for ExchangeBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
