use std::{path::PathBuf, time::Duration};

use crate::{InvalidClient, Pem};

/// How a [`Client`](crate::Client) connects, and what it will hold.
///
/// There is no switch to accept invalid certificates, to follow redirects, or to read a proxy
/// from the environment, and there will be none.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The longest that connecting may take: name resolution, TCP and TLS handshake together. The
    /// addresses of a name share it.
    ///
    /// Five seconds: with one address longer than the first retransmissions of a lost SYN (1 s and 3 s on
    /// Linux), shorter than most callers' patience.
    pub connect_timeout: Duration,
    /// How long a connection without an exchange is kept.
    ///
    /// One minute: below the 75 s of this gateway's own server and of nginx, so that this side
    /// is usually the first to close and seldom writes into a connection that is going away.
    /// Servers with shorter patience (Node's 5 s) need a shorter time here.
    pub pool_idle_timeout: Duration,
    /// How many connections without an exchange are kept per instance; 0 turns the pool off.
    ///
    /// 256, where hyper-util's default has no bound. Workers, which have connections of their
    /// own, keep equal shares.
    pub max_idle_per_host: usize,
    /// Whether segments are sent at once, without waiting for more data. On: with it off, the
    /// 99th percentile of a small exchange was measured at 48 ms instead of 7 ms.
    pub tcp_nodelay: bool,
    /// Whether HTTP/2 is offered in the TLS handshake (ALPN). Without TLS it is never spoken.
    pub http2: bool,
    /// The most bytes of a response body that [`Buffered`](crate::Buffered) collects: 10 MiB.
    ///
    /// Every exchange in flight may hold that much memory.
    pub max_response_bytes: usize,
    /// Whom to trust.
    pub tls: TlsRoots,
    /// Who to be, where a server asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
}

/// The authorities whose server certificates are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsRoots {
    /// Those that the operating system trusts.
    ///
    /// Read at the first `https` connection, so that a client of plain `http` instances needs
    /// none. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as they do for OpenSSL.
    #[default]
    Native,
    /// Exactly the certificates of this PEM text.
    Pem(Pem),
    /// Exactly those of this file, which somebody replaces while the client is there.
    ///
    /// Read when the client is built, and again for each connection. What cannot be used is not
    /// trusted then, and what could be used before still is; the log says so. Connections that are there
    /// stay.
    File(PathBuf),
}

/// A certificate to show to servers that ask for one, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by its intermediates.
    pub chain: Pem,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: Pem,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(60),
            max_idle_per_host: 256,
            tcp_nodelay: true,
            http2: true,
            max_response_bytes: 10 * 1024 * 1024,
            tls: TlsRoots::default(),
            client_certificate: None,
        }
    }
}

impl ClientConfig {
    pub(crate) fn validate(&self) -> Result<(), InvalidClient> {
        if self.connect_timeout.is_zero() {
            return Err(InvalidClient::NoTimeToConnect);
        }
        Ok(())
    }
}
