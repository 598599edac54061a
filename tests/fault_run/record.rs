use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;

/// The width of a row of the time series.
const ROW: Duration = Duration::from_millis(100);

/// What happened when, since a moment that all know.
///
/// Clones are the same record.
#[derive(Clone, Debug)]
pub(crate) struct Record(Arc<Mutex<Inner>>, Clock);

#[derive(Debug)]
struct Inner {
    start: Instant,
    arrivals: Vec<(Duration, &'static str)>,
    answers: Vec<(Answered, Outcome)>,
}

/// A call that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) id: usize,
    pub(crate) begun: Duration,
    pub(crate) ended: Duration,
}

/// What a caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// An instance answered with this status.
    Answered(u64),
    /// No instance answered.
    Lost(String),
    /// The gateway asked nobody.
    Refused(String),
}

impl Record {
    pub(crate) fn begin() -> Self {
        let clock = Clock::default();
        let inner = Inner {
            start: clock.now(),
            arrivals: Vec::new(),
            answers: Vec::new(),
        };
        Self(Arc::new(Mutex::new(inner)), clock)
    }

    /// Forgets what was, and counts from now on.
    pub(crate) fn start_over(&self) {
        let mut inner = self.0.lock();
        inner.start = self.1.now();
        inner.arrivals.clear();
    }

    pub(crate) fn now(&self) -> Duration {
        self.1.now() - self.0.lock().start
    }

    pub(crate) async fn until(&self, at: Duration) {
        let now = self.now();
        tokio::time::sleep(at.saturating_sub(now)).await;
    }

    /// A call has arrived at an instance.
    pub(crate) fn arrived(&self, instance: &'static str) {
        let now = self.now();
        self.0.lock().arrivals.push((now, instance));
    }

    /// A call has been answered.
    pub(crate) fn answered(&self, id: usize, begun: Duration, outcome: Outcome) {
        let ended = self.now();
        let answered = Answered { id, begun, ended };
        self.0.lock().answers.push((answered, outcome));
    }

    pub(crate) fn answers(&self) -> Vec<(Answered, Outcome)> {
        self.0.lock().answers.clone()
    }

    /// How many calls have arrived at an instance since then.
    pub(crate) fn arrivals(&self, instance: &str, since: Duration) -> usize {
        let inner = self.0.lock();
        let arrivals = inner.arrivals.iter();
        arrivals
            .filter(|(at, it)| *it == instance && *at >= since)
            .count()
    }

    /// When the first call after this moment came to an instance.
    pub(crate) fn first_arrival(&self, instance: &str, after: Duration) -> Option<Duration> {
        let inner = self.0.lock();
        let mut arrivals = inner.arrivals.iter();
        let first = arrivals.find(|(at, it)| *it == instance && *at > after);
        first.map(|(at, _)| *at)
    }

    /// The share of an instance in all calls that arrived in this time.
    pub(crate) fn share(&self, instance: &str, from: Duration, to: Duration) -> f64 {
        let inner = self.0.lock();
        let all: Vec<_> = inner
            .arrivals
            .iter()
            .filter(|(at, _)| (from..to).contains(at))
            .collect();
        let own = all.iter().filter(|(_, it)| *it == instance).count();
        own as f64 / all.len().max(1) as f64
    }

    /// Writes the time series to a file of this name, where the build keeps what tests write.
    pub(crate) fn save(&self, name: &str) {
        let inner = self.0.lock();
        let end = inner.answers.iter().map(|(answer, _)| answer.ended).max();
        let rows = end.unwrap_or_default().as_millis() / ROW.as_millis() + 1;
        let mut text =
            "milliseconds,a,b,c,success,answered,lost,refused,median_ms,slowest_ms\n".to_owned();
        for row in 0..rows as u32 {
            let within = |at: Duration| (ROW * row..ROW * (row + 1)).contains(&at);
            let arrived = |instance: &str| {
                let arrivals = inner.arrivals.iter();
                arrivals
                    .filter(|(at, it)| *it == instance && within(*at))
                    .count()
            };
            let ended: Vec<_> = inner
                .answers
                .iter()
                .filter(|(it, _)| within(it.ended))
                .collect();
            let count = |of: fn(&Outcome) -> bool| ended.iter().filter(|(_, it)| of(it)).count();
            let mut taken: Vec<_> = ended
                .iter()
                .map(|(it, _)| (it.ended - it.begun).as_millis())
                .collect();
            taken.sort_unstable();
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{},{},{}",
                (ROW * row).as_millis(),
                arrived("a"),
                arrived("b"),
                arrived("c"),
                count(|it| *it == Outcome::Success),
                count(|it| matches!(it, Outcome::Answered(_))),
                count(|it| matches!(it, Outcome::Lost(_))),
                count(|it| matches!(it, Outcome::Refused(_))),
                taken.get(taken.len() / 2).copied().unwrap_or_default(),
                taken.last().copied().unwrap_or_default(),
            );
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
        std::fs::create_dir_all(&directory).expect("a directory for the series");
        std::fs::write(directory.join(format!("{name}.csv")), text).expect("a file for the series");
    }
}
