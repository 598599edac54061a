//! `bartizan demo`: backends that misbehave on loopback, and a guide to what the gateway makes
//! of that.
//!
//! [`Demo::start`] starts the backends, [`Demo::variables`] says how the gateway is configured
//! for them, and [`Guide`] prints what to try. The gateway itself is the real one, started by
//! the command like any other.

mod guide;
mod inventory;
mod issuer;
mod payments;
mod phoenix;
mod rest;
mod server;
mod variables;
mod weather;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use tokio::task::JoinSet;

pub(crate) use self::guide::Guide;
use self::{
    inventory::Inventory,
    issuer::Issuer,
    payments::Payments,
    server::{Answer, bind, serve},
    weather::Weather,
};

/// How long an access token of the demo's issuer lives: short enough to watch one expire.
const TOKEN_LIFETIME: Duration = Duration::from_secs(5);
/// How long phoenix stays dead: longer than the breaker's recovery time, so that the guide's
/// calls meet an open circuit, and short enough to wait for.
const OUTAGE: Duration = Duration::from_secs(8);

/// The backends of the demo, each a real HTTP server on a loopback port of its own.
///
/// Dropping it stops them and frees their ports; [`stop`](Self::stop) also waits until that is
/// done.
pub(crate) struct Demo {
    tasks: JoinSet<()>,
    issuer: Arc<Issuer>,
    addresses: Addresses,
}

struct Addresses {
    inventory: SocketAddr,
    weather: SocketAddr,
    payments: SocketAddr,
    phoenix: SocketAddr,
    issuer: SocketAddr,
}

impl Demo {
    /// Starts all backends.
    ///
    /// # Errors
    ///
    /// When loopback has no free port or the operating system no random numbers. Nothing is
    /// left running then.
    pub(crate) async fn start() -> io::Result<Self> {
        let clock = Clock::default();
        let mut tasks = JoinSet::new();
        let issuer = Arc::new(Issuer::new(TOKEN_LIFETIME, clock)?);
        let phoenix = bind().await?;
        let addresses = Addresses {
            inventory: spawn(&mut tasks, Arc::new(Inventory::default())).await?,
            weather: spawn(&mut tasks, Arc::new(Weather::default())).await?,
            payments: spawn(&mut tasks, Arc::new(Payments::new(Arc::clone(&issuer)))).await?,
            phoenix: phoenix.local_addr()?,
            issuer: spawn(&mut tasks, Arc::clone(&issuer)).await?,
        };
        tasks.spawn(phoenix::live(phoenix, OUTAGE, clock));
        Ok(Self {
            tasks,
            issuer,
            addresses,
        })
    }

    /// Stops all backends and waits until their sockets are closed.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn spawn<A: Answer>(tasks: &mut JoinSet<()>, backend: Arc<A>) -> io::Result<SocketAddr> {
    let listener = bind().await?;
    let address = listener.local_addr()?;
    tasks.spawn(serve(listener, backend, std::future::pending()));
    Ok(address)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn every_backend_listens_and_none_is_left_behind() {
        let demo = Demo::start().await.unwrap();
        let Addresses {
            inventory,
            weather,
            payments,
            phoenix,
            issuer,
        } = demo.addresses;
        let all = [inventory, weather, payments, phoenix, issuer];
        for address in all {
            assert!(address.ip().is_loopback());
            TcpStream::connect(address).await.unwrap();
        }
        demo.stop().await;
        for address in all {
            assert!(TcpStream::connect(address).await.is_err(), "{address}");
        }
    }
}
