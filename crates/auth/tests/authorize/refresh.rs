//! Tokens that grow old or are revoked. The names say which lesson taught what.

use std::{sync::Arc, time::Duration};

use bartizan_auth::AuthorizeError;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::stage::{Caller, Server, cast, itself, user};

#[tokio::test]
async fn lesson_15_a_refresh_token_is_used_and_rotated() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    for number in 2..=3 {
        resource.guard(|guard| guard.good = format!("access-{number}"));
        assert_eq!(caller.call(&resource).await, 200);
        let form = server.asked("/token").pop().unwrap();
        let refreshed = number == 2;
        if refreshed {
            assert_eq!(form["grant_type"], "refresh_token");
            assert_eq!(form["refresh_token"], "refresh-1");
            assert_eq!(form["resource"], resource.url());
            assert_eq!(form["client_id"], "access-client-1");
        } else {
            // Refused right after a refresh: only the user can help.
            assert_eq!(form["grant_type"], "authorization_code");
        }
    }
    assert_eq!(browser.times(), 2);
}

#[tokio::test]
async fn lesson_15_a_user_who_declines_is_not_asked_again_at_once() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    resource.guard(|guard| guard.good = "access-2".into());
    assert_eq!(caller.call(&resource).await, 200);
    resource.guard(|guard| guard.good = "access-3".into());
    server.script(|it| {
        it.code = false;
        it.redirect.push(("error", "access_denied".into()));
    });
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(browser.times(), 2);
    // Twice more refusals are followed up, as the resource's description being read shows.
    let described = || resource.upstream.requests().len() - resource.shown().len();
    let before = described();
    let followed_up = async {
        while described() < before + 2 {
            assert_eq!(caller.call(&resource).await, 401);
            sleep(Duration::from_millis(20)).await;
        }
    };
    let followed_up = timeout(Duration::from_secs(10), followed_up).await;
    assert!(followed_up.is_ok(), "{:?}", caller.error());
    assert_eq!(browser.times(), 2);
    assert!(matches!(
        caller.error(),
        Some(AuthorizeError::Declined { .. })
    ));
}

#[tokio::test]
async fn lesson_15_a_token_is_renewed_before_it_expires() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 1, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    while caller.cache.snapshot().generation < 2 {
        assert_eq!(caller.call(&resource).await, 200);
    }
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
    assert_eq!(browser.times(), 1);
}

#[tokio::test]
async fn lesson_15_a_service_that_refuses_everything_ends_in_401_and_silence() {
    let (server, resource, browser) = cast().await;
    resource.guard(|guard| guard.good = "no such token".into());
    let caller = Caller::new(user(&resource, &browser));
    for _ in 0..30 {
        assert_eq!(caller.call(&resource).await, 401);
    }
    assert!(browser.times() <= 3, "{}", browser.times());
    assert!(server.requests("/token").len() <= 3);
}

#[tokio::test]
async fn lesson_16_a_revoked_token_is_replaced_whatever_the_clock_says() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 86400, "refresh_token": "refresh"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    resource.guard(|guard| guard.good = "access-2".into());
    assert_eq!(caller.call(&resource).await, 200);
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
    assert_eq!(browser.times(), 1);
}

#[tokio::test]
async fn lesson_16_a_revoked_grant_leads_back_to_the_user() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 86400, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    resource.guard(|guard| guard.good = "access-2".into());
    server.script(|it| it.refuse = vec![(400, "invalid_grant")]);
    assert_eq!(caller.call(&resource).await, 200);
    let grants = ["authorization_code", "refresh_token", "authorization_code"];
    assert_eq!(server.grants(), grants);
    assert_eq!(browser.times(), 2);
}

#[tokio::test]
async fn a_grant_that_ends_unnoticed_begins_anew_with_the_next_call() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 1, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    server.script(|it| it.refuse = vec![(400, "invalid_grant")]);
    resource.guard(|guard| guard.good = "access-2".into());
    while caller.cache.current().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(caller.call(&resource).await, 200);
    let grants = ["authorization_code", "refresh_token", "authorization_code"];
    assert_eq!(server.grants(), grants);
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_in_other_words_leads_back_to_the_user() {
    // The first is GitHub's.
    for (status, code) in [
        (200, "bad_refresh_token"),
        (400, "unauthorized_client"),
        (400, "invalid_request"),
    ] {
        let (server, resource, browser) = cast().await;
        server.script(|it| it.token = json!({"expires_in": 86400, "refresh_token": "refresh-{n}"}));
        let caller = Caller::new(user(&resource, &browser));
        assert_eq!(caller.call(&resource).await, 200);
        let refuse = || server.script(|it| it.refuse = vec![(status, code)]);
        refuse();
        resource.guard(|guard| guard.good = "access-2".into());
        assert_eq!(caller.call(&resource).await, 200, "{code}");
        refuse();
        resource.guard(|guard| guard.good = "access-3".into());
        assert!(caller.cache.invalidate(2), "as if it had expired");
        assert_eq!(caller.call(&resource).await, 200, "{code}");
        let [first, refresh] = ["authorization_code", "refresh_token"];
        assert_eq!(server.grants(), [first, refresh, first, refresh, first]);
        assert_eq!(browser.times(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_refusals_ask_one_user_once() {
    let (server, resource, browser) = cast().await;
    let caller = Caller::new(user(&resource, &browser));
    let resource = Arc::new(resource);
    let calls = (0..100).map(|_| {
        let (caller, resource) = (caller.clone(), Arc::clone(&resource));
        tokio::spawn(async move { caller.call(&resource).await })
    });
    for status in join_all(calls).await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(browser.times(), 1);
    assert_eq!(server.requests("/token").len(), 1);
    assert_eq!(server.requests("/register").len(), 1);
}

#[tokio::test]
async fn a_forgotten_client_is_registered_again() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.refuse = vec![(401, "invalid_client")]);
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 401);
    caller.let_in(&resource).await;
    assert_eq!(browser.opened()[1]["client_id"], "access-client-2");
}

#[tokio::test]
async fn an_issuer_that_is_down_for_a_moment_costs_no_consent() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 86400, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    resource.guard(|guard| guard.good = "access-2".into());
    server.script(|it| it.refuse = vec![(503, "temporarily_unavailable")]);
    assert_eq!(caller.call(&resource).await, 401);
    caller.let_in(&resource).await;
    let grants = ["authorization_code", "refresh_token", "refresh_token"];
    assert_eq!(server.grants(), grants);
    assert_eq!(browser.times(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_looked_for_again() {
    let (server, resource, browser) = cast().await;
    let other = Server::start("other").await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    server.script(|it| it.refuse = vec![(404, "gone"); 100]);
    let issuer = other.issuer();
    resource.guard(|guard| {
        guard.good = "other".into();
        guard.metadata["authorization_servers"] = json!([issuer]);
    });
    assert!(caller.cache.invalidate(1), "as if it had expired");
    caller.let_in(&resource).await;
    assert_eq!(other.grants(), ["authorization_code"]);
}

#[tokio::test]
async fn an_issuer_that_is_looked_for_again_is_asked_for_the_same() {
    let (server, resource, _) = cast().await;
    let methods = json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]});
    server.script(|it| it.metadata = methods);
    resource.guard(|guard| {
        guard.challenge = Some("Bearer scope=\"read\"".into());
        guard.metadata["scopes_supported"] = json!(["read", "write"]);
    });
    let caller = Caller::new(itself(&resource));
    assert_eq!(caller.call(&resource).await, 200);
    server.script(|it| it.refuse = vec![(503, "temporarily_unavailable"); 2]);
    assert!(caller.cache.invalidate(1), "as if it had expired");
    caller.let_in(&resource).await;
    let scopes = server.asked("/token");
    let scopes: Vec<_> = scopes.iter().map(|form| &*form["scope"]).collect();
    assert_eq!(scopes, ["read"; 4]);
}

#[tokio::test]
async fn an_issuer_that_nobody_describes_any_more_is_asked_all_the_same() {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    server.script(|it| {
        it.refuse = vec![(503, "temporarily_unavailable")];
        it.place = "/elsewhere".into();
    });
    resource.guard(|guard| guard.place = None);
    assert!(caller.cache.invalidate(1), "as if it had expired");
    assert_eq!(caller.call(&resource).await, 0);
    caller.let_in(&resource).await;
    let grants = ["authorization_code", "refresh_token", "refresh_token"];
    assert_eq!(server.grants(), grants);
    assert_eq!(browser.times(), 1);
}
