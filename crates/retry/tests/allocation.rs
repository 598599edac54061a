//! What the layer adds to a call that succeeds.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bartizan_classify::RequestClass;
use bartizan_clock::Clock;
use bartizan_retry::{Policy, Reason, Retry, RetryBudget, RetryConfig, RetryLayer, Verdict};
use tower::{Layer, Service};

#[derive(Clone)]
struct Double;

impl Service<u32> for Double {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        ready(Ok(number * 2))
    }
}

#[derive(Clone, Copy)]
struct RetryOdd;

impl Policy<u32, u32, Infallible> for RetryOdd {
    fn class(&self, _: &u32) -> RequestClass {
        RequestClass::Safe
    }

    fn replay(&self, number: &u32) -> Option<u32> {
        Some(*number)
    }

    fn verdict(&self, _: RequestClass, result: Result<&u32, &Infallible>) -> Verdict {
        if result.is_ok_and(|number| number % 2 == 1) {
            Verdict::Retry {
                after: None,
                reason: Reason::Other,
            }
        } else {
            Verdict::Done
        }
    }
}

#[test]
fn a_first_attempt_that_succeeds_allocates_nothing() {
    let clock = Clock::counter();
    let budget = RetryBudget::with_defaults(clock);
    let layer = RetryLayer::new(RetryOdd, RetryConfig::default(), Some(budget), clock);
    let mut service = layer.layer(Double);
    let mut cx = Context::from_waker(Waker::noop());
    let allocations = allocation_counter::measure(|| {
        for number in 0..100 {
            assert!(service.poll_ready(&mut cx).is_ready());
            let future = pin!(service.call(number));
            assert_eq!(future.poll(&mut cx), Poll::Ready(Ok(number * 2)));
        }
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn the_future_stays_small() {
    type Added = <Retry<RetryOdd, Double> as Service<u32>>::Future;
    let added = size_of::<Added>() - size_of::<Ready<Result<u32, Infallible>>>();
    assert!(added <= 128, "{added}");
}
