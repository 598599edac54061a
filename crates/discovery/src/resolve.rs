use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
};

/// Finds the addresses of a host; a trait so that tests can script the answers.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, in any order. `port` is passed on to the system's resolver and
    /// does not choose among them.
    ///
    /// # Errors
    ///
    /// When the name does not resolve. An empty answer counts as a failure too.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The operating system's resolver, with its hosts file, search domains and cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        let addresses = tokio::net::lookup_host((host, port)).await?;
        Ok(addresses.map(|address: SocketAddr| address.ip()).collect())
    }
}
