//! A call that finds a token allocates nothing.

use std::{convert::Infallible, future::ready, hint::black_box};

use bartizan_clock::Clock;
use bartizan_rate_limit::{KeyedRateLimiter, Quota, RateLimitLayer, RateLimiter, Waiting};
use futures_util::FutureExt;
use tower::{Layer, Service, service_fn};

fn allocations(call: impl FnMut()) -> u64 {
    let mut call = call;
    // What is allocated once, such as the bucket of a new key, is not counted.
    call();
    allocation_counter::measure(|| (0..100).for_each(|_| call())).count_total
}

#[test]
fn neither_calls_nor_checks_nor_refusals_allocate() {
    let quota = Quota::per_minute(1).burst(1_000).build().unwrap();
    let clock = Clock::counter();
    let limiter = RateLimiter::new(quota, clock);
    let keyed = KeyedRateLimiter::<String>::new(quota, 1_000, clock);

    assert_eq!(allocations(|| assert!(limiter.check().is_ok())), 0);
    assert_eq!(
        allocations(|| assert!(keyed.check("a caller's name").is_ok())),
        0
    );

    let inner = service_fn(|request: String| ready(Ok::<_, Infallible>(request.len())));
    let request = || black_box(String::new());
    let mut service = RateLimitLayer::new(limiter.clone())
        .wait(Waiting::default())
        .layer(inner);
    let call = || assert!(service.call(request()).now_or_never().unwrap().is_ok());
    assert_eq!(allocations(call), 0);
    let mut service =
        RateLimitLayer::keyed_by_ref(keyed.clone(), |request: &String| &**request).layer(inner);
    let call = || assert!(service.call(request()).now_or_never().unwrap().is_ok());
    assert_eq!(allocations(call), 0);

    while limiter.check().is_ok() {}
    while keyed.check("a caller's name").is_ok() {}
    assert_eq!(allocations(|| assert!(limiter.check().is_err())), 0);
    assert_eq!(
        allocations(|| assert!(keyed.check("a caller's name").is_err())),
        0
    );
}
