use std::{future::poll_fn, io, net::SocketAddr, sync::Arc, task::Poll};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// The sockets of a server and the number of connections that it may have.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Vec<TcpListener>,
    permits: Arc<Semaphore>,
    /// The listener that is asked first, so that a busy one does not starve the others.
    first: usize,
}

impl Acceptor {
    pub(crate) fn new(listeners: Vec<TcpListener>, max_connections: usize) -> Self {
        let most = max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            listeners,
            permits: Arc::new(Semaphore::new(most)),
            first: 0,
        }
    }

    /// The next connection, with the right to have it.
    ///
    /// # Cancellation
    ///
    /// Loses no connection: the permit is taken first, and accepting is one poll.
    pub(crate) async fn accept(
        &mut self,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("nobody closes the semaphore");
        let (stream, remote) = poll_fn(|cx| {
            let count = self.listeners.len();
            for offset in 0..count {
                let index = (self.first + offset) % count;
                if let Poll::Ready(accepted) = self.listeners[index].poll_accept(cx) {
                    self.first = (index + 1) % count;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await?;
        Ok((stream, remote, permit))
    }
}

/// Whether an error of accepting is about the one connection that could not be accepted, so that
/// the next may be tried at once. All others (no more descriptors, no memory) would come again
/// immediately.
pub(crate) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
    )
}
