use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::{
    connection::Connection,
    pace::Pace,
    state::{Place, State},
};
use crate::stdio::Handle;

/// Watches over one connection and ends it.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) state: Arc<State>,
    pub(super) connection: Arc<Connection>,
    pub(super) peer: Peer,
    /// True, or gone, when the host is.
    pub(super) closing: watch::Receiver<bool>,
    pub(super) place: Place,
    pub(super) living: Living,
}

/// What is behind a connection.
#[derive(Debug)]
pub(super) enum Peer {
    Process(Handle, Arc<Pace>),
    /// Dropping it ends the stream.
    Stream {
        _open: oneshot::Sender<()>,
    },
}

impl Keeper {
    pub(super) async fn keep(mut self) {
        self.until_over().await;
        self.state.table.lock().remove(&self.connection);
        if let Peer::Process(handle, pace) = &self.peer {
            let report = handle.stop().await;
            pace.judge(&report, self.state.clock.now());
        }
        // In this order: whoever waits for the end finds the place free.
        let Self { place, living, .. } = self;
        drop(place);
        drop(living);
    }

    async fn until_over(&mut self) {
        let (limits, clock) = (&self.state.limits, self.state.clock);
        let connection = &self.connection;
        let death = clock.now() + limits.lifetime;
        loop {
            let now = clock.now();
            let next = {
                let mut table = self.state.table.lock();
                if now >= death {
                    table.remove(connection);
                    connection.retire();
                    break;
                }
                match connection.idle_since() {
                    Some(since) if now - since >= limits.idle => {
                        table.remove(connection);
                        return;
                    }
                    Some(since) => since + limits.idle,
                    None => now + limits.idle,
                }
            };
            tokio::select! {
                _ = connection.link.closed() => return,
                () = connection.changed.notified() => return,
                () = closing(&mut self.closing) => return,
                () = clock.sleep_until(next.min(death)) => {}
            }
        }
        if connection.idle_since().is_none() {
            tokio::select! {
                _ = connection.link.closed() => {}
                () = connection.changed.notified() => {}
                () = closing(&mut self.closing) => {}
                () = clock.sleep(limits.retire) => {}
            }
        }
    }
}

async fn closing(closing: &mut watch::Receiver<bool>) {
    // An error means that the host is gone, which is the same.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// One connection that has not ended.
#[derive(Debug)]
pub(super) struct Living(Arc<State>);

impl Living {
    pub(super) fn begin(state: &Arc<State>) -> Self {
        state.living.send_modify(|living| *living += 1);
        Self(Arc::clone(state))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.living.send_modify(|living| *living -= 1);
    }
}
