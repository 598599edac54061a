use std::{fmt, io};

/// What shows a page to the user.
///
/// `BrowserCommand` (with the feature `callback`) is one, [`LogAddress`] another.
pub trait UserAgent: fmt::Debug + Send + Sync + 'static {
    /// Shows the page at this address, which is `https`, or `http` on this machine. Returns at
    /// once, and does not wait for the user.
    ///
    /// # Errors
    ///
    /// When it cannot be shown.
    fn open(&self, address: &str) -> io::Result<()>;
}

/// Tells the operator by a line in the log which page to open. The address holds no secret: who
/// follows it has to log in, and the answer is of use to the process that asked only.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAddress;

impl UserAgent for LogAddress {
    fn open(&self, address: &str) -> io::Result<()> {
        tracing::warn!(
            address,
            "open this address in a browser to authorize access"
        );
        Ok(())
    }
}
