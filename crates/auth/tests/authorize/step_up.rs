//! More scopes than the last time.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bartizan_auth::AuthorizeError;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::sleep;

use crate::stage::{Browser, Caller, Resource, Script, Server, cast, itself, user, visit};

fn demand(resource: &Resource, server: &Server, scope: &str) {
    let script: Arc<Mutex<Script>> = server.shared();
    resource.guard(|guard| guard.scope = Some((scope.into(), script)));
}

/// A caller who has a token, and another to refresh it with.
async fn refreshable() -> (Server, Resource, Browser, Caller) {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    (server, resource, browser, caller)
}

/// Has the user who is asked next decline.
pub(crate) fn decline(script: &mut Script) {
    script.code = false;
    script.redirect.push(("error", "access_denied".into()));
}

#[tokio::test]
async fn a_wider_scope_is_asked_for_on_top_of_the_others() {
    let (server, resource, browser) = cast().await;
    resource.guard(|guard| guard.challenge = Some("Bearer scope=\"basic\"".into()));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    demand(&resource, &server, "write");
    assert_eq!(caller.call(&resource).await, 200);
    let scopes: Vec<_> = browser
        .opened()
        .iter()
        .map(|page| page["scope"].clone())
        .collect();
    assert_eq!(scopes, ["basic", "basic write"]);
    assert_eq!(
        server.requests("/register").len(),
        1,
        "the client is still known"
    );
}

#[tokio::test]
async fn a_scope_that_was_asked_for_is_not_asked_for_again() {
    let (server, resource, browser) = cast().await;
    resource.guard(|guard| guard.challenge = Some("Bearer scope=\"admin\"".into()));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    // It was granted, so it is said; but the service never finds it.
    server.script(|it| it.granted.clear());
    demand(&resource, &server, "admin");
    for _ in 0..5 {
        assert_eq!(caller.call(&resource).await, 403);
    }
    assert_eq!(browser.times(), 1);
}

#[tokio::test]
async fn a_service_that_always_wants_more_gets_it_three_times() {
    let (server, resource, browser) = cast().await;
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    for number in 0..8 {
        demand(&resource, &server, &format!("scope{number}"));
        server.script(|it| it.granted.clear());
        let _ = caller.call(&resource).await;
    }
    assert!(browser.times() <= 3, "{}", browser.times());
}

#[tokio::test]
async fn others_go_on_while_a_user_is_asked() {
    let (server, resource, browser) = cast().await;
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    demand(&resource, &server, "write");
    browser.stays.store(1, Ordering::SeqCst);
    let (waiting, place) = (caller.clone(), Arc::new(resource));
    let asked = Arc::clone(&place);
    let task = tokio::spawn(async move { waiting.call(&asked).await });
    while browser.times() < 2 {
        tokio::task::yield_now().await;
    }
    place.guard(|guard| guard.scope = None);
    assert_eq!(
        caller.call(&place).await,
        200,
        "with the token that is there"
    );
    task.abort();
}

#[tokio::test]
async fn a_service_widens_its_own_scope() {
    let (server, resource, _) = cast().await;
    server.script(|it| {
        it.metadata = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    });
    let caller = Caller::new(itself(&resource).scopes(["read"]));
    assert_eq!(caller.call(&resource).await, 200);
    demand(&resource, &server, "write");
    assert_eq!(caller.call(&resource).await, 200);
    let scopes: Vec<_> = server
        .asked("/token")
        .iter()
        .map(|form| form["scope"].clone())
        .collect();
    assert_eq!(scopes, ["read", "read write"]);
}

#[tokio::test]
async fn what_a_user_declines_costs_nothing_that_was_granted() {
    let (server, resource, browser, caller) = refreshable().await;
    demand(&resource, &server, "write");
    server.script(decline);
    assert_eq!(caller.call(&resource).await, 403);
    assert!(matches!(
        caller.error(),
        Some(AuthorizeError::Declined { .. })
    ));
    assert_eq!(caller.call(&resource).await, 403);
    assert_eq!(browser.times(), 2, "not at once again");
    resource.guard(|guard| guard.scope = None);
    assert!(caller.cache.invalidate(1), "as if it had expired");
    assert_eq!(caller.call(&resource).await, 200);
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
    assert_eq!(browser.times(), 2);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_although_a_wider_one_was_declined() {
    let (server, resource, _, caller) = refreshable().await;
    demand(&resource, &server, "write");
    server.script(decline);
    assert_eq!(caller.call(&resource).await, 403);
    resource.guard(|guard| (guard.scope, guard.good) = (None, "access-2".into()));
    assert_eq!(caller.call(&resource).await, 200);
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
}

#[tokio::test]
async fn a_grant_that_is_revoked_does_not_bring_back_who_declined_a_wider_one() {
    let (server, resource, browser, caller) = refreshable().await;
    demand(&resource, &server, "write");
    server.script(decline);
    server.script(|it| it.refuse = vec![(400, "invalid_grant")]);
    assert_eq!(caller.call(&resource).await, 403);
    resource.guard(|guard| (guard.scope, guard.good) = (None, "access-2".into()));
    for _ in 0..2 {
        assert_eq!(caller.call(&resource).await, 401);
    }
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
    assert_eq!(browser.times(), 2);
    let left = caller.cache.snapshot().last_error.unwrap().retry_after();
    assert!(left > Some(Duration::from_secs(4 * 60)), "{left:?}");
}

#[tokio::test]
async fn a_refresh_does_not_bring_back_who_declined_a_wider_token() {
    let (server, resource, browser, caller) = refreshable().await;
    demand(&resource, &server, "write");
    server.script(decline);
    assert_eq!(caller.call(&resource).await, 403);
    resource.guard(|guard| guard.scope = None);
    assert!(caller.cache.invalidate(1), "as if it had expired");
    assert_eq!(caller.call(&resource).await, 200);
    demand(&resource, &server, "delete");
    assert_eq!(caller.call(&resource).await, 403);
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
    assert_eq!(browser.times(), 2);
}

#[tokio::test]
async fn a_client_that_is_forgotten_takes_its_refresh_token_with_it() {
    let (server, resource, browser, caller) = refreshable().await;
    demand(&resource, &server, "write");
    server.script(|it| it.refuse = vec![(401, "invalid_client")]);
    assert_eq!(caller.call(&resource).await, 403);
    resource.guard(|guard| (guard.scope, guard.good) = (None, "access-2".into()));
    caller.let_in(&resource).await;
    assert_eq!(server.grants(), ["authorization_code"; 3]);
    assert_eq!(browser.opened()[2]["client_id"], "access-client-2");
}

#[tokio::test]
async fn a_service_with_many_scopes_is_asked_for_some() {
    let (server, resource, browser) = cast().await;
    let many: Vec<_> = (0..100).map(|number| format!("scope{number}")).collect();
    resource.guard(|guard| guard.metadata["scopes_supported"] = json!(many));
    server.script(|it| it.metadata = json!({"scopes_supported": ["offline_access"]}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200, "{:?}", caller.error());
    let page = browser.opened().remove(0);
    assert!(page["scope"].ends_with(" offline_access"));
    demand(&resource, &server, "write");
    assert_eq!(caller.call(&resource).await, 200, "{:?}", caller.error());
}

#[tokio::test]
async fn a_refresh_token_is_shown_by_the_client_that_got_it() {
    let (server, resource, browser, caller) = refreshable().await;
    // Somebody else has the port meanwhile, so another client is registered for the step-up.
    let place = browser.opened().remove(0)["redirect_uri"].clone();
    let place = place.strip_prefix("http://").unwrap();
    let _taken = TcpListener::bind(place.strip_suffix("/callback").unwrap()).unwrap();
    demand(&resource, &server, "write");
    server.script(decline);
    assert_eq!(caller.call(&resource).await, 403);
    assert_eq!(browser.opened()[1]["client_id"], "access-client-2");
    resource.guard(|guard| (guard.scope, guard.good) = (None, "access-2".into()));
    assert_eq!(caller.call(&resource).await, 200);
    let form = server.asked("/token").pop().unwrap();
    assert_eq!(form["refresh_token"], "refresh-1");
    assert_eq!(form["client_id"], "access-client-1");
}

#[tokio::test]
async fn an_answer_of_an_issuer_that_was_left_meanwhile_is_of_no_use() {
    let (server, resource, browser, caller) = refreshable().await;
    let other = Server::start("other").await;
    demand(&resource, &server, "write");
    browser.stays.store(1, Ordering::SeqCst);
    let resource = Arc::new(resource);
    let call = || {
        let (caller, resource) = (caller.clone(), Arc::clone(&resource));
        tokio::spawn(async move { caller.call(&resource).await })
    };
    let asked = call();
    while browser.times() < 2 {
        tokio::task::yield_now().await;
    }
    server.script(|it| it.refuse = vec![(404, "gone"); 100]);
    let issuer = other.issuer();
    resource.guard(|guard| {
        (guard.scope, guard.good) = (None, "other".into());
        guard.metadata["authorization_servers"] = json!([issuer]);
    });
    assert!(caller.cache.invalidate(1), "as if it had expired");
    while other.paths().is_empty() {
        drop(call());
        sleep(Duration::from_millis(20)).await;
    }
    let page = browser.opened().remove(1);
    let (place, state) = (&page["redirect_uri"], &page["state"]);
    let answer = format!("{place}?code=c0de&state={state}&iss={}", server.issuer());
    visit(&answer).await;
    assert_ne!(asked.await.unwrap(), 200);
    caller.let_in(&resource).await;
    assert_eq!(other.grants(), ["authorization_code"]);
    let codes = server.grants().into_iter();
    assert_eq!(codes.filter(|it| it == "authorization_code").count(), 1);
}
