use std::{error::Error, io, path::PathBuf};

use bartizan_classify::{Fault, FaultKind};
use hyper_util::client::legacy;
use rustls::pki_types::pem;

use crate::{ConnectError, reason::Reason};

/// Why an exchange failed.
///
/// The texts include the cause and never a path, a query or a header of the request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection could be made. Nothing was sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection went away before the first byte of the request was written.
    #[error("connection closed before the request was written: {}", Reason::chain(&**cause))]
    NotWritten {
        /// What hyper saw.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The server says that it did nothing with the request: of HTTP/2, which refused the stream, or
    /// went away without it (RFC 9113, section 8.7).
    #[error("the server refused the request unread: {}", Reason::chain(&**cause))]
    Refused {
        /// What hyper saw.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The exchange broke after the request may have arrived, up to the last byte of the
    /// response.
    #[error("exchange interrupted: {}", Reason::chain(&**cause))]
    Interrupted {
        /// What hyper saw.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The response is longer than [`Buffered`](crate::Buffered) may collect.
    #[error("response body is larger than {limit} bytes")]
    ResponseTooLarge {
        /// The most bytes that were allowed.
        limit: usize,
    },
    /// The request's URI names no server that can be reached. Nothing was sent.
    #[error("invalid uri: {reason}")]
    InvalidUri {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl ClientError {
    pub(crate) fn interrupted(cause: hyper::Error) -> Self {
        Self::Interrupted {
            // Boxed so that both of hyper's error types fit; only broken exchanges pay.
            cause: Box::new(cause),
        }
    }
}

impl From<legacy::Error> for ClientError {
    fn from(error: legacy::Error) -> Self {
        let cause = error.source();
        if let Some(connect) = cause.and_then(|cause| cause.downcast_ref::<ConnectError>()) {
            return Self::Connect(connect.clone());
        }
        // hyper calls an exchange canceled only where it hands the request back unwritten: the
        // connection was not ready for it, or closed while the request waited in its queue.
        // What hyper-util fails in connecting, it fails before it has a connection to write to.
        let not_written = error.is_connect()
            || cause
                .and_then(|cause| cause.downcast_ref::<hyper::Error>())
                .is_some_and(hyper::Error::is_canceled);
        let is_refused = cause.is_some_and(is_refused);
        let cause = Box::new(error);
        if not_written {
            Self::NotWritten { cause }
        } else if is_refused {
            Self::Refused { cause }
        } else {
            Self::Interrupted { cause }
        }
    }
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let cause = error.source().and_then(|it| it.downcast_ref::<h2::Error>());
    cause.is_some_and(|it| match it.reason() {
        Some(h2::Reason::REFUSED_STREAM) => it.is_remote(),
        // h2 tells it of the streams after the last that the server named, and of no others.
        Some(h2::Reason::NO_ERROR) => it.is_remote() && it.is_go_away(),
        _ => false,
    })
}

impl Fault for ClientError {
    /// `NotSent` where no byte of the request can have left or the server says that it read none,
    /// `Rejected` where this process had no descriptor or memory for a connection, which is no fault
    /// of the service, `Caller` where the request asked for too much or for nothing reachable,
    /// otherwise `Interrupted`.
    ///
    /// A response over the limit is the caller's fault because the service is alive and an equal
    /// request would get an equal answer: neither a retry nor an open circuit would help anybody.
    fn fault(&self) -> FaultKind {
        match self {
            Self::Connect(error) if error.is_own_want() => {
                FaultKind::Rejected { retry_after: None }
            }
            Self::Connect(_) | Self::NotWritten { .. } | Self::Refused { .. } => FaultKind::NotSent,
            Self::Interrupted { .. } => FaultKind::Interrupted,
            Self::ResponseTooLarge { .. } | Self::InvalidUri { .. } => FaultKind::Caller,
        }
    }
}

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClient {
    /// The connect timeout is zero: no connection could ever be made.
    #[error("the connect timeout is zero")]
    NoTimeToConnect,
    /// A file of certificates or keys cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// What should be PEM text is not.
    #[error("{place} is not valid pem: {cause}")]
    NotPem {
        /// The file, or how many bytes were given.
        place: String,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// No certificate, or no private key, where one is needed.
    #[error("{place} contains no {missing}")]
    Empty {
        /// The file, or how many bytes were given.
        place: String,
        /// What it should contain.
        missing: &'static str,
    },
    /// A certificate or key that rustls refuses, or a key that is not the certificate's.
    #[error("{place}: {cause}")]
    Refused {
        /// The file, or how many bytes were given.
        place: String,
        /// Why.
        cause: rustls::Error,
    },
}
