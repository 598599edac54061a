use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_protocol::Envelope;
use bytes::Bytes;
use tokio::sync::{Notify, broadcast};

use super::{Door, call::changes_a_list, turns::all_changed};

/// How much news a listener may fall behind before it misses some.
const NEWS: usize = 256;

/// How long after who listens was told to ask for all lists they are told again. A server that loses
/// every session would have them ask, and lose another, without end.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// What is heard in the gateway's session with an upstream, and in those that take its place.
#[derive(Debug)]
pub(super) struct Tidings {
    news: broadcast::Sender<Bytes>,
    /// What the lists of this session are known by, unless others ask in its place.
    lists: Option<u64>,
    /// How often the upstream said that its lists have changed.
    changes: AtomicU64,
    /// Whether it said so in the session as it is now.
    has_own_lists: AtomicBool,
    /// Whether the session is lost, and none has taken its place.
    is_lost: AtomicBool,
    /// Until when nobody is told to ask for all lists, in nanoseconds of the gateway's clock.
    quiet_until: AtomicU64,
    /// Whether they are told at the end of that.
    is_due: AtomicBool,
    /// Told when another session may have taken the place of the one before.
    replaced: Arc<Notify>,
}

/// Lists that may be those of one session alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnLists {
    /// What they are known by.
    pub(super) key: u64,
    /// How often they have changed.
    pub(super) changes: u64,
}

impl Tidings {
    /// Those of a session whose lists are known by `lists`, if they may be its own.
    pub(super) fn new(lists: Option<u64>) -> Self {
        Self {
            news: broadcast::channel(NEWS).0,
            lists,
            changes: AtomicU64::new(0),
            has_own_lists: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            quiet_until: AtomicU64::new(0),
            is_due: AtomicBool::new(false),
            replaced: Arc::default(),
        }
    }

    /// Passes on what the upstream said to nobody in particular.
    pub(super) fn tell(&self, message: Bytes) {
        let _ = self.news.send(message);
    }

    /// What the upstream says to nobody in particular from now on.
    pub(super) fn news(&self) -> broadcast::Receiver<Bytes> {
        self.news.subscribe()
    }

    /// Notes what a message of the upstream's says about what is known of it: of the lists of this
    /// session alone, if only its client asks for lists in it.
    pub(super) fn heard(&self, door: &Door, envelope: &Envelope<'_>) {
        if self.lists.is_none() {
            door.heard(envelope);
        } else if changes_a_list(envelope) {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.has_own_lists.store(true, Ordering::Relaxed);
            door.heard_in_one(envelope);
        }
    }

    /// The lists of this session, once it was told that they have changed: they may be no other's.
    pub(super) fn own_lists(&self) -> Option<OwnLists> {
        let key = self.lists?;
        let has_own = self.has_own_lists.load(Ordering::Relaxed);
        has_own.then(|| OwnLists {
            key,
            changes: self.changes.load(Ordering::Relaxed),
        })
    }

    /// Told when another may have taken the place of the session with the upstream.
    pub(super) fn replaced(&self) -> Arc<Notify> {
        Arc::clone(&self.replaced)
    }

    /// Notes that the upstream has lost the session.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Notes that a session has begun, which may take the place of a lost one.
    pub(super) fn has_begun(self: &Arc<Self>, door: &Door) {
        // It was told of no change: its lists are everybody's.
        self.has_own_lists.store(false, Ordering::Relaxed);
        if self.is_lost.swap(false, Ordering::Relaxed) {
            self.is_back(door);
        }
    }

    /// Notes that the upstream may be another than it was, or was away: whoever listens asks for its
    /// lists again.
    pub(super) fn is_back(self: &Arc<Self>, door: &Door) {
        door.doubt_lists();
        door.doubt_tools();
        self.tell_of_lists(door.shared.clock());
        self.replaced.notify_waiters();
    }

    /// Tells who listens to ask for all lists: at the end of the quiet time if this falls into one.
    fn tell_of_lists(self: &Arc<Self>, clock: Clock) {
        let now = clock.now();
        let until = (now + TELL_AGAIN).as_nanos();
        let tells = |quiet| (quiet <= now.as_nanos()).then_some(until);
        let relaxed = Ordering::Relaxed;
        match self.quiet_until.fetch_update(relaxed, relaxed, tells) {
            Ok(_) => all_changed().for_each(|message| self.tell(message)),
            Err(_) if self.is_due.swap(true, relaxed) => {}
            Err(quiet) => {
                let rest = Duration::from_nanos(quiet - now.as_nanos());
                let tidings = Arc::downgrade(self);
                tokio::spawn(async move {
                    clock.sleep(rest).await;
                    if let Some(tidings) = tidings.upgrade() {
                        tidings.is_due.store(false, relaxed);
                        tidings.tell_of_lists(clock);
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_told_of_one_loss_hears_of_the_next_ones_once_and_later() {
        let (tidings, clock) = (Arc::new(Tidings::new(None)), Clock::tokio());
        let mut news = tidings.news();
        let all = all_changed().count();
        let mut told_in = async |time| {
            tokio::time::sleep(time).await;
            std::iter::from_fn(|| news.try_recv().ok()).count()
        };
        for _ in 0..3 {
            tidings.tell_of_lists(clock);
        }
        assert_eq!(told_in(TELL_AGAIN / 2).await, all);
        assert_eq!(told_in(TELL_AGAIN).await, all);
        assert_eq!(told_in(TELL_AGAIN * 2).await, 0);
    }
}
