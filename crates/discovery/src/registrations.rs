mod error;
mod known;
mod members;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bartizan_clock::Clock;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{Entry, Registry, RegistryState, RegistryWatch, Watch, registry::Board};

pub use error::RegistrationError;

use known::{Bounds, Known};

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
            bounds: Bounds {
                // Twice the set that everything here is measured with.
                instances: 20_000,
                // Each has a balancer, a breaker and metrics of its own, and with each coming and
                // going all are looked at.
                services: 1_024,
                // As much as is read of a file.
                bytes: 32 << 20,
            },
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
        let ttl = ttl.map(|ttl| (ttl, now + ttl));
        let replaced = known.insert(service, entry, ttl, self.shared.bounds);
        // What has just expired is gone, whether or not there is room now.
        self.shared.publish(&mut known);
        self.shared.earlier.notify_one();
        replaced
    }

    /// Hears of an instance: it stays for another time to live, which is returned, and is `None`
    /// when it stays anyway.
    ///
    /// Costs the same however many instances there are, but for those that it finds out of time.
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
    /// Costs time in proportion to the instances of the service, as
    /// [`register`](Registrations::register) does.
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
        removed.ok_or_else(|| RegistrationError::unknown(service, id))
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
    bounds: Bounds,
    clock: Clock,
}

impl RegistrationsBuilder {
    /// How many instances all services may have together. Default: 20,000.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.bounds.instances = capacity;
        self
    }

    /// How many services may have instances at one time. Default: 1,024.
    pub fn services(mut self, services: usize) -> Self {
        self.bounds.services = services;
        self
    }

    /// How many bytes the [texts](Entry::raw) of all instances may have together; one that was not
    /// read from a text has none. Default: 32 MiB.
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
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
            bounds: self.bounds,
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

#[derive(Debug)]
struct Shared {
    board: Board,
    bounds: Bounds,
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
        self.board.publish(known.registry());
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
            known.next_deadline()
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

#[cfg(test)]
mod tests;
