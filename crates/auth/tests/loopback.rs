//! Against a real token endpoint over real sockets.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bartizan_auth::{
    AuthLayer, ClientAuth, Credential, Grant, OAuth2Config, OAuth2ConfigBuilder, RefreshTokenFile,
    Secret, TokenCache, TokenErrorKind,
};
use bartizan_clock::Clock;
use bartizan_testkit::{Reply, TokenIssuer, Upstream};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};

type Http = Client<HttpConnector, Full<Bytes>>;

fn client() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

fn config(issuer: &TokenIssuer, grant: Grant) -> OAuth2ConfigBuilder {
    OAuth2Config::builder(issuer.url().parse().unwrap(), grant)
        .client_id("gate")
        .client_secret(Secret::new("cl13nt"))
}

fn cache(config: OAuth2ConfigBuilder) -> TokenCache<Http> {
    TokenCache::new(config.build().unwrap(), client(), Clock::default())
}

fn refresh() -> Grant {
    Grant::refresh_token(Secret::new("refresh-0"))
}

/// An upstream that accepts the newest token that it was told of and refuses all others.
struct Guarded {
    upstream: Upstream,
    accepted: Arc<AtomicUsize>,
}

impl Guarded {
    async fn start() -> Self {
        let accepted = Arc::new(AtomicUsize::new(1));
        let newest = Arc::clone(&accepted);
        let upstream = Upstream::start_with(move |request| {
            let wanted = format!("Bearer access-{}", newest.load(Ordering::SeqCst));
            if request.header("authorization") == Some(&wanted) {
                Reply::json("{}")
            } else {
                Reply::status(401)
            }
        })
        .await;
        Self { upstream, accepted }
    }

    /// From now on only the token with this number will do.
    fn accept(&self, number: usize) {
        self.accepted.store(number, Ordering::SeqCst);
    }

    fn get(&self) -> Request<Full<Bytes>> {
        Request::get(self.upstream.url())
            .body(Full::default())
            .unwrap()
    }
}

#[tokio::test]
async fn a_hundred_first_calls_make_one_token_request() {
    let (issuer, guarded) = (TokenIssuer::start(Some(3600)).await, Guarded::start().await);
    let cache = cache(config(&issuer, Grant::ClientCredentials).scopes(["read"]));
    let service = AuthLayer::new(Credential::oauth2(cache)).layer(client());
    let calls = (0..100).map(|_| tokio::spawn(service.clone().oneshot(guarded.get())));
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().unwrap().status(), 200);
    }
    assert_eq!(issuer.hits(), 1);
    let record = &issuer.records()[0];
    assert_eq!(record.form["grant_type"], "client_credentials");
    assert_eq!(record.form["scope"], "read");
    assert_eq!(
        record.authorization.as_deref(),
        Some("Basic Z2F0ZTpjbDEzbnQ=")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_401s_never_present_an_old_refresh_token() {
    let (issuer, guarded) = (TokenIssuer::start(Some(3600)).await, Guarded::start().await);
    let cache = cache(config(&issuer, refresh()));
    let service = AuthLayer::new(Credential::oauth2(cache.clone())).layer(client());
    // Three revocations follow each other without a pause; more would look like a service that
    // refuses everything.
    for round in 1..=4 {
        guarded.accept(round);
        let calls = (0..50).map(|_| tokio::spawn(service.clone().oneshot(guarded.get())));
        for response in join_all(calls).await {
            assert_eq!(response.unwrap().unwrap().status(), 200, "round {round}");
        }
        assert_eq!(issuer.hits(), round);
    }
    assert!(!issuer.revoked());
    let presented: Vec<_> = issuer
        .records()
        .iter()
        .map(|record| record.form["refresh_token"].clone())
        .collect();
    assert_eq!(
        presented,
        ["refresh-0", "refresh-1", "refresh-2", "refresh-3"]
    );
    assert_eq!(cache.snapshot().generation, 4);
}

#[tokio::test]
async fn a_restart_presents_the_newest_refresh_token() {
    let issuer = TokenIssuer::start(Some(3600)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("refresh");
    for expected in ["access-1", "access-2", "access-3"] {
        let store = RefreshTokenFile::new(&path);
        let cache = cache(config(&issuer, refresh()).refresh_token_store(store));
        assert_eq!(cache.token().await.unwrap().secret().expose(), expected);
    }
    assert!(!issuer.revoked());
}

#[tokio::test]
async fn an_old_refresh_token_is_refused_for_good() {
    let issuer = TokenIssuer::start(Some(3600)).await;
    let old = Grant::refresh_token(Secret::new("refresh-7"));
    let cache = cache(config(&issuer, old));
    for _ in 0..3 {
        let error = cache.token().await.unwrap_err();
        assert!(error.kind().is_terminal(), "{error}");
    }
    assert_eq!(issuer.hits(), 1);
}

#[tokio::test]
async fn a_token_is_exchanged() {
    let issuer = TokenIssuer::start(Some(3600)).await;
    let access_token = "urn:ietf:params:oauth:token-type:access_token";
    let grant = Grant::token_exchange(Secret::new("caller's"), access_token);
    let config = config(&issuer, grant)
        .client_auth(ClientAuth::Body)
        .audience("orders")
        .resource("https://orders.example/");
    cache(config).token().await.unwrap();
    let record = &issuer.records()[0];
    for (name, value) in [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", "caller's"),
        ("subject_token_type", access_token),
        ("audience", "orders"),
        ("resource", "https://orders.example/"),
        ("client_id", "gate"),
        ("client_secret", "cl13nt"),
    ] {
        assert_eq!(record.form[name], value);
    }
    assert_eq!(record.authorization, None);
}

#[tokio::test]
async fn every_way_in_which_an_issuer_fails_is_told_apart() {
    let issuer = TokenIssuer::start(Some(3600)).await;
    let large = Reply::json(vec![b' '; 64 * 1024 + 1]);
    let moved = Reply::status(302).header("location", "http://evil.example/");
    type Check = fn(&TokenErrorKind) -> bool;
    let cases: [(Reply, Check); 7] = [
        (Reply::close(), |k| {
            matches!(k, TokenErrorKind::Transport(_))
        }),
        (Reply::truncated(), |k| {
            matches!(k, TokenErrorKind::Transport(_))
        }),
        (large, |k| matches!(k, TokenErrorKind::TooLarge)),
        (Reply::json("{}"), |k| {
            matches!(k, TokenErrorKind::Malformed(_))
        }),
        (Reply::json("<html>"), |k| {
            matches!(k, TokenErrorKind::Malformed(_))
        }),
        (Reply::status(500), |k| {
            matches!(k, TokenErrorKind::Refused { .. })
        }),
        (moved, |k| matches!(k, TokenErrorKind::Refused { .. })),
    ];
    for (reply, check) in cases {
        issuer.fail_next(reply.clone());
        let error = cache(config(&issuer, Grant::ClientCredentials))
            .token()
            .await;
        let error = error.unwrap_err();
        assert!(check(error.kind()), "{reply:?} gave {error:?}");
    }
    let nobody = format!("http://{}/token", Upstream::nobody());
    let config = OAuth2Config::builder(nobody.parse().unwrap(), refresh());
    let error = cache(config).token().await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::Transport(_)));
}

#[tokio::test]
async fn keys_arrive_where_they_were_put() {
    let upstream = Upstream::start().await;
    let send = async |credential: Credential| {
        let service = AuthLayer::new(credential).layer(client());
        let request = Request::get(format!("{}/x?q=1", upstream.url()))
            .body(Full::default())
            .unwrap();
        let response: Response<_> = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        upstream.requests().pop().unwrap()
    };
    use bartizan_auth::Place;
    let key = |place| Credential::api_key(place, &Secret::new("k3y+")).unwrap();
    let header = send(key(Place::default())).await;
    assert_eq!(header.header("x-api-key"), Some("k3y+"));
    let query = send(key(Place::Query("key".into()))).await;
    assert_eq!(query.uri, "/x?q=1&key=k3y%2B");
    let cookie = send(key(Place::Cookie("key".into()))).await;
    assert_eq!(cookie.header("cookie"), Some("key=k3y+"));
    let basic = send(Credential::basic("me", &Secret::new("pass")).unwrap()).await;
    assert_eq!(basic.header("authorization"), Some("Basic bWU6cGFzcw=="));
    let bearer = send(Credential::bearer(&Secret::new("t0ken")).unwrap()).await;
    assert_eq!(bearer.header("authorization"), Some("Bearer t0ken"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_over_real_sockets() {
    let (issuer, guarded) = (TokenIssuer::start(None).await, Guarded::start().await);
    guarded.accept(2);
    let cache = cache(config(&issuer, Grant::ClientCredentials));
    let service = AuthLayer::new(Credential::oauth2(cache)).layer(client());
    let seen = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let response = service.clone().oneshot(guarded.get()).await.unwrap();
        seen.lock().unwrap().push(response.status().as_u16());
    }
    assert_eq!(*seen.lock().unwrap(), [200, 200]);
    assert_eq!((issuer.hits(), guarded.upstream.hits()), (2, 3));
}
