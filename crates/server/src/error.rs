use std::{fmt, io, net::SocketAddr, path::PathBuf};

use rustls::pki_types::pem;

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No address was given.
    #[error("no address to listen on")]
    NoAddress,
    /// The configuration would turn every client away.
    #[error(transparent)]
    Invalid(#[from] InvalidServer),
    /// The operating system refuses an address.
    #[error("cannot listen on {address}: {}", Reason(cause))]
    Address {
        /// Which one.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
}

/// What is wrong with a [`ServerConfig`](crate::ServerConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidServer {
    /// A number that must not be zero is.
    #[error("{field} is zero: no client could be served")]
    Zero {
        /// Which one.
        field: &'static str,
    },
    /// More bytes of headers are allowed than can be buffered.
    #[error("max_header_bytes is more than {most}")]
    HeaderBytes {
        /// The most that is possible.
        most: u32,
    },
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTls {
    /// A file cannot be read.
    #[error("cannot read {}: {}", path.display(), Reason(cause))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file is not PEM text.
    #[error("{} is not valid pem: {cause}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// A file holds something else.
    #[error("{} contains no {missing}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        missing: &'static str,
    },
    /// The key belongs to another certificate.
    #[error("the private key in {} is not that of the certificate in {}", key.display(), chain.display())]
    Mismatch {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// rustls refuses the certificate or the key.
    #[error("{} and {}: {cause}", chain.display(), key.display())]
    Refused {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
}

/// "address in use" rather than "Address already in use (os error 98)".
struct Reason<'a>(&'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.kind();
        match self.0.raw_os_error() {
            // What the standard library has no word for has a text only in the operating system.
            Some(_) if kind.to_string() != "uncategorized error" => kind.fmt(f),
            _ => self.0.fmt(f),
        }
    }
}
