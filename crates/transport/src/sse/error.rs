use bartizan_protocol::sse::TooLarge;
use http::{HeaderMap, StatusCode};

/// Why no connection came about. `E` is the error of the HTTP service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SseError<E> {
    /// The address cannot be used.
    #[error("cannot connect to the address: {0}")]
    Address(&'static str),
    /// The exchange failed.
    #[error("{0}")]
    Service(E),
    /// The server answered with something else than 200.
    #[error("server answered {status} instead of a stream")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The headers, which for 401 and 429 say what to do.
        headers: Box<HeaderMap>,
    },
    /// The answer is no event stream.
    #[error("server answered with something else than an event stream")]
    NotAStream,
    /// The stream ended or broke before it said where messages go.
    #[error("stream broke before it named an endpoint: {0}")]
    Broken(String),
    /// An event is above the limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Messages must not go where the server says.
    #[error("endpoint is refused: {0}")]
    Endpoint(&'static str),
    /// The server did not say in time where messages go.
    #[error("server named no endpoint in time")]
    TimedOut,
}
