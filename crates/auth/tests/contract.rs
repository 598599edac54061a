//! What the layer owes to tower, to the service inside and to the caller.

mod scripted;

use std::{
    convert::Infallible,
    future::{Future, poll_fn, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bartizan_auth::{
    AuthLayer, Credential, Error, NeverRepeat, Place, Secret, TokenCache, TokenErrorKind,
    Unplaceable,
};
use bartizan_classify::{Fault, FaultKind};
use bartizan_testkit::Probe;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use http::{HeaderName, HeaderValue, Request, Response, header};
use scripted::{Reply, Scripted, advance, refuse, settle};
use tower::{Layer, Service, ServiceExt};

type Call = Request<&'static str>;
type Answer = BoxFuture<'static, Result<Response<&'static str>, Infallible>>;

/// A service that answers 401 to every token but those it is told to accept.
#[derive(Clone, Default)]
struct Upstream {
    accepted: Arc<Mutex<Vec<&'static str>>>,
    seen: Arc<Mutex<Vec<Option<String>>>>,
}

impl Upstream {
    fn accepting(tokens: &[&'static str]) -> Self {
        let upstream = Self::default();
        upstream.accept(tokens);
        upstream
    }

    fn accept(&self, tokens: &[&'static str]) {
        *self.accepted.lock().unwrap() = tokens.to_vec();
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().flatten().cloned().collect()
    }

    fn answer(&self, request: &Call) -> Response<&'static str> {
        let shown = request.headers().get("authorization");
        let shown = shown.map(|value| value.to_str().unwrap().to_owned());
        let token = shown.as_deref().and_then(|s| s.strip_prefix("Bearer "));
        let accepted = token.is_some_and(|token| self.accepted.lock().unwrap().contains(&token));
        let body = *request.body();
        self.seen.lock().unwrap().push(shown);
        let status = if accepted { 200 } else { 401 };
        Response::builder().status(status).body(body).unwrap()
    }

    fn probe(&self) -> Probe<impl FnMut(Call) -> Answer + Clone + use<>> {
        let this = self.clone();
        Probe::new(move |request: Call| ready(Ok(this.answer(&request))).boxed())
    }
}

fn get() -> Call {
    Request::get("http://upstream/x").body("body").unwrap()
}

fn post() -> Call {
    Request::post("http://upstream/x").body("body").unwrap()
}

fn layer(cache: &TokenCache<Scripted>) -> AuthLayer<Scripted> {
    AuthLayer::new(Credential::oauth2(cache.clone()))
}

fn bearer() -> Credential {
    Credential::bearer(&Secret::new("ours")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_readied_service_is_the_one_that_is_called() {
    let issuer = Scripted::new();
    let cache = issuer.cache();
    let upstream = Upstream::accepting(&["access-1", "ours"]);
    let probe = upstream.probe().ready_after(3);
    let mut waits = layer(&cache).layer(probe.clone());
    for _ in 0..3 {
        // Waits for a token the first time; a probe that was not readied panics.
        let response = waits.ready().await.unwrap().call(get()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), *response.body()),
            (200, "body")
        );
    }
    let mut fixed = AuthLayer::new(bearer()).layer(probe.clone());
    for _ in 0..3 {
        fixed.ready().await.unwrap().call(get()).await.unwrap();
    }
    assert_eq!(probe.state().calls(), 6);
    assert_eq!(probe.state().readied(), 6);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_service_inside() {
    let issuer = Scripted::new();
    issuer.otherwise(Reply::Break);
    let probe = Upstream::default().probe().ready_after(1);
    let mut service = layer(&issuer.cache()).layer(probe);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_pending());
    assert!(
        service.poll_ready(&mut cx).is_ready(),
        "a token is not asked for here"
    );
    assert_eq!(issuer.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_and_clones_of_a_layer_share_the_token() {
    let issuer = Scripted::new();
    issuer.delay(1);
    let upstream = Upstream::accepting(&["access-1"]);
    let layer = layer(&issuer.cache());
    let services = (0..10).map(|_| layer.clone().layer(upstream.probe()));
    let calls = services.flat_map(|s| [s.clone().oneshot(get()), s.oneshot(post())]);
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(issuer.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_request_repeated_once() {
    let issuer = Scripted::new();
    let upstream = Upstream::accepting(&["access-1"]);
    let probe = upstream.probe().ready_after(2);
    let mut service = layer(&issuer.cache()).layer(probe.clone());
    service.ready().await.unwrap().call(get()).await.unwrap();

    upstream.accept(&["access-2"]);
    let response = service.ready().await.unwrap().call(get()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), *response.body()),
        (200, "body")
    );
    let expected = ["Bearer access-1", "Bearer access-1", "Bearer access-2"];
    assert_eq!(upstream.seen(), expected);

    upstream.accept(&[]);
    let response = service.ready().await.unwrap().call(get()).await.unwrap();
    assert_eq!(response.status(), 401, "the second answer is the answer");
    assert_eq!(probe.state().calls(), 5);
    assert_eq!(issuer.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_repeated_gets_its_401_and_the_next_a_new_token() {
    let issuer = Scripted::new();
    let upstream = Upstream::accepting(&["access-2"]);
    let service = layer(&issuer.cache()).layer(upstream.probe());
    let response = service.clone().oneshot(post()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(service.oneshot(post()).await.unwrap().status(), 200);
    assert_eq!(upstream.seen(), ["Bearer access-1", "Bearer access-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_policy_decides_what_is_repeated() {
    let run = async |repeated: bool| {
        let issuer = Scripted::new();
        let upstream = Upstream::accepting(&["access-2"]);
        let layer = layer(&issuer.cache());
        let status = if repeated {
            let always: fn(&Call) -> bool = |_| true;
            let service = layer.on_unauthorized(always).layer(upstream.probe());
            service.oneshot(post()).await.unwrap().status()
        } else {
            let service = layer.on_unauthorized(NeverRepeat).layer(upstream.probe());
            service.oneshot(get()).await.unwrap().status()
        };
        (status.as_u16(), upstream.seen().len())
    };
    assert_eq!(run(true).await, (200, 2));
    assert_eq!(run(false).await, (401, 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_401_to_an_old_token_costs_nothing() {
    let issuer = Scripted::new();
    let (cache, upstream) = (issuer.cache(), Upstream::accepting(&["access-2"]));
    cache.token().await.unwrap();
    let gate = Arc::new(tokio::sync::Notify::new());
    let slow = {
        let (upstream, gate) = (upstream.clone(), Arc::clone(&gate));
        tower::service_fn(move |request: Call| {
            let (upstream, gate) = (upstream.clone(), Arc::clone(&gate));
            async move {
                let response = upstream.answer(&request);
                if response.status() == 401 {
                    gate.notified().await;
                }
                Ok::<_, Infallible>(response)
            }
        })
    };
    let service = layer(&cache).layer(slow);
    let late = tokio::spawn(service.clone().oneshot(get()));
    settle().await;
    assert!(cache.unauthorized(1));
    assert_eq!(cache.token().await.unwrap().generation(), 2);
    gate.notify_one();
    assert_eq!(late.await.unwrap().unwrap().status(), 200);
    assert_eq!(cache.current().unwrap().generation(), 2);
    assert_eq!(issuer.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_another_token_the_401_is_the_answer() {
    for failure in [Reply::Break, refuse("invalid_grant")] {
        let issuer = Scripted::new();
        let upstream = Upstream::default();
        let service = layer(&issuer.cache()).layer(upstream.probe());
        issuer.queue(Reply::Token("")).otherwise(failure);
        let response = service.clone().oneshot(get()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), *response.body()),
            (401, "body")
        );
        assert_eq!(upstream.seen().len(), 1);
        // The issuer is down; the service may still like the token, and is asked.
        upstream.accept(&["access-1"]);
        assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
        assert_eq!(issuer.hits(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_credential_passes_its_401_on() {
    let upstream = Upstream::default();
    let service = AuthLayer::new(bearer()).layer(upstream.probe());
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 401);
    assert_eq!(upstream.seen(), ["Bearer ours"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_the_service_is_not_asked() {
    let issuer = Scripted::new();
    issuer.otherwise(refuse("invalid_client"));
    let probe = Upstream::default().probe();
    let service = layer(&issuer.cache()).layer(probe.clone());
    let error = service.clone().oneshot(get()).await.unwrap_err();
    let Error::Token(token) = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(token.kind(), TokenErrorKind::Refused { .. }));
    assert!(token.retry_after().is_some());
    let expected = FaultKind::Rejected {
        retry_after: token.retry_after(),
    };
    assert_eq!(error.fault(), expected);
    assert_eq!(
        error.to_string(),
        "no access token for the service: the token endpoint refused with status 400: invalid_client"
    );
    assert_eq!(probe.state().calls(), 0);

    // What is in its text is not its source as well.
    issuer.otherwise(Reply::Break);
    let service = layer(&issuer.cache()).layer(probe);
    let error = service.oneshot(get()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "connection reset");
}

#[tokio::test]
async fn errors_of_the_service_pass_through() {
    #[derive(Debug)]
    struct Reset;
    impl Fault for Reset {
        fn fault(&self) -> FaultKind {
            FaultKind::Interrupted
        }
    }
    let broken = tower::service_fn(|_: Call| ready(Err::<Response<()>, _>(Reset)));
    let service = AuthLayer::new(bearer()).layer(broken);
    let error = service.oneshot(get()).await.unwrap_err();
    assert!(matches!(error, Error::Inner(Reset)));
    assert_eq!(error.fault(), FaultKind::Interrupted);
}

#[tokio::test]
async fn a_request_without_room_for_the_key_is_the_callers_fault() {
    let key = Credential::api_key(Place::Query("key".into()), &Secret::new("k")).unwrap();
    let probe = Upstream::default().probe();
    let service = AuthLayer::<bartizan_auth::NoClient>::new(key).layer(probe.clone());
    let options = Request::options("*").body("").unwrap();
    let error = service.oneshot(options).await.unwrap_err();
    assert!(matches!(error, Error::Unplaceable(Unplaceable)));
    assert_eq!(error.fault(), FaultKind::Caller);
    assert_eq!(probe.state().calls(), 0);
}

async fn received<S: bartizan_auth::TokenClient>(layer: AuthLayer<S>) -> Call {
    let seen = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&seen);
    let upstream = tower::service_fn(move |request: Call| {
        *sink.lock().unwrap() = Some(request);
        ready(Ok::<_, Infallible>(Response::new(())))
    });
    let request = Request::get("http://upstream/x?q=1&api_key=theirs")
        .header("authorization", "Bearer theirs")
        .header("proxy-authorization", "Basic theirs")
        .header("cookie", "session=theirs; theme=dark")
        .header("x-api-key", "theirs")
        .header("x-api-key", "theirs again")
        .header("accept", "text/plain")
        .body("")
        .unwrap();
    layer.layer(upstream).oneshot(request).await.unwrap();
    let request = seen.lock().unwrap().take();
    request.unwrap()
}

fn names(request: &Call) -> Vec<&str> {
    let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn what_the_caller_sent_is_stripped_whatever_is_injected() {
    let none = received(AuthLayer::<bartizan_auth::NoClient>::new(Credential::None)).await;
    assert_eq!(names(&none), ["accept"]);

    let ours = received(AuthLayer::new(bearer())).await;
    assert_eq!(names(&ours), ["accept", "authorization"]);
    assert_eq!(ours.headers()["authorization"], "Bearer ours");

    let issuer = Scripted::new();
    let token = received(layer(&issuer.cache())).await;
    assert_eq!(names(&token), ["accept", "authorization"]);
    assert_eq!(token.headers()["authorization"], "Bearer access-1");

    let key = |place| -> AuthLayer {
        AuthLayer::new(Credential::api_key(place, &Secret::new("ours")).unwrap())
    };
    let header = received(key(Place::default())).await;
    assert_eq!(names(&header), ["accept", "x-api-key"]);
    let keys: Vec<_> = header.headers().get_all("x-api-key").iter().collect();
    assert_eq!(
        keys,
        [HeaderValue::from_static("ours")]
            .iter()
            .collect::<Vec<_>>()
    );
    let query = received(key(Place::Query("api_key".into()))).await;
    assert_eq!(query.uri(), "http://upstream/x?q=1&api_key=ours");
    let cookie = received(key(Place::Cookie("session".into()))).await;
    assert_eq!(cookie.headers()["cookie"], "session=ours");
}

#[tokio::test]
async fn an_operator_may_let_headers_through_but_not_the_credentials_own() {
    let cookie = Credential::api_key(Place::Cookie("session".into()), &Secret::new("ours"));
    let layer: AuthLayer = AuthLayer::new(cookie.unwrap()).strip([header::AUTHORIZATION]);
    let request = received(layer).await;
    assert_eq!(request.headers()["cookie"], "theme=dark; session=ours");
    assert_eq!(request.headers()["x-api-key"], "theirs");
    assert!(!request.headers().contains_key("authorization"));

    let request = received(AuthLayer::new(bearer()).strip([])).await;
    assert_eq!(request.headers()["authorization"], "Bearer ours");
    assert_eq!(request.headers()["proxy-authorization"], "Basic theirs");
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_await_leaves_everything_usable() {
    // Polls the call once, twice, ..., a second apart, and drops it; until it would be done.
    let mut done = false;
    for polls in 0.. {
        if done {
            assert!((6..20).contains(&polls), "{polls} polls to the end");
            break;
        }
        let issuer = Scripted::new();
        issuer.delay(1);
        let upstream = Upstream::accepting(&["access-2"]);
        let answers = upstream.clone();
        let probe = Probe::new(move |request: Call| {
            let response = answers.answer(&request);
            async move {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                Ok::<_, Infallible>(response)
            }
        })
        .ready_after(2);
        let cache = issuer.cache();
        let mut service = layer(&cache).layer(probe.clone());
        let mut call = Box::pin(service.ready().await.unwrap().call(get()));
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            if polled.is_ready() {
                done = true;
                break;
            }
            advance(1).await;
        }
        drop(call);
        advance(5).await;
        assert!(!cache.snapshot().refreshing, "after {polls} polls");
        let response = service.ready().await.unwrap().call(get()).await.unwrap();
        assert_eq!(response.status(), 200, "after {polls} polls");
        assert_eq!(issuer.hits(), 2, "after {polls} polls");
        let state = probe.state();
        assert_eq!(state.calls(), state.completed() + state.cancelled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_readiness_error_before_the_repetition_leaves_the_401() {
    #[derive(Clone)]
    struct Once(Arc<AtomicUsize>);
    impl Service<Call> for Once {
        type Response = Response<()>;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Response<()>, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
            Poll::Ready(first.then_some(()).ok_or("closed"))
        }

        fn call(&mut self, _: Call) -> Self::Future {
            let response = Response::builder().status(401).body(()).unwrap();
            ready(Ok(response))
        }
    }
    let issuer = Scripted::new();
    let mut service = layer(&issuer.cache()).layer(Once(Arc::default()));
    let response = service.ready().await.unwrap().call(get()).await.unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn services_can_be_sent_and_shared() {
    fn check<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn send<T: Send + 'static>(_: &T) {}
    // A client that is not `Sync` does not keep the layer from being so.
    let client = tower::util::BoxCloneService::new(Scripted::new());
    let config = scripted::client_credentials().build().unwrap();
    let cache = TokenCache::new(config, client, bartizan_clock::Clock::tokio());
    let layer = AuthLayer::new(Credential::oauth2(cache));
    check(&layer);
    let upstream = tower::service_fn(|_: Call| ready(Ok::<_, Infallible>(Response::new(()))));
    let service = layer.layer(upstream);
    check(&service);
    send(&service.oneshot(get()));
}
