use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bartizan_backoff::{Backoff, Jitter};
use bartizan_classify::RequestClass;
use bartizan_clock::{Clock, Instant};
use bartizan_retry::{GiveUp, Policy, Reason, RetryConfig, RetryEvent, Verdict};
use bartizan_testkit::Probe;

/// A request. Not `Clone`, so that only the policy can copy it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Call {
    pub(crate) attempt: Option<u32>,
    pub(crate) class: RequestClass,
    pub(crate) deadline: Option<Instant>,
}

/// What a service answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Fine,
    Busy(Option<Duration>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Broken {
    NotSent,
    TimedOut,
    Rejected,
}

pub(crate) type Outcome = Result<Answer, Broken>;

/// One answer, and how long it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) takes: Duration,
    pub(crate) outcome: Outcome,
}

pub(crate) fn at_once(outcome: Outcome) -> Step {
    Step {
        takes: Duration::ZERO,
        outcome,
    }
}

pub(crate) const FINE: Outcome = Ok(Answer::Fine);
pub(crate) const BUSY: Outcome = Ok(Answer::Busy(None));
pub(crate) const BROKEN: Outcome = Err(Broken::NotSent);

pub(crate) fn busy_for(seconds: u64) -> Outcome {
    Ok(Answer::Busy(Some(Duration::from_secs(seconds))))
}

/// When a service saw which attempt, since the script began.
pub(crate) type Seen = Arc<Mutex<Vec<(Option<u32>, Duration)>>>;

type Answering = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A service that answers by a script, all of whose clones read on in the same one. A call too
/// many panics.
pub(crate) fn service(
    steps: impl IntoIterator<Item = Step>,
) -> (Probe<impl Clone + FnMut(Call) -> Answering>, Seen) {
    let clock = Clock::tokio();
    let start = clock.now();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let steps: Arc<Mutex<VecDeque<Step>>> = Arc::new(Mutex::new(steps.into_iter().collect()));
    let probe = Probe::new(move |call: Call| -> Answering {
        log.lock()
            .unwrap()
            .push((call.attempt, clock.now() - start));
        let step = steps.lock().unwrap().pop_front().expect("a call too many");
        Box::pin(async move {
            if !step.takes.is_zero() {
                tokio::time::sleep(step.takes).await;
            }
            step.outcome
        })
    });
    (probe, seen)
}

/// What the policy was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) copies: u32,
    pub(crate) classes: u32,
    pub(crate) verdicts: u32,
    pub(crate) retries: Vec<(u32, Duration, Reason)>,
    pub(crate) gave_up: Vec<GiveUp>,
    pub(crate) finished: Vec<(Outcome, u32)>,
}

/// Repeats what is broken or busy, except rejections.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    pub(crate) told: Arc<Mutex<Told>>,
    /// How many copies there can be.
    pub(crate) copies: Option<u32>,
    pub(crate) unsendable: bool,
    /// Whether outcomes are kept for the case that a rejection follows.
    pub(crate) keeps: bool,
}

impl Rules {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }
}

pub(crate) fn judge(outcome: Result<&Answer, &Broken>) -> Verdict {
    let retry = |after, reason| Verdict::Retry { after, reason };
    match outcome {
        Ok(Answer::Fine) | Err(Broken::Rejected) => Verdict::Done,
        Ok(Answer::Busy(after)) => retry(*after, Reason::Limited),
        Err(Broken::NotSent) => retry(None, Reason::NotSent),
        Err(Broken::TimedOut) => retry(None, Reason::TimedOut),
    }
}

impl Policy<Call, Answer, Broken> for Rules {
    fn class(&self, call: &Call) -> RequestClass {
        self.told().classes += 1;
        call.class
    }

    fn replay(&self, call: &Call) -> Option<Call> {
        let mut told = self.told();
        if self.copies == Some(told.copies) {
            return None;
        }
        told.copies += 1;
        Some(Call { ..*call })
    }

    fn verdict(&self, class: RequestClass, result: Result<&Answer, &Broken>) -> Verdict {
        self.told().verdicts += 1;
        if class == RequestClass::Unsafe && result == Err(&Broken::TimedOut) {
            return Verdict::Done;
        }
        judge(result)
    }

    fn replayable(&self, _: &Call) -> bool {
        !self.unsendable
    }

    fn deadline(&self, call: &Call) -> Option<Instant> {
        call.deadline
    }

    fn attempt(&self, call: &mut Call, attempt: u32) {
        assert_eq!(call.attempt, None, "the copy is unmarked");
        call.attempt = Some(attempt);
    }

    fn on_retry(&self, event: &RetryEvent) {
        let event = (event.attempt, event.delay, event.reason);
        self.told().retries.push(event);
    }

    fn keep(&self, outcome: Outcome) -> Option<Outcome> {
        self.keeps.then_some(outcome)
    }

    fn is_refusal(&self, outcome: Result<&Answer, &Broken>) -> bool {
        outcome == Err(&Broken::Rejected)
    }

    fn on_give_up(&self, why: GiveUp) {
        self.told().gave_up.push(why);
    }

    fn finish(&self, result: &mut Outcome, attempts: u32) {
        self.told().finished.push((*result, attempts));
    }
}

/// Delays of 1 s, 2 s, 4 s and so on, up to 10 s.
pub(crate) fn config(max_attempts: u32) -> RetryConfig {
    let backoff = Backoff::exponential(Duration::from_secs(1))
        .max(Duration::from_secs(10))
        .jitter(Jitter::None)
        .build()
        .unwrap();
    RetryConfig::builder()
        .max_attempts(max_attempts)
        .backoff(backoff)
        .build()
        .unwrap()
}

/// The moments of `seen`, in seconds.
pub(crate) fn seconds(seen: &Seen) -> Vec<(Option<u32>, f64)> {
    let whole_milliseconds = |at: Duration| at.as_millis() as f64 / 1e3;
    let seen = seen.lock().unwrap();
    seen.iter()
        .map(|(attempt, at)| (*attempt, whole_milliseconds(*at)))
        .collect()
}
