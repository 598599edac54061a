//! The contract of the layer with the services around it.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerConfigBuilder, CircuitBreakerLayer,
    CircuitOpen, Error, State,
};
use bartizan_classify::{ErrorsAreFailures, Fault, FaultKind, HttpClassifier, Outcome};
use bartizan_clock::Clock;
use bartizan_testkit::Probe;
use http::{Request, Response, StatusCode};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

const RECOVERY: Duration = Duration::from_secs(30);

fn exact() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder().recovery_jitter(0.0)
}

fn breaker(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    CircuitBreaker::new(config.build().unwrap(), Clock::tokio())
}

fn layer() -> CircuitBreakerLayer<ErrorsAreFailures> {
    CircuitBreakerLayer::new(breaker(exact()), ErrorsAreFailures)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Down;

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service is down")
    }
}

impl std::error::Error for Down {}

impl Fault for Down {
    fn fault(&self) -> FaultKind {
        FaultKind::NotSent
    }
}

/// Answers the number it is asked, except for zero, which is an error.
async fn answer(n: u32) -> Result<u32, Down> {
    if n == 0 { Err(Down) } else { Ok(n) }
}

/// A service that says how often it was polled, and is ready when told so.
#[derive(Clone, Default)]
struct Gate {
    polls: Arc<AtomicUsize>,
    open: Arc<std::sync::atomic::AtomicBool>,
}

impl Service<u32> for Gate {
    type Response = u32;
    type Error = Down;
    type Future = Ready<Result<u32, Down>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Down>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        if self.open.load(Ordering::SeqCst) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, n: u32) -> Self::Future {
        assert!(
            self.open.load(Ordering::SeqCst),
            "called without being ready"
        );
        ready(if n == 0 { Err(Down) } else { Ok(n) })
    }
}

fn poll_ready<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

// --- readiness

#[tokio::test(start_paused = true)]
async fn the_readied_instance_is_the_one_that_is_called() {
    let probe = Probe::new(answer).ready_after(3);
    let state = probe.state();
    let mut service = layer().layer(probe);
    for n in 1..=5 {
        assert_eq!(service.ready().await.unwrap().call(n).await, Ok(n));
    }
    for n in 1..=5 {
        assert_eq!(service.clone().oneshot(n).await, Ok(n));
    }
    assert_eq!((state.calls(), state.completed()), (10, 10));
    // Only the test cloned it.
    assert_eq!(state.clones(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_clone_has_to_be_made_ready_itself() {
    let probe = Probe::new(answer);
    let state = probe.state();
    let mut service = layer().layer(probe);
    service.ready().await.unwrap();
    let mut clone = service.clone();
    // The clone would panic if it called its inner service.
    let error = clone.call(1).await.unwrap_err();
    assert_eq!(error.open().unwrap().retry_after, Duration::ZERO);
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!(state.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_does_not_poll_a_pending_service() {
    let gate = Gate::default();
    let layer = layer();
    let mut service = layer.layer(gate.clone());
    assert_pending!(poll_ready(&mut service));
    assert_eq!(gate.polls.load(Ordering::SeqCst), 1);

    layer.breaker().force_open();
    for _ in 0..10 {
        assert_ready!(poll_ready(&mut service)).unwrap();
    }
    assert_eq!(gate.polls.load(Ordering::SeqCst), 1);
    let rejected = service.call(1).await.unwrap_err();
    assert!(matches!(rejected, Error::Open(_)));

    layer.breaker().reset();
    assert_pending!(poll_ready(&mut service));
    gate.open.store(true, Ordering::SeqCst);
    assert_ready!(poll_ready(&mut service)).unwrap();
    assert_eq!(service.call(1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_given_while_open_never_reaches_an_unready_service() {
    let gate = Gate::default();
    let layer = layer();
    let mut service = layer.layer(gate.clone());
    layer.breaker().force_open();
    assert_ready!(poll_ready(&mut service)).unwrap();
    // Closed again between poll_ready and call; the gate would panic if it were called.
    layer.breaker().reset();
    let rejected = service.call(1).await.unwrap_err();
    assert_eq!(rejected.open().unwrap().retry_after, Duration::ZERO);
    assert_eq!(layer.breaker().snapshot().calls, 0);

    gate.open.store(true, Ordering::SeqCst);
    assert_ready!(poll_ready(&mut service)).unwrap();
    assert_eq!(service.call(1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_ready_once_need_not_be_ready_now() {
    let gate = Gate::default();
    let layer = layer();
    let mut service = layer.layer(gate.clone());
    gate.open.store(true, Ordering::SeqCst);
    assert_ready!(poll_ready(&mut service)).unwrap();
    gate.open.store(false, Ordering::SeqCst);
    assert_pending!(poll_ready(&mut service));
    layer.breaker().force_open();
    assert_ready!(poll_ready(&mut service)).unwrap();
    layer.breaker().reset();
    assert!(service.call(1).await.unwrap_err().open().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_for_want_of_readiness_gives_the_probe_back() {
    let layer =
        CircuitBreakerLayer::new(breaker(exact().half_open_max_calls(1)), ErrorsAreFailures);
    let breaker = layer.breaker();
    let gate = Gate::default();
    gate.open.store(true, Ordering::SeqCst);
    let mut service = layer.layer(gate);
    for _ in 0..5 {
        assert_ready!(poll_ready(&mut service)).unwrap();
        assert_eq!(service.call(0).await, Err(Error::Inner(Down)));
    }
    assert_ready!(poll_ready(&mut service)).unwrap();
    advance(RECOVERY).await;
    assert!(service.call(1).await.unwrap_err().open().is_some());
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.snapshot().half_open_in_flight, 0);
    assert_ready!(poll_ready(&mut service)).unwrap();
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_waits_for_readiness_like_any_call() {
    let layer = layer();
    for _ in 0..5 {
        layer
            .breaker()
            .try_acquire()
            .unwrap()
            .record(Outcome::FAILURE);
    }
    advance(RECOVERY).await;
    let gate = Gate::default();
    let mut service = layer.layer(gate.clone());
    assert_pending!(poll_ready(&mut service));
    // Waiting takes no permit.
    assert_eq!(layer.breaker().state(), State::Open);
    gate.open.store(true, Ordering::SeqCst);
    assert_ready!(poll_ready(&mut service)).unwrap();
    assert_eq!(service.call(1).await, Ok(1));
    assert_eq!(layer.breaker().snapshot().half_open_successes, 1);
}

#[tokio::test(start_paused = true)]
async fn hanging_probes_are_given_up_through_the_service_too() {
    let layer = layer();
    let mut service = layer.layer(Probe::new(|n: u32| async move {
        if n == 0 { Err(Down) } else { pending().await }
    }));
    for _ in 0..5 {
        assert_ready!(poll_ready(&mut service)).unwrap();
        service.call(0).await.unwrap_err();
    }
    advance(RECOVERY).await;
    let mut hanging = Vec::new();
    for _ in 0..3 {
        assert_ready!(poll_ready(&mut service)).unwrap();
        hanging.push(service.call(1));
    }
    advance(Duration::from_secs(60)).await;
    assert_ready!(poll_ready(&mut service)).unwrap();
    let rejected: Result<u32, _> = service.call(1).await;
    assert_eq!(
        rejected.unwrap_err().open().unwrap().retry_after,
        RECOVERY * 2
    );
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_passes_through_and_counts_nothing() {
    struct Dead;
    impl Service<u32> for Dead {
        type Response = u32;
        type Error = Down;
        type Future = Ready<Result<u32, Down>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Down>> {
            Poll::Ready(Err(Down))
        }
        fn call(&mut self, _: u32) -> Self::Future {
            panic!("called although it is dead")
        }
    }
    let layer = layer();
    let mut service = layer.layer(Dead);
    let error = service.ready().await.map(|_| ()).unwrap_err();
    assert_eq!(error, Error::Inner(Down));
    assert_eq!(layer.breaker().snapshot().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limited_inner_service_keeps_working() {
    // ConcurrencyLimit holds its permit in the readied instance.
    let layer = layer();
    let service = layer.layer(ConcurrencyLimitLayer::new(1).layer(service_fn(answer)));
    for _ in 0..5 {
        service.clone().oneshot(0).await.unwrap_err();
    }
    assert!(
        service
            .clone()
            .oneshot(1)
            .await
            .unwrap_err()
            .open()
            .is_some()
    );
    advance(RECOVERY).await;
    for _ in 0..5 {
        assert_eq!(service.clone().oneshot(1).await, Ok(1));
    }
}

// --- rejection and results

#[tokio::test(start_paused = true)]
async fn a_rejected_call_does_not_reach_the_service() {
    let probe = Probe::new(answer);
    let state = probe.state();
    let layer = layer();
    let mut service = layer.layer(probe);
    for _ in 0..5 {
        let result = service.ready().await.unwrap().call(0).await;
        assert_eq!(result, Err(Error::Inner(Down)));
    }
    assert_eq!((state.calls(), state.readied()), (5, 5));
    for _ in 0..10 {
        let rejected = service.ready().await.unwrap().call(1).await.unwrap_err();
        assert_eq!(rejected.open().unwrap().retry_after, RECOVERY);
    }
    assert_eq!((state.calls(), state.readied()), (5, 5));
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn an_unused_readiness_survives_a_rejection() {
    let probe = Probe::new(answer);
    let layer = layer();
    let mut service = layer.layer(probe);
    service.ready().await.unwrap();
    layer.breaker().force_open();
    service.call(1).await.unwrap_err();
    layer.breaker().reset();
    // Still the readied instance: nothing has used it up.
    assert_eq!(service.call(1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn http_results_are_classified_and_passed_on_untouched() {
    let breaker = breaker(exact());
    let layer = CircuitBreakerLayer::new(breaker.clone(), HttpClassifier::default());
    let service = layer.layer(service_fn(|request: Request<u16>| async move {
        let status = StatusCode::from_u16(*request.body()).unwrap();
        let response = Response::builder()
            .status(status)
            .header("retry-after", "90")
            .body(status.as_u16());
        Ok::<_, Infallible>(response.unwrap())
    }));
    for status in [404, 500, 500, 500, 500, 429, 500] {
        let response = service.clone().oneshot(Request::new(status)).await.unwrap();
        assert_eq!(*response.body(), status);
        assert_eq!(response.headers()["retry-after"], "90");
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.retry_after(), Some(Duration::from_secs(90)));
}

#[test]
fn errors_say_what_happened() {
    let open = CircuitOpen {
        retry_after: Duration::from_millis(2_001),
    };
    let error: Error<Down> = Error::Open(open);
    assert_eq!(error.to_string(), "circuit open, retry in 3 s");
    let retry_after = Some(open.retry_after);
    assert_eq!(error.fault(), FaultKind::Rejected { retry_after });
    assert_eq!(open.fault(), FaultKind::Rejected { retry_after });

    let inner = Error::Inner(Down);
    assert_eq!(inner.to_string(), Down.to_string());
    assert_eq!(inner.fault(), FaultKind::NotSent);
    assert_eq!(inner.open(), None);
}

// --- shared state

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_one_layer_share_the_breaker() {
    let layer = layer();
    let clone = layer.clone();
    let services = [
        layer.layer(Probe::new(answer)),
        layer.layer(Probe::new(answer)),
        clone.layer(Probe::new(answer)),
    ];
    for n in 0..5 {
        let service = services[n % 3].clone();
        service.oneshot(0).await.unwrap_err();
    }
    for service in &services {
        assert_eq!(service.breaker().state(), State::Open);
        let rejected = service.clone().oneshot(1).await.unwrap_err();
        assert!(rejected.open().is_some());
    }
}

// --- cancellation

#[tokio::test(start_paused = true)]
async fn a_dropped_call_counts_nothing() {
    let probe = Probe::new(|_: u32| pending::<Result<u32, Down>>());
    let state = probe.state();
    let layer = layer();
    let mut service = layer.layer(probe);
    for polled in [false, true] {
        let mut call = task::spawn(service.ready().await.unwrap().call(1));
        if polled {
            assert_pending!(call.poll());
        }
        drop(call);
    }
    assert_eq!(state.cancelled(), 2);
    assert_eq!(layer.breaker().snapshot().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_probes_never_wedge_a_half_open_circuit() {
    let probe = Probe::new(|n: u32| async move {
        match n {
            0 => Err(Down),
            1 => pending().await,
            n => Ok(n),
        }
    });
    let layer = layer();
    let mut service = layer.layer(probe);
    for _ in 0..5 {
        service.ready().await.unwrap().call(0).await.unwrap_err();
    }
    advance(RECOVERY).await;
    for _ in 0..100 {
        let mut calls = Vec::new();
        for _ in 0..3 {
            let mut call = task::spawn(service.ready().await.unwrap().call(1));
            assert_pending!(call.poll());
            calls.push(call);
        }
        let fourth = service.ready().await.unwrap().call(1).await;
        assert!(fourth.unwrap_err().open().is_some());
    }
    for _ in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(2).await, Ok(2));
    }
    assert_eq!(layer.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_service_gives_the_probe_back() {
    let layer = layer();
    for _ in 0..5 {
        let permit = layer.breaker().try_acquire().unwrap();
        permit.record(Outcome::FAILURE);
    }
    advance(RECOVERY).await;
    let service = layer.layer(service_fn(|_: u32| async {
        if true {
            panic!("as planned");
        }
        Ok::<_, Down>(())
    }));
    let panicked = tokio::spawn(service.oneshot(1)).await;
    assert!(panicked.unwrap_err().is_panic());
    let snapshot = layer.breaker().snapshot();
    assert_eq!(
        (snapshot.state, snapshot.half_open_in_flight),
        (State::HalfOpen, 0)
    );
}
