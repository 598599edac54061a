//! Against tower's own retry with a policy that decides the same.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_classify::RequestClass;
use bartizan_clock::{Clock, Instant};
use bartizan_retry::{RetryConfig, RetryLayer, Verdict};
use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};
use tower::{Layer, Service, ServiceExt, retry::Retry as TowerRetry};

use crate::script::{Answer, Broken, Call, Outcome, Rules, Step, config, judge, seconds, service};

/// The rules of [`Rules`] and of the layer, in one request's tower policy.
#[derive(Clone)]
struct TowerRules {
    config: RetryConfig,
    attempts: u32,
    class: RequestClass,
    deadline: Option<Instant>,
    retries: Arc<Mutex<u32>>,
}

impl tower::retry::Policy<Call, Answer, Broken> for TowerRules {
    type Future = tokio::time::Sleep;

    fn retry(&mut self, call: &mut Call, result: &mut Outcome) -> Option<tokio::time::Sleep> {
        let Verdict::Retry { after, .. } = judge(result.as_ref()) else {
            return None;
        };
        let twice_may_harm = self.class == RequestClass::Unsafe;
        if twice_may_harm && *result == Err(Broken::TimedOut) {
            return None;
        }
        let backoff = self.config.backoff();
        let after = after.unwrap_or_default();
        let delay = backoff.ceiling(self.attempts).max(after);
        let late = |deadline| Clock::tokio().now() + delay >= deadline;
        if self.attempts == self.config.max_attempts()
            || after > backoff.max()
            || self.deadline.is_some_and(late)
        {
            return None;
        }
        self.attempts += 1;
        *self.retries.lock().unwrap() += 1;
        call.attempt = Some(self.attempts);
        Some(tokio::time::sleep(delay))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(Call { ..*call })
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        1 => Just(Ok(Answer::Fine)),
        3 => Just(Ok(Answer::Busy(None))),
        3 => (0_u64..15).prop_map(|s| Ok(Answer::Busy(Some(Duration::from_secs(s))))),
        3 => Just(Err(Broken::NotSent)),
        2 => Just(Err(Broken::TimedOut)),
        1 => Just(Err(Broken::Rejected)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    (0_u64..3_000, outcome()).prop_map(|(takes, outcome)| Step {
        takes: Duration::from_millis(takes),
        outcome,
    })
}

/// What happened: the outcome, when it came, and which attempts the service saw when.
type Story = (Outcome, Duration, Vec<(Option<u32>, f64)>);

/// On a paused clock of its own, so that both tell the same time.
fn tell<F: Future<Output = Story>>(story: impl FnOnce() -> F) -> Story {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async { story().await })
}

async fn through<S>(mut service: S, call: Call) -> (Outcome, Duration)
where
    S: Service<Call, Response = Answer, Error = Broken>,
{
    let clock = Clock::tokio();
    let start = clock.now();
    let outcome = service.ready().await.unwrap().call(call).await;
    (
        outcome,
        Duration::from_millis((clock.now() - start).as_millis() as u64),
    )
}

proptest! {
    #[test]
    fn the_same_script_has_the_same_story(
        steps in proptest::collection::vec(step(), 6),
        max_attempts in 1_u32..=6,
        class in prop_oneof![Just(RequestClass::Safe), Just(RequestClass::Unsafe)],
        patience in proptest::option::of(1_u64..30_000),
    ) {
        let config = config(max_attempts);
        let call = || Call {
            class,
            deadline: patience.map(|ms| Clock::tokio().now() + Duration::from_millis(ms)),
            ..Call::default()
        };
        let rules = Rules::default();
        let ours = tell(|| async {
            let (probe, seen) = service(steps.clone());
            let layer = RetryLayer::new(rules.clone(), config, None, Clock::tokio());
            let (outcome, took) = through(layer.layer(probe), call()).await;
            (outcome, took, seconds(&seen))
        });
        let retries = Arc::new(Mutex::new(0));
        let towers = tell(|| async {
            let (probe, seen) = service(steps.clone());
            let call = call();
            let policy = TowerRules {
                config,
                attempts: 1,
                class,
                deadline: call.deadline,
                retries: Arc::clone(&retries),
            };
            let (outcome, took) = through(TowerRetry::new(policy, probe), call).await;
            (outcome, took, seconds(&seen))
        });
        prop_assert_eq!(&ours, &towers);
        let told = rules.told();
        prop_assert_eq!(told.retries.len(), *retries.lock().unwrap() as usize);
        // A retry that was refused inside was none.
        let is_refused = ours.0 == Err(Broken::Rejected) && !told.retries.is_empty();
        let attempts = 1 + told.retries.len() as u32 - u32::from(is_refused);
        prop_assert_eq!(&told.finished, &[(ours.0, attempts)]);
    }
}
