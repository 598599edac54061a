use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;

use super::{
    InsertError, InvalidLimits, Session, SessionId, SessionLimits, entry::Entry, owners::Owners,
    pace::Pace, shard::Shard, usage::Usage, victims::Victims,
};

/// The sessions that a replica keeps, with a `T` for each.
///
/// Clones share them. Sessions whose time is over are found little by little by those who use
/// the table, and by [`Sessions::sweep`]; what was kept for them is dropped then, under no lock.
pub struct Sessions<T>(Arc<Table<T>>);

struct Table<T> {
    limits: SessionLimits,
    clock: Clock,
    shards: Box<[Shard<T>]>,
    owners: Owners<T>,
    /// How many sessions there are, or just begin.
    len: AtomicUsize,
    /// Locked when a session begins in a full table. The locks of shards may be taken under it.
    victims: Mutex<Victims>,
    sweeps: Pace,
    /// Which shard is swept next, counted up for ever.
    next_sweep: AtomicUsize,
}

/// Enough that threads rarely meet.
const SHARDS: usize = 32;

/// In how many parts of the idle time all shards are swept once.
const SWEEPS_PER_IDLE: u32 = 4;

/// How often room is made again when somebody else took it. Nobody loses that often by chance.
const TRIES: usize = 8;

impl<T> Sessions<T> {
    /// An empty table.
    ///
    /// # Errors
    ///
    /// When a duration of the limits is zero.
    pub fn new(limits: SessionLimits, clock: Clock) -> Result<Self, InvalidLimits> {
        limits.validate()?;
        let round = limits.idle.min(limits.lifetime) / SWEEPS_PER_IDLE;
        Ok(Self(Arc::new(Table {
            limits,
            clock,
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            owners: Owners::new(),
            len: AtomicUsize::new(0),
            victims: Mutex::default(),
            sweeps: Pace::new(round, SHARDS, clock.now()),
            next_sweep: AtomicUsize::new(0),
        })))
    }

    /// The session with this id, if it is there and belongs to `owner`.
    ///
    /// It is in use, and afterwards not idle, from now on. Allocates nothing.
    #[must_use]
    pub fn get(&self, id: &SessionId, owner: &[u8]) -> Option<Session<T>> {
        let table = &*self.0;
        let now = table.clock.now();
        table.sweep_due(now);
        table
            .shard(id)
            .look(id, |entry| {
                let found = *entry.owner == *owner && !entry.is_over(now, &table.limits);
                found.then(|| Session::of(entry, table.clock))
            })
            .flatten()
    }

    /// Adds a session, or gives the one that the owner already has with this id.
    ///
    /// Of several that add the same session at once, one does, and the values of the others are
    /// dropped. When there is no room, the session that was idle for longest ends: one of the
    /// same owner if that one has too many, otherwise any.
    ///
    /// # Errors
    ///
    /// When there is no room and no session is idle, or the id belongs to another owner.
    pub fn insert(&self, id: SessionId, owner: &[u8], value: T) -> Result<Session<T>, InsertError> {
        let table = &*self.0;
        let now = table.clock.now();
        table.sweep_due(now);
        drop(table.take(&id, |entry| entry.is_over(now, &table.limits)));
        let present = |entry: &Arc<Entry<T>>| {
            let ours = *entry.owner == *owner;
            ours.then(|| Session::of(entry, table.clock))
                .ok_or(InsertError::Taken)
        };
        if let Some(present) = table.shard(&id).look(&id, present) {
            return present;
        }
        table.make_room_of(owner)?;
        table.reserve(now)?;

        let mut owners = table.owners.part(owner);
        let inserted = if owners.count(owner) < table.limits.max_per_owner.get() {
            let entry = Arc::new(Entry {
                id,
                owner: owners.name(owner),
                created: now,
                usage: Usage::new(),
                value,
            });
            let session = Session::counted(Arc::clone(&entry), table.clock);
            match table.shard(&id).add(&entry, present) {
                Ok(()) => {
                    owners.add(entry);
                    return Ok(session);
                }
                Err(present) => {
                    drop(owners);
                    present
                }
            }
        } else {
            Err(InsertError::OwnerFull)
        };
        table.len.fetch_sub(1, Ordering::Relaxed);
        inserted
    }

    /// Ends a session of `owner`, and gives it for the last time.
    pub fn remove(&self, id: &SessionId, owner: &[u8]) -> Option<Session<T>> {
        let table = &*self.0;
        let now = table.clock.now();
        table.sweep_due(now);
        let entry = table.take(id, |entry| *entry.owner == *owner)?;
        (!entry.is_over(now, &table.limits)).then(|| Session::of(&entry, table.clock))
    }

    /// Ends all sessions whose time is over at `now`, and returns their number.
    ///
    /// To be called once in a while if there may be nobody who uses the table.
    pub fn sweep(&self, now: Instant) -> usize {
        self.0.end_all(|entry| entry.is_over(now, &self.0.limits))
    }

    /// Ends all sessions for which such a thing is kept, those in use included, and returns their
    /// number.
    pub fn end_those(&self, is_one: impl Fn(&T) -> bool) -> usize {
        self.0.end_all(|entry| is_one(&entry.value))
    }

    /// Ends the session that was idle for longest; whether there was one.
    ///
    /// For who bounds how much sessions keep, and not only how many there are.
    pub fn end_longest_idle(&self) -> bool {
        self.0.evict(self.0.clock.now())
    }

    /// How many sessions there are, those whose time is over but that were not found yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len.load(Ordering::Relaxed)
    }

    /// Whether there are no sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The limits of the table.
    #[must_use]
    pub fn limits(&self) -> &SessionLimits {
        &self.0.limits
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("len", &self.len())
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

impl<T> Table<T> {
    fn shard(&self, id: &SessionId) -> &Shard<T> {
        // All bits of the last byte of a UUID are random.
        &self.shards[usize::from(id.as_bytes()[15]) % SHARDS]
    }

    /// Ends a session under a condition; the caller drops it, under no lock.
    fn take(
        &self,
        id: &SessionId,
        end: impl FnOnce(&Arc<Entry<T>>) -> bool,
    ) -> Option<Arc<Entry<T>>> {
        let entry = self.shard(id).take(id, end)?;
        self.forget(&entry);
        Some(entry)
    }

    /// Clears up behind a session that was taken out of its shard.
    fn forget(&self, entry: &Arc<Entry<T>>) {
        self.owners.part(&entry.owner).remove(entry);
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends the owner's longest idle session if it has as many as it may have.
    fn make_room_of(&self, owner: &[u8]) -> Result<(), InsertError> {
        for _ in 0..TRIES {
            let part = self.owners.part(owner);
            if part.count(owner) < self.limits.max_per_owner.get() {
                return Ok(());
            }
            let longest_idle = part.longest_idle(owner);
            drop(part);
            let (since, id) = longest_idle.ok_or(InsertError::OwnerFull)?;
            self.take(&id, |entry| entry.idle_since() == Some(since));
        }
        Err(InsertError::OwnerFull)
    }

    /// Counts one more session, for which it ends another if it must.
    fn reserve(&self, now: Instant) -> Result<(), InsertError> {
        let max = self.limits.max_sessions.get();
        let more = |len| (len < max).then_some(len + 1);
        for _ in 0..TRIES {
            let relaxed = Ordering::Relaxed;
            if self.len.fetch_update(relaxed, relaxed, more).is_ok() {
                return Ok(());
            }
            if !self.evict(now) {
                break;
            }
        }
        Err(InsertError::Full)
    }

    /// Ends the longest idle session of all.
    #[cold]
    fn evict(&self, now: Instant) -> bool {
        let mut victims = self.victims.lock();
        // One look costs as much as all sessions, and finds enough that it is rare.
        let count = (self.limits.max_sessions.get() / 64).clamp(1, 1024);
        for _ in 0..TRIES {
            while let Some((since, id)) = victims.pop() {
                let ended = self.take(&id, |entry| entry.idle_since() == Some(since));
                if ended.is_some() {
                    // What was kept for it is dropped under no lock.
                    drop(victims);
                    return true;
                }
            }
            let found = victims.look(now, count, |each| {
                self.shards
                    .iter()
                    .for_each(|shard| shard.each_idle(&mut *each));
            });
            if !found {
                break;
            }
        }
        false
    }

    fn sweep_due(&self, now: Instant) {
        for _ in 0..self.sweeps.due_parts(now) {
            let next = self.next_sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
            self.end(&self.shards[next], |entry| entry.is_over(now, &self.limits));
        }
    }

    fn end_all(&self, end: impl Fn(&Entry<T>) -> bool) -> usize {
        self.shards.iter().map(|shard| self.end(shard, &end)).sum()
    }

    fn end(&self, shard: &Shard<T>, end: impl Fn(&Entry<T>) -> bool) -> usize {
        let ended = shard.take_all(end);
        ended.iter().for_each(|entry| self.forget(entry));
        ended.len()
    }
}

#[cfg(test)]
mod tests;
