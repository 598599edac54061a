use std::{sync::Arc, time::Duration};

use bartizan_classify::retry_after_seconds;
use bartizan_transport::host::HostError;
use http::StatusCode;
use thiserror::Error;

use crate::{
    operation::InvalidOperation,
    service::{Cause, Failure},
};

/// Why the gateway itself did not deliver a call.
///
/// One taxonomy for every front door; each renders it in its own dialect. The texts are made
/// for whoever reads an answer, a model included: they say what to do next where that is known.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(
        "authentication required: send one of the gateway's API keys as a bearer token or in X-API-Key"
    )]
    Unauthenticated,
    /// A page of a browser that is none of those that may call.
    #[error("this page may not call the gateway: its origin is not allowed")]
    ForeignPage,
    /// A name that a page may have made up for the gateway's address.
    #[error(
        "the gateway does not answer to the host of the request: if it should, name the host in \
         MCP_ALLOWED_HOSTS or MCP_GATEWAY_URL"
    )]
    ForeignHost,
    #[error("too many large requests are under way: try again in a moment")]
    NoRoom,
    #[error("an HTTP/1.1 request must name the host that it is for, and one only")]
    NoHost,
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Operation(#[from] InvalidOperation),
    #[error("request entity too large: the limit is {limit} bytes")]
    TooLarge { limit: usize },
    #[error(
        "the request has been here before: the service that it was for leads back to this gateway"
    )]
    Loop,
    #[error("the request body is compressed: send it as it is, without Content-Encoding")]
    Compressed,
    #[error("the request body did not arrive in time")]
    SlowBody,
    #[error("the connection closed in the middle of the request body")]
    Disconnected,
    #[error("Service {0} not configured")]
    UnknownService(String),
    #[error("Service {0} is not an MCP server: it is called at /mcp/request")]
    NotMcp(String),
    #[error("Circuit breaker open for service {service}")]
    CircuitOpen {
        service: Arc<str>,
        retry_after: Duration,
    },
    #[error("Rate limit queue timeout")]
    RateLimited { retry_after: Duration, limit: u32 },
    #[error("No instance available for service {service}")]
    NoInstances {
        service: Arc<str>,
        retry_after: Option<Duration>,
    },
    #[error("Authentication of the gateway with service {service} failed: {reason}")]
    Credential {
        service: Arc<str>,
        reason: String,
        retry_after: Option<Duration>,
    },
    /// A process cannot be started now.
    #[error("{service}: {reason}")]
    Busy {
        service: Arc<str>,
        reason: Arc<str>,
        retry_after: Duration,
    },
    #[error("internal error")]
    Internal,
}

impl Error {
    /// The code of the documented vocabulary that is nearest.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated
            | Self::ForeignPage
            | Self::ForeignHost
            | Self::Credential { .. } => "AUTHENTICATION_ERROR",
            Self::NoHost
            | Self::Invalid(_)
            | Self::Operation(_)
            | Self::TooLarge { .. }
            | Self::Compressed => "VALIDATION_ERROR",
            Self::SlowBody => "TIMEOUT_ERROR",
            Self::Disconnected => "NETWORK_ERROR",
            Self::UnknownService(_) | Self::NotMcp(_) | Self::Loop => "CONFIGURATION_ERROR",
            Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::NoInstances { .. }
            | Self::NoRoom
            | Self::Busy { .. } => "MCP_ERROR",
            Self::Internal => "PROCESSING_ERROR",
        }
    }

    /// The status that says what happened.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::ForeignPage | Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::NoHost | Self::Invalid(_) | Self::Operation(_) | Self::Disconnected => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownService(_) | Self::NotMcp(_) => StatusCode::NOT_FOUND,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::CircuitOpen { .. }
            | Self::NoInstances { .. }
            | Self::NoRoom
            | Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Credential { .. } => StatusCode::BAD_GATEWAY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whole seconds after which it may be worth asking again.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::CircuitOpen { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::NoInstances { retry_after, .. } | Self::Credential { retry_after, .. } => {
                *retry_after
            }
            Self::NoRoom => Some(Duration::from_secs(1)),
            _ => None,
        }
        .map(retry_after_seconds)
    }

    /// Why there is no MCP server of this name; `known` if there is a service.
    pub(crate) fn no_server(name: String, known: bool) -> Self {
        if known {
            Self::NotMcp(name)
        } else {
            Self::UnknownService(name)
        }
    }

    /// What the failure of a call to `service` is, if the gateway is who refused.
    ///
    /// Nothing when the exchange with the backend failed: that is an answer about the backend,
    /// which dialects render apart.
    pub(crate) fn of_failure(service: &Arc<str>, failure: &Failure) -> Option<Self> {
        let service = Arc::clone(service);
        Some(match &failure.cause {
            Cause::RateLimited(limited) => Self::RateLimited {
                retry_after: limited.retry_after,
                limit: limited.limit,
            },
            Cause::CircuitOpen(open) => Self::CircuitOpen {
                service,
                retry_after: open.retry_after,
            },
            Cause::NoEndpoints(none) => Self::NoInstances {
                service,
                retry_after: none.retry_after(),
            },
            Cause::Token(error) => Self::Credential {
                service,
                reason: error.to_string(),
                retry_after: error.retry_after(),
            },
            Cause::Host {
                error:
                    HostError::Overloaded {
                        reason,
                        retry_after,
                    }
                    | HostError::Unsent {
                        reason,
                        retry_after: Some(retry_after),
                    },
                ..
            } => Self::Busy {
                service,
                reason: Arc::clone(reason),
                retry_after: *retry_after,
            },
            Cause::Internal => Self::Internal,
            Cause::TimedOut { .. }
            | Cause::Deadline
            | Cause::Encoded { .. }
            | Cause::Exchange { .. }
            | Cause::Host { .. } => return None,
        })
    }
}
