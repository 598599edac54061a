use std::{
    error::Error,
    io,
    net::IpAddr,
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
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::GaiResolver},
    rt::TokioIo,
};
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
    /// Whether hosts are looked up as they are, and in no search domain.
    fully_qualified: bool,
}

impl Connector {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, InvalidClient> {
        // Resolves off the serving threads.
        let tcp = tcp(config, GaiResolver::new());
        Ok(Self(Arc::new(Shared {
            tcp,
            tls: Arc::new(Tls::new(config)?),
            timeout: config.connect_timeout,
            name: None,
            fully_qualified: false,
        })))
    }

    /// One that takes every server for `name`, and speaks HTTP/1.1 with it.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self(Arc::new(Shared {
            name: Some(name.into()),
            ..self.0.again()
        }))
    }

    /// One that looks hosts up in no search domain.
    pub(crate) fn fully_qualified(&self) -> Self {
        Self(Arc::new(Shared {
            fully_qualified: true,
            ..self.0.again()
        }))
    }
}

impl Shared {
    fn again(&self) -> Self {
        Self {
            tcp: self.tcp.clone(),
            tls: Arc::clone(&self.tls),
            timeout: self.timeout,
            name: self.name.clone(),
            fully_qualified: self.fully_qualified,
        }
    }

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

        let place = if self.fully_qualified {
            fully_qualified(uri)
        } else {
            uri
        };
        let tcp = self.tcp.clone().call(place).await.map_err(|cause| {
            let (authority, stage) = (authority.cloned(), ConnectStage::Tcp);
            if is_late(&cause) {
                ConnectError::timeout(authority, stage, self.timeout)
            } else {
                ConnectError::new(authority, stage, cause)
            }
        })?;
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

fn tcp<R>(config: &ClientConfig, resolver: R) -> HttpConnector<R> {
    // Tries IPv6 and IPv4 side by side (RFC 6555).
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(config.tcp_nodelay);
    // Of several addresses each gets its share, so that one that vanished leaves time for the others.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    // A server that vanished without a word is noticed where nothing is sent to it: by who
    // listens to it, for a day.
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE / 3));
    tcp.set_keepalive_retries(Some(3));
    tcp
}

/// The same place for a lookup, which takes a name with a dot at its end as it is.
///
/// Names of this machine are as they are in any case (RFC 6761), and its hosts file has no dots.
fn fully_qualified(uri: Uri) -> Uri {
    let Some(authority) = uri.authority() else {
        return uri;
    };
    let host = authority.host();
    let last_label = host.rsplit('.').next().unwrap_or_default();
    if host.starts_with('[')
        || host.parse::<IpAddr>().is_ok()
        || last_label.is_empty()
        || last_label.eq_ignore_ascii_case("localhost")
    {
        return uri;
    }
    let absolute = match authority.port() {
        Some(port) => format!("{host}.:{port}"),
        None => format!("{host}."),
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = absolute.parse().ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

/// Whether there was no time left for the address, which is not for the operating system to say.
fn is_late(error: &(dyn Error + 'static)) -> bool {
    let io = error.source().and_then(|it| it.downcast_ref::<io::Error>());
    io.is_some_and(|it| it.kind() == io::ErrorKind::TimedOut && it.raw_os_error().is_none())
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::SocketAddr};

    use hyper_util::client::legacy::connect::dns::Name;
    use socket2::{Domain, SockRef, Socket, Type};
    use tokio::net::{TcpListener, TcpStream};
    use tower::service_fn;

    use super::*;

    /// A server that takes no connection, as one that has vanished, and what makes it so.
    async fn vanished() -> (SocketAddr, (Socket, Vec<TcpStream>)) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        let patience = Duration::from_millis(100);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 64, "the backlog has no end");
        }
        (address, (socket, waiting))
    }

    #[test]
    fn names_that_are_complete_get_a_dot_to_be_looked_up_with() {
        for (uri, looked_up) in [
            (
                "http://one.internal:8080/api",
                "http://one.internal.:8080/api",
            ),
            ("https://one/", "https://one./"),
            ("http://one.:80/", "http://one.:80/"),
            ("http://10.0.0.1:80/", "http://10.0.0.1:80/"),
            ("http://[::1]:80/", "http://[::1]:80/"),
            ("http://LocalHost:80/", "http://LocalHost:80/"),
            ("http://one.localhost/", "http://one.localhost/"),
        ] {
            assert_eq!(fully_qualified(uri.parse().unwrap()), looked_up);
        }
    }

    #[tokio::test]
    async fn of_several_addresses_one_that_has_vanished_leaves_time_for_the_others() {
        let (vanished, _full) = vanished().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let resolver =
            service_fn(
                move |_: Name| async move { Ok::<_, Infallible>([vanished, there].into_iter()) },
            );
        let config = ClientConfig {
            connect_timeout: Duration::from_secs(1),
            ..ClientConfig::default()
        };
        let connecting = tcp(&config, resolver).call(Uri::from_static("http://both.test/"));
        let connected = tokio::time::timeout(config.connect_timeout, connecting).await;
        let stream = connected.expect("it connects in time").unwrap();
        assert_eq!(stream.inner().peer_addr().unwrap(), there);
    }

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
