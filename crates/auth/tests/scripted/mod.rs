//! A token endpoint in memory, for tests on a clock that stands still.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unreachable_pub, reason = "a module that several binaries include")]

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_auth::{Grant, OAuth2Config, OAuth2ConfigBuilder, Secret, TokenCache};
use bartizan_clock::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::Service;

/// What the endpoint does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A token called `access-<n>`, the n-th one, with these further JSON fields.
    Token(&'static str),
    /// This status, body and `Retry-After`.
    Refuse(u16, String, Option<u64>),
    /// A broken connection.
    Break,
    /// A panic, as a bug in a client would have it.
    Panic,
}

/// A token endpoint and the client that reaches it.
#[derive(Clone, Debug)]
pub struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug)]
struct Script {
    forms: Vec<String>,
    queue: VecDeque<Reply>,
    otherwise: Reply,
    delay: Duration,
    issued: usize,
}

impl Scripted {
    /// An endpoint that grants tokens for an hour.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Script {
            forms: Vec::new(),
            queue: VecDeque::new(),
            otherwise: Reply::Token(r#","expires_in":3600"#),
            delay: Duration::ZERO,
            issued: 0,
        })))
    }

    /// What the next request gets.
    pub fn queue(&self, reply: Reply) -> &Self {
        self.0.lock().unwrap().queue.push_back(reply);
        self
    }

    /// What all requests get for which nothing else is said.
    pub fn otherwise(&self, reply: Reply) -> &Self {
        self.0.lock().unwrap().otherwise = reply;
        self
    }

    /// How long each answer takes from now on.
    pub fn delay(&self, seconds: u64) -> &Self {
        self.0.lock().unwrap().delay = Duration::from_secs(seconds);
        self
    }

    /// The forms received, as sent.
    pub fn forms(&self) -> Vec<String> {
        self.0.lock().unwrap().forms.clone()
    }

    /// The requests received.
    pub fn hits(&self) -> usize {
        self.0.lock().unwrap().forms.len()
    }

    /// A cache of client credentials from here.
    pub fn cache(&self) -> TokenCache<Self> {
        self.cache_of(client_credentials())
    }

    /// A cache of this configuration from here.
    pub fn cache_of(&self, config: OAuth2ConfigBuilder) -> TokenCache<Self> {
        TokenCache::new(config.build().unwrap(), self.clone(), Clock::tokio())
    }

    fn answer(&self, form: String) -> (Duration, Reply, usize) {
        let mut script = self.0.lock().unwrap();
        script.forms.push(form);
        let otherwise = script.otherwise.clone();
        let reply = script.queue.pop_front().unwrap_or(otherwise);
        if matches!(reply, Reply::Token(_)) {
            script.issued += 1;
        }
        (script.delay, reply, script.issued)
    }
}

impl Service<Request<Full<Bytes>>> for Scripted {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let (delay, reply, number) = this.answer(String::from_utf8(body.to_vec()).unwrap());
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let (status, body, retry_after) = match reply {
                Reply::Token(more) => {
                    let token =
                        format!(r#""access_token":"access-{number}","token_type":"Bearer""#);
                    (200, format!("{{{token}{more}}}"), None)
                }
                Reply::Refuse(status, body, retry_after) => (status, body, retry_after),
                Reply::Break => return Err(io::ErrorKind::ConnectionReset.into()),
                Reply::Panic => panic!("a bug in the client"),
            };
            let mut response = Response::builder().status(status);
            if let Some(seconds) = retry_after {
                response = response.header("retry-after", seconds);
            }
            Ok(response.body(Full::from(body)).unwrap())
        })
    }
}

/// A refusal with this error code.
pub fn refuse(code: &str) -> Reply {
    Reply::Refuse(400, format!(r#"{{"error":"{code}"}}"#), None)
}

pub fn client_credentials() -> OAuth2ConfigBuilder {
    builder(Grant::ClientCredentials).client_secret(Secret::new("cl13nt"))
}

pub fn refresh_token(refresh: &str) -> OAuth2ConfigBuilder {
    builder(Grant::refresh_token(Secret::new(refresh)))
}

fn builder(grant: Grant) -> OAuth2ConfigBuilder {
    let url = http::Uri::from_static("https://issuer.example/token");
    OAuth2Config::builder(url, grant).client_id("gate")
}

/// Lets every task run until it waits for the clock.
pub async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

pub async fn advance(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
    settle().await;
}
