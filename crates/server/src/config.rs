use std::time::Duration;

use crate::InvalidServer;

/// What a [`Server`](crate::Server) accepts, and for how long it waits.
///
/// The two timeouts of clients are kept by a sweep: a connection is closed no sooner than the
/// time says, and at most a quarter of the shorter one, or two seconds, later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The most connections at a time: 10 000.
    ///
    /// At the bound the server stops accepting until one closes. New clients wait in the kernel's
    /// backlog and are not told; that is backpressure, and cheaper than answers.
    pub max_connections: usize,
    /// How long a client may take over a request's headers: 10 s.
    ///
    /// For the first request of a connection it runs from the moment of accepting and includes the
    /// TLS handshake; for later ones, from the first byte. Over HTTP/2 it covers the handshake
    /// only. How long a *body* may take is said to [`collect`](crate::collect).
    pub header_read_timeout: Duration,
    /// How long a connection may be without an exchange before it is closed: 75 s, as in nginx,
    /// and more than the 60 s after which most clients and load balancers close theirs.
    ///
    /// A client that takes nothing of an answer for as long is cut off, whatever else it asked for.
    /// Over HTTP/2 the answer is, which counts as taken by 16 KiB at a time; the others go on.
    pub idle_timeout: Duration,
    /// The most bytes of a request's line and headers: 64 KiB. More is answered with 431.
    pub max_header_bytes: u32,
    /// The most headers of an HTTP/1.1 request: 100. More is answered with 431.
    ///
    /// 100 is also the number for which hyper needs no allocation.
    pub max_headers: usize,
    /// Whether HTTP/2 is spoken: by ALPN over TLS, by prior knowledge without.
    pub http2: bool,
    /// The most exchanges at a time on one HTTP/2 connection: 250, because 100 is the least that
    /// RFC 9113 recommends and a gateway in front of this one multiplexes many clients.
    pub max_concurrent_streams: u32,
    /// How long exchanges may go on after shutdown began: 30 s, the grace period of Kubernetes.
    pub drain_timeout: Duration,
    /// Whether segments are sent at once, without waiting for more data.
    pub tcp_nodelay: bool,
    /// How many connections the kernel holds before they are accepted: 1024, which Linux caps by
    /// `net.core.somaxconn`.
    pub backlog: u16,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            http2: true,
            max_concurrent_streams: 250,
            drain_timeout: Duration::from_secs(30),
            tcp_nodelay: true,
            backlog: 1024,
        }
    }
}

impl ServerConfig {
    /// Checks that the server could serve anybody.
    ///
    /// # Errors
    ///
    /// Names the first field that would turn every client away.
    pub fn validate(&self) -> Result<(), InvalidServer> {
        let zero = [
            ("max_connections", self.max_connections == 0),
            ("header_read_timeout", self.header_read_timeout.is_zero()),
            ("idle_timeout", self.idle_timeout.is_zero()),
            ("max_header_bytes", self.max_header_bytes == 0),
            ("max_headers", self.max_headers == 0),
            ("max_concurrent_streams", self.max_concurrent_streams == 0),
        ];
        if let Some((field, _)) = zero.iter().find(|(_, zero)| *zero) {
            return Err(InvalidServer::Zero { field });
        }
        // hyper's buffer for a header is that large.
        let most = 400 * 1024;
        if self.max_header_bytes > most {
            return Err(InvalidServer::HeaderBytes { most });
        }
        Ok(())
    }
}
