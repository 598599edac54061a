use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::{
    ClientConfig, ConnectError, ConnectStage, InvalidClient, tls::Tls, transport::Transport,
};

/// After how much silence a server is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Makes connections, plain or encrypted, within the connect timeout.
///
/// hyper-util clones its connector for every exchange: this one is a single `Arc`.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Shared>);

struct Shared {
    tcp: HttpConnector,
    tls: Arc<Tls>,
    timeout: Duration,
    /// What every server is called, whatever its address.
    name: Option<Box<str>>,
}

impl Connector {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, InvalidClient> {
        // Resolves off the serving threads and tries IPv6 and IPv4 side by side (RFC 6555).
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(config.tcp_nodelay);
        // A server that vanished without a word is noticed where nothing is sent to it: by who
        // listens to it, for a day.
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE / 3));
        tcp.set_keepalive_retries(Some(3));
        Ok(Self(Arc::new(Shared {
            tcp,
            tls: Arc::new(Tls::new(config)?),
            timeout: config.connect_timeout,
            name: None,
        })))
    }

    /// One that takes every server for `name`, and speaks HTTP/1.1 with it.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self(Arc::new(Shared {
            tcp: self.0.tcp.clone(),
            tls: Arc::clone(&self.0.tls),
            timeout: self.0.timeout,
            name: Some(name.into()),
        }))
    }
}

impl Shared {
    async fn connect(&self, uri: Uri) -> Result<Transport, ConnectError> {
        let authority = uri.authority().cloned();
        // So that a timeout can say what it interrupted.
        let accepted = AtomicBool::new(false);
        let transport = self.transport(uri, authority.as_ref(), &accepted);
        match tokio::time::timeout(self.timeout, transport).await {
            Ok(connected) => connected,
            Err(_) => {
                let stage = if accepted.load(Ordering::Relaxed) {
                    ConnectStage::Tls
                } else {
                    ConnectStage::Tcp
                };
                Err(ConnectError::timeout(authority, stage, self.timeout))
            }
        }
    }

    async fn transport(
        &self,
        uri: Uri,
        authority: Option<&Authority>,
        accepted: &AtomicBool,
    ) -> Result<Transport, ConnectError> {
        let tls_error = |cause: Box<dyn Error + Send + Sync>| {
            ConnectError::new(authority.cloned(), ConnectStage::Tls, cause)
        };
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let host = self.name.as_deref().or(uri.host()).unwrap_or_default();
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host).to_owned();

        let tcp = self
            .tcp
            .clone()
            .call(uri)
            .await
            .map_err(|cause| ConnectError::new(authority.cloned(), ConnectStage::Tcp, cause))?;
        if !secure {
            return Ok(Transport::Plain(tcp));
        }
        accepted.store(true, Ordering::Relaxed);
        let name = ServerName::try_from(host).map_err(|cause| tls_error(cause.into()))?;
        let mut config = self
            .tls
            .ready()
            .await
            .map_err(|cause| tls_error(cause.into()))?;
        if self.name.is_some() {
            // In HTTP/2 the address of a request and its host may not differ.
            Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let stream = TlsConnector::from(config)
            .connect(name, tcp.into_inner())
            .await
            .map_err(|cause| tls_error(cause.into()))?;
        Ok(Transport::Tls(Box::new(TokioIo::new(stream))))
    }
}

impl Service<Uri> for Connector {
    type Response = Transport;
    type Error = ConnectError;
    // Boxed: several awaits, once a connection.
    type Future = Pin<Box<dyn Future<Output = Result<Transport, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.connect(uri).await })
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn servers_that_say_nothing_are_asked_whether_they_are_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let connector = Connector::new(&ClientConfig::default()).unwrap();
        let mut tcp = connector.0.tcp.clone();
        let stream = tcp.call(url.parse().unwrap()).await.unwrap().into_inner();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE);
    }
}
