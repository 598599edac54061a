//! Calls an API that wants OAuth2 tokens, without the caller knowing of them.
//!
//! A `TokenCache` fetches a token when one is needed, renews it in time, and replaces it when the
//! API refuses it; `AuthLayer` puts it into every request. Issuer and API run in this process.

#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::{
    error::Error,
    net::SocketAddr,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use axum::{Router, extract::State, routing};
use bartizan_auth::{AuthLayer, Credential, Grant, OAuth2Config, Secret, TokenCache};
use bartizan_clock::Clock;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Arc::new(Issuer::default());
    let address = serve(Arc::clone(&issuer)).await?;

    // Any HTTP client that is a tower service will do, to fetch tokens and to call the API.
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();

    // A program reads the secret from a file or the environment; `Secret` keeps it out of logs.
    let token_url = format!("http://{address}/token").parse()?;
    let config = OAuth2Config::builder(token_url, Grant::ClientCredentials)
        .client_id("reports")
        .client_secret(Secret::new("correct horse battery staple"))
        .build()?;
    let tokens = TokenCache::new(config, client.clone(), Clock::default());
    let api = AuthLayer::new(Credential::oauth2(tokens.clone())).layer(client);

    let get = || async {
        let request = Request::get(format!("http://{address}/report")).body(Full::default())?;
        let response = api.clone().oneshot(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        Ok::<_, Box<dyn Error>>(format!("{status}, {text}"))
    };

    // However many calls there are, at once or one after the other, they share a token.
    for call in 1..=3 {
        println!("call {call}: {}", get().await?);
    }

    // Callers wait for a new token only when the old one has expired, as here. Where calls come
    // all the time, it is renewed in the background before that.
    Clock::default().sleep(Duration::from_millis(1_100)).await;
    println!("after it expired: {}", get().await?);

    // A 401 to a token that should be good does not reach the caller either: a GET is repeated
    // with the next token. A POST is not, unless `AuthLayer::on_unauthorized` says otherwise.
    issuer.revoke();
    println!("after it was revoked: {}", get().await?);

    let snapshot = tokens.snapshot();
    println!(
        "fetched {} tokens, failed {} times",
        snapshot.refreshes, snapshot.failures
    );
    Ok(())
}

/// Issues tokens that count up and live for a second, and guards the report with them.
#[derive(Default)]
struct Issuer {
    issued: AtomicU64,
    revoked: AtomicU64,
}

impl Issuer {
    fn token(&self) -> String {
        let number = self.issued.fetch_add(1, Relaxed) + 1;
        format!(r#"{{"access_token":"{number}","token_type":"Bearer","expires_in":1}}"#)
    }

    fn revoke(&self) {
        self.revoked.store(self.issued.load(Relaxed), Relaxed);
    }

    fn report(&self, headers: &HeaderMap) -> (StatusCode, String) {
        let header = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")?.parse::<u64>().ok());
        match token {
            Some(number) if number > self.revoked.load(Relaxed) => {
                (StatusCode::OK, format!("the report, for token {number}"))
            }
            _ => (StatusCode::UNAUTHORIZED, "no report".to_owned()),
        }
    }
}

async fn serve(issuer: Arc<Issuer>) -> std::io::Result<SocketAddr> {
    let token = |State(issuer): State<Arc<Issuer>>| async move { issuer.token() };
    let report = |State(issuer): State<Arc<Issuer>>, headers: HeaderMap| async move {
        issuer.report(&headers)
    };
    let router = Router::new()
        .route("/token", routing::post(token))
        .route("/report", routing::get(report))
        .with_state(issuer);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
