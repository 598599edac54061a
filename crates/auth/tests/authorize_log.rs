//! What the log tells of authorizations. The only test of its binary: others, without a subscriber,
//! would switch its call sites off.

use std::{convert::Infallible, io, sync::Mutex};

use bartizan_auth::{
    AuthorizationFile, Authorize, Callback, CallbackFuture, Listening, LogAddress, TokenCache,
};
use bartizan_clock::Clock;
use bartizan_testkit::Log;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};

/// A place whose port is taken at first, and then one that a user comes back to at once.
#[derive(Debug, Default)]
struct Later(Mutex<bool>);

impl Callback for Later {
    fn listen<'a>(&'a self, state: &'a str, _: Option<&'a str>) -> CallbackFuture<'a, Listening> {
        let ready = std::mem::replace(&mut *self.0.lock().unwrap(), true);
        let query = format!("code=hush-code&state={state}");
        Box::pin(async move {
            if !ready {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Ok(Listening {
                redirect_uri: "http://127.0.0.1:1/callback".into(),
                query: Box::pin(async { Ok(query) }),
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_for_which_service() {
    let log = Log::default();
    let _guard = log.collect(tracing::Level::TRACE);

    let host = "https://api.example";
    let server = tower::service_fn(move |request: Request<Full<Bytes>>| async move {
        let answer = match request.uri().path() {
            "/.well-known/oauth-authorization-server" => json!({
                "issuer": host,
                "authorization_endpoint": format!("{host}/authorize"),
                "token_endpoint": format!("{host}/token"),
                "registration_endpoint": format!("{host}/register"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            }),
            "/register" => json!({"client_id": "gate"}),
            "/token" => json!({"access_token": "hush-access", "refresh_token": "hush-refresh"}),
            _ => Value::Null,
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer.to_string())))
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/authorization");
    let authorize = Authorize::authorization_code(host, Later::default(), LogAddress)
        .name("mail")
        .store(AuthorizationFile::new(path))
        .build()
        .unwrap();
    let cache = TokenCache::authorize(authorize, server, Clock::tokio());
    assert!(cache.unauthorized(0));
    let error = cache.token().await.unwrap_err();
    tokio::time::sleep(error.retry_after().unwrap()).await;
    assert!(cache.unauthorized(0));
    cache.token().await.unwrap();

    let log = log.text();
    assert!(!log.contains("hush"), "{log}");
    for line in [
        "the service asks for authorization",
        "the authorization could not be saved",
        "nobody can be asked for authorization",
        "no access token",
        "asking a user for authorization",
        "registered as a client",
        "token endpoint recovered",
    ] {
        let mut said = log.lines().filter(|it| it.contains(line));
        let said = said.next().unwrap_or_else(|| panic!("{line} in {log}"));
        assert!(said.contains("service=\"mail\""), "{said}");
        // The host of the service is not to be taken for that of the issuer.
        assert!(!said.contains("issuer=\"api.example\""), "{said}");
    }
}
