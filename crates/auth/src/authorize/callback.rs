use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Callback, Listening,
    redirect::{CallbackFuture, state},
};
use crate::Secret;

const PATH: &str = "/callback";

/// What a browser may send at most: a redirect with a long code, its cookies and its name.
const MAX_REQUEST_BYTES: usize = 32 * 1024;

/// How long a browser may take for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at a time. Browsers open some that they never use.
const MAX_CONNECTIONS: usize = 16;

/// Takes the redirect on this machine: an HTTP listener on `127.0.0.1` that is there while a user
/// is asked, and takes one answer. [RFC 8252, section 7.3][rfc] describes it.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3
#[derive(Clone, Copy, Debug, Default)]
pub struct LoopbackCallback {
    port: u16,
}

impl LoopbackCallback {
    /// On a port that the operating system chooses, and the same one again if it is free.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// On this port, for clients that are registered with it. Zero lets the system choose.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self { port }
    }
}

impl Callback for LoopbackCallback {
    fn listen<'a>(
        &'a self,
        state: &'a str,
        preferred: Option<&'a str>,
    ) -> CallbackFuture<'a, Listening> {
        Box::pin(async move {
            let listener = match preferred.and_then(port).filter(|_| self.port == 0) {
                Some(port) => match bind(port).await {
                    Ok(listener) => listener,
                    Err(_) => bind(0).await?,
                },
                None => bind(self.port).await?,
            };
            let address = listener.local_addr()?;
            Ok(Listening {
                redirect_uri: format!("http://{address}{PATH}"),
                query: Box::pin(serve(listener, Arc::from(state))),
            })
        })
    }
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// The port of an address that we made.
fn port(redirect_uri: &str) -> Option<u16> {
    let rest = redirect_uri.strip_prefix("http://127.0.0.1:")?;
    rest.strip_suffix(PATH)?.parse().ok()
}

async fn serve(listener: TcpListener, state: Arc<str>) -> io::Result<String> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    let answer = answer(stream, Arc::clone(&state));
                    connections.spawn(timeout(PATIENCE, answer));
                } else {
                    // Too many files are open; they will be fewer.
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Some(done) = connections.join_next() => {
                if let Ok(Ok(Ok(Some(query)))) = done {
                    return Ok(query);
                }
            }
        }
    }
}

/// Answers one request; the query, if it is the redirect.
async fn answer(mut stream: TcpStream, state: Arc<str>) -> io::Result<Option<String>> {
    let request = read(&mut stream).await?;
    let (status, text, query) = match judge(&request, &state) {
        Ok(query) => ("200 OK", "You can close this window.", Some(query)),
        Err(status) => (status, "This is not the answer that is awaited.", None),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n\
         content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    );
    // The answer counts even if the browser does not wait for the page.
    let shown = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    };
    let _ = timeout(Duration::from_secs(1), shown).await;
    Ok(query)
}

/// The head of a request.
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::with_capacity(2048);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() >= MAX_REQUEST_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(request)
}

/// The query of the redirect that is awaited, or the status of what is not it.
fn judge(request: &[u8], expected: &str) -> Result<String, &'static str> {
    const BAD: &str = "400 Bad Request";

    let line = request.split(|byte| *byte == b'\r').next();
    let line = std::str::from_utf8(line.unwrap_or_default()).map_err(|_| BAD)?;
    let mut words = line.split(' ');
    if words.next() != Some("GET") {
        return Err("405 Method Not Allowed");
    }
    let (path, query) = words
        .next()
        .and_then(|it| it.split_once('?'))
        .ok_or("404 Not Found")?;
    if path != PATH {
        return Err("404 Not Found");
    }
    let matches = |state: String| Secret::new(state) == Secret::new(expected);
    if state(query).is_some_and(matches) {
        Ok(query.to_owned())
    } else {
        Err(BAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_redirect_is_taken() {
        let judge = |line: &str| {
            judge(
                format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
                "s",
            )
        };
        assert_eq!(
            judge("GET /callback?code=a&state=s").unwrap(),
            "code=a&state=s"
        );
        for other in [
            "POST /callback?code=a&state=s",
            "GET /callback",
            "GET /favicon.ico?state=s",
            "GET /callback?code=a&state=t",
            "GET /callback?code=a",
            "GET /callback?state=t&state=s",
            "",
        ] {
            assert!(judge(other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_else_a_browser_says_is_not_looked_at() {
        // Cookies of this machine come from all programs on it.
        let request = b"GET /callback?code=a&state=s HTTP/1.1\r\ncookie: k=caf\xe9\r\n\r\n";
        assert_eq!(judge(request, "s").unwrap(), "code=a&state=s");
    }

    #[test]
    fn a_port_is_remembered() {
        assert_eq!(port("http://127.0.0.1:8123/callback"), Some(8123));
        for other in [
            "http://127.0.0.1/callback",
            "http://evil:1/callback",
            "https://127.0.0.1:1/callback",
        ] {
            assert_eq!(port(other), None);
        }
    }
}
