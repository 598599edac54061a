use std::{fmt, sync::Arc, time::Duration};

use bartizan_backoff::{Backoff, Jitter};
use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;

use super::{Cause, Child, Command, ExitReport, Limits, SpawnError, spawn, state::State};

/// When a program that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The pause after a death that came too soon, longer with each in a row. Default: 200 ms,
    /// doubling to 30 s, half of it random.
    pub backoff: Backoff,
    /// A child that lived this long did not die too soon. Default: 10 s, the time that clients
    /// give a server to initialise.
    pub stable_after: Duration,
    /// After this many deaths in a row, all too soon, a pause is an error instead of a wait.
    /// Default: 5, which with the default pauses is some six seconds of patience.
    pub flapping_after: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            backoff: Backoff::exponential(Duration::from_millis(200))
                .jitter(Jitter::Equal)
                .build()
                .expect("200 ms is neither zero nor above the default maximum"),
            stable_after: Duration::from_secs(10),
            flapping_after: 5,
        }
    }
}

/// Starts one program again and again, never twice at a time and not too often.
///
/// A connection dies with its child: there is nothing to take over, since requests under way and
/// the state of the session are lost with it. The next [`connect`](Supervisor::connect) starts a
/// new child. Nothing is started that nobody asked for.
///
/// The supervisor does not keep the child alive: whoever holds the [`Child`] does.
pub struct Supervisor {
    command: Command,
    limits: Limits,
    policy: RestartPolicy,
    clock: Clock,
    /// Held while a child is started, pauses included, which makes the callers queue.
    restarts: tokio::sync::Mutex<Restarts>,
    /// The child last started. Locked for moments.
    last: Mutex<Option<Arc<State>>>,
}

struct Restarts {
    /// Deaths in a row that came too soon.
    deaths: u32,
    next_start: Instant,
    /// Whether the child last started has been counted.
    judged: bool,
    random: fastrand::Rng,
}

impl Supervisor {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(command: Command, limits: Limits, policy: RestartPolicy) -> Self {
        Self {
            command,
            limits,
            policy,
            clock: Clock::default(),
            restarts: tokio::sync::Mutex::new(Restarts {
                deaths: 0,
                next_start: Instant::from_nanos(0),
                judged: false,
                random: fastrand::Rng::new(),
            }),
            last: Mutex::new(None),
        }
    }

    /// Starts a child, once the one before it is gone and a pause that is due has passed.
    ///
    /// # Errors
    ///
    /// [`SpawnError::Running`] while the child before it runs: share that one.
    /// [`SpawnError::Flapping`] when the program keeps dying; nothing is waited for then. And
    /// what [`spawn`] finds, which is not counted, since nothing was started.
    ///
    /// # Cancellation
    ///
    /// Dropping the future starts nothing, and the pauses go on counting.
    ///
    /// # Panics
    ///
    /// As [`spawn`] does.
    pub async fn connect(&self) -> Result<Child, SpawnError> {
        let mut restarts = self.restarts.lock().await;
        let last = self.last.lock().clone();
        if let Some(last) = last {
            if last.is_running() {
                return Err(SpawnError::Running { pid: last.id() });
            }
            let report = last.exited().await;
            restarts.judge(&report, &self.policy);
        }
        let pause = restarts.next_start - self.clock.now();
        if !pause.is_zero() {
            if restarts.deaths >= self.policy.flapping_after {
                return Err(SpawnError::Flapping {
                    deaths: restarts.deaths,
                    retry_after: pause,
                });
            }
            self.clock.sleep(pause).await;
        }
        let child = spawn(&self.command, &self.limits)?;
        *self.last.lock() = Some(child.handle().state().clone());
        restarts.judged = false;
        Ok(child)
    }

    /// How the child last started ended; none while it runs, or if none was started.
    #[must_use]
    pub fn last_exit(&self) -> Option<Arc<ExitReport>> {
        self.last.lock().as_ref().and_then(|last| last.report())
    }

    /// What is started.
    pub fn command(&self) -> &Command {
        &self.command
    }
}

impl Restarts {
    fn judge(&mut self, report: &ExitReport, policy: &RestartPolicy) {
        if std::mem::replace(&mut self.judged, true) {
            return;
        }
        let asked_for = matches!(report.cause, Cause::Stopped | Cause::Abandoned);
        if report.uptime >= policy.stable_after {
            self.deaths = 0;
            self.next_start = report.ended;
        } else if !asked_for {
            self.deaths = self.deaths.saturating_add(1);
            let pause = policy.backoff.delay(self.deaths, &mut self.random);
            self.next_start = report.ended + pause;
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("command", &self.command)
            .field("limits", &self.limits)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
