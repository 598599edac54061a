use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpListener;

/// The loopback port that the demo's gateway is reached at.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The listener, bound.
    pub(crate) listener: TcpListener,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The port that was asked for, if another program has it.
    pub(crate) taken: Option<u16>,
}

/// Listens on 127.0.0.1 at `port`, or at a free port if that one is taken. Zero asks for any.
///
/// # Errors
///
/// When the port is not to be had for another reason, such as a missing permission. The error
/// names the address.
pub(crate) async fn listen(port: u16) -> io::Result<Listening> {
    let wanted = bind(port).await;
    let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let (listener, taken) = match wanted {
        Err(error) if is_taken(&error) => (bind(0).await?, Some(port)),
        wanted => (wanted?, None),
    };
    let address = listener.local_addr()?;
    Ok(Listening {
        listener,
        address,
        taken,
    })
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_replaced_and_told() {
        let first = listen(0).await.unwrap();
        assert_eq!(first.taken, None);
        let port = first.address.port();
        let second = listen(port).await.unwrap();
        assert_eq!(second.taken, Some(port));
        assert_ne!(second.address, first.address);
        drop(first);
        let third = listen(port).await.unwrap();
        assert_eq!((third.address.port(), third.taken), (port, None));
        drop((second.listener, third.listener));
    }
}
