use std::{
    future::{Ready, pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use bartizan_retry::{GiveUp, Policy, RetryBudget, RetryLayer, Verdict};
use tower::{
    BoxError, Layer, Service, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit, service_fn,
};

use crate::script::{
    Answer, BROKEN, BUSY, Broken, Call, FINE, Outcome, Rules, at_once, config, service,
};

fn layer(rules: &Rules) -> RetryLayer<Rules> {
    RetryLayer::new(rules.clone(), config(3), None, Clock::tokio())
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_a_readiness_of_its_own() {
    let rules = Rules::default();
    let (probe, _) = service([
        at_once(BROKEN),
        at_once(BROKEN),
        at_once(FINE),
        at_once(FINE),
    ]);
    let state = probe.state();
    let mut service = layer(&rules).layer(probe);
    assert_eq!(state.clones(), 1, "what retries are cloned from");
    // The probe panics when it is called without having been made ready.
    assert_eq!(
        service.ready().await.unwrap().call(Call::default()).await,
        FINE
    );
    assert_eq!((state.calls(), state.readied()), (3, 3));
    assert_eq!(state.clones(), 2, "the retries share one clone");
    assert_eq!(
        service.ready().await.unwrap().call(Call::default()).await,
        FINE
    );
    assert_eq!((state.calls(), state.readied()), (4, 4));
    assert_eq!(state.clones(), 2, "a call that succeeds clones nothing");
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_ready_service_is_not_ready() {
    let rules = Rules::default();
    let (probe, _) = service([at_once(FINE)]);
    let mut service = layer(&rules).layer(probe);
    service.ready().await.unwrap();
    assert_eq!(service.clone().oneshot(Call::default()).await, FINE);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_needs_a_poll_to_become_ready_gets_it() {
    let rules = Rules::default();
    let (probe, _) = service([at_once(BROKEN), at_once(FINE)]);
    let outcome = layer(&rules)
        .layer(probe.ready_after(1))
        .oneshot(Call::default())
        .await;
    assert_eq!(outcome, FINE);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_then_sheds_the_retry() {
    let rules = Rules::default();
    let (probe, seen) = service([at_once(BUSY)]);
    let budget = RetryBudget::new(1.0, 0, 1, Clock::tokio()).unwrap();
    let layer = RetryLayer::new(
        rules.clone(),
        config(3),
        Some(budget.clone()),
        Clock::tokio(),
    );
    let outcome = layer
        .layer(probe.ready_after(2))
        .oneshot(Call::default())
        .await;
    assert_eq!(outcome, BUSY, "the outcome before");
    assert_eq!(seen.lock().unwrap().len(), 1);
    let told = rules.told();
    assert_eq!(told.gave_up, [GiveUp::NotReady]);
    assert_eq!(told.finished, [(BUSY, 1)]);
    assert_eq!(budget.balance(), 1.0, "the retry went back");
}

/// Fails once, and then neither it nor its clones become ready any more.
#[derive(Clone)]
struct Worn {
    calls: Arc<AtomicUsize>,
    then: Poll<Result<(), Broken>>,
    /// Counts the instances.
    _alive: Arc<()>,
}

impl Service<Call> for Worn {
    type Response = Answer;
    type Error = Broken;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.calls.load(Ordering::SeqCst) > 0 {
            self.then
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn call(&mut self, _: Call) -> Ready<Outcome> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(BUSY)
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_waits_or_fails_sheds_the_retry_and_is_let_go() {
    for then in [Poll::Pending, Poll::Ready(Err(Broken::NotSent))] {
        let rules = Rules::default();
        let alive = Arc::new(());
        let worn = Worn {
            calls: Arc::default(),
            then,
            _alive: Arc::clone(&alive),
        };
        let mut service = layer(&rules).layer(worn);
        let response = service.ready().await.unwrap().call(Call::default());
        let mut response = Box::pin(response);
        assert_eq!(response.as_mut().await, BUSY);
        assert_eq!(rules.told().gave_up, [GiveUp::NotReady]);
        drop(service);
        assert_eq!(Arc::strong_count(&alive), 1, "before the future is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_buffer_and_a_concurrency_limit_are_made_ready_as_they_want() {
    let rules = Rules::default();
    let (probe, seen) = service([at_once(BROKEN), at_once(BROKEN), at_once(FINE)]);
    // One permit: the first attempt must have given it back before the second asks for it.
    let limited = ConcurrencyLimit::new(probe, 1);
    let outcome = layer(&rules).layer(limited).oneshot(Call::default()).await;
    assert_eq!(outcome, FINE);
    assert_eq!(seen.lock().unwrap().len(), 3);

    let (probe, seen) = service([at_once(BUSY), at_once(FINE)]);
    let buffered = Buffer::new(probe.map_err(|_| "broken"), 1);
    let outcome = RetryLayer::new(Busy, config(3), None, Clock::tokio())
        .layer(buffered)
        .oneshot(Call::default())
        .await
        .unwrap();
    assert_eq!(outcome, Answer::Fine);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[derive(Clone, Copy)]
struct Busy;

impl Policy<Call, Answer, BoxError> for Busy {
    fn class(&self, call: &Call) -> RequestClass {
        call.class
    }

    fn replay(&self, call: &Call) -> Option<Call> {
        Some(Call { ..*call })
    }

    fn verdict(&self, _: RequestClass, result: Result<&Answer, &BoxError>) -> Verdict {
        crate::script::judge(result.map_err(|_| &Broken::Rejected))
    }
}

#[tokio::test(start_paused = true)]
async fn a_saturated_limit_sheds_the_retry() {
    let rules = Rules::default();
    let inner = service_fn(|call: Call| async move {
        if call.deadline.is_some() {
            pending().await
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            BUSY
        }
    });
    let limited = ConcurrencyLimit::new(inner, 1);
    let mut service = layer(&rules).layer(limited);
    let retried = service.ready().await.unwrap().call(Call::default());
    let retried = tokio::spawn(retried);
    // Takes the permit as soon as the first attempt is over, and keeps it.
    let hog = Call {
        deadline: Some(Clock::tokio().now()),
        ..Call::default()
    };
    let hog = tokio::spawn(service.oneshot(hog));
    assert_eq!(retried.await.unwrap(), BUSY);
    assert_eq!(rules.told().gave_up, [GiveUp::NotReady]);
    hog.abort();
}
