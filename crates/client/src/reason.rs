use std::{
    error::Error,
    fmt::{self, Display},
    io,
};

use hyper_util::client::legacy;

type DynError = dyn Error + 'static;

/// Prints an error and what caused it, each in a few lower-case words.
pub(crate) struct Reason<'a>(&'a DynError);

impl<'a> Reason<'a> {
    /// The error and all its causes.
    pub(crate) fn chain(error: &'a DynError) -> Self {
        match error.source() {
            // Its own text only repeats the name of the variant.
            Some(source) if error.is::<legacy::Error>() => Self(source),
            _ => Self(error),
        }
    }

    /// Only what caused it all.
    pub(crate) fn root(mut error: &'a DynError) -> Self {
        while let Some(source) = error.source() {
            error = source;
        }
        Self(error)
    }
}

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = self.0;
        loop {
            match error.downcast_ref::<io::Error>() {
                Some(io) => io_reason(io, f)?,
                None => Display::fmt(error, f)?,
            }
            match error.source() {
                // An `io::Error` that wraps another error already speaks with its voice.
                Some(source) if !error.is::<io::Error>() => {
                    f.write_str(": ")?;
                    error = source;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// "connection refused" rather than "Connection refused (os error 111)".
fn io_reason(error: &io::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error.raw_os_error() {
        // What the standard library has no word for has a text only in the operating system.
        Some(_) if error.kind().to_string() != "uncategorized error" => error.kind().fmt(f),
        _ => error.fmt(f),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_in_a_few_words() {
        let refused = Outer(io::Error::from_raw_os_error(111));
        assert_eq!(Reason::root(&refused).to_string(), "connection refused");
        assert_eq!(
            Reason::chain(&refused).to_string(),
            "outer: connection refused"
        );

        let wrapped = Outer(io::Error::other("in other words"));
        assert_eq!(Reason::chain(&wrapped).to_string(), "outer: in other words");

        let rare = io::Error::from_raw_os_error(93);
        assert_eq!(Reason::root(&rare).to_string(), rare.to_string());
    }
}
