//! No secret is ever printed or named in an error.

mod scripted;

use std::{error::Error, fmt::Debug, io};

use bartizan_auth::{
    Actor, AuthLayer, Credential, Grant, NoClient, OAuth2Config, Place, RefreshTokenFile,
    SavedRefreshToken, Secret, TokenCache,
};
use bartizan_clock::Clock;
use http::{Request, Response};
use scripted::{Reply, Scripted};
use tower::{Layer, ServiceExt};

/// Every secret of these tests holds this word, encoded or not.
const WORD: &str = "hush";
/// The same at the three offsets within base64's groups.
const BASE64: [&str; 3] = ["aHVza", "h1c2", "odXNo"];

fn secret(name: &str) -> Secret {
    Secret::new(format!("{WORD}-{name}"))
}

#[track_caller]
fn is_silent(text: &str) {
    for word in std::iter::once(WORD).chain(BASE64) {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[track_caller]
fn prints_nothing(value: &dyn Debug) {
    is_silent(&format!("{value:?}"));
    is_silent(&format!("{value:#?}"));
}

#[track_caller]
fn says_nothing(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        is_silent(&format!("{error} {error:?}"));
        next = error.source();
    }
}

fn url() -> http::Uri {
    http::Uri::from_static("https://issuer.example/token")
}

fn grants() -> [Grant; 3] {
    [
        Grant::ClientCredentials,
        Grant::RefreshToken {
            access: Some(secret("access")),
            refresh: secret("refresh"),
        },
        Grant::TokenExchange {
            subject_token: secret("subject"),
            subject_token_type: "urn:x".into(),
            actor: Some(Actor {
                token: secret("actor"),
                token_type: "urn:x".into(),
            }),
            requested_token_type: None,
        },
    ]
}

#[test]
fn the_words_looked_for_would_be_found() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    for (offset, word) in BASE64.iter().enumerate() {
        let text = STANDARD.encode(format!("{}hush-x", "x".repeat(offset)));
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_prints_a_secret() {
    prints_nothing(&secret("plain"));
    is_silent(&secret("plain").to_string());
    let places = [
        Place::default(),
        Place::Query("key".into()),
        Place::Cookie("key".into()),
    ];
    let mut credentials = vec![
        Credential::bearer(&secret("bearer")).unwrap(),
        Credential::basic("user", &secret("basic")).unwrap(),
    ];
    for place in places {
        credentials.push(Credential::api_key(place, &secret("key")).unwrap());
    }
    for credential in credentials {
        prints_nothing(&credential);
        let layer = AuthLayer::<NoClient>::new(credential);
        prints_nothing(&layer);
        prints_nothing(&layer.layer(()));
    }
    for grant in grants() {
        prints_nothing(&grant);
        let builder = OAuth2Config::builder(url(), grant)
            .client_id("gate")
            .client_secret(secret("client"));
        prints_nothing(&builder);
        let config = builder.build().unwrap();
        prints_nothing(&config);
        let issuer = Scripted::new();
        issuer.queue(Reply::Token(r#","refresh_token":"hush-next""#));
        let cache = TokenCache::new(config, issuer, Clock::tokio());
        let token = cache.token().await.unwrap();
        prints_nothing(&token);
        prints_nothing(&cache);
        prints_nothing(&cache.snapshot());
        prints_nothing(&Credential::oauth2(cache.clone()));
        let layer = AuthLayer::new(Credential::oauth2(cache));
        prints_nothing(&layer);
        let upstream =
            tower::service_fn(async |_: Request<()>| Ok::<_, io::Error>(Response::new(())));
        prints_nothing(&layer.layer(upstream).oneshot(Request::new(())));
    }
    prints_nothing(&SavedRefreshToken {
        configured: secret("configured"),
        current: secret("current"),
    });
    prints_nothing(&RefreshTokenFile::new("/run/refresh"));
}

#[tokio::test(start_paused = true)]
async fn no_error_names_a_secret() {
    says_nothing(&Credential::<NoClient>::bearer(&Secret::new("hush hush")).unwrap_err());
    let key = Secret::new("hush\n");
    says_nothing(&Credential::<NoClient>::api_key(Place::default(), &key).unwrap_err());
    for body in [
        r#"{"error":"hush-1","error_description":"hush"}"#,
        r#"{"error":"invalid_grant","error_description":"token hush-2 is spent"}"#,
        r#"{"access_token":"hush hush"}"#,
        r#"{"access_token":"hush","token_type":"hush"}"#,
        r#"{"access_token":"hush"#,
    ] {
        for status in [200, 400] {
            let issuer = Scripted::new();
            issuer.queue(Reply::Refuse(status, body.into(), None));
            let cache = issuer.cache();
            says_nothing(&cache.token().await.unwrap_err());
            prints_nothing(&cache);
            let upstream =
                tower::service_fn(async |_: Request<()>| Ok::<_, io::Error>(Response::new(())));
            let service = AuthLayer::new(Credential::oauth2(cache)).layer(upstream);
            says_nothing(&service.oneshot(Request::new(())).await.unwrap_err());
        }
    }
}
