//! What a request costs when there is a token.

mod scripted;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bartizan_auth::{AuthLayer, Credential, NeverRepeat, Place, Secret, TokenClient};
use http::{HeaderMap, Request, Response};
use scripted::Scripted;
use tower::{Layer, Service, service_fn};

fn upstream(request: Request<()>) -> Ready<Result<Response<Request<()>>, Infallible>> {
    ready(Ok(Response::new(request)))
}

/// Allocations of one call with a request whose header map has room.
fn allocations<S: TokenClient>(layer: AuthLayer<S>) -> u64 {
    let mut service = layer
        .on_unauthorized(NeverRepeat)
        .layer(service_fn(upstream));
    let mut request = Request::new(());
    *request.headers_mut() = HeaderMap::with_capacity(8);
    let mut cx = Context::from_waker(Waker::noop());
    let mut request = Some(request);
    let mut answer = None;
    let counted = measure(|| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let response = pin!(service.call(request.take().unwrap()));
        answer = Some(response.poll(&mut cx));
    });
    assert!(matches!(answer, Some(Poll::Ready(Ok(_)))));
    counted.count_total
}

#[tokio::test]
async fn a_call_with_a_credential_at_hand_allocates_nothing() {
    let key = Secret::new("key");
    let bearer: Credential = Credential::bearer(&key).unwrap();
    assert_eq!(allocations(AuthLayer::new(bearer)), 0);
    let header: Credential = Credential::api_key(Place::default(), &key).unwrap();
    assert_eq!(allocations(AuthLayer::new(header)), 0);
    let cookie: Credential = Credential::api_key(Place::Cookie("k".into()), &key).unwrap();
    assert_eq!(allocations(AuthLayer::new(cookie)), 0);

    let cache = Scripted::new().cache();
    cache.token().await.unwrap();
    // The first read on a thread registers it with the pointer that is read.
    assert!(cache.current().is_some());
    assert_eq!(allocations(AuthLayer::new(Credential::oauth2(cache))), 0);
}
