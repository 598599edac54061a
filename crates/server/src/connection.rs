use std::{
    error::Error,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::debug;

use crate::{
    ServerConfig, activity::Verdict, connections::Ticket, exchange::Exchanges,
    streams::Multiplexed, transport::Transport,
};

/// How all connections of a server are spoken to.
pub(crate) struct Protocols {
    tls: Option<TlsAcceptor>,
    http1: http1::Builder,
    /// `None` where HTTP/2 is turned off.
    http2: Option<http2::Builder<TokioExecutor>>,
    nodelay: bool,
}

/// How often a silent HTTP/2 client with open streams is asked whether it lives, and how long it
/// may think about it.
const HTTP2_KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

impl Protocols {
    pub(crate) fn new(config: &ServerConfig, tls: Option<TlsAcceptor>) -> Self {
        let mut http1 = http1::Builder::new();
        // No timer: the sweep does what hyper's header timer would, for less.
        http1
            .header_read_timeout(None)
            .max_header_size(config.max_header_bytes as usize);
        // Told any number, even its own default, hyper allocates for each request.
        if config.max_headers != ServerConfig::default().max_headers {
            http1.max_headers(config.max_headers);
        }
        let http2 = config.http2.then(|| {
            let mut http2 = http2::Builder::new(TokioExecutor::new());
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(HTTP2_KEEP_ALIVE.0)
                .keep_alive_timeout(HTTP2_KEEP_ALIVE.1)
                .max_concurrent_streams(config.max_concurrent_streams)
                .max_header_list_size(config.max_header_bytes);
            http2
        });
        Self {
            tls,
            http1,
            http2,
            nodelay: config.tcp_nodelay,
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve<S, B>(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
        service: S,
        mut ticket: Ticket,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if self.nodelay
            && let Err(error) = stream.set_nodelay(true)
        {
            // The client is gone already; reading will say so.
            debug!(%error, %remote, "cannot set tcp_nodelay");
        }
        let activity = Arc::clone(ticket.activity());
        let exchanges = Exchanges {
            service,
            remote,
            activity,
        };
        if let Some(tls) = &self.tls {
            // Boxed: the handshake's state is large, and gone when the first request comes.
            let handshake = Box::pin(tls.accept(stream));
            match until_verdict(&mut ticket, handshake).await {
                Some(Ok(stream)) => {
                    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    self.speak(stream, h2, exchanges, ticket).await;
                }
                Some(Err(error)) => debug!(%error, %remote, "tls handshake failed"),
                None => debug!(%remote, "tls handshake given up"),
            }
        } else {
            let h2 = match &self.http2 {
                None => Some(false),
                Some(_) => until_verdict(&mut ticket, prior_knowledge(&stream)).await,
            };
            if let Some(h2) = h2 {
                self.speak(stream, h2, exchanges, ticket).await;
            }
        }
    }

    async fn speak<I, S, B>(&self, io: I, h2: bool, exchanges: Exchanges<S>, mut ticket: Ticket)
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let io = Transport::new(io, Arc::clone(ticket.activity()));
        match &self.http2 {
            Some(http2) if h2 => {
                ticket.activity().set_multiplexed();
                let connection = Box::pin(http2.serve_connection(io, Multiplexed(exchanges)));
                drive(connection, &mut ticket).await;
            }
            _ => {
                let connection = Box::pin(self.http1.serve_connection(io, exchanges));
                drive(connection, &mut ticket).await;
            }
        }
    }
}

/// Runs what comes before the first request; `None` if the connection must close first.
async fn until_verdict<F: Future>(ticket: &mut Ticket, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx: &mut Context<'_>| match ticket.verdict(cx) {
        Verdict::Serve => future.as_mut().poll(cx).map(Some),
        Verdict::Finish | Verdict::Cut => Poll::Ready(None),
    })
    .await
}

/// Runs a connection to its end, or to the verdict that it must close.
///
/// Boxed, once a connection: a task has room for every kind of connection that it might have
/// become, and for each place that one passes on its way here.
async fn drive<C>(mut connection: Pin<Box<C>>, ticket: &mut Ticket)
where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
    let mut finishing = false;
    poll_fn(|cx: &mut Context<'_>| {
        match ticket.verdict(cx) {
            Verdict::Serve => {}
            Verdict::Finish => {
                if !finishing {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            Verdict::Cut => return Poll::Ready(()),
        }
        connection.as_mut().poll(cx).map(|ended| {
            if let Err(error) = ended {
                debug!(%error, "connection ended");
            }
        })
    })
    .await;
}

/// Whether an unencrypted client begins with HTTP/2's preface, whose "PRI" is reserved: no method
/// may be called so (RFC 9113, 11.6). Looks without reading, so that no later read has to go
/// through a buffer of what was read too early.
///
/// A preface that comes in pieces of fewer than three bytes is taken for HTTP/1.1 and refused; a
/// client that sends it has to send its settings with it anyway.
async fn prior_knowledge(stream: &TcpStream) -> bool {
    let mut start = [0; 3];
    matches!(stream.peek(&mut start).await, Ok(3) if start == *b"PRI")
}
