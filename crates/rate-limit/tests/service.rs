//! The layer: tower's contract, shared state, waiting inside the response.

use std::{convert::Infallible, future::poll_fn, time::Duration};

use bartizan_classify::{Fault, FaultKind};
use bartizan_clock::{Clock, Instant};
use bartizan_rate_limit::{
    Acquire, Error, KeyedRateLimiter, Limit, Patience, Priority, Quota, RateLimitLayer,
    RateLimiter, Waiting,
};
use bartizan_testkit::Probe;
use futures_util::future::{Ready, join_all, pending, ready};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

const PATIENT: Waiting = Waiting {
    max_wait: Duration::from_secs(60),
    max_waiting: 100,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Request {
    number: u64,
    priority: Priority,
    deadline: Option<Instant>,
}

fn request(number: u64) -> Request {
    Request {
        number,
        ..Request::default()
    }
}

fn limiter(burst: u32) -> RateLimiter {
    let quota = Quota::per_second(1).burst(burst).build().unwrap();
    RateLimiter::new(quota, Clock::tokio())
}

type Echo = Probe<fn(Request) -> Ready<Result<u64, Infallible>>>;

/// Answers with the number of the request.
fn probe() -> Echo {
    Probe::new(|request| ready(Ok(request.number)))
}

#[tokio::test(start_paused = true)]
async fn without_a_token_the_inner_service_is_not_called() {
    let probe = probe();
    let state = probe.state();
    let mut service = RateLimitLayer::new(limiter(1)).layer(probe);
    assert_eq!(service.ready().await.unwrap().call(request(7)).await, Ok(7));
    let error = service
        .ready()
        .await
        .unwrap()
        .call(request(8))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "rate limited, retry in 1 s");
    let rejected = FaultKind::Rejected {
        retry_after: Some(SECOND),
    };
    assert_eq!(error.fault(), rejected);
    assert_eq!(state.calls(), 1);
    advance(SECOND).await;
    assert_eq!(service.ready().await.unwrap().call(request(9)).await, Ok(9));
    // Nothing was cloned for any of them.
    assert_eq!(state.clones(), 0);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service() {
    let limiter = limiter(1);
    limiter.check().unwrap();
    let mut service = RateLimitLayer::new(limiter).layer(probe().ready_after(2));
    let mut readiness = task::spawn(poll_fn(|cx| service.poll_ready(cx)));
    assert_pending!(readiness.poll());
    assert_pending!(readiness.poll());
    assert_ready_ok!(readiness.poll());
    drop(readiness);
    assert!(matches!(
        service.call(request(1)).await,
        Err(Error::Limited(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_inner_service_pass_untouched() {
    let inner = service_fn(|_: ()| ready(Err::<(), _>(std::fmt::Error)));
    let service = RateLimitLayer::new(limiter(1)).layer(inner);
    assert_eq!(
        service.oneshot(()).await,
        Err(Error::Inner(std::fmt::Error))
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_calls_the_instance_that_was_made_ready() {
    let probe = probe();
    let state = probe.state();
    let limiter = limiter(1);
    let mut service = RateLimitLayer::new(limiter.clone())
        .wait(PATIENT)
        .layer(probe);
    // The probe panics when an instance is called that was not made ready.
    let first = service.ready().await.unwrap().call(request(1));
    let second = service.ready().await.unwrap().call(request(2));
    let third = service.ready().await.unwrap().call(request(3));
    assert_eq!((state.calls(), limiter.snapshot().waiting), (1, 2));
    assert_eq!(state.readied(), 3);
    assert_eq!(tokio::join!(third, second, first), (Ok(3), Ok(2), Ok(1)));
    assert_eq!((state.calls(), state.completed()), (3, 3));
    // One clone for each call that waited, and none was made ready behind its back.
    assert_eq!((state.clones(), state.readied()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn eight_clones_on_a_burst_of_three_all_get_through() {
    let limiter = limiter(3);
    let service = RateLimitLayer::new(limiter.clone())
        .wait(PATIENT)
        .layer(probe());
    let start = Clock::tokio().now();
    let answers = join_all((0..8).map(|n| service.clone().oneshot(request(n)))).await;
    assert_eq!(answers, (0..8).map(Ok).collect::<Vec<_>>());
    assert_eq!(Clock::tokio().now() - start, SECOND * 5);
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn the_state_belongs_to_the_layer() {
    let layer = RateLimitLayer::new(limiter(3));
    let one = layer.layer(probe());
    let two = layer.layer(probe());
    let three = layer.clone().layer(probe());
    for service in [&one, &two, &three] {
        assert!(service.clone().oneshot(request(0)).await.is_ok());
    }
    for service in [one, two, three] {
        assert!(service.oneshot(request(0)).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn requests_tell_their_priority_and_deadline() {
    let limiter = limiter(1);
    limiter.check().unwrap();
    let probe = probe();
    let state = probe.state();
    let service = RateLimitLayer::new(limiter)
        .wait(PATIENT)
        .priority(|request: &Request| request.priority)
        .deadline(|request: &Request| request.deadline)
        .layer(probe);
    let call = |request| task::spawn(service.clone().oneshot(request));
    let mut normal = call(request(1));
    assert_pending!(normal.poll());
    let mut high = call(Request {
        priority: Priority::High,
        ..request(2)
    });
    assert_pending!(high.poll());
    let mut hurried = call(Request {
        deadline: Some(Clock::tokio().now() + SECOND),
        ..request(3)
    });
    let Error::Limited(limited) = assert_ready_err!(hurried.poll());
    assert_eq!(limited.retry_after, SECOND * 3);
    assert_pending!(normal.poll());
    assert_pending!(high.poll());
    advance(SECOND).await;
    assert_pending!(normal.poll());
    assert_eq!(assert_ready_ok!(high.poll()), 2);
    assert_eq!(state.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_shed_is_not_made() {
    let limiter = limiter(1);
    limiter.check().unwrap();
    let probe = probe();
    let state = probe.state();
    let waiting = Waiting {
        max_waiting: 1,
        ..PATIENT
    };
    let service = RateLimitLayer::new(limiter)
        .wait(waiting)
        .priority(|request: &Request| request.priority)
        .layer(probe);
    let mut normal = task::spawn(service.clone().oneshot(request(1)));
    assert_pending!(normal.poll());
    let high = Request {
        priority: Priority::High,
        ..request(2)
    };
    let mut high = task::spawn(service.oneshot(high));
    assert_pending!(high.poll());
    assert!(normal.is_woken());
    let Error::Limited(limited) = assert_ready_err!(normal.poll());
    assert_eq!(limited.retry_after, SECOND * 2);
    assert_eq!(state.calls(), 0);
    advance(SECOND).await;
    assert_eq!(assert_ready_ok!(high.poll()), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_response_gives_up_the_place_or_the_call() {
    let limiter = limiter(1);
    let probe = Probe::new(|_: Request| pending::<Result<(), Infallible>>());
    let state = probe.state();
    let mut service = RateLimitLayer::new(limiter.clone())
        .wait(PATIENT)
        .layer(probe);
    let mut running = task::spawn(service.ready().await.unwrap().call(request(1)));
    let unpolled = service.ready().await.unwrap().call(request(2));
    let mut waiting = task::spawn(service.ready().await.unwrap().call(request(3)));
    assert_pending!(running.poll());
    assert_pending!(waiting.poll());
    assert_eq!(limiter.snapshot().waiting, 2);
    drop(unpolled);
    assert!(waiting.is_woken());
    drop(waiting);
    assert_eq!(limiter.snapshot().waiting, 0);
    drop(running);
    assert_eq!((state.calls(), state.cancelled()), (1, 1));
    // A call that waited, was admitted, and was dropped while it ran.
    let mut admitted = task::spawn(service.ready().await.unwrap().call(request(4)));
    assert_pending!(admitted.poll());
    advance(SECOND).await;
    assert_pending!(admitted.poll());
    assert_eq!(state.calls(), 2);
    drop(admitted);
    assert_eq!(state.cancelled(), 2);
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn keys_are_limited_each_for_itself() {
    let quota = Quota::per_second(1).burst(1).build().unwrap();
    let keyed = KeyedRateLimiter::new(quota, 10, Clock::tokio());
    let layer = RateLimitLayer::keyed(keyed.clone(), |request: &Request| request.number);
    let service = layer.layer(probe());
    for number in [1, 2, 3] {
        assert_eq!(service.clone().oneshot(request(number)).await, Ok(number));
        assert!(layer.layer(probe()).oneshot(request(number)).await.is_err());
    }
    assert_eq!(keyed.len(), 3);
    // Another layer of the same limiter, whose calls wait.
    let patient = RateLimitLayer::keyed(keyed, |request: &Request| request.number).wait(PATIENT);
    let start = Clock::tokio().now();
    assert_eq!(patient.layer(probe()).oneshot(request(2)).await, Ok(2));
    assert_eq!(Clock::tokio().now() - start, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_key_may_be_borrowed_from_the_request() {
    let quota = Quota::per_second(1).burst(1).build().unwrap();
    let keyed = KeyedRateLimiter::<String>::new(quota, 10, Clock::tokio());
    let layer = RateLimitLayer::keyed_by_ref(keyed, |request: &String| request.as_str());
    let inner = service_fn(|request: String| ready(Ok::<_, Infallible>(request)));
    let service = layer.layer(inner);
    assert!(service.clone().oneshot("a".into()).await.is_ok());
    assert!(service.clone().oneshot("a".into()).await.is_err());
    assert!(service.clone().oneshot("b".into()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_combined() {
    #[derive(Clone)]
    struct Both(KeyedRateLimiter<u64>, RateLimiter);

    impl Limit<Request> for Both {
        fn acquire<F: FnOnce() -> Patience>(&self, request: &Request, patience: F) -> Acquire {
            match self.0.check(&request.number) {
                Ok(_) => self.1.acquire_with(patience),
                Err(limited) => Acquire::decided(Err(limited)),
            }
        }
    }

    let quota = Quota::per_second(1).burst(1).build().unwrap();
    let both = Both(KeyedRateLimiter::new(quota, 10, Clock::tokio()), limiter(2));
    let service = RateLimitLayer::with(both).layer(probe());
    let mut passed = Vec::new();
    for number in [1, 1, 2, 3] {
        passed.push(service.clone().oneshot(request(number)).await.is_ok());
    }
    assert_eq!(passed, [true, false, true, false]);
}
