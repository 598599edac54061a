use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Waker},
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::debug;

use crate::{
    Stats,
    activity::{Activity, Verdict},
    watch::{Limits, Watch},
};

/// All open connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    // Taken when a connection opens, is first polled and closes, and by the sweep; never by an
    // exchange.
    open: Mutex<Open>,
    closed: Notify,
    stats: Arc<Stats>,
    limits: Limits,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    /// Of the connection's task, once it has been polled.
    waker: Option<Waker>,
    watch: Watch,
}

impl Entry {
    fn decide(&self, verdict: Verdict) {
        self.activity.decide(verdict);
        // A task that has not been polled yet will see the verdict when it is.
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl Connections {
    pub(crate) fn new(limits: Limits, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            closed: Notify::new(),
            stats,
            limits,
        })
    }

    /// Counts a new connection until its ticket is dropped.
    pub(crate) fn enter(connections: &Arc<Self>) -> Ticket {
        let activity = Arc::new(Activity::default());
        let entry = Entry {
            activity: Arc::clone(&activity),
            waker: None,
            watch: Watch::default(),
        };
        let mut open = connections.open.lock();
        let id = open.next;
        open.next += 1;
        open.entries.insert(id, entry);
        drop(open);
        connections.stats.opened();
        Ticket {
            connections: Arc::clone(connections),
            activity,
            id,
            waker: None,
        }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().entries.len()
    }

    /// Looks at each connection and closes those whose time is up.
    pub(crate) fn sweep(&self) {
        let mut given_up = Vec::new();
        for entry in self.open.lock().entries.values_mut() {
            given_up.extend(entry.activity.sweep_streams(self.limits.idle));
            let (now, before) = (entry.activity.snapshot(), entry.activity.verdict());
            let verdict = entry.watch.look(now, &self.limits);
            if before == Verdict::Finish && entry.watch.is_left(now) {
                entry.decide(Verdict::Cut);
                continue;
            }
            if let Some(verdict) = verdict.filter(|verdict| *verdict > before) {
                if verdict == Verdict::Cut {
                    self.stats.cut_one();
                }
                entry.decide(verdict);
            }
        }
        if !given_up.is_empty() {
            debug!(
                answers = given_up.len(),
                "given up, as their clients took nothing of them"
            );
        }
    }

    /// Passes the same verdict on every connection.
    pub(crate) fn decide_all(&self, verdict: Verdict) {
        for entry in self.open.lock().entries.values() {
            entry.decide(verdict);
        }
    }

    /// Waits until none is open. For one waiter at a time.
    pub(crate) async fn emptied(&self) {
        while self.count() > 0 {
            self.closed.notified().await;
        }
    }
}

/// A connection's place among the [`Connections`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    connections: Arc<Connections>,
    activity: Arc<Activity>,
    id: u64,
    /// What is registered, so that the lock is taken once and not in every poll.
    waker: Option<Waker>,
}

impl Ticket {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// What the connection must do now. Wakes the task when that changes.
    #[inline]
    pub(crate) fn verdict(&mut self, cx: &Context<'_>) -> Verdict {
        let registered = self.waker.as_ref();
        if !registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.register(cx.waker());
        }
        self.activity.verdict()
    }

    #[cold]
    fn register(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
        if let Some(entry) = self.connections.open.lock().entries.get_mut(&self.id) {
            entry.waker = Some(waker.clone());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let entry = self.connections.open.lock().entries.remove(&self.id);
        drop(entry);
        self.connections.stats.closed();
        // Keeps one permit if nobody waits yet; whoever does counts again.
        self.connections.closed.notify_one();
    }
}
