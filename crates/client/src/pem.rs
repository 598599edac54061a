use std::{fmt, path::PathBuf};

use bytes::Bytes;
use rustls::pki_types::pem::{self, PemObject};

use crate::InvalidClient;

/// Where PEM text is.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file, read once, when the client is built.
    Path(PathBuf),
    /// Here.
    Bytes(Bytes),
}

impl Pem {
    /// All items of one kind, in order; other kinds are skipped.
    pub(crate) fn items<T: PemObject>(&self) -> Result<Vec<T>, InvalidClient> {
        self.items_of(&self.text()?)
    }

    /// Those of `text`, which is what is here.
    pub(crate) fn items_of<T: PemObject>(&self, text: &[u8]) -> Result<Vec<T>, InvalidClient> {
        let items = T::pem_slice_iter(text).collect::<Result<_, pem::Error>>();
        items.map_err(|cause| InvalidClient::NotPem {
            place: self.to_string(),
            cause,
        })
    }

    /// Reads the file, if it is one, on the calling thread.
    pub(crate) fn text(&self) -> Result<Bytes, InvalidClient> {
        match self {
            Self::Path(path) => {
                let text = std::fs::read(path).map(Bytes::from);
                text.map_err(|cause| InvalidClient::Unreadable {
                    path: path.clone(),
                    cause,
                })
            }
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// Names the place and never the content, which may be a private key.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Bytes(bytes) => write!(f, "{} bytes of pem", bytes.len()),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}
