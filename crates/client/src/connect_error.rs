use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::uri::Authority;

use crate::reason::Reason;

/// Why no connection was made.
///
/// Cheap to clone, because hyper-util hands its errors out by reference only.
#[derive(Clone, Debug)]
pub struct ConnectError(Arc<Failure>);

#[derive(Debug)]
struct Failure {
    authority: Option<Authority>,
    stage: ConnectStage,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    // Boxed because hyper-util's and rustls's errors meet here; connections fail rarely.
    Error(Box<dyn Error + Send + Sync>),
    Timeout(Duration),
}

/// How far connecting got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStage {
    /// The name did not resolve, or nobody accepted.
    Tcp,
    /// The other side accepted, but the TLS handshake failed.
    Tls,
}

impl ConnectError {
    pub(crate) fn new(
        authority: Option<Authority>,
        stage: ConnectStage,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Failure {
            authority,
            stage,
            cause: Cause::Error(cause.into()),
        }))
    }

    pub(crate) fn timeout(
        authority: Option<Authority>,
        stage: ConnectStage,
        after: Duration,
    ) -> Self {
        Self(Arc::new(Failure {
            authority,
            stage,
            cause: Cause::Timeout(after),
        }))
    }

    /// How far connecting got.
    #[must_use]
    pub fn stage(&self) -> ConnectStage {
        self.0.stage
    }

    /// Whether it took longer than the configuration allows.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.cause, Cause::Timeout(_))
    }

    /// Host and port as they stood in the request's URI.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.0.authority.as_ref()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.cause, self.0.stage) {
            (Cause::Timeout(after), ConnectStage::Tcp) => {
                write!(f, "connecting took more than {after:?}")?;
            }
            (Cause::Timeout(after), ConnectStage::Tls) => {
                write!(
                    f,
                    "connecting took more than {after:?}, tls handshake included"
                )?;
            }
            (Cause::Error(cause), ConnectStage::Tcp) => Reason::root(&**cause).fmt(f)?,
            (Cause::Error(cause), ConnectStage::Tls) => {
                write!(f, "tls handshake failed: {}", Reason::chain(&**cause))?;
            }
        }
        match &self.0.authority {
            Some(authority) => write!(f, ": {authority}"),
            None => Ok(()),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            Cause::Error(cause) => Some(&**cause),
            Cause::Timeout(_) => None,
        }
    }
}
