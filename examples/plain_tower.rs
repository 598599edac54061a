//! Puts retry, rate limit and circuit breaker around a service that has nothing to do with HTTP.
//!
//! The layers know of it what the program tells them: which requests may be repeated, and how far
//! a failed one got. Here the service is a counter at the other end of a bad line.

#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::{collections::VecDeque, future::ready, sync::Arc, time::Duration};

use bartizan_backoff::Backoff;
use bartizan_circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use bartizan_classify::{ErrorsAreFailures, Fault, FaultKind, RequestClass};
use bartizan_clock::Clock;
use bartizan_rate_limit::{Quota, RateLimitLayer, RateLimiter, Waiting};
use bartizan_retry::{Policy, Reason, RetryBudget, RetryConfig, RetryLayer, Verdict};
use parking_lot::Mutex;
use thiserror::Error;
use tower::{ServiceBuilder, ServiceExt};

#[derive(Clone, Copy, Debug)]
enum Command {
    Get,
    Add(u64),
}
use Command::{Add, Get};

#[derive(Clone, Copy, Debug, Error)]
enum LineError {
    #[error("refused, so the store does not know of it")]
    Refused,
    #[error("the line broke before the answer came")]
    Lost,
}
use LineError::{Lost, Refused};

/// The one thing that all layers want to know of an error.
impl Fault for LineError {
    fn fault(&self) -> FaultKind {
        match self {
            Refused => FaultKind::NotSent,
            Lost => FaultKind::Interrupted,
        }
    }
}

/// What may be repeated: a command that never arrived, and reading.
#[derive(Clone, Copy, Debug)]
struct StorePolicy;

impl<E: Fault> Policy<Command, u64, E> for StorePolicy {
    fn class(&self, command: &Command) -> RequestClass {
        match command {
            Get => RequestClass::Safe,
            Add(_) => RequestClass::Unsafe,
        }
    }

    fn replay(&self, command: &Command) -> Option<Command> {
        Some(*command)
    }

    fn verdict(&self, class: RequestClass, result: Result<&u64, &E>) -> Verdict {
        let reason = match result.map_err(Fault::fault) {
            Err(FaultKind::NotSent) => Reason::NotSent,
            Err(FaultKind::Interrupted) if class.may_repeat() => Reason::Interrupted,
            // Success, what must not be repeated, and what our own layers refused.
            _ => return Verdict::Done,
        };
        Verdict::Retry {
            after: None,
            reason,
        }
    }
}

/// The store, and what the line to it will do to the next commands.
#[derive(Default)]
struct Store {
    counter: u64,
    trouble: VecDeque<LineError>,
}

fn exchange(store: &mut Store, command: Command) -> Result<u64, LineError> {
    let trouble = store.trouble.pop_front();
    if let (Add(number), None | Some(Lost)) = (command, trouble) {
        store.counter += number;
    }
    trouble.map_or(Ok(store.counter), Err)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::default();
    let backoff = Backoff::exponential(Duration::from_millis(10)).build()?;
    let retry = RetryConfig::builder().backoff(backoff).build()?;
    let budget = RetryBudget::with_defaults(clock);
    let limiter = RateLimiter::new(Quota::default(), clock);
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::default(), clock);

    let store = Arc::new(Mutex::new(Store::default()));
    let line = Arc::clone(&store);
    // Outermost first: the limiter and the breaker see every attempt, as the store does.
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(StorePolicy, retry, Some(budget), clock))
        .layer(RateLimitLayer::new(limiter).wait(Waiting::default()))
        .layer(CircuitBreakerLayer::new(breaker, ErrorsAreFailures))
        .service_fn(move |command| ready(exchange(&mut line.lock(), command)));

    let run = async |command: Command, trouble: &[LineError]| {
        store.lock().trouble.extend(trouble);
        let result = stack.clone().oneshot(command).await;
        let result = result.map_err(|error| error.to_string());
        println!("{command:?} with {trouble:?}: {result:?}");
    };
    run(Add(1), &[]).await;
    run(Get, &[Lost, Lost]).await;
    run(Add(1), &[Refused]).await;
    // Nobody knows whether this one was done, so it is the caller's to decide what to do.
    run(Add(1), &[Lost]).await;
    run(Get, &[Refused; 3]).await;
    // The fifth failure in a row: the retry does not get to the store any more.
    run(Get, &[Refused]).await;
    Ok(())
}
