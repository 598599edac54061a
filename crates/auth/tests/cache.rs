//! The token cache on a clock that stands still.

mod scripted;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_auth::{
    Grant, OAuth2Config, Secret, Token, TokenCache, TokenError, TokenErrorKind, TokenErrorKind as K,
};
use bartizan_clock::Clock;
use futures_util::{FutureExt, future::join_all};
use scripted::{Reply, Scripted, advance, client_credentials, refresh_token, refuse, settle};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};

type Waiter = JoinHandle<Result<Arc<Token>, TokenError>>;

fn wait(cache: &TokenCache<Scripted>) -> Waiter {
    let cache = cache.clone();
    tokio::spawn(async move { cache.token().await })
}

fn text(token: &Token) -> &str {
    token.secret().expose()
}

async fn token(cache: &TokenCache<Scripted>) -> String {
    text(&cache.token().await.unwrap()).to_owned()
}

fn lifetime(token: &Token) -> Duration {
    token.expires_at() - Clock::tokio().now()
}

#[tokio::test(start_paused = true)]
async fn a_herd_of_first_calls_makes_one_request() {
    let issuer = Scripted::new();
    issuer.delay(1);
    let cache = issuer.cache();
    let herd = join_all((0..100).map(|_| wait(&cache))).await;
    assert_eq!(issuer.hits(), 1);
    for token in herd {
        let token = token.unwrap().unwrap();
        assert_eq!((text(&token), token.generation()), ("access-1", 1));
        assert_eq!(token.header(), "Bearer access-1");
        assert!(token.header().is_sensitive());
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_waiter_who_goes_away_takes_nobody_along() {
    let issuer = Scripted::new();
    issuer.delay(2);
    let cache = issuer.cache();
    let first = wait(&cache);
    settle().await;
    let second = wait(&cache);
    settle().await;
    first.abort();
    advance(1).await;
    assert_eq!(text(&second.await.unwrap().unwrap()), "access-1");
    assert_eq!(issuer.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_waits_for_any_more_is_there_for_the_next() {
    let issuer = Scripted::new();
    issuer.delay(1);
    let cache = issuer.cache();
    let only = wait(&cache);
    settle().await;
    only.abort();
    advance(1).await;
    assert_eq!(text(&cache.current().unwrap()), "access-1");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_early_and_served_meanwhile() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    assert_eq!(token(&cache).await, "access-1");
    issuer.delay(1);
    advance(3600 - 11).await;
    assert_eq!(token(&cache).await, "access-1");
    settle().await;
    assert_eq!(issuer.hits(), 1, "before the buffer nothing happens");

    advance(7).await;
    for _ in 0..50 {
        assert_eq!(token(&cache).await, "access-1");
        settle().await;
    }
    assert_eq!(issuer.hits(), 2, "inside the buffer one request is made");
    assert!(cache.snapshot().refreshing);
    advance(1).await;
    assert_eq!(token(&cache).await, "access-2");
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_renewal_is_drawn_from_half_the_buffer() {
    let mut early = 0;
    for _ in 0..40 {
        let issuer = Scripted::new();
        let cache = issuer.cache();
        token(&cache).await;
        advance(3600 - 7).await;
        token(&cache).await;
        settle().await;
        early += issuer.hits() - 1;
    }
    assert!(
        (1..40).contains(&early),
        "{early} of 40 were renewed 7 s early"
    );
}

#[tokio::test(start_paused = true)]
async fn after_its_expiry_callers_wait() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    token(&cache).await;
    advance(3600).await;
    assert!(cache.current().is_none());
    issuer.delay(1);
    let waiters: Vec<_> = (0..10).map(|_| wait(&cache)).collect();
    settle().await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    for waiter in waiters {
        assert_eq!(text(&waiter.await.unwrap().unwrap()), "access-2");
    }
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn lifetimes_are_the_issuers_or_a_quarter_of_an_hour() {
    let issuer = Scripted::new();
    for (fields, seconds) in [
        (r#","expires_in":60"#, 60),
        ("", 900),
        (r#","expires_in":null"#, 900),
        (r#","expires_in":0"#, 1),
    ] {
        issuer.queue(Reply::Token(fields));
        let token = issuer.cache().token().await.unwrap();
        assert_eq!(lifetime(&token), Duration::from_secs(seconds), "{fields}");
    }
    let short = client_credentials().default_lifetime(Duration::from_secs(7));
    issuer.queue(Reply::Token(""));
    let token = issuer.cache_of(short).token().await.unwrap();
    assert_eq!(lifetime(&token), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_counts_from_the_request() {
    let issuer = Scripted::new();
    issuer.delay(3);
    let token = issuer.cache().token().await.unwrap();
    assert_eq!(lifetime(&token), Duration::from_secs(3597));
}

#[tokio::test(start_paused = true)]
async fn a_failure_wakes_all_and_is_remembered_for_a_while() {
    let issuer = Scripted::new();
    issuer.otherwise(Reply::Break).delay(1);
    let cache = issuer.cache();
    for waiter in join_all((0..100).map(|_| wait(&cache))).await {
        let error = waiter.unwrap().unwrap_err();
        assert!(matches!(error.kind(), K::Transport(_)));
        let pause = error.retry_after().unwrap();
        assert!((500..=1000).contains(&pause.as_millis()), "{pause:?}");
    }
    assert_eq!(issuer.hits(), 1);

    for _ in 0..100 {
        cache.token().await.unwrap_err();
    }
    assert_eq!(issuer.hits(), 1, "a dead issuer is left alone");
    issuer.otherwise(Reply::Token("")).delay(0);
    advance(1).await;
    assert_eq!(token(&cache).await, "access-1");
    let snapshot = cache.snapshot();
    assert_eq!((snapshot.refreshes, snapshot.failures), (1, 1));
    assert!(snapshot.last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dead_issuer_is_asked_more_and_more_rarely() {
    let issuer = Scripted::new();
    issuer.otherwise(refuse("invalid_client"));
    let cache = issuer.cache();
    for _ in 0..3600 {
        cache.token().await.unwrap_err();
        advance(1).await;
    }
    let hits = issuer.hits();
    assert!((120..=260).contains(&hits), "{hits} requests in an hour");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_names_a_time_is_left_alone_until_then() {
    let issuer = Scripted::new();
    issuer.queue(Reply::Refuse(503, String::new(), Some(40)));
    let cache = issuer.cache();
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
    advance(39).await;
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    advance(1).await;
    assert_eq!(token(&cache).await, "access-1");
}

#[tokio::test(start_paused = true)]
async fn invalid_grant_is_the_end() {
    let issuer = Scripted::new();
    issuer.queue(refuse("invalid_grant"));
    let cache = issuer.cache_of(refresh_token("spent"));
    for _ in 0..10 {
        let error = cache.token().await.unwrap_err();
        assert!(error.kind().is_terminal() && error.retry_after().is_none());
        advance(86_400).await;
    }
    assert_eq!(issuer.hits(), 1);
    assert!(cache.snapshot().last_error.unwrap().kind().is_terminal());
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_served_although_it_cannot_be_renewed() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    token(&cache).await;
    issuer.otherwise(Reply::Break);
    advance(3600 - 4).await;
    for _ in 0..100 {
        assert_eq!(token(&cache).await, "access-1");
        settle().await;
    }
    assert_eq!(issuer.hits(), 2, "one attempt, then the pause");
    advance(1).await;
    assert_eq!(token(&cache).await, "access-1");
    settle().await;
    assert_eq!(issuer.hits(), 3, "another after the pause");
    advance(3).await;
    issuer.otherwise(Reply::Token(""));
    advance(2).await;
    assert_eq!(token(&cache).await, "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_slow_issuer_is_waited_for_no_longer_than_configured() {
    let issuer = Scripted::new();
    issuer.delay(3600);
    let cache = issuer.cache();
    let start = Clock::tokio().now();
    let error = cache.token().await.unwrap_err();
    assert!(matches!(error.kind(), K::TimedOut));
    let waited = Clock::tokio().now() - start;
    assert!((5000..5010).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_is_not_lost_to_a_slow_answer() {
    let issuer = Scripted::new();
    issuer.queue(Reply::Token(r#","expires_in":60,"refresh_token":"r2""#));
    issuer.delay(12);
    let cache = issuer.cache_of(refresh_token("r1"));
    assert!(matches!(
        cache.token().await.unwrap_err().kind(),
        K::TimedOut
    ));
    advance(2).await;
    // The pause is over, the answer still on its way: the token is not presented once more.
    cache.token().await.unwrap_err();
    assert_eq!(issuer.hits(), 1);
    advance(5).await;
    assert_eq!(token(&cache).await, "access-1");
    let snapshot = cache.snapshot();
    assert_eq!((snapshot.refreshes, snapshot.failures), (1, 0));
    issuer.delay(0);
    advance(60).await;
    assert_eq!(token(&cache).await, "access-2");
    let forms = issuer.forms();
    assert!(forms[0].contains("refresh_token=r1&"), "{forms:?}");
    assert!(forms[1].contains("refresh_token=r2&"), "{forms:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_frees_the_flight() {
    let issuer = Scripted::new();
    issuer.delay(3600);
    let cache = issuer.cache_of(refresh_token("r1"));
    cache.token().await.unwrap_err();
    advance(30).await;
    assert_eq!(cache.snapshot().failures, 1);
    issuer.delay(0);
    advance(3).await;
    assert!(!cache.snapshot().refreshing);
    assert_eq!(token(&cache).await, "access-2");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_fails_its_flight_only() {
    let issuer = Scripted::new();
    issuer.queue(Reply::Panic);
    let cache = issuer.cache();
    let error = cache.token().await.unwrap_err();
    assert!(matches!(error.kind(), K::Abandoned));
    advance(1).await;
    assert_eq!(token(&cache).await, "access-1");
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn a_runtime_that_ends_takes_only_its_own_flight_along() {
    let issuer = Scripted::new();
    issuer.delay(1);
    let cache = issuer.cache();
    let first = runtime();
    first.block_on(async {
        drop(wait(&cache));
        settle().await;
    });
    assert!(cache.snapshot().refreshing);
    drop(first);
    assert!(!cache.snapshot().refreshing);
    runtime().block_on(async {
        advance(1).await;
        assert_eq!(token(&cache).await, "access-2");
    });
}

#[test]
fn a_flight_that_its_runtime_never_began_is_none() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    runtime().block_on(async { assert!(cache.token().now_or_never().is_none()) });
    assert!(!cache.snapshot().refreshing && issuer.hits() == 0);
    let second = runtime();
    second.block_on(async { assert_eq!(token(&cache).await, "access-1") });
    assert!(!cache.snapshot().refreshing);

    // So is the renewal of a token that is still good, and the replacement of one that is not.
    second.block_on(async {
        advance(3599).await;
        assert_eq!(token(&cache).await, "access-1");
        assert!(cache.snapshot().refreshing);
    });
    drop(second);
    runtime().block_on(async {
        advance(3600).await;
        assert_eq!(token(&cache).await, "access-2");
        assert!(cache.unauthorized(2));
    });
    runtime().block_on(async { assert_eq!(token(&cache).await, "access-3") });
}

#[test]
fn nobody_waits_longer_because_another_runtime_stands_still() {
    let issuer = Scripted::new();
    issuer.delay(1);
    let cache = issuer.cache();
    let still = runtime();
    still.block_on(async {
        drop(wait(&cache));
        settle().await;
    });
    runtime().block_on(async {
        let start = Clock::tokio().now();
        let token = timeout(Duration::from_secs(60), cache.token()).await;
        let error = token.expect("less than a minute").unwrap_err();
        assert!(matches!(error.kind(), K::TimedOut));
        assert_eq!(error.retry_after(), Some(Duration::ZERO));
        let waited = Clock::tokio().now() - start;
        assert!((5000..5200).contains(&waited.as_millis()), "{waited:?}");
    });
    still.block_on(async { assert_eq!(token(&cache).await, "access-1") });
}

#[tokio::test(start_paused = true)]
async fn a_body_of_more_than_64_kib_is_not_read() {
    let issuer = Scripted::new();
    issuer.queue(Reply::Refuse(200, "x".repeat(64 * 1024 + 1), None));
    let error = issuer.cache().token().await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_configured_access_token_comes_first() {
    let issuer = Scripted::new();
    let grant = Grant::RefreshToken {
        access: Some(Secret::new("given")),
        refresh: Secret::new("r1"),
    };
    let url = http::Uri::from_static("https://issuer.example/token");
    let config = OAuth2Config::builder(url, grant).build().unwrap();
    let cache = TokenCache::new(config, issuer.clone(), Clock::tokio());
    assert_eq!(text(&cache.current().unwrap()), "given");
    assert_eq!(token(&cache).await, "given");
    assert_eq!(issuer.hits(), 0);
    advance(900).await;
    assert_eq!(cache.token().await.unwrap().generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_whoever_reports_it() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    token(&cache).await;
    issuer.delay(1);
    assert!(cache.unauthorized(1));
    assert!(
        cache.current().is_none(),
        "nobody is to be sent there in vain"
    );
    assert!(cache.unauthorized(1), "another is on its way");
    let waiters = join_all((0..50).map(|_| wait(&cache))).await;
    assert!(
        waiters
            .into_iter()
            .all(|w| w.unwrap().unwrap().generation() == 2)
    );
    assert_eq!(issuer.hits(), 2);

    assert!(cache.unauthorized(1), "a late refusal of the old token");
    assert_eq!(cache.current().unwrap().generation(), 2);
    settle().await;
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_comes_back_if_there_is_no_other() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    token(&cache).await;
    issuer.otherwise(refuse("invalid_grant"));
    assert!(cache.unauthorized(1));
    assert_eq!(token(&cache).await, "access-1");
    assert!(!cache.unauthorized(1), "there is no way to another");
    assert_eq!(token(&cache).await, "access-1");
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_everything_does_not_reach_the_issuer() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    for _ in 0..1000 {
        for _ in 0..5 {
            let generation = cache.token().await.unwrap().generation();
            cache.unauthorized(generation);
        }
        advance(1).await;
    }
    let hits = issuer.hits();
    assert!(
        hits < 60,
        "{hits} token requests for 5000 refusals in 1000 s"
    );
}

#[tokio::test(start_paused = true)]
async fn invalidation_is_exact_and_final() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    token(&cache).await;
    assert!(!cache.invalidate(2) && !cache.invalidate(0));
    assert!(cache.current().is_some());
    assert!(cache.invalidate(1) && !cache.invalidate(1));
    assert!(cache.current().is_none());
    assert_eq!(token(&cache).await, "access-2");

    issuer.otherwise(Reply::Break);
    assert!(cache.unauthorized(2));
    assert!(
        cache.invalidate(2),
        "also while its replacement is on its way"
    );
    cache.token().await.unwrap_err();
    assert!(cache.current().is_none());
}

#[tokio::test(start_paused = true)]
async fn clones_are_one_cache() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    let clone = cache.clone();
    token(&cache).await;
    assert_eq!(text(&clone.current().unwrap()), "access-1");
    drop(cache);
    assert_eq!(token(&clone).await, "access-1");
    assert_eq!(issuer.hits(), 1);
}

/// Issues `r<n+1>` for `r<n>` and notes whether any refresh token was presented twice.
fn rotating(
    presented: &Arc<Mutex<Vec<String>>>,
) -> impl tower::Service<
    http::Request<http_body_util::Full<bytes::Bytes>>,
    Response = http::Response<http_body_util::Full<bytes::Bytes>>,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let presented = Arc::clone(presented);
    tower::service_fn(
        move |request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            let presented = Arc::clone(&presented);
            async move {
                use http_body_util::BodyExt;
                let Ok(body) = request.into_body().collect().await;
                let form = String::from_utf8(body.to_bytes().to_vec()).unwrap();
                tokio::task::yield_now().await;
                let number = {
                    let mut presented = presented.lock().unwrap();
                    presented.push(form);
                    presented.len() + 1
                };
                let token = format!(
                    r#"{{"access_token":"a{number}","expires_in":3600,"refresh_token":"r{number}"}}"#
                );
                Ok(http::Response::new(http_body_util::Full::from(token)))
            }
        },
    )
}

#[test]
fn threads_that_race_present_each_refresh_token_once() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let presented = Arc::default();
    let config = refresh_token("r1").build().unwrap();
    let cache = TokenCache::new(config, rotating(&presented), Clock::default());
    runtime.block_on(async {
        let racer = |_| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for _ in 0..500 {
                    let token = cache.token().await.unwrap();
                    cache.invalidate(token.generation());
                }
            })
        };
        for racer in join_all((0..4).map(racer)).await {
            racer.unwrap();
        }
    });
    let presented = presented.lock().unwrap();
    assert!(presented.len() >= 500);
    for (index, form) in presented.iter().enumerate() {
        let expected = format!("refresh_token=r{}&", index + 1);
        assert!(form.contains(&expected), "{form} at {index}");
    }
}
