use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Notify,
};

use super::{
    rest::{Operation, Rest},
    server::{json as answer, serve},
};

/// How long the port is left alone when it cannot be taken.
const BIND_PAUSE: Duration = Duration::from_millis(250);
/// Connections that the operating system keeps waiting, as many as tokio's own listeners.
const BACKLOG: u32 = 1024;

/// One life of a service that dies when it is told to.
struct Phoenix {
    life: u64,
    outage: Duration,
    death: Notify,
}

impl Rest for Phoenix {
    const NAME: &'static str = "phoenix";
    const DESCRIPTION: &'static str = "Sings, dies, rises again";
    const OPERATIONS: &'static [Operation] = &[
        Operation {
            name: "sing",
            method: "GET",
            path: "/song",
            description: "Sings",
        },
        Operation {
            name: "die",
            method: "POST",
            path: "/death",
            description: "Dies for a while",
        },
    ];

    fn perform(&self, operation: &str, _: &Value, _: &HeaderMap) -> Response<Full<Bytes>> {
        if operation == "die" {
            self.death.notify_one();
            let last_words = json!({ "dying": true, "backAfterSeconds": self.outage.as_secs() });
            return answer(StatusCode::OK, &last_words);
        }
        answer(StatusCode::OK, &json!({ "song": "la", "life": self.life }))
    }
}

/// Serves one life after the other at the address of `listener`, which stays dead for `outage`
/// in between: whoever connects then is refused, and every connection is closed.
pub(super) async fn live(mut listener: TcpListener, outage: Duration, clock: Clock) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    for life in 1.. {
        let phoenix = Arc::new(Phoenix {
            life,
            outage,
            death: Notify::new(),
        });
        let death = Arc::clone(&phoenix);
        serve(listener, phoenix, death.death.notified()).await;
        tracing::info!(seconds = outage.as_secs(), "phoenix is down");
        listener = rise(address, outage, clock).await;
        tracing::info!("phoenix is back");
    }
}

/// A listener at `address` after `outage`.
///
/// The port is held all the while by a socket that does not listen, which refuses connections
/// as a dead server's port does, and keeps other programs from being given it.
async fn rise(address: SocketAddr, outage: Duration, clock: Clock) -> TcpListener {
    let back_at = clock.now() + outage;
    loop {
        if let Ok(socket) = hold(address) {
            clock.sleep_until(back_at).await;
            if let Ok(listener) = socket.listen(BACKLOG) {
                return listener;
            }
        }
        clock.sleep(BIND_PAUSE).await;
    }
}

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of the life before may linger in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::{super::server::bind, *};

    const OUTAGE: Duration = Duration::from_millis(300);

    async fn post(stream: &mut TcpStream, operation: &str) -> String {
        let request = format!(
            "POST /api/{operation} HTTP/1.1\r\nhost: phoenix\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    #[tokio::test]
    async fn it_answers_dies_refuses_and_returns() {
        let listener = bind().await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(live(listener, OUTAGE, Clock::tokio()));

        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(post(&mut idle, "sing").await.contains(r#""life":1"#));
        let mut killer = TcpStream::connect(address).await.unwrap();
        let last_words = post(&mut killer, "die").await;
        assert!(last_words.starts_with("HTTP/1.1 200"), "{last_words}");
        assert_eq!(
            idle.read(&mut [0]).await.unwrap_or(0),
            0,
            "connections are closed"
        );
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

        let clock = Clock::tokio();
        let deadline = clock.now() + Duration::from_secs(10);
        let mut reborn = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(error) => assert!(clock.now() < deadline, "{error}"),
            }
            clock.sleep(Duration::from_millis(20)).await;
        };
        assert!(post(&mut reborn, "sing").await.contains(r#""life":2"#));

        tasks.shutdown().await;
        assert!(
            TcpStream::connect(address).await.is_err(),
            "nothing is left behind"
        );
    }
}
