use std::time::Duration;

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;

use super::HostError;
use crate::stdio::{Cause, ExitReport, RestartPolicy};

/// When a program whose processes keep dying may be started again.
///
/// It judges many processes of one program, of which each session has its own.
#[derive(Debug)]
pub(super) struct Pace {
    policy: RestartPolicy,
    /// Locked when a process begins and when it ends.
    deaths: Mutex<Deaths>,
}

#[derive(Debug)]
struct Deaths {
    /// Those in a row that came too soon.
    count: u32,
    /// When the last of them came.
    last: Instant,
    next_start: Instant,
    random: fastrand::Rng,
}

impl Pace {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            deaths: Mutex::new(Deaths {
                count: 0,
                last: Instant::from_nanos(0),
                next_start: Instant::from_nanos(0),
                random: fastrand::Rng::new(),
            }),
        }
    }

    /// Waits for a pause that is due.
    ///
    /// # Errors
    ///
    /// Instead of waiting, if too many processes died in a row.
    pub(super) async fn wait(&self, clock: Clock) -> Result<(), HostError> {
        let pause = self.pause(clock.now())?;
        if !pause.is_zero() {
            clock.sleep(pause).await;
        }
        Ok(())
    }

    fn pause(&self, now: Instant) -> Result<Duration, HostError> {
        let deaths = self.deaths.lock();
        let pause = deaths.next_start - now;
        if pause.is_zero() || deaths.count < self.policy.flapping_after {
            return Ok(pause);
        }
        let count = deaths.count;
        Err(HostError::Unsent {
            reason: format!("the process ended too soon {count} times in a row").into(),
            retry_after: Some(pause),
        })
    }

    /// Notes how a process ended.
    pub(super) fn judge(&self, report: &ExitReport, now: Instant) {
        let mut deaths = self.deaths.lock();
        let asked_for = matches!(report.cause, Cause::Stopped | Cause::Abandoned);
        if report.uptime >= self.policy.stable_after {
            deaths.count = 0;
        } else if !asked_for && now - deaths.last >= report.uptime {
            // One that was begun before the last one died would have died of the same: those are
            // one death. What died long before the last one has nothing to do with it.
            if now - deaths.next_start >= self.policy.stable_after {
                deaths.count = 0;
            }
            deaths.count = deaths.count.saturating_add(1);
            deaths.last = now;
            let count = deaths.count;
            deaths.next_start = now + self.policy.backoff.delay(count, &mut deaths.random);
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_backoff::{Backoff, Jitter};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(50);
    const STABLE: Duration = Duration::from_secs(10);

    fn pace() -> Pace {
        Pace::new(RestartPolicy {
            backoff: Backoff::linear(PAUSE).jitter(Jitter::None).build().unwrap(),
            stable_after: STABLE,
            flapping_after: 2,
        })
    }

    fn death(cause: Cause, uptime: Duration) -> ExitReport {
        ExitReport {
            pid: 1,
            status: None,
            cause,
            uptime,
            stderr_tail: String::new(),
            skipped_lines: 0,
        }
    }

    #[test]
    fn quick_deaths_are_spaced_and_then_refused() {
        let (pace, now) = (pace(), Instant::from_nanos(1));
        assert_eq!(pace.pause(now).unwrap(), Duration::ZERO);
        pace.judge(&death(Cause::Exited, Duration::ZERO), now);
        assert_eq!(pace.pause(now).unwrap(), PAUSE);
        let next = now + PAUSE;
        pace.judge(&death(Cause::Exited, Duration::ZERO), next);
        let Err(HostError::Unsent { retry_after, .. }) = pace.pause(next) else {
            panic!();
        };
        assert_eq!(retry_after, Some(PAUSE * 2));
        assert_eq!(pace.pause(next + PAUSE * 2).unwrap(), Duration::ZERO);
    }

    #[test]
    fn one_that_was_stopped_may_start_again_at_once() {
        let (pace, now) = (pace(), Instant::from_nanos(1));
        for cause in [Cause::Stopped, Cause::Abandoned] {
            pace.judge(&death(cause, Duration::ZERO), now);
            assert_eq!(pace.pause(now).unwrap(), Duration::ZERO);
        }
    }

    #[test]
    fn processes_that_die_together_die_once() {
        let (pace, now) = (pace(), Instant::from_nanos(1_000_000_000));
        let uptime = Duration::from_millis(500);
        for late in 0..8 {
            let at = now + Duration::from_millis(late);
            pace.judge(&death(Cause::Exited, uptime), at);
        }
        assert_eq!(pace.deaths.lock().count, 1);
        assert_eq!(pace.pause(now).unwrap(), PAUSE);
        pace.judge(&death(Cause::Exited, uptime), now + PAUSE + uptime);
        assert_eq!(pace.deaths.lock().count, 2);
    }

    #[test]
    fn a_long_life_or_a_long_time_makes_up_for_earlier_deaths() {
        let (pace, now) = (pace(), Instant::from_nanos(1));
        let die = |uptime, at| {
            pace.judge(&death(Cause::Exited, uptime), at);
            pace.deaths.lock().count
        };
        assert_eq!([die(Duration::ZERO, now), die(Duration::ZERO, now)], [1, 2]);
        assert_eq!(die(STABLE, now), 0);
        assert_eq!([die(Duration::ZERO, now), die(Duration::ZERO, now)], [1, 2]);
        assert_eq!(die(Duration::ZERO, now + STABLE * 2), 1);
    }
}
