//! What outlives a process.

use std::time::Duration;

use bartizan_auth::AuthorizationFile;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    stage::{Browser, Caller, Resource, Server, cast, http, user},
    step_up::decline,
};

#[tokio::test]
async fn a_restart_does_not_ask_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = || AuthorizationFile::new(directory.path().join("authorization"));
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let before = Caller::new(user(&resource, &browser).store(file()));
    assert_eq!(before.call(&resource).await, 200);
    drop(before);
    let after = Caller::new(user(&resource, &browser).store(file()));
    assert_eq!(after.call(&resource).await, 200);
    assert_eq!(server.grants(), ["authorization_code", "refresh_token"]);
    assert_eq!(server.asked("/token")[1]["refresh_token"], "refresh-1");
    assert_eq!(browser.times(), 1);
    assert_eq!(server.requests("/register").len(), 1);

    let third = Caller::new(user(&resource, &browser).store(file()));
    assert_eq!(third.call(&resource).await, 200);
    assert_eq!(
        server.asked("/token")[2]["refresh_token"],
        "refresh-2",
        "the newest"
    );
}

#[tokio::test]
async fn what_was_kept_for_another_issuer_is_of_no_use() {
    let directory = tempfile::tempdir().unwrap();
    let file = || AuthorizationFile::new(directory.path().join("authorization"));
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"refresh_token": "refresh-{n}"}));
    let before = Caller::new(user(&resource, &browser).store(file()));
    assert_eq!(before.call(&resource).await, 200);
    let second = Server::start("second").await;
    let issuer = second.issuer();
    resource.guard(|guard| {
        guard.good = "second".into();
        guard.metadata["authorization_servers"] = json!([issuer]);
    });
    let after = Caller::new(user(&resource, &browser).store(file()));
    assert_eq!(after.call(&resource).await, 200);
    assert_eq!(second.grants(), ["authorization_code"]);
    assert_eq!(server.grants(), ["authorization_code"]);
}

#[tokio::test]
async fn a_client_without_a_refresh_token_is_still_a_client() {
    let directory = tempfile::tempdir().unwrap();
    let file = || AuthorizationFile::new(directory.path().join("authorization"));
    let (server, resource, browser) = cast().await;
    for _ in 0..2 {
        let caller = Caller::new(user(&resource, &browser).store(file()));
        assert_eq!(caller.call(&resource).await, 200);
    }
    assert_eq!(browser.times(), 2);
    let pages = browser.opened();
    assert_eq!(
        pages[0]["redirect_uri"], pages[1]["redirect_uri"],
        "the port is the same"
    );
    assert_eq!(server.requests("/register").len(), 1);
}

/// A user who was asked in vain, before it was there, has granted nothing to be kept in its place.
#[tokio::test]
async fn a_store_that_another_configuration_adds_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = AuthorizationFile::new(directory.path().join("authorization"));
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let earlier = Caller::new(user(&resource, &browser).store(file.clone()));
    assert_eq!(earlier.call(&resource).await, 200);
    server.script(decline);
    let without = Caller::new(user(&resource, &browser));
    assert_ne!(without.call(&resource).await, 200);
    let with = user(&resource, &browser).store(file).build().unwrap();
    let with = Caller::of(without.cache.reauthorized(with, http()));
    assert_eq!(with.call(&resource).await, 200);
    assert_eq!(server.asked("/token")[1]["refresh_token"], "refresh-1");
    assert_eq!(browser.times(), 2);
}

#[tokio::test]
async fn what_cannot_be_kept_is_reported_and_survived() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("later");
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let file = AuthorizationFile::new(place.join("authorization"));
    let caller = Caller::new(user(&resource, &browser).store(file));
    assert_eq!(caller.call(&resource).await, 200);
    assert!(caller.cache.snapshot().unsaved);
    std::fs::create_dir(&place).unwrap();
    resource.guard(|guard| guard.good = "access-2".into());
    assert_eq!(caller.call(&resource).await, 200);
    assert!(!caller.cache.snapshot().unsaved);
}

/// A caller under a configuration that wants more than what is in this file was granted for.
async fn wanting_more(file: AuthorizationFile) -> (Server, Resource, Browser, Caller) {
    let (server, resource, browser) = cast().await;
    server.script(|it| it.token = json!({"expires_in": 3600, "refresh_token": "refresh-{n}"}));
    let read = user(&resource, &browser).scopes(["read"]);
    let before = Caller::new(read.store(file.clone()));
    assert_eq!(before.call(&resource).await, 200);
    let more = user(&resource, &browser).scopes(["read", "write"]);
    let caller = Caller::new(more.store(file));
    (server, resource, browser, caller)
}

#[tokio::test]
async fn a_configuration_that_wants_more_asks_for_it_and_works_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let file = AuthorizationFile::new(directory.path().join("authorization"));
    let (server, resource, browser, caller) = wanting_more(file.clone()).await;
    assert_eq!(caller.call(&resource).await, 200);
    while caller.cache.snapshot().refreshing {
        sleep(Duration::from_millis(5)).await;
    }
    let pages = browser.opened();
    let scopes: Vec<_> = pages.iter().map(|page| &*page["scope"]).collect();
    assert_eq!(scopes, ["read", "read write"]);
    let less = Caller::new(user(&resource, &browser).scopes(["write"]).store(file));
    assert_eq!(less.call(&resource).await, 200);
    let grants = [
        "authorization_code",
        "refresh_token",
        "authorization_code",
        "refresh_token",
    ];
    assert_eq!(server.grants(), grants);
    assert!(!less.cache.snapshot().refreshing);
}

#[tokio::test]
async fn a_user_who_declines_what_the_configuration_wants_is_asked_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = AuthorizationFile::new(directory.path().join("authorization"));
    let (server, resource, browser, caller) = wanting_more(file).await;
    server.script(decline);
    for generation in 1..=3 {
        assert_eq!(caller.call(&resource).await, 200);
        while caller.cache.snapshot().refreshing {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(caller.cache.invalidate(generation), "as if it had expired");
    }
    assert_eq!(browser.times(), 2);
}
