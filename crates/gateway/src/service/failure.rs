use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_auth as auth;
use bartizan_balance as balance;
use bartizan_circuit_breaker as circuit_breaker;
use bartizan_classify::{Fault, FaultKind};
use bartizan_client::ClientError;
use bartizan_rate_limit as rate_limit;
use bartizan_transport::host::HostError;
use http::Response;
use pin_project::pin_project;
use thiserror::Error;
use tower_service::Service;

use super::{
    Outbound, Payload,
    deadline::DeadlineError,
    endpoint::{EndpointError, EndpointErrorKind, host_fault},
};

/// A call that got no answer from its backend.
#[derive(Debug, Error)]
#[error("{cause}")]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// How many attempts were made, filled in by the retry layer.
    pub(crate) attempts: u32,
}

impl Failure {
    /// Whether time ran out.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::TimedOut { .. } | Cause::Deadline)
    }
}

/// Which layer ended the call, and why.
#[derive(Debug, Error)]
pub(crate) enum Cause {
    #[error(transparent)]
    RateLimited(rate_limit::RateLimited),
    /// The deadline came before an instance was asked.
    #[error("no access token in time")]
    Deadline,
    #[error("no answer in time")]
    TimedOut {
        endpoint: Arc<str>,
        /// The attempt's own limit, if that is what ended it and not the call's deadline.
        limit: Option<Duration>,
    },
    #[error(transparent)]
    CircuitOpen(circuit_breaker::CircuitOpen),
    #[error(transparent)]
    Token(auth::TokenError),
    #[error(transparent)]
    NoEndpoints(balance::NoEndpoints),
    /// A layer ended the call for a reason that this gateway has no configuration to cause.
    #[error("the call could not be made")]
    Internal,
    #[error("the answer is encoded as {encoding}, which nobody asked for")]
    Encoded {
        endpoint: Arc<str>,
        encoding: Box<str>,
    },
    #[error("{error}")]
    Exchange {
        endpoint: Arc<str>,
        error: ClientError,
    },
    /// A process or a stream of HTTP+SSE gave no answer.
    #[error("{error}")]
    Host {
        endpoint: Arc<str>,
        error: HostError,
    },
}

impl Cause {
    /// The instance that gave no answer, if one was asked.
    pub(crate) fn endpoint(&self) -> Option<&Arc<str>> {
        match self {
            Self::TimedOut { endpoint, .. }
            | Self::Encoded { endpoint, .. }
            | Self::Exchange { endpoint, .. }
            | Self::Host { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }
}

/// The error of the layers below retry, each wrapping the next.
pub(crate) type Nested = rate_limit::Error<
    DeadlineError<circuit_breaker::Error<auth::Error<balance::Error<EndpointError>>>>,
>;

impl From<Nested> for Cause {
    fn from(nested: Nested) -> Self {
        use self::{
            auth::Error as Auth, balance::Error as Balance, circuit_breaker::Error as Breaker,
            rate_limit::Error as Limit,
        };
        let deadline = match nested {
            Limit::Limited(limited) => return Self::RateLimited(limited),
            Limit::Inner(inner) => inner,
        };
        let breaker = match deadline {
            DeadlineError::Passed => return Self::Deadline,
            DeadlineError::Inner(inner) => inner,
        };
        let auth = match breaker {
            Breaker::Open(open) => return Self::CircuitOpen(open),
            Breaker::Inner(inner) => inner,
        };
        let balance = match auth {
            Auth::Token(error) => return Self::Token(error),
            Auth::Inner(inner) => inner,
            _ => return Self::Internal,
        };
        match balance {
            Balance::NoEndpoints(none) => Self::NoEndpoints(none),
            Balance::Inner(EndpointError { endpoint, kind, .. }) => match kind {
                EndpointErrorKind::TimedOut { limit, .. } => Self::TimedOut { endpoint, limit },
                EndpointErrorKind::Encoded { encoding } => Self::Encoded { endpoint, encoding },
                EndpointErrorKind::Exchange(error) => Self::Exchange { endpoint, error },
                EndpointErrorKind::Host(error) => Self::Host { endpoint, error },
            },
            _ => Self::Internal,
        }
    }
}

impl Fault for Failure {
    fn fault(&self) -> FaultKind {
        let rejected = |retry_after| FaultKind::Rejected { retry_after };
        match &self.cause {
            Cause::RateLimited(limited) => rejected(Some(limited.retry_after)),
            Cause::TimedOut { .. } | Cause::Deadline => FaultKind::TimedOut,
            Cause::CircuitOpen(open) => rejected(Some(open.retry_after)),
            Cause::Token(error) => rejected(error.retry_after()),
            Cause::Internal | Cause::Encoded { .. } => FaultKind::Caller,
            Cause::NoEndpoints(none) => rejected(none.retry_after()),
            Cause::Exchange { error, .. } => error.fault(),
            Cause::Host { error, .. } => host_fault(error),
        }
    }
}

/// Turns the nested errors of the layers below into one [`Failure`].
#[derive(Clone, Debug)]
pub(crate) struct Flatten<S>(pub(crate) S);

impl<S> Service<Outbound> for Flatten<S>
where
    S: Service<Outbound, Response = Response<Payload>, Error = Nested>,
{
    type Response = Response<Payload>;
    type Error = Failure;
    type Future = FlattenFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(cx).map_err(fail)
    }

    fn call(&mut self, request: Outbound) -> Self::Future {
        FlattenFuture {
            inner: self.0.call(request),
        }
    }
}

fn fail(nested: Nested) -> Failure {
    Failure {
        cause: nested.into(),
        attempts: 1,
    }
}

#[pin_project]
#[derive(Debug)]
pub(crate) struct FlattenFuture<F> {
    #[pin]
    inner: F,
}

impl<F> Future for FlattenFuture<F>
where
    F: Future<Output = Result<Response<Payload>, Nested>>,
{
    type Output = Result<Response<Payload>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(fail))
    }
}
