use std::{error::Error, fmt, io, sync::Arc, time::Duration};

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

    /// Whether there was no connection because this process has no descriptor or no memory left for
    /// one: that says nothing of the other side.
    #[must_use]
    pub fn is_own_want(&self) -> bool {
        let mut cause = self.source();
        while let Some(error) = cause {
            let Some(io) = error.downcast_ref::<io::Error>() else {
                cause = error.source();
                continue;
            };
            if is_want(io) {
                return true;
            }
            // Its source would be that of what it wraps.
            cause = io.get_ref().map(|inner| inner as _);
        }
        false
    }

    /// Host and port as they stood in the request's URI.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.0.authority.as_ref()
    }
}

fn is_want(error: &io::Error) -> bool {
    // EMFILE and ENFILE: of the process, and of the system.
    const TOO_MANY_FILES: [i32; 2] = [24, 23];
    error.kind() == io::ErrorKind::OutOfMemory
        || cfg!(unix)
            && error
                .raw_os_error()
                .is_some_and(|it| TOO_MANY_FILES.contains(&it))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn our_own_want_is_told_from_what_the_other_side_does() {
        let caused_by = |number| {
            let cause = io::Error::other(io::Error::from_raw_os_error(number));
            ConnectError::new(None, ConnectStage::Tcp, cause)
        };
        assert!(caused_by(24).is_own_want());
        assert!(caused_by(23).is_own_want());
        // Refused.
        assert!(!caused_by(111).is_own_want());
        let late = ConnectError::timeout(None, ConnectStage::Tls, Duration::from_secs(1));
        assert!(!late.is_own_want());
    }
}
