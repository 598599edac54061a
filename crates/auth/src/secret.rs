use std::{
    error::Error,
    fmt,
    fs::File,
    hint,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

/// A text that must not be seen: a token, a key, a password.
///
/// It does not print itself, cannot be serialised, compares in constant time, and is wiped from
/// memory when its last clone is dropped. Clones share one copy. What is made of it, such as a
/// header value, is not wiped.
///
/// ```
/// use bartizan_auth::Secret;
///
/// let secret = Secret::new("s3cr3t");
/// assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
/// assert_eq!(secret.expose(), "s3cr3t");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

/// What a secret file may hold at most. Tokens are a few kilobytes; more is the wrong file.
pub(crate) const MAX_FILE_BYTES: u64 = 64 * 1024;

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// Reads a secret from a file, without the newline that editors put at its end and the byte
    /// order mark that some put before it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is empty, is larger than 64 KiB or is not UTF-8. The error
    /// names the file and never what is in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretFileError> {
        let path = path.as_ref();
        let fail = |reason| SecretFileError {
            path: path.to_owned(),
            reason,
        };
        let read = || {
            let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
            File::open(path)?
                .take(MAX_FILE_BYTES + 1)
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| fail(Reason::Unreadable(error)))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(fail(Reason::TooLarge));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| fail(Reason::NotText))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(fail(Reason::Empty));
        }
        Ok(Self::new(text))
    }

    /// The text itself. Whatever it is copied into must guard it as well.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    /// Takes a time that depends on the lengths only.
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.expose().as_bytes(), other.expose().as_bytes());
        let difference = left
            .iter()
            .zip(right)
            .fold(0_u8, |all, (a, b)| hint::black_box(all | (a ^ b)));
        left.len() == right.len() && difference == 0
    }
}

impl Eq for Secret {}

/// A file that no secret could be read from.
#[derive(Debug)]
pub struct SecretFileError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("the secret file cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the secret file is empty")]
    Empty,
    #[error("the secret file is larger than 64 KiB")]
    TooLarge,
    #[error("the secret file is not UTF-8 text")]
    NotText,
}

impl SecretFileError {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.path.display())
    }
}

impl Error for SecretFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, SecretFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, content).unwrap();
        Secret::from_file(path)
    }

    #[test]
    fn a_file_loses_one_newline_and_nothing_else() {
        assert_eq!(read(b"abc\n").unwrap().expose(), "abc");
        assert_eq!(read(b"abc\r\n").unwrap().expose(), "abc");
        assert_eq!(read(b"abc").unwrap().expose(), "abc");
        assert_eq!(read(b" abc \n\n").unwrap().expose(), " abc \n");
    }

    #[test]
    fn a_file_may_begin_with_a_byte_order_mark() {
        assert_eq!(read(b"\xef\xbb\xbfabc\r\n").unwrap().expose(), "abc");
        assert!(read(b"\xef\xbb\xbf\n").is_err());
    }

    #[test]
    fn a_bad_file_is_named_but_not_quoted() {
        for content in [&b""[..], b"\n", b"\r\n", b"hush\xff"] {
            let error = read(content).unwrap_err();
            let text = format!("{error} {error:?} {:?}", error.source());
            assert!(text.contains("token"), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
        assert!(read(&[b'a'; 64 * 1024]).is_ok());
        assert!(read(&[b'a'; 64 * 1024 + 1]).is_err());
        let missing = Secret::from_file("/nonexistent/token").unwrap_err();
        assert_eq!(missing.path(), Path::new("/nonexistent/token"));
        assert!(missing.to_string().contains("cannot be read"));
        let source = missing.source().unwrap();
        assert!(source.is::<io::Error>(), "nothing is said twice: {source}");
    }

    #[test]
    fn equality_is_that_of_the_text() {
        let secret = Secret::new("abc");
        assert_eq!(secret, Secret::new("abc"));
        for other in ["abd", "ab", "abcd", "", "bbc"] {
            assert_ne!(secret, Secret::new(other), "{other}");
        }
    }
}
