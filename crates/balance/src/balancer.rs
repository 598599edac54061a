use std::{
    fmt,
    sync::{Arc, Weak},
};

use bartizan_clock::{Clock, Instant};
use bartizan_discovery::Instance;
use bartizan_health::{Health, Target, Transition};

use crate::{
    Endpoint, EndpointSnapshot, InvalidBalance, NoEndpoints, OutlierConfig, Picked, Strategy,
    Tried, fleet::Fleet, set::Entry,
};

/// Chooses an endpoint for each call.
///
/// There is no worker task and no queue: a pick reads the current set and a few atomics, and
/// returns. All clones share everything.
///
/// ```
/// use bartizan_balance::{Balancer, Strategy};
/// use bartizan_classify::Outcome;
/// use bartizan_clock::Clock;
/// use bartizan_discovery::parse_endpoints;
///
/// let instances = parse_endpoints("http://10.0.0.1:8080, http://10.0.0.2:8080").unwrap();
/// let balancer = Balancer::builder(Strategy::RoundRobin, Clock::default())
///     .build(&instances, |instance| format!("client of {}", instance.id()))
///     .unwrap();
///
/// let mut picked = balancer.pick(None).unwrap();
/// assert_eq!(picked.service(), "client of http://10.0.0.1:8080");
/// assert_eq!(picked.in_flight(), 1);
/// picked.record(Outcome::Success);
/// drop(picked);
///
/// assert_eq!(&**balancer.pick(None).unwrap().id(), "http://10.0.0.2:8080");
/// ```
pub struct Balancer<T> {
    pub(crate) fleet: Arc<Fleet<T>>,
}

// Not generic, so that `Balancer::builder` need not name the type that `build` finds out.
impl Balancer<()> {
    /// A builder of a balancer that chooses by `strategy`.
    pub fn builder(strategy: Strategy, clock: Clock) -> BalancerBuilder {
        BalancerBuilder {
            name: None,
            strategy,
            clock,
            outlier: Some(OutlierConfig::default()),
            panic_threshold: 0.5,
        }
    }
}

impl<T> Balancer<T> {
    /// The endpoint for a call; at once, or not at all.
    ///
    /// `key` is what [`Strategy::ConsistentHash`] goes by, see
    /// [`hash_key`](crate::hash_key); the other strategies ignore it.
    ///
    /// # Errors
    ///
    /// [`NoEndpoints`] when the set is empty, or when no endpoint of it is usable and the panic
    /// threshold is zero.
    #[inline]
    pub fn pick(&self, key: Option<u64>) -> Result<Picked<T>, NoEndpoints> {
        self.pick_among(key, None, Picked::new)
    }

    /// The endpoint for another attempt of a call: one that it has not tried, if there is any.
    ///
    /// When all that are usable have been tried, it is one of them again; a caller who would
    /// rather give up asks [`Tried::contains`].
    ///
    /// # Errors
    ///
    /// As [`Balancer::pick`].
    #[inline]
    pub fn pick_excluding(
        &self,
        key: Option<u64>,
        tried: &Tried,
    ) -> Result<Picked<T>, NoEndpoints> {
        self.pick_among(key, Some(tried), Picked::new)
    }

    /// The endpoint of this name, in whatever state it is, for a call that makes sense nowhere
    /// else: one within a session that the endpoint holds.
    #[must_use]
    pub fn pick_id(&self, id: &str) -> Option<Picked<T>> {
        self.pick_pinned(id, Picked::new)
    }

    /// The name of the endpoint that a call goes to now, for who has several messages to send to
    /// one endpoint. It had its turn; a call is counted only when one is made.
    ///
    /// # Errors
    ///
    /// As [`Balancer::pick`].
    pub fn choose(&self, key: Option<u64>) -> Result<Arc<str>, NoEndpoints> {
        self.pick_among(key, None, |entry, _| Arc::clone(entry.endpoint.id()))
    }

    /// The service that reaches the endpoint of this name, for who has something to ask of it that
    /// is no call: nothing is counted.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<Arc<T>> {
        let set = self.fleet.set();
        Some(Arc::clone(set.by_id(id)?.lanes.service()))
    }

    #[inline(always)]
    pub(crate) fn pick_among<P>(
        &self,
        key: Option<u64>,
        tried: Option<&Tried>,
        picked: impl Fn(&Entry<T>, Option<Instant>) -> P,
    ) -> Result<P, NoEndpoints> {
        self.fleet.pick(key, tried, picked)
    }

    /// Adds the endpoint known as `id`, if there is one, to those that a request is not sent to where
    /// there are others.
    pub fn exclude(&self, id: &str, tried: &mut Tried) {
        if let Some(entry) = self.fleet.set().by_id(id) {
            tried.insert(&entry.endpoint);
        }
    }

    /// What `picked` makes of the endpoint of this name.
    #[cold]
    pub(crate) fn pick_pinned<P>(
        &self,
        id: &str,
        picked: impl Fn(&Entry<T>, Option<Instant>) -> P,
    ) -> Option<P> {
        let set = self.fleet.set();
        Some(picked(set.by_id(id)?, self.fleet.begun()))
    }

    /// Replaces the set.
    ///
    /// Endpoints whose id and URI stay keep everything: their service, calls in flight, latency,
    /// score, ejection, health. Weight and metadata may change. Endpoints that leave get no more
    /// calls, and finish those that they have. Of two instances with one id the first counts.
    ///
    /// An empty set is taken at its word; a source that may come up empty by mistake belongs
    /// behind [`follow`](Balancer::follow).
    ///
    /// Weighted round robin and consistent hash build tables of up to 262,144 entries here: a
    /// tenth of a second for ten thousand instances of many different weights, microseconds for
    /// a few. The other strategies take O(n).
    pub fn update(&self, instances: &[Instance]) {
        self.fleet.update(instances);
    }

    /// Sets the first set, unless there is one by now; whether there was none.
    ///
    /// For what is known before a source that is [followed](Balancer::follow) says anything.
    pub fn seed(&self, instances: &[Instance]) -> bool {
        self.fleet.seed(instances)
    }

    /// Tells what active probes found about the instance known as `id`; whether there is one.
    pub fn set_health(&self, id: &str, health: Health) -> bool {
        self.fleet.set_health(id, None, health)
    }

    /// A listener for a [`Checker`](bartizan_health::Checker) that hands its findings to
    /// [`set_health`](Balancer::set_health) for as long as the balancer lives.
    pub fn health_listener(&self) -> impl Fn(&Transition) + Send + Sync + 'static
    where
        T: Send + Sync + 'static,
    {
        let fleet = Arc::downgrade(&self.fleet);
        move |transition| {
            if let Some(fleet) = fleet.upgrade() {
                let place = Some(&transition.uri);
                fleet.set_health(&transition.id, place, transition.to);
            }
        }
    }

    /// The instances of the current set, as their source describes them.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        let set = self.fleet.set();
        let instances = set
            .endpoints()
            .map(|endpoint| Instance::clone(&endpoint.instance()));
        instances.collect()
    }

    /// The current set as a [`Checker`](bartizan_health::Checker) wants it. Instances whose
    /// metadata has a [`HEALTH_URL`](bartizan_discovery::HEALTH_URL) are asked there.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let set = self.fleet.set();
        let target = |endpoint: &Endpoint| {
            let instance = endpoint.instance.load();
            Target {
                health_url: instance.health_url(),
                ..Target::new(Arc::clone(endpoint.id()), endpoint.uri().clone())
            }
        };
        set.endpoints().map(target).collect()
    }

    /// Whether a failure of the endpoint with this id is the balancer's own to deal with: it has
    /// set that endpoint aside or still can, and others carry on. Also true of an endpoint that
    /// is no longer there.
    ///
    /// A circuit breaker around the balancer should not count such a failure, or one instance
    /// takes the whole service down with it.
    #[must_use]
    pub fn absorbs(&self, id: &str) -> bool {
        self.fleet.absorbs(id)
    }

    /// How often an endpoint was ejected since the balancer was made, those gone included.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.fleet.ejections()
    }

    /// How every endpoint is doing, in the order of the set.
    #[must_use]
    pub fn snapshot(&self) -> Vec<EndpointSnapshot> {
        let now = self.fleet.clock.now();
        let set = self.fleet.set();
        set.entries
            .iter()
            .map(|entry| entry.snapshot(self.fleet.strategy.measures_latency(), now))
            .collect()
    }

    /// How many endpoints there are, usable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fleet.set().entries.len()
    }

    /// Whether there are no endpoints at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the log calls the service that the endpoints are of.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.fleet.name()
    }

    /// How endpoints are chosen.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.fleet.strategy
    }

    pub(crate) fn downgrade(&self) -> Weak<Fleet<T>> {
        Arc::downgrade(&self.fleet)
    }

    pub(crate) fn upgrade(fleet: &Weak<Fleet<T>>) -> Option<Self> {
        fleet.upgrade().map(|fleet| Self { fleet })
    }
}

impl<T> Clone for Balancer<T> {
    fn clone(&self) -> Self {
        Self {
            fleet: Arc::clone(&self.fleet),
        }
    }
}

impl<T> fmt::Debug for Balancer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("strategy", &self.fleet.strategy)
            .field("endpoints", &self.len())
            .finish_non_exhaustive()
    }
}

/// Builds a [`Balancer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct BalancerBuilder {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) strategy: Strategy,
    pub(crate) clock: Clock,
    pub(crate) outlier: Option<OutlierConfig>,
    pub(crate) panic_threshold: f64,
}

impl BalancerBuilder {
    /// What the log calls the service that the endpoints are of. Default: nothing.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// When failing endpoints are ejected; `None` for never. Default:
    /// [`OutlierConfig::default`].
    pub fn outlier(mut self, config: impl Into<Option<OutlierConfig>>) -> Self {
        self.outlier = config.into();
        self
    }

    /// When less than this fraction of the endpoints is usable, all are used: better a call
    /// that may fail than the whole load on the few that are left. Zero turns it off. Default:
    /// 0.5, as in Envoy.
    pub fn panic_threshold(mut self, fraction: f64) -> Self {
        self.panic_threshold = fraction;
        self
    }

    /// The finished balancer over `instances`, each reached by the service that `make` makes of
    /// it, now and for instances that later updates bring.
    ///
    /// `make` must not update this balancer.
    ///
    /// # Errors
    ///
    /// When the panic threshold is not between 0 and 1.
    pub fn build<T>(
        self,
        instances: &[Instance],
        make: impl Fn(&Instance) -> T + Send + Sync + 'static,
    ) -> Result<Balancer<T>, InvalidBalance>
    where
        T: Send + Sync + 'static,
    {
        if !(0.0..=1.0).contains(&self.panic_threshold) {
            return Err(InvalidBalance::PanicThreshold);
        }
        let balancer = Balancer {
            fleet: Fleet::new(self, make),
        };
        balancer.update(instances);
        Ok(balancer)
    }
}

#[cfg(test)]
mod tests;
