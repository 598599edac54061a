use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bartizan_clock::{Clock, Instant};
use thiserror::Error;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    Entry, RegisteredService, Registry, RegistryState, RegistryWatch, Watch, registry::Board,
};

/// Instances that register themselves, or that an operator registers, kept in memory.
///
/// An instance that is registered with a time to live leaves when it has not been heard of for
/// that long; one without stays until it is taken out. Nothing survives the process: what must,
/// belongs into a registry file.
///
/// ```
/// use bartizan_discovery::{Instance, Registrations};
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registrations = Registrations::builder().spawn();
/// let watch = registrations.service("users");
/// let instance = Instance::new("http://10.0.0.1:8080")?.with_id("users-1")?;
/// registrations.register("users", instance, Some(Duration::from_secs(30)))?;
/// assert_eq!(watch.current().instances.len(), 1);
/// registrations.heartbeat("users", "users-1")?;
/// registrations.deregister("users", "users-1")?;
/// assert!(watch.current().instances.is_empty());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Registrations {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Registrations {
    /// A builder of an empty source.
    pub fn builder() -> RegistrationsBuilder {
        RegistrationsBuilder {
            // Twice the set that everything here is measured with.
            capacity: 20_000,
            clock: Clock::default(),
        }
    }

    /// Adds an instance to a service, for as long as `ttl` says from now on; true when it takes
    /// the place of one with its id.
    ///
    /// Costs time in proportion to the instances of the service, because its whole set is
    /// published at once.
    ///
    /// # Errors
    ///
    /// When the name of the service is empty, the time to live zero, or no room left.
    pub fn register(
        &self,
        service: &str,
        entry: impl Into<Entry>,
        ttl: Option<Duration>,
    ) -> Result<bool, RegistrationError> {
        if service.is_empty() {
            return Err(RegistrationError::NoService);
        }
        if ttl.is_some_and(|ttl| ttl.is_zero()) {
            return Err(RegistrationError::ZeroTtl);
        }
        let entry = entry.into();
        let now = self.shared.clock.now();
        let mut known = self.shared.known();
        known.expire(now);
        let replaced = known.insert(
            service,
            entry,
            ttl.map(|ttl| (ttl, now + ttl)),
            &self.shared,
        )?;
        self.shared.publish(&mut known);
        self.shared.earlier.notify_one();
        Ok(replaced)
    }

    /// Hears of an instance: it stays for another time to live, which is returned, and is `None`
    /// when it stays anyway.
    ///
    /// # Errors
    ///
    /// When there is no such instance, or not any more: it must be registered again.
    pub fn heartbeat(
        &self,
        service: &str,
        id: &str,
    ) -> Result<Option<Duration>, RegistrationError> {
        let now = self.shared.clock.now();
        let mut known = self.shared.known();
        if known.expire(now) {
            self.shared.publish(&mut known);
        }
        known.renew(service, id, now)
    }

    /// Takes an instance out, and says what it was.
    ///
    /// # Errors
    ///
    /// When there is no such instance, or not any more.
    pub fn deregister(&self, service: &str, id: &str) -> Result<Entry, RegistrationError> {
        let now = self.shared.clock.now();
        let mut known = self.shared.known();
        known.expire(now);
        let removed = known.remove(service, id);
        self.shared.publish(&mut known);
        removed.ok_or_else(|| unknown(service, id))
    }

    /// All services, now and later. A service goes with its last instance.
    #[must_use]
    pub fn watch(&self) -> RegistryWatch {
        self.shared.board.watch()
    }

    /// All services now.
    #[must_use]
    pub fn current(&self) -> RegistryState {
        self.shared.board.current()
    }

    /// The instances of one service, now and later; it need not be known yet.
    #[must_use]
    pub fn service(&self, name: &str) -> Watch {
        self.shared.board.service(name)
    }
}

impl Drop for Registrations {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Builds [`Registrations`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RegistrationsBuilder {
    capacity: usize,
    clock: Clock,
}

impl RegistrationsBuilder {
    /// How many instances all services may have together. Default: 20,000.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// The clock that measures times to live. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Begins, with no instances.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self) -> Registrations {
        let shared = Arc::new(Shared {
            board: Board::new(),
            capacity: self.capacity,
            clock: self.clock,
            earlier: Arc::default(),
            known: Mutex::default(),
        });
        // Nobody has registered yet, which is an answer.
        shared.board.publish(Registry::default());
        let task = tokio::spawn(watch_deadlines(
            Arc::downgrade(&shared),
            Arc::clone(&shared.earlier),
            self.clock,
        ));
        Registrations { shared, task }
    }
}

/// Why a registration was refused or not found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The name of the service is empty.
    #[error("the name of the service must not be empty")]
    NoService,
    /// The time to live is zero.
    #[error("the time to live must be positive")]
    ZeroTtl,
    /// There are as many instances as there may be.
    #[error("{capacity} instances are registered, which is as many as may be")]
    Full {
        /// How many there may be.
        capacity: usize,
    },
    /// There is no such instance, or its time to live has run out.
    #[error(
        "service `{service}` has no instance `{id}`, or has not heard of it in time; register it again"
    )]
    Unknown {
        /// The service.
        service: Arc<str>,
        /// The instance that it does not have.
        id: Arc<str>,
    },
}

fn unknown(service: &str, id: &str) -> RegistrationError {
    RegistrationError::Unknown {
        service: service.into(),
        id: id.into(),
    }
}

#[derive(Debug)]
struct Shared {
    board: Board,
    capacity: usize,
    clock: Clock,
    /// Tells the task that a deadline may have come that is earlier than the one it waits for.
    earlier: Arc<Notify>,
    /// Locked by whoever registers, is heard of, or expires. Nothing waits under it.
    known: Mutex<Known>,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes all services, of which only those that changed are built anew.
    fn publish(&self, known: &mut Known) {
        for index in std::mem::take(&mut known.changed) {
            let name = Arc::clone(&known.services[index].name);
            let entries = known.members[index].iter().map(|it| it.entry.clone());
            known.services[index] = Arc::new(RegisteredService::new(name, entries.collect()));
        }
        let services = known
            .services
            .iter()
            .filter(|it| !it.instances.is_empty())
            .cloned();
        self.board
            .publish(Registry::new(services.collect(), Vec::new()));
        known.forget_empty();
    }
}

/// Ends what has not been heard of, as soon as its time has run out.
async fn watch_deadlines(shared: Weak<Shared>, earlier: Arc<Notify>, clock: Clock) {
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let mut known = shared.known();
            if known.expire(clock.now()) {
                shared.publish(&mut known);
            }
            known.deadlines.first().map(|(deadline, ..)| *deadline)
        };
        match next {
            Some(deadline) => {
                let wait = deadline - clock.now();
                let _ = tokio::time::timeout(wait, earlier.notified()).await;
            }
            None => earlier.notified().await,
        }
    }
}

#[derive(Debug)]
struct Member {
    entry: Entry,
    ttl: Option<(Duration, Instant)>,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order in which they came, as published last.
    services: Vec<Arc<RegisteredService>>,
    /// The same services as they are now, each in the order in which its instances came.
    members: Vec<Vec<Member>>,
    by_name: HashMap<Arc<str>, usize>,
    /// Those that are not yet published as they are.
    changed: BTreeSet<usize>,
    deadlines: BTreeSet<(Instant, Arc<str>, Arc<str>)>,
    count: usize,
}

impl Known {
    fn insert(
        &mut self,
        service: &str,
        entry: Entry,
        ttl: Option<(Duration, Instant)>,
        shared: &Shared,
    ) -> Result<bool, RegistrationError> {
        let id = Arc::clone(entry.instance.id());
        let before = self.find(service, &id);
        if before.is_none() && self.count >= shared.capacity {
            let capacity = shared.capacity;
            return Err(RegistrationError::Full { capacity });
        }
        let index = self.index(service);
        let name = Arc::clone(&self.services[index].name);
        if let Some((_, deadline)) = ttl {
            self.deadlines
                .insert((deadline, Arc::clone(&name), Arc::clone(&id)));
        }
        let member = Member { entry, ttl };
        self.changed.insert(index);
        let Some((_, position)) = before else {
            self.members[index].push(member);
            self.count += 1;
            return Ok(false);
        };
        let old = std::mem::replace(&mut self.members[index][position], member);
        let kept = old
            .ttl
            .filter(|(_, deadline)| ttl.is_none_or(|(_, new)| new != *deadline));
        if let Some((_, deadline)) = kept {
            self.deadlines.remove(&(deadline, name, id));
        }
        Ok(true)
    }

    fn renew(
        &mut self,
        service: &str,
        id: &str,
        now: Instant,
    ) -> Result<Option<Duration>, RegistrationError> {
        let found = self.find(service, id);
        let (index, position) = found.ok_or_else(|| unknown(service, id))?;
        let member = &mut self.members[index][position];
        let Some((ttl, deadline)) = &mut member.ttl else {
            return Ok(None);
        };
        let before = std::mem::replace(deadline, now + *ttl);
        let (ttl, after) = (*ttl, *deadline);
        let name = Arc::clone(&self.services[index].name);
        let id = Arc::clone(member.entry.instance.id());
        self.deadlines
            .remove(&(before, Arc::clone(&name), Arc::clone(&id)));
        // The task that waits for the earlier deadline finds nothing, and waits for this one.
        self.deadlines.insert((after, name, id));
        Ok(Some(ttl))
    }

    fn remove(&mut self, service: &str, id: &str) -> Option<Entry> {
        let (index, position) = self.find(service, id)?;
        let member = self.members[index].remove(position);
        if let Some((_, deadline)) = member.ttl {
            let name = Arc::clone(&self.services[index].name);
            let id = Arc::clone(member.entry.instance.id());
            self.deadlines.remove(&(deadline, name, id));
        }
        self.changed.insert(index);
        self.count -= 1;
        Some(member.entry)
    }

    /// Takes out all whose time has run out; true when there were any.
    fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((deadline, service, id)) = self.deadlines.first().cloned() {
            if deadline > now {
                break;
            }
            tracing::info!(%service, %id, "instance has not been heard of in time and is taken out");
            if self.remove(&service, &id).is_none() {
                self.deadlines.remove(&(deadline, service, id));
            }
            any = true;
        }
        any
    }

    fn find(&self, service: &str, id: &str) -> Option<(usize, usize)> {
        let index = *self.by_name.get(service)?;
        let is = |member: &Member| &**member.entry.instance.id() == id;
        Some((index, self.members[index].iter().position(is)?))
    }

    fn index(&mut self, service: &str) -> usize {
        if let Some(index) = self.by_name.get(service) {
            return *index;
        }
        let index = self.services.len();
        let service = Arc::new(RegisteredService::new(service, Vec::new()));
        self.by_name.insert(Arc::clone(&service.name), index);
        self.services.push(service);
        self.members.push(Vec::new());
        index
    }

    /// Services without instances are no more than a name that someone once used.
    fn forget_empty(&mut self) {
        if self.members.iter().all(|members| !members.is_empty()) {
            return;
        }
        let members = std::mem::take(&mut self.members);
        let services = std::mem::take(&mut self.services);
        self.by_name.clear();
        for (service, members) in services.into_iter().zip(members) {
            if !members.is_empty() {
                self.by_name
                    .insert(Arc::clone(&service.name), self.services.len());
                self.services.push(service);
                self.members.push(members);
            }
        }
    }
}

#[cfg(test)]
mod tests;
