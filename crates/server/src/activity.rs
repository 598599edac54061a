use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use crate::streams::Streams;

/// What one connection is doing, written by its own tasks and read by the sweep.
///
/// These few counters stand in for timers: an exchange costs two additions here, where hyper's
/// header timer costs an allocation, a clock reading and two turns at the timer wheel's lock.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Exchanges started in the upper half, under way in the lower.
    exchanges: AtomicU64,
    /// Successful reads from the socket. Only the connection's task writes it.
    reads: AtomicU32,
    /// Twice the number of writes to the socket, and one more while the client takes nothing. Only
    /// the connection's task writes it.
    writes: AtomicU32,
    /// Whether it speaks HTTP/2, where bytes may arrive that are no part of a request.
    multiplexed: AtomicBool,
    verdict: AtomicU8,
    /// Empty over HTTP/1, where an answer that is not taken holds up the connection.
    streams: OnceLock<Arc<Streams>>,
}

/// What a connection must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Go on.
    Serve = 0,
    /// Close when the exchanges under way are over; at once if there are none.
    Finish = 1,
    /// Close at once.
    Cut = 2,
}

/// An [`Activity`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) started: u32,
    pub(crate) in_flight: u32,
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    pub(crate) multiplexed: bool,
}

impl Snapshot {
    /// Whether the client has taken nothing of what there is for it since `before`.
    pub(crate) fn is_stuck_since(self, before: Self) -> bool {
        self.writes % 2 == 1 && self.writes == before.writes
    }
}

const STARTED: u64 = 1 << 32;

impl Activity {
    /// Counts an exchange until the guard is dropped.
    pub(crate) fn begin(activity: &Arc<Self>) -> InFlight {
        activity.exchanges.fetch_add(STARTED + 1, Ordering::Relaxed);
        InFlight(Arc::clone(activity))
    }

    /// Counts a read. Not for two tasks at a time: a plain addition is cheaper.
    pub(crate) fn read(&self) {
        let reads = self.reads.load(Ordering::Relaxed);
        self.reads.store(reads.wrapping_add(1), Ordering::Relaxed);
    }

    /// Notes whether the client took something. Not for two tasks at a time.
    pub(crate) fn wrote(&self, took_something: bool) {
        let writes = self.writes.load(Ordering::Relaxed);
        let writes = if took_something {
            (writes | 1).wrapping_add(1)
        } else {
            writes | 1
        };
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// Notes whether anything is left that the client has to take first. hyper asks at every turn, so
    /// that there was nothing is nothing that it took. Not for two tasks at a time.
    pub(crate) fn flushed(&self, is_flushed: bool) {
        let took_nothing = self.writes.load(Ordering::Relaxed) % 2 == 1;
        if !is_flushed || took_nothing {
            self.wrote(is_flushed);
        }
    }

    pub(crate) fn streams(&self) -> &Arc<Streams> {
        self.streams.get_or_init(Arc::default)
    }

    /// As [`Streams::sweep`].
    pub(crate) fn sweep_streams(&self, most: u32) -> Vec<Box<dyn Send>> {
        self.streams
            .get()
            .map_or_else(Vec::new, |streams| streams.sweep(most))
    }

    pub(crate) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let exchanges = self.exchanges.load(Ordering::Relaxed);
        Snapshot {
            started: (exchanges >> 32) as u32,
            in_flight: exchanges as u32,
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            multiplexed: self.multiplexed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::Acquire) {
            0 => Verdict::Serve,
            1 => Verdict::Finish,
            _ => Verdict::Cut,
        }
    }

    /// Passes a verdict; a milder one than before changes nothing. Whoever does so wakes the
    /// connection's task afterwards.
    pub(crate) fn decide(&self, verdict: Verdict) {
        self.verdict.fetch_max(verdict as u8, Ordering::Release);
    }
}

/// An exchange under way, from the request's headers to the end of the response's body.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_are_counted_on_many_threads() {
        let activity = Arc::new(Activity::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let one = Activity::begin(&activity);
                        let two = Activity::begin(&activity);
                        drop((one, two));
                    }
                });
            }
        });
        let kept = Activity::begin(&activity);
        let snapshot = activity.snapshot();
        assert_eq!((snapshot.started, snapshot.in_flight), (80_001, 1));
        drop(kept);
        assert_eq!(activity.snapshot().in_flight, 0);
    }

    #[test]
    fn the_count_of_started_exchanges_may_wrap() {
        let activity = Arc::new(Activity::default());
        activity
            .exchanges
            .store((u64::from(u32::MAX) << 32) | 3, Ordering::Relaxed);
        let one = Activity::begin(&activity);
        let snapshot = activity.snapshot();
        assert_eq!((snapshot.started, snapshot.in_flight), (0, 4));
        drop(one);
        assert_eq!(activity.snapshot().in_flight, 3);
    }

    #[test]
    fn verdicts_only_become_harsher() {
        let activity = Activity::default();
        assert_eq!(activity.verdict(), Verdict::Serve);
        activity.decide(Verdict::Cut);
        activity.decide(Verdict::Finish);
        assert_eq!(activity.verdict(), Verdict::Cut);
    }
}
