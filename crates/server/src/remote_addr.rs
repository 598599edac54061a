use std::net::SocketAddr;

/// The address of the client's end of the connection, among each request's extensions.
///
/// It is what the socket says; behind a proxy it is the proxy's. What a `Forwarded` header claims
/// is for whoever knows which proxies to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddr(pub SocketAddr);
