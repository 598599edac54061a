use std::time::Duration;

use crate::{
    ServerConfig,
    activity::{Snapshot, Verdict},
};

/// The client timeouts, counted in sweeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The time between two sweeps.
    pub(crate) tick: Duration,
    header: u32,
    pub(crate) idle: u32,
}

impl Limits {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let shortest = config.header_read_timeout.min(config.idle_timeout);
        // An eighth, so that two sweeps late is a quarter late at the worst, and no more than a
        // second: ten thousand connections are looked through in well under a millisecond.
        let tick = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        // One more than fits, because the first sweep that finds a connection idle does not
        // know for how much of the time since the last one it has been.
        let sweeps = |time: Duration| {
            let whole = time.as_nanos().div_ceil(tick.as_nanos()) + 1;
            u32::try_from(whole).unwrap_or(u32::MAX)
        };
        Self {
            tick,
            header: sweeps(config.header_read_timeout),
            idle: sweeps(config.idle_timeout),
        }
    }
}

/// What the sweeps have seen of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    last: Snapshot,
    /// Sweeps that found it without an exchange, in a row.
    quiet: u32,
    /// Those of them that found a request's headers begun and not ended.
    header: u32,
    /// Sweeps in a row that found the client to take nothing.
    stuck: u32,
    /// What the last sweep saw of one that was told to finish.
    told: Snapshot,
    /// Sweeps in a row that found it with nothing to finish.
    left: u32,
}

impl Watch {
    /// Looks at the connection once more; says what it must do now, if anything.
    pub(crate) fn look(&mut self, now: Snapshot, limits: &Limits) -> Option<Verdict> {
        let stuck = if now.is_stuck_since(self.last) {
            self.stuck.saturating_add(1)
        } else {
            0
        };
        // What was read or written since a sweep that found an exchange may have been part of it.
        let is_over = self.last.in_flight > 0;
        // hyper lets go of an answer when it has all of it, which may be long before the client has.
        let takes_answer = !now.multiplexed && now.writes != self.last.writes;
        let is_busy = now.in_flight > 0 || now.started != self.last.started || takes_answer;
        if is_busy || is_over || stuck > 0 {
            *self = Self {
                last: now,
                stuck,
                ..Self::default()
            };
            return (stuck >= limits.idle).then_some(Verdict::Cut);
        }
        self.quiet = self.quiet.saturating_add(1);
        // Until there was a request, everything is part of one: the silence, the handshake.
        let first = now.started == 0;
        if !now.multiplexed && (first || now.reads != self.last.reads) {
            self.header = self.header.saturating_add(1);
        }
        if self.header >= limits.header {
            return Some(Verdict::Cut);
        }
        if self.quiet >= limits.idle.saturating_add(limits.header) {
            // It was asked to close and did not.
            return Some(Verdict::Cut);
        }
        (self.quiet >= limits.idle).then_some(Verdict::Finish)
    }

    /// Looks at a connection that was told to finish; whether it had nothing to finish at several
    /// sweeps in a row, and did not close all the same.
    ///
    /// hyper closes one of HTTP/2 when its client has answered a ping, which one that is gone or
    /// asleep never does.
    pub(crate) fn is_left(&mut self, now: Snapshot) -> bool {
        const SWEEPS: u32 = 4;
        let has_nothing = now.multiplexed && now.in_flight == 0 && !now.is_stuck_since(self.told);
        let has_moved = now.writes != self.told.writes || now.started != self.told.started;
        self.told = now;
        self.left = if has_nothing && !has_moved {
            self.left + 1
        } else {
            0
        };
        self.left >= SWEEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::Activity;

    fn limits() -> Limits {
        Limits {
            tick: Duration::from_secs(1),
            header: 3,
            idle: 10,
        }
    }

    /// The sweep, counted from one, at which each verdict is first passed.
    fn verdicts(mut at: impl FnMut(u32) -> Snapshot) -> Vec<(u32, Verdict)> {
        let (mut watch, mut passed) = (Watch::default(), Vec::new());
        for sweep in 1..=40 {
            let Some(verdict) = watch.look(at(sweep), &limits()) else {
                continue;
            };
            if passed.last().is_none_or(|(_, last)| *last != verdict) {
                passed.push((sweep, verdict));
            }
        }
        passed
    }

    #[test]
    fn a_client_that_never_asks() {
        let silent = verdicts(|_| Snapshot::default());
        assert_eq!(silent, [(3, Verdict::Cut)]);
        let dripping = verdicts(|sweep| Snapshot {
            reads: sweep,
            ..Snapshot::default()
        });
        assert_eq!(dripping, [(3, Verdict::Cut)]);
    }

    #[test]
    fn an_idle_connection_is_asked_and_then_cut() {
        let idle = Snapshot {
            started: 7,
            reads: 9,
            ..Snapshot::default()
        };
        // The first sweep notices the exchange that is over.
        assert_eq!(
            verdicts(|_| idle),
            [(11, Verdict::Finish), (14, Verdict::Cut)]
        );
    }

    #[test]
    fn a_second_header_that_does_not_end() {
        let drip = verdicts(|sweep| Snapshot {
            started: 1,
            reads: if sweep < 5 { 1 } else { sweep },
            ..Snapshot::default()
        });
        assert_eq!(drip, [(7, Verdict::Cut)]);
    }

    #[test]
    fn an_exchange_may_take_as_long_as_it_likes() {
        let streaming = Snapshot {
            started: 1,
            in_flight: 1,
            ..Snapshot::default()
        };
        assert_eq!(verdicts(|_| streaming), []);
    }

    #[test]
    fn a_client_that_takes_nothing_of_its_answers_is_cut() {
        let streaming = |took: u32| {
            let activity = Activity::default();
            for _ in 0..took {
                activity.wrote(true);
            }
            activity.wrote(false);
            Snapshot {
                started: 1,
                in_flight: 1,
                ..activity.snapshot()
            }
        };
        // It begins to take nothing between the first two sweeps.
        let stuck = verdicts(|sweep| streaming(sweep.min(2)));
        assert_eq!(stuck, [(12, Verdict::Cut)]);
        let slow = verdicts(|sweep| streaming(sweep / 9));
        assert_eq!(slow, []);
    }

    #[test]
    fn what_a_long_body_left_behind_is_no_header() {
        let uploaded = verdicts(|sweep| Snapshot {
            started: 1,
            in_flight: u32::from(sweep == 1),
            reads: if sweep == 1 { 2 } else { 5 },
            ..Snapshot::default()
        });
        assert_eq!(uploaded, [(12, Verdict::Finish), (15, Verdict::Cut)]);
    }

    #[test]
    fn an_answer_that_is_being_taken_is_not_cut() {
        let taken = verdicts(|sweep| Snapshot {
            started: 1,
            writes: 2 * sweep,
            ..Snapshot::default()
        });
        assert_eq!(taken, []);
    }

    #[test]
    fn who_is_told_to_finish_and_has_nothing_to_is_left_soon() {
        let left = |at: &dyn Fn(u32) -> Snapshot| {
            let mut watch = Watch::default();
            (1..=20).find(|sweep| watch.is_left(at(*sweep)))
        };
        let idle = Snapshot {
            started: 1,
            multiplexed: true,
            ..Snapshot::default()
        };
        assert_eq!(left(&|_| idle), Some(5));
        assert_eq!(
            left(&|_| Snapshot {
                in_flight: 1,
                ..idle
            }),
            None
        );
        assert_eq!(
            left(&|sweep| Snapshot {
                writes: 2 * sweep,
                ..idle
            }),
            None
        );
        // Over HTTP/1 it has closed, or a header is on its way.
        assert_eq!(
            left(&|_| Snapshot {
                multiplexed: false,
                ..idle
            }),
            None
        );
    }

    #[test]
    fn short_exchanges_between_sweeps_are_seen() {
        let busy = |sweep| Snapshot {
            started: sweep,
            reads: sweep,
            ..Snapshot::default()
        };
        assert_eq!(verdicts(busy), []);
    }

    #[test]
    fn frames_are_not_headers() {
        let pinging = verdicts(|sweep| Snapshot {
            reads: sweep,
            multiplexed: true,
            ..Snapshot::default()
        });
        assert_eq!(pinging, [(10, Verdict::Finish), (13, Verdict::Cut)]);
    }

    #[test]
    fn no_sooner_than_the_time_says() {
        for (header, idle) in [(10_000, 75_000), (200, 100), (80, 9_000), (1, 1)] {
            let config = ServerConfig {
                header_read_timeout: Duration::from_millis(header),
                idle_timeout: Duration::from_millis(idle),
                ..ServerConfig::default()
            };
            let limits = Limits::new(&config);
            for (sweeps, time) in [
                (limits.header, config.header_read_timeout),
                (limits.idle, config.idle_timeout),
            ] {
                assert!(limits.tick * (sweeps - 1) >= time, "{limits:?} {time:?}");
                assert!(limits.tick * (sweeps - 2) < time, "{limits:?} {time:?}");
            }
        }
    }
}
