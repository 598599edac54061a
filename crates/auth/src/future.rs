use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap},
};
use pin_project::pin_project;
use tower_service::Service;

use crate::{Error, Token, TokenCache, TokenClient, TokenError, authorize::Challenge};

/// The future of an [`Auth`](crate::Auth) service.
///
/// # Cancellation
///
/// Dropping it cancels the call to the service inside. A token that it waited for is still
/// fetched, for the next request.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<Inner, S, B>
where
    Inner: Service<Request<B>>,
{
    #[pin]
    pub(crate) state: State<Inner, S, B>,
}

/// A request and the service to send it by.
pub(crate) struct Again<Inner, B> {
    pub(crate) service: Inner,
    pub(crate) request: Request<B>,
}

/// The token that a service was shown, or that it was shown none (generation zero), and what to
/// do if it refuses.
pub(crate) struct Shown<Inner, S, B> {
    pub(crate) cache: TokenCache<S>,
    pub(crate) generation: u64,
    /// A copy of the request, if it may be repeated, and a clone of the service. Boxed, because
    /// most futures have none and should not be larger for it.
    pub(crate) again: Option<Box<Again<Inner, B>>>,
}

/// Boxed, because it cannot be named; a request gets here only when there is no token to send
/// or a service has refused it, and then waits for the network.
pub(crate) type Fetching = Pin<Box<dyn Future<Output = Result<Arc<Token>, TokenError>> + Send>>;

/// A request that waits for the first token. The service has been made ready.
pub(crate) struct Waiting<Inner, S, B> {
    token: Fetching,
    cache: TokenCache<S>,
    first: Again<Inner, B>,
    /// Of the request, if it may be repeated.
    copy: Option<Request<B>>,
}

/// A request that a service answered with 401, and that waits for another token.
pub(crate) struct Refused<Inner, B, Res> {
    token: Fetching,
    generation: u64,
    again: Box<Again<Inner, B>>,
    unauthorized: Res,
}

// What waits for the network is boxed: it would make the future of every request larger, and
// moving that is most of what this layer would cost.
#[pin_project(project = Step, project_replace = Owned)]
pub(crate) enum State<Inner, S, B>
where
    Inner: Service<Request<B>>,
{
    /// The service is being asked.
    Calling {
        #[pin]
        future: Inner::Future,
        shown: Option<Shown<Inner, S, B>>,
    },
    /// There was no token.
    Waiting(Box<Waiting<Inner, S, B>>),
    /// Another token is on its way.
    Replacing(Box<Refused<Inner, B, Inner::Response>>),
    /// There is another token. The clone of the service is being made ready.
    Readying(Box<Refused<Inner, B, Inner::Response>>),
    Failed(Error<Inner::Error>),
    Done,
}

impl<Inner, S, B, ResBody> Future for ResponseFuture<Inner, S, B>
where
    Inner: Service<Request<B>, Response = Response<ResBody>> + Clone,
    S: TokenClient,
{
    type Output = Result<Response<ResBody>, Error<Inner::Error>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            if let Step::Calling { future, shown } = state.as_mut().project() {
                match future.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::Inner(error))),
                    Poll::Ready(Ok(response)) => {
                        let status = response.status();
                        if status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN {
                            return Poll::Ready(Ok(response));
                        }
                        let shown = shown.take();
                        let refused = shown.and_then(|it| it.refuse(status, response.headers()));
                        let Some(refused) = refused else {
                            return Poll::Ready(Ok(response));
                        };
                        let refused = refused.answered(response);
                        state.set(State::Replacing(Box::new(refused)));
                    }
                }
            }
            if let Some(result) = ready!(state.as_mut().poll_aside(cx)) {
                return Poll::Ready(result);
            }
        }
    }
}

impl<Inner, S, B> State<Inner, S, B>
where
    Inner: Service<Request<B>> + Clone,
{
    /// Everything but the calls to the service. `None` when one has begun.
    #[cold]
    fn poll_aside(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Answer<Inner::Response, Inner::Error>>> {
        // First what the state waits for, then what follows from it.
        let event = match self.as_mut().project() {
            Step::Waiting(waiting) => Event::Fetched(ready!(waiting.token.as_mut().poll(cx))),
            Step::Replacing(refused) => Event::Fetched(ready!(refused.token.as_mut().poll(cx))),
            Step::Readying(refused) => {
                Event::Readied(ready!(refused.again.service.poll_ready(cx)).is_ok())
            }
            Step::Calling { .. } => return Poll::Ready(None),
            Step::Failed(_) | Step::Done => Event::Readied(false),
        };
        let next = match (self.as_mut().project_replace(Self::Done), event) {
            (Owned::Waiting(waiting), Event::Fetched(Ok(token))) => waiting.call(&token),
            (Owned::Waiting(waiting), Event::Fetched(Err(error)))
                if error.kind().is_unchallenged() =>
            {
                waiting.call_bare()
            }
            (Owned::Waiting(_), Event::Fetched(Err(error))) => {
                return Poll::Ready(Some(Err(Error::Token(error))));
            }
            (Owned::Replacing(mut refused), Event::Fetched(Ok(token)))
                if token.generation() != refused.generation =>
            {
                refused.again.show(&token);
                Self::Readying(refused)
            }
            (Owned::Readying(refused), Event::Readied(true)) => Self::Calling {
                future: refused.again.call(),
                shown: None,
            },
            // Without another token, or a service to show it to, the 401 is the answer.
            (Owned::Replacing(refused) | Owned::Readying(refused), _) => {
                return Poll::Ready(Some(Ok(refused.unauthorized)));
            }
            (Owned::Failed(error), _) => return Poll::Ready(Some(Err(error))),
            _ => panic!("polled after it was ready"),
        };
        self.set(next);
        Poll::Ready(None)
    }
}

type Answer<Res, E> = Result<Res, Error<E>>;

/// What a state has waited for.
enum Event {
    Fetched(Result<Arc<Token>, TokenError>),
    Readied(bool),
}

impl<Inner: Clone, B> Again<Inner, B> {
    /// The copy of a request, if there is one, with a clone of what sends it.
    pub(crate) fn by(service: &Inner, copy: Option<Request<B>>) -> Option<Box<Self>> {
        let again = |request| Self {
            service: service.clone(),
            request,
        };
        copy.map(|request| Box::new(again(request)))
    }
}

impl<Inner, B> Again<Inner, B> {
    fn show(&mut self, token: &Token) {
        let header = token.header().clone();
        self.request.headers_mut().insert(AUTHORIZATION, header);
    }

    /// Sends the request by the service, which is ready.
    fn call(mut self) -> Inner::Future
    where
        Inner: Service<Request<B>>,
    {
        self.service.call(self.request)
    }
}

impl<Inner, S, B> Waiting<Inner, S, B>
where
    Inner: Service<Request<B>> + Clone,
{
    /// A call to be made when there is a token. In a box, because this is out of line: a future that
    /// such a function may return is built beside its place and copied there, at every call.
    #[cold]
    pub(crate) fn boxed(
        cache: TokenCache<S>,
        first: Again<Inner, B>,
        copy: Option<Request<B>>,
    ) -> Box<Self>
    where
        S: TokenClient,
    {
        Box::new(Self {
            token: fetch(&cache),
            cache,
            first,
            copy,
        })
    }

    fn call(mut self, token: &Token) -> State<Inner, S, B> {
        self.first.show(token);
        self.call_shown(token.generation())
    }

    /// Sends the request as it is, for the service to say what it wants.
    fn call_bare(mut self) -> State<Inner, S, B> {
        self.first.request.headers_mut().remove(AUTHORIZATION);
        self.call_shown(0)
    }

    fn call_shown(self, generation: u64) -> State<Inner, S, B> {
        let again = Again::by(&self.first.service, self.copy);
        State::Calling {
            future: self.first.call(),
            shown: Some(Shown {
                cache: self.cache,
                generation,
                again,
            }),
        }
    }
}

impl<Inner, S: TokenClient, B> Shown<Inner, S, B> {
    /// Tells the cache of a refusal; what to do about it, if the request is to be repeated.
    #[cold]
    fn refuse(self, status: StatusCode, headers: &HeaderMap) -> Option<Refused<Inner, B, ()>> {
        let shared = self.cache.shared();
        let mut wider = false;
        let replaced = match &shared.flow {
            Some(flow) => {
                let challenge = Challenge::read(status, headers)?;
                wider = challenge.insufficient_scope;
                shared.challenged(flow, self.generation, challenge)
            }
            None if status == StatusCode::UNAUTHORIZED => self.cache.unauthorized(self.generation),
            None => false,
        };
        let again = self.again.filter(|_| replaced)?;
        Some(Refused {
            token: replace(&self.cache, self.generation, wider),
            generation: self.generation,
            again,
            unauthorized: (),
        })
    }
}

impl<Inner, B> Refused<Inner, B, ()> {
    fn answered<Res>(self, unauthorized: Res) -> Refused<Inner, B, Res> {
        Refused {
            token: self.token,
            generation: self.generation,
            again: self.again,
            unauthorized,
        }
    }
}

fn fetch<S: TokenClient>(cache: &TokenCache<S>) -> Fetching {
    let cache = cache.clone();
    Box::pin(async move { cache.token().await })
}

fn replace<S: TokenClient>(cache: &TokenCache<S>, generation: u64, wider: bool) -> Fetching {
    let cache = cache.clone();
    Box::pin(async move { cache.replacement(generation, wider).await })
}

impl<Inner, S, B> fmt::Debug for ResponseFuture<Inner, S, B>
where
    Inner: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Calling { .. } => "calling",
            State::Waiting { .. } => "waiting for a token",
            State::Replacing { .. } => "replacing a refused token",
            State::Readying { .. } => "making the service ready again",
            State::Failed(_) => "failed",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
