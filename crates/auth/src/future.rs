use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use pin_project::pin_project;
use tower_service::Service;

use crate::{Error, Token, TokenCache, TokenClient, TokenError};

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
    state: State<Inner, S, B>,
}

/// A request and the service to send it by.
pub(crate) struct Again<Inner, B> {
    pub(crate) service: Inner,
    pub(crate) request: Request<B>,
}

/// The token that a service was shown, and what to do if it refuses it.
pub(crate) struct Shown<Inner, S, B> {
    pub(crate) cache: TokenCache<S>,
    pub(crate) generation: u64,
    /// A copy of the request, if it may be repeated, and a clone of the service.
    pub(crate) again: Option<Again<Inner, B>>,
}

/// Boxed, because it cannot be named; a request gets here only when there is no token to send
/// or a service has refused it, and then waits for the network.
type Fetching = Pin<Box<dyn Future<Output = Result<Arc<Token>, TokenError>> + Send>>;

#[pin_project(project = Step, project_replace = Owned)]
enum State<Inner, S, B>
where
    Inner: Service<Request<B>>,
{
    /// The service is being asked.
    Calling {
        #[pin]
        future: Inner::Future,
        shown: Option<Shown<Inner, S, B>>,
    },
    /// There was no token. The service has been made ready.
    Waiting {
        token: Fetching,
        cache: TokenCache<S>,
        first: Again<Inner, B>,
        may_repeat: bool,
    },
    /// The service answered 401 and another token is on its way.
    Replacing {
        token: Fetching,
        refused: u64,
        again: Again<Inner, B>,
        unauthorized: Inner::Response,
    },
    /// There is another token. The clone of the service is being made ready.
    Readying {
        again: Again<Inner, B>,
        unauthorized: Inner::Response,
    },
    Failed(Error<Inner::Error>),
    Done,
}

impl<Inner, S, B> ResponseFuture<Inner, S, B>
where
    Inner: Service<Request<B>>,
{
    /// A call that no 401 concerns.
    pub(crate) fn plain(future: Inner::Future) -> Self {
        Self {
            state: State::Calling {
                future,
                shown: None,
            },
        }
    }

    pub(crate) fn calling(future: Inner::Future, shown: Shown<Inner, S, B>) -> Self {
        Self {
            state: State::Calling {
                future,
                shown: Some(shown),
            },
        }
    }

    /// A call to be made when there is a token.
    pub(crate) fn waiting(cache: TokenCache<S>, first: Again<Inner, B>, may_repeat: bool) -> Self
    where
        S: TokenClient,
    {
        Self {
            state: State::Waiting {
                token: fetch(&cache),
                cache,
                first,
                may_repeat,
            },
        }
    }

    pub(crate) fn failed(error: Error<Inner::Error>) -> Self {
        Self {
            state: State::Failed(error),
        }
    }
}

impl<Inner, S, B, ResBody> Future for ResponseFuture<Inner, S, B>
where
    Inner: Service<Request<B>, Response = Response<ResBody>> + Clone,
    S: TokenClient,
    B: Clone,
{
    type Output = Result<Response<ResBody>, Error<Inner::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            // Waits for what the state waits for, then takes the state apart below.
            let fetched = match state.as_mut().project() {
                Step::Calling { future, shown } => {
                    let response = ready!(future.poll(cx)).map_err(Error::Inner)?;
                    let shown = shown.take();
                    match shown.and_then(|shown| shown.replace_after(&response)) {
                        None => return Poll::Ready(Ok(response)),
                        Some((token, refused, again)) => state.set(State::Replacing {
                            token,
                            refused,
                            again,
                            unauthorized: response,
                        }),
                    }
                    continue;
                }
                Step::Waiting { token, .. } | Step::Replacing { token, .. } => {
                    Some(ready!(token.as_mut().poll(cx)))
                }
                Step::Readying { again, .. } => {
                    if ready!(again.service.poll_ready(cx)).is_ok() {
                        None
                    } else {
                        // The 401 is an answer to the request; this says nothing about it.
                        let Owned::Readying { unauthorized, .. } =
                            state.as_mut().project_replace(State::Done)
                        else {
                            continue;
                        };
                        return Poll::Ready(Ok(unauthorized));
                    }
                }
                Step::Failed(_) | Step::Done => None,
            };
            let next = match (state.as_mut().project_replace(State::Done), fetched) {
                (
                    Owned::Waiting {
                        cache,
                        first,
                        may_repeat,
                        ..
                    },
                    Some(fetched),
                ) => {
                    let token = fetched.map_err(Error::Token)?;
                    first.call(cache, &token, may_repeat)
                }
                (
                    Owned::Replacing {
                        refused,
                        again,
                        unauthorized,
                        ..
                    },
                    Some(fetched),
                ) => match fetched {
                    Ok(token) if token.generation() != refused => State::Readying {
                        again: again.with(&token),
                        unauthorized,
                    },
                    _ => return Poll::Ready(Ok(unauthorized)),
                },
                (Owned::Readying { mut again, .. }, _) => State::Calling {
                    future: again.service.call(again.request),
                    shown: None,
                },
                (Owned::Failed(error), _) => return Poll::Ready(Err(error)),
                _ => panic!("polled after it was ready"),
            };
            state.set(next);
        }
    }
}

impl<Inner, B> Again<Inner, B> {
    fn with(mut self, token: &Token) -> Self {
        let header = token.header().clone();
        self.request.headers_mut().insert(AUTHORIZATION, header);
        self
    }

    /// Sends the request with `token` by a service that is ready.
    fn call<S>(self, cache: TokenCache<S>, token: &Token, may_repeat: bool) -> State<Inner, S, B>
    where
        Inner: Service<Request<B>> + Clone,
        B: Clone,
    {
        let again = may_repeat.then(|| Self {
            service: self.service.clone(),
            request: self.request.clone(),
        });
        let mut first = self.with(token);
        State::Calling {
            future: first.service.call(first.request),
            shown: Some(Shown {
                cache,
                generation: token.generation(),
                again,
            }),
        }
    }
}

impl<Inner, S: TokenClient, B> Shown<Inner, S, B> {
    /// Tells the cache of a refusal; what to do about it, if the request is to be repeated.
    fn replace_after<ResBody>(
        self,
        response: &Response<ResBody>,
    ) -> Option<(Fetching, u64, Again<Inner, B>)> {
        let refused = response.status() == StatusCode::UNAUTHORIZED
            && self.cache.unauthorized(self.generation);
        let again = self.again.filter(|_| refused)?;
        Some((fetch(&self.cache), self.generation, again))
    }
}

fn fetch<S: TokenClient>(cache: &TokenCache<S>) -> Fetching {
    let cache = cache.clone();
    Box::pin(async move { cache.token().await })
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
