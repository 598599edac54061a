//! What a cache does that nobody has challenged.

use bartizan_auth::{AuthorizeError, TokenErrorKind};

use crate::stage::{Caller, cast, user};

#[tokio::test]
async fn nothing_is_asked_before_a_service_has_refused() {
    let (server, resource, browser) = cast().await;
    resource
        .upstream
        .aside("/mcp", bartizan_testkit::Reply::json("{}"));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    let error = caller.cache.token().await.unwrap_err();
    assert!(matches!(
        error.kind(),
        TokenErrorKind::Authorize(AuthorizeError::Unchallenged)
    ));
    assert!(server.paths().is_empty());
    assert!(caller.cache.snapshot().last_error.is_none());
}
