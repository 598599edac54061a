//! What users do.

use std::{convert::Infallible, io, sync::atomic::Ordering, time::Duration};

use bartizan_auth::{
    Authorize, AuthorizeError, BrowserCommand, Callback, CallbackFuture, InvalidAuthorize,
    Listening, LogAddress, LoopbackCallback, TokenCache, TokenErrorKind, UserAgent,
};
use bartizan_clock::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use crate::stage::{Caller, cast, user, visit};

#[tokio::test]
async fn a_user_may_decline() {
    let (server, resource, browser) = cast().await;
    server.script(|it| {
        it.code = false;
        it.redirect.push(("error", "access_denied".into()));
        it.redirect.push(("error_description", "s3cr3t".into()));
    });
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 401);
    let code = Some("access_denied".into());
    assert_eq!(caller.error(), Some(AuthorizeError::Declined { code }));
    let error = caller.cache.snapshot().last_error.unwrap();
    assert!(
        error.retry_after().unwrap() > Duration::from_secs(290),
        "asked again so soon"
    );
    assert!(!format!("{error} {error:?} {caller:?}", caller = caller.cache).contains("s3cr3t"));
    for _ in 0..5 {
        assert_eq!(caller.call(&resource).await, 401);
    }
    assert_eq!(browser.times(), 1);
}

#[tokio::test]
async fn nobody_answers_for_ever() {
    let (_server, resource, browser) = cast().await;
    browser.stays.store(1, Ordering::SeqCst);
    let builder = user(&resource, &browser).user_timeout(Duration::from_millis(100));
    let caller = Caller::new(builder);
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::Unanswered));
}

#[tokio::test]
async fn callers_do_not_wait_as_long_as_users_take() {
    let (_server, resource, browser) = cast().await;
    browser.stays.store(1, Ordering::SeqCst);
    let builder = user(&resource, &browser)
        .user_timeout(Duration::MAX)
        .load_timeout(Duration::from_millis(200));
    let caller = Caller::new(builder);
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::Awaiting));
    assert_eq!(
        caller.call(&resource).await,
        0,
        "it is known what is awaited"
    );
    // The user comes back after all.
    let page = browser.opened().remove(0);
    let back = format!(
        "{}?code=late&state={}&iss={}",
        page["redirect_uri"],
        page["state"],
        _server.issuer()
    );
    let shown = visit(&back).await;
    assert_eq!(shown.status(), 200);
    assert_eq!(shown.headers()["cache-control"], "no-store");
    let text = shown.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "You can close this window.");
    while caller.call(&resource).await != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(browser.times(), 1);
}

#[tokio::test]
async fn an_answer_to_another_question_does_not_count() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.state = Some("somebody else's"));
    let builder = user(&resource, &browser).load_timeout(Duration::from_millis(300));
    let caller = Caller::new(builder);
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(
        caller.error(),
        Some(AuthorizeError::Awaiting),
        "it is still waited for"
    );
    assert!(server.requests("/token").is_empty());
    let page = browser.opened().remove(0);
    let status = |query: &str| {
        let address = format!("{}?{query}", page["redirect_uri"]);
        async move { visit(&address).await.status() }
    };
    assert_eq!(status("code=a&state=x").await, 400);
    assert_eq!(status("code=a").await, 400);
    let right = format!("code=a&state={}&iss={}", page["state"], server.issuer());
    assert_eq!(status(&right).await, 200);
    while caller.call(&resource).await != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_delays_nobody() {
    let (server, resource, browser) = cast().await;
    browser.stays.store(1, Ordering::SeqCst);
    let caller = Caller::new(user(&resource, &browser).load_timeout(Duration::from_millis(200)));
    assert_eq!(caller.call(&resource).await, 401);
    let page = browser.opened().remove(0);
    let address = page["redirect_uri"]
        .strip_prefix("http://")
        .unwrap()
        .replace("/callback", "");
    let _silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    let back = format!(
        "{}?code=a&state={}&iss={}",
        page["redirect_uri"],
        page["state"],
        server.issuer()
    );
    assert_eq!(visit(&back).await.status(), 200);
}

#[tokio::test]
async fn the_callback_may_have_a_port_of_its_own() {
    let (_server, resource, browser) = cast().await;
    let port = bartizan_testkit::Upstream::nobody().port();
    let callback = LoopbackCallback::on_port(port);
    let builder = Authorize::authorization_code(resource.url(), callback, browser.clone());
    assert_eq!(Caller::new(builder).call(&resource).await, 200);
    let expected = format!("http://127.0.0.1:{port}/callback");
    assert_eq!(browser.opened()[0]["redirect_uri"], expected);
}

#[tokio::test]
async fn a_command_opens_the_page() {
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let script = format!(
        "printf '%s' \"$1 $2\" > {}.new; mv {0}.new {0}",
        seen.display()
    );
    let command = BrowserCommand::new(["sh", "-c", &script, "browser", "--new-window"]).unwrap();
    command.open("https://as.example/?a=b&c=$(id)").unwrap();
    let text = loop {
        if let Ok(text) = std::fs::read_to_string(&seen) {
            break text;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(text, "--new-window https://as.example/?a=b&c=$(id)");
    let nothing = BrowserCommand::new([""]).unwrap_err();
    assert_eq!(nothing, InvalidAuthorize::Command);
    let missing = BrowserCommand::new(["/nonexistent/browser"]).unwrap();
    assert!(missing.open("https://as.example/").is_err());
}

#[tokio::test]
async fn a_user_that_cannot_be_asked_is_not_waited_for() {
    let (_server, resource, _) = cast().await;
    let missing = BrowserCommand::new(["/nonexistent/browser"]).unwrap();
    let builder = Authorize::authorization_code(resource.url(), LoopbackCallback::new(), missing);
    let caller = Caller::new(builder);
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::Callback));
}

/// A place that nobody can be sent back to.
#[derive(Debug)]
struct Nowhere;

impl Callback for Nowhere {
    fn listen<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> CallbackFuture<'a, Listening> {
        Box::pin(async { Err(io::ErrorKind::AddrInUse.into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_was_never_asked_was_not_asked_too_often() {
    let host = "https://api.example";
    let server = tower::service_fn(move |request: Request<Full<Bytes>>| async move {
        let metadata = request.uri().path() == "/.well-known/oauth-authorization-server";
        let answer = metadata.then(|| {
            json!({
                "issuer": host,
                "authorization_endpoint": format!("{host}/authorize"),
                "token_endpoint": format!("{host}/token"),
                "code_challenge_methods_supported": ["S256"],
            })
        });
        let body = Full::<Bytes>::from(json!(answer).to_string());
        Ok::<_, Infallible>(Response::new(body))
    });
    let authorize = Authorize::authorization_code(host, Nowhere, LogAddress).build();
    let cache = TokenCache::authorize(authorize.unwrap(), server, Clock::tokio());
    for attempt in 0..5 {
        assert!(cache.unauthorized(0));
        let error = cache.token().await.unwrap_err();
        let TokenErrorKind::Authorize(reason) = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(*reason, AuthorizeError::Callback, "{attempt}");
        tokio::time::sleep(error.retry_after().unwrap()).await;
    }
}
