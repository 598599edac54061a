//! Refresh tokens that outlive their process.

mod scripted;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_auth::{
    RefreshTokenFile, RefreshTokenStore, SavedRefreshToken, Secret, StoreFuture, TokenErrorKind,
};
use scripted::{Reply, Scripted, advance, refresh_token, refuse, settle};

/// A store in memory that fails or hangs when told to.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    saved: Option<SavedRefreshToken>,
    broken: bool,
    slow: bool,
    loads: usize,
}

impl Memory {
    fn current(&self) -> Option<String> {
        let inner = self.0.lock().unwrap();
        let saved = inner.saved.as_ref()?;
        Some(saved.current.expose().to_owned())
    }

    fn set(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.0.lock().unwrap());
    }
}

impl RefreshTokenStore for Memory {
    fn load(&self) -> StoreFuture<'_, Option<SavedRefreshToken>> {
        Box::pin(async {
            let mut inner = self.0.lock().unwrap();
            inner.loads += 1;
            if inner.broken {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            Ok(inner.saved.clone())
        })
    }

    fn save(&self, token: SavedRefreshToken) -> StoreFuture<'_, ()> {
        Box::pin(async {
            let slow = self.0.lock().unwrap().slow;
            if slow {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let mut inner = self.0.lock().unwrap();
            if inner.broken {
                return Err(io::ErrorKind::StorageFull.into());
            }
            inner.saved = Some(token);
            Ok(())
        })
    }
}

const ROTATED: Reply = Reply::Token(r#","expires_in":60,"refresh_token":"r2""#);

#[tokio::test(start_paused = true)]
async fn whoever_ends_the_process_can_wait_until_the_refresh_token_is_saved() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    store.set(|inner| inner.slow = true);
    // Longer than callers are kept waiting.
    issuer.queue(ROTATED).delay(20);
    let cache = issuer.cache_of(refresh_token("r1").refresh_token_store(store.clone()));
    cache.settled().await;
    assert_eq!(issuer.hits(), 0, "nothing is begun for that");
    assert!(cache.token().await.is_err());
    assert_eq!(store.current(), None);
    cache.settled().await;
    assert_eq!(store.current().as_deref(), Some("r2"));
    cache.settled().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_the_token_before_the_refresh_token_is_saved() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    store.set(|inner| inner.slow = true);
    issuer.queue(ROTATED);
    let cache = issuer.cache_of(refresh_token("r1").refresh_token_store(store.clone()));
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await }
    });
    settle().await;
    assert_eq!(issuer.hits(), 1);
    assert!(cache.current().is_none() && !waiter.is_finished());
    assert_eq!(store.current(), None);
    waiter.await.unwrap().unwrap();
    assert_eq!(store.current().unwrap(), "r2");
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_the_saved_token() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    let config = refresh_token("r1").refresh_token_store(store.clone());
    issuer.queue(ROTATED);
    issuer.cache_of(config.clone()).token().await.unwrap();
    issuer.cache_of(config).token().await.unwrap();
    let forms = issuer.forms();
    assert!(forms[0].contains("refresh_token=r1&"), "{forms:?}");
    assert!(forms[1].contains("refresh_token=r2&"), "{forms:?}");
}

#[tokio::test(start_paused = true)]
async fn a_newly_configured_token_voids_the_saved_one() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    issuer.queue(ROTATED);
    let before = refresh_token("r1").refresh_token_store(store.clone());
    issuer.cache_of(before).token().await.unwrap();
    let after = refresh_token("new").refresh_token_store(store.clone());
    issuer.cache_of(after).token().await.unwrap();
    assert!(issuer.forms()[1].contains("refresh_token=new&"));
}

/// As a gateway that is reconfigured does, whose calls under way still use the old cache.
#[tokio::test(start_paused = true)]
async fn another_configuration_goes_on_with_the_newest_refresh_token() {
    let issuer = Scripted::new();
    let client = issuer.clone();
    let (r2, r3) = (
        Reply::Token(r#","expires_in":60,"refresh_token":"r2""#),
        Reply::Token(r#","expires_in":60,"refresh_token":"r3""#),
    );
    issuer
        .queue(r2)
        .queue(r3)
        .otherwise(Reply::Token(r#","expires_in":60"#));
    let before = issuer.cache_of(refresh_token("r1"));
    before.token().await.unwrap();
    let config = refresh_token("r1").client_secret(Secret::new("another"));
    let after = before.reconfigured(config.build().unwrap(), client.clone());
    assert!(after.current().is_none());
    // Both ask at once, and the one that is first gets another refresh token.
    advance(60).await;
    issuer.delay(2);
    let (one, other) = tokio::join!(before.token(), after.token());
    assert!(one.is_ok() && other.is_ok());
    let presented =
        |form: usize| issuer.forms()[form].contains(&format!("refresh_token=r{}", form + 1));
    assert!(
        presented(0) && presented(1) && presented(2),
        "{:?}",
        issuer.forms()
    );
    // One that begins with another token is another chain.
    let config = refresh_token("s1").build().unwrap();
    after.reconfigured(config, client).token().await.unwrap();
    assert!(issuer.forms()[3].contains("refresh_token=s1"));
}

/// As where an operator adds a store for the sake of the next restart.
#[tokio::test(start_paused = true)]
async fn another_configuration_keeps_what_its_store_has_not_seen() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    issuer.queue(ROTATED);
    let before = issuer.cache_of(refresh_token("r1"));
    before.token().await.unwrap();
    let config = refresh_token("r1").refresh_token_store(store.clone());
    let after = before.reconfigured(config.build().unwrap(), issuer.clone());
    issuer.queue(refuse("temporarily_unavailable"));
    after.token().await.unwrap_err();
    assert_eq!(store.current(), None);
    advance(1).await;
    // The issuer does not replace it this time.
    after.token().await.unwrap();
    assert_eq!(store.current().as_deref(), Some("r2"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_keeps_old_tokens_from_the_issuer() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    store.set(|inner| inner.broken = true);
    let cache = issuer.cache_of(refresh_token("r1").refresh_token_store(store.clone()));
    let error = cache.token().await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::Store(_)));
    assert_eq!(issuer.hits(), 0);
    store.set(|inner| inner.broken = false);
    advance(1).await;
    cache.token().await.unwrap();
    assert_eq!(issuer.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_is_reported_and_survived() {
    let (issuer, store) = (Scripted::new(), Memory::default());
    let cache = issuer.cache_of(refresh_token("r1").refresh_token_store(store.clone()));
    cache.token().await.unwrap();
    store.set(|inner| inner.broken = true);
    issuer.queue(Reply::Token(r#","expires_in":60,"refresh_token":"r9""#));
    advance(3600).await;
    cache.token().await.unwrap();
    assert!(cache.snapshot().unsaved);
    store.set(|inner| inner.broken = false);
    // It is saved as soon as that can be, though the issuer gives no other.
    issuer.queue(Reply::Token(r#","expires_in":60"#));
    advance(60).await;
    cache.token().await.unwrap();
    assert!(issuer.forms()[2].contains("refresh_token=r9&"));
    assert!(!cache.snapshot().unsaved);
    assert_eq!(store.current().as_deref(), Some("r9"));
    issuer.queue(ROTATED);
    advance(60).await;
    cache.token().await.unwrap();
    assert_eq!(store.current().as_deref(), Some("r2"));
    assert_eq!(store.0.lock().unwrap().loads, 1);
}

/// As where an operator moves the file, and calls under way still use the old one.
#[tokio::test(start_paused = true)]
async fn two_stores_are_told_of_one_chain() {
    let (issuer, here, there) = (Scripted::new(), Memory::default(), Memory::default());
    let before = issuer.cache_of(refresh_token("r1").refresh_token_store(here.clone()));
    issuer.queue(ROTATED);
    before.token().await.unwrap();
    issuer.otherwise(Reply::Token(r#","expires_in":60"#));
    there.set(|inner| inner.broken = true);
    let config = refresh_token("r1").refresh_token_store(there.clone());
    let after = before.reconfigured(config.build().unwrap(), issuer.clone());
    after.token().await.unwrap();
    assert!(after.snapshot().unsaved && !before.snapshot().unsaved);
    advance(60).await;
    before.token().await.unwrap();
    there.set(|inner| inner.broken = false);
    after.token().await.unwrap();
    assert_eq!(there.current().as_deref(), Some("r2"));
    assert!(!after.snapshot().unsaved);
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_a_turn_waits_for_the_answer_as_well() {
    let issuer = Scripted::new();
    let client = issuer.clone();
    issuer
        .queue(ROTATED)
        .queue(Reply::Token(r#","expires_in":60,"refresh_token":"r3""#))
        .delay(33);
    let before = issuer.cache_of(refresh_token("r1"));
    let config = refresh_token("r1").client_secret(Secret::new("another"));
    let after = before.reconfigured(config.build().unwrap(), client);
    let (one, other) = tokio::join!(before.token(), after.token());
    assert!(one.is_err() && other.is_err());
    issuer.delay(10);
    tokio::time::sleep(Duration::from_secs(60)).await;
    issuer.delay(0);
    after.token().await.unwrap();
    before.token().await.unwrap();
    let forms = issuer.forms();
    for (form, token) in forms.iter().zip(["r1", "r2", "r3"]) {
        assert!(
            form.contains(&format!("refresh_token={token}")),
            "{forms:?}"
        );
    }
}

#[test]
fn a_save_that_ends_with_its_runtime_is_made_up_for() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let (issuer, store) = (Scripted::new(), Memory::default());
    store.set(|inner| inner.slow = true);
    issuer.queue(ROTATED);
    let cache = issuer.cache_of(refresh_token("r1").refresh_token_store(store.clone()));
    runtime().block_on(async {
        let token = tokio::time::timeout(Duration::from_millis(500), cache.token());
        assert!(token.await.is_err());
    });
    assert_eq!(store.current(), None);
    assert!(cache.snapshot().unsaved);
    runtime().block_on(async {
        advance(3).await;
        cache.token().await.unwrap();
    });
    assert!(issuer.forms()[1].contains("refresh_token=r2&"));
    assert_eq!(store.current().as_deref(), Some("r2"));
    assert!(!cache.snapshot().unsaved);
}

#[tokio::test]
async fn the_file_does_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = RefreshTokenFile::new(directory.path().join("refresh"));
    let issuer = Scripted::new();
    let config = refresh_token("r1").refresh_token_store(file.clone());
    issuer.queue(ROTATED);
    issuer.cache_of(config.clone()).token().await.unwrap();
    let saved = file.load().await.unwrap().unwrap();
    assert_eq!(saved.current, Secret::new("r2"));
    issuer.cache_of(config).token().await.unwrap();
    assert!(issuer.forms()[1].contains("refresh_token=r2&"));
}
