use std::{error::Error, fmt, future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bartizan_workers::Spawner;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    time::MissedTickBehavior,
};
use tower_service::Service;
use tracing::{info, warn};

use crate::{
    BindError, ServerConfig, Stats, Tls,
    accept::{Acceptor, concerns_one_connection},
    activity::Verdict,
    connection::Protocols,
    connections::Connections,
    watch::Limits,
};

/// How long to wait before accepting again after the operating system had no descriptor or no
/// memory for a connection: long enough not to spin, short enough for the backlog to hold.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many failures in a row have one line in the log: those of ten seconds.
const LOG_EVERY: u32 = 200;

/// Where servers begin.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Listens on all `addresses`; from here on the kernel accepts connections for the backlog.
    ///
    /// Port 0 lets the operating system choose. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Names the address that cannot be listened on; then it listens on none.
    pub fn bind(
        addresses: &[SocketAddr],
        config: &ServerConfig,
        tls: Option<&Tls>,
    ) -> Result<Bound, BindError> {
        config.validate()?;
        let listeners = addresses.iter().map(|&address| {
            listen(address, config).map_err(|cause| BindError::Address { address, cause })
        });
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        if listeners.is_empty() {
            return Err(BindError::NoAddress);
        }
        let (listeners, locals) = listeners.into_iter().unzip();
        Ok(Bound {
            listeners,
            locals,
            protocols: Protocols::new(config, tls.map(|tls| tls.acceptor(config.http2))),
            config: config.clone(),
            stats: Arc::default(),
            workers: None,
        })
    }
}

fn listen(address: SocketAddr, config: &ServerConfig) -> io::Result<(TcpListener, SocketAddr)> {
    Handle::try_current().map_err(io::Error::other)?;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // On Windows it would let two processes share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::from(config.backlog))?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// A server that listens and does not serve yet.
pub struct Bound {
    listeners: Vec<TcpListener>,
    locals: Vec<SocketAddr>,
    protocols: Protocols,
    config: ServerConfig,
    stats: Arc<Stats>,
    workers: Option<Spawner>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were open when shutdown began and closed in time: idle ones at once, the
    /// others after the exchanges they were in.
    pub finished: usize,
    /// Connections that were cut because exchanges went on for longer than
    /// [`drain_timeout`](ServerConfig::drain_timeout).
    pub aborted: usize,
}

impl Bound {
    /// Where it listens; with several addresses, the first.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.locals[0]
    }

    /// Where it listens, in the order in which the addresses were given.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.locals
    }

    /// The count of connections, which goes on while it serves.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Serves each connection on one of these workers, the one that has the fewest, instead of
    /// on the runtime that accepts them.
    #[must_use]
    pub fn on(mut self, workers: Spawner) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// As [`serve_until`](Bound::serve_until) without anybody who is in a hurry.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cuts every connection.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.serve_until(service, shutdown, future::pending()).await
    }

    /// Serves until `shutdown` completes, then drains until `cut` does: then, or when
    /// [`drain_timeout`](ServerConfig::drain_timeout) is over, what is left is cut. If `cut` is
    /// first, that is the end as well.
    ///
    /// Each request is given to a clone of `service`, made ready, on the connection's own task
    /// (HTTP/2: on a task for each request). A service that returns an error has its connection
    /// closed, or its stream reset; errors that have a response should be responses.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cuts every connection.
    pub async fn serve_until<S, B>(
        self,
        service: S,
        shutdown: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) -> Drained
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let limits = Limits::new(&self.config);
        let connections = Connections::new(limits, self.stats);
        let _cut_if_dropped = CutOnDrop(&connections);
        let mut acceptor = Acceptor::new(self.listeners, self.config.max_connections);
        let protocols = Arc::new(self.protocols);
        let mut sweeps = tokio::time::interval(limits.tick);
        // After a stall, sweeping in haste would count time that clients were not given.
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut shutdown, mut cut) = (pin!(shutdown), pin!(cut));
        let mut is_cut = false;

        let (entrance, workers) = (Arc::clone(&connections), self.workers);
        let spawn = move |stream: TcpStream, remote, permit: OwnedSemaphorePermit| {
            let (protocols, service) = (Arc::clone(&protocols), service.clone());
            let ticket = Connections::enter(&entrance);
            let Some(workers) = &workers else {
                tokio::spawn(async move {
                    protocols.serve(stream, remote, service, ticket).await;
                    drop(permit);
                });
                return;
            };
            let stream = stream.into_std();
            workers.spawn(async move {
                match stream.and_then(TcpStream::from_std) {
                    Ok(stream) => protocols.serve(stream, remote, service, ticket).await,
                    Err(error) => warn!(%error, %remote, "cannot serve a connection"),
                }
                drop(permit);
            });
        };
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = &mut cut => {
                    is_cut = true;
                    break;
                }
                _ = sweeps.tick() => connections.sweep(),
                accepted = acceptor.accept() => match accepted {
                    Ok((stream, remote, permit)) => {
                        failures = 0;
                        spawn(stream, remote, permit);
                    }
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => {
                        if failures.is_multiple_of(LOG_EVERY) {
                            warn!(%error, failures, "cannot accept connections");
                        }
                        failures = failures.wrapping_add(1);
                        tokio::select! {
                            () = &mut shutdown => break,
                            () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                },
            }
        }
        drop((acceptor, spawn));

        let open = connections.count();
        info!(open, "draining");
        connections.decide_all(Verdict::Finish);
        let mut time_is_up = pin!(async {
            let cut = tokio::time::timeout(self.config.drain_timeout, cut);
            if is_cut || cut.await.is_ok() {
                "told to cut them"
            } else {
                "exchanges did not end in time"
            }
        });
        let (aborted, reason) = loop {
            tokio::select! {
                biased;
                () = connections.emptied() => break (0, ""),
                reason = &mut time_is_up => break (connections.count(), reason),
                // Clients that are slow with a header are still cut off.
                _ = sweeps.tick() => connections.sweep(),
            }
        };
        if aborted > 0 {
            warn!(aborted, "connections cut: {reason}");
        }
        Drained {
            finished: open - aborted,
            aborted,
        }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("addresses", &self.locals)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Cuts what is left, whichever way serving ends.
struct CutOnDrop<'a>(&'a Connections);

impl Drop for CutOnDrop<'_> {
    fn drop(&mut self) {
        self.0.decide_all(Verdict::Cut);
    }
}
