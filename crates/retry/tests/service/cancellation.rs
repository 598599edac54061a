use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_retry::{RetryBudget, RetryLayer};
use bartizan_testkit::ProbeState;
use tower::{Layer, Service, ServiceExt};

use crate::script::{BROKEN, Call, FINE, Outcome, Rules, Step, config, service};

/// A future that is polled by hand.
pub(crate) struct Spawned<F>(Pin<Box<F>>);

pub(crate) fn spawn<F: Future>(future: F) -> Spawned<F> {
    Spawned(Box::pin(future))
}

impl<F: Future> Spawned<F> {
    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }
}

impl<F: Future> Future for Spawned<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.as_mut().poll(cx)
    }
}

const TAKES: Duration = Duration::from_millis(500);
const DELAY: Duration = Duration::from_secs(1);

/// A call whose two attempts take half a second each and whose second needs two polls to become
/// ready, and what can be seen of it from outside. The budget has paid for exactly one retry.
async fn call() -> (
    Spawned<impl Future<Output = Outcome>>,
    Arc<ProbeState>,
    RetryBudget,
    Rules,
) {
    let step = |outcome| Step {
        takes: TAKES,
        outcome,
    };
    let (probe, _) = service([step(BROKEN), step(FINE)]);
    let probe = probe.ready_after(1);
    let state = probe.state();
    let budget = RetryBudget::new(1.0, 0, 1, Clock::tokio()).unwrap();
    let rules = Rules::default();
    let layer = RetryLayer::new(
        rules.clone(),
        config(2),
        Some(budget.clone()),
        Clock::tokio(),
    );
    let mut service = layer.layer(probe);
    let response = service.ready().await.unwrap().call(Call::default());
    (spawn(response), state, budget, rules)
}

#[tokio::test(start_paused = true)]
async fn during_the_first_attempt() {
    let (mut call, state, budget, rules) = call().await;
    assert!(call.poll().is_pending());
    drop(call);
    assert_eq!((state.calls(), state.cancelled()), (1, 1));
    assert_eq!(budget.balance(), 1.0);
    assert!(rules.told().finished.is_empty());
}

#[tokio::test(start_paused = true)]
async fn during_the_delay() {
    let (mut call, state, budget, rules) = call().await;
    assert!(call.poll().is_pending());
    tokio::time::advance(TAKES).await;
    assert!(call.poll().is_pending());
    assert_eq!(budget.balance(), 0.0, "withdrawn");
    drop(call);
    assert_eq!(
        (state.calls(), state.completed(), state.cancelled()),
        (1, 1, 0)
    );
    assert_eq!(budget.balance(), 1.0, "and given back");
    assert!(rules.told().retries.is_empty(), "it never was sent");
}

#[tokio::test(start_paused = true)]
async fn during_readiness() {
    let (mut call, state, budget, rules) = call().await;
    assert!(call.poll().is_pending());
    tokio::time::advance(TAKES).await;
    assert!(call.poll().is_pending());
    tokio::time::advance(DELAY + Duration::from_millis(1)).await;
    assert!(call.poll().is_pending());
    assert_eq!((state.calls(), state.readied()), (1, 1), "not ready again");
    drop(call);
    assert_eq!((state.completed(), state.cancelled()), (1, 0));
    assert_eq!(budget.balance(), 1.0);
    assert!(rules.told().retries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn during_the_second_attempt() {
    let (mut call, state, budget, rules) = call().await;
    assert!(call.poll().is_pending());
    tokio::time::advance(TAKES).await;
    assert!(call.poll().is_pending());
    tokio::time::advance(DELAY + Duration::from_millis(1)).await;
    assert!(call.poll().is_pending());
    assert!(call.poll().is_pending());
    assert_eq!(state.calls(), 2);
    drop(call);
    assert_eq!((state.completed(), state.cancelled()), (1, 1));
    assert_eq!(budget.balance(), 0.0, "it was sent");
    assert_eq!(rules.told().retries.len(), 1);
}

/// Whatever the poll after which the caller goes away: each retry either was sent or is back.
#[tokio::test(start_paused = true)]
async fn after_any_number_of_polls() {
    for polls in 0..400 {
        let (mut call, state, budget, rules) = call().await;
        let mut finished = false;
        for _ in 0..polls {
            if call.poll().is_ready() {
                finished = true;
                break;
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        drop(call);
        let retries = rules.told().retries.len();
        assert_eq!(state.calls(), 1 + retries);
        assert_eq!(state.completed() + state.cancelled(), state.calls());
        assert_eq!(budget.balance(), 1.0 - retries as f64);
        assert_eq!(rules.told().finished.len(), usize::from(finished));
        assert!(finished || polls < 399, "long enough to finish");
    }
}
