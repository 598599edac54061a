//! What the log tells, and what not. The only test of its binary: others, without a subscriber,
//! would switch its call sites off.

mod scripted;

use std::io;

use bartizan_auth::{
    AuthLayer, Credential, Grant, OAuth2Config, RefreshTokenFile, Secret, TokenCache,
};
use bartizan_clock::Clock;
use bartizan_testkit::Log;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use scripted::{Reply, Scripted, advance};
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn the_log_tells_what_happened_and_no_secret() {
    let log = Log::default();
    let _guard = log.collect(tracing::Level::TRACE);

    let directory = tempfile::tempdir().unwrap();
    let missing = RefreshTokenFile::new(directory.path().join("missing/refresh"));
    let grant = Grant::RefreshToken {
        access: Some(Secret::new("hush-access")),
        refresh: Secret::new("hush-refresh"),
    };
    let url = http::Uri::from_static("https://issuer.example/token");
    let config = OAuth2Config::builder(url, grant)
        .name("pay")
        .client_id("gate")
        .client_secret(Secret::new("hush-client"))
        .refresh_token_store(missing)
        .build()
        .unwrap();
    let issuer = Scripted::new();
    let cache = TokenCache::new(config, issuer.clone(), Clock::tokio());
    let upstream = tower::service_fn(async |request: Request<Full<Bytes>>| {
        let refused = request.headers()["authorization"] == "Bearer hush-access";
        let response = Response::builder().status(if refused { 401 } else { 200 });
        Ok::<_, io::Error>(response.body(()).unwrap())
    });
    let service = AuthLayer::new(Credential::oauth2(cache.clone())).layer(upstream);

    issuer.queue(Reply::Token(r#","refresh_token":"hush-next""#));
    let response = service
        .oneshot(Request::new(Full::default()))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    for reply in [
        Reply::Break,
        Reply::Refuse(400, r#"{"error":"hush-1"}"#.into(), None),
        Reply::Token(""),
        Reply::Refuse(400, r#"{"error":"invalid_grant"}"#.into(), None),
    ] {
        advance(3600).await;
        cache.invalidate(cache.snapshot().generation);
        issuer.queue(reply);
        let _ = cache.token().await;
    }

    let log = log.text();
    assert!(!log.contains("hush"), "{log}");
    for line in [
        "access token refused",
        "access token fetched",
        "the new refresh token could not be saved",
        "no access token",
        "token endpoint recovered",
        "token endpoint wants another configuration",
    ] {
        let mut said = log.lines().filter(|it| it.contains(line));
        let said = said.next().unwrap_or_else(|| panic!("{line} in {log}"));
        assert!(said.contains("service=\"pay\""), "{said}");
    }
}
