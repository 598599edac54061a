use std::{net::IpAddr, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use http::Uri;
use thiserror::Error;

use crate::{
    Discover, Instance, InvalidInstance, Resolve, SystemResolver, Watch,
    limit::{Limit, MAX_PER_NAME},
    looking::Looking,
    schedule::{LookUp, Schedule},
};

/// The metadata key under which instances found by DNS carry the name they were found by.
///
/// Their URI holds the bare address; whoever connects takes the `Host` header and the name to
/// check the certificate against from here.
pub const HOST: &str = "host";

/// The A and AAAA addresses behind a host name, looked up at an interval.
///
/// Each address is one instance: the URI given, with the address in place of the name. A lookup
/// that fails, takes too long or finds nothing keeps the last good set, flagged stale, and is
/// repeated sooner: after one second, two, four, until the interval is reached.
///
/// Lookups run in a task that dropping the source stops.
///
/// ```no_run
/// use bartizan_discovery::{Discover, Dns};
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), bartizan_discovery::InvalidDns> {
/// let source = Dns::builder("http://users.internal:8080")?
///     .interval(Duration::from_secs(10))
///     .spawn()?;
/// let mut watch = source.watch();
/// while let Some(snapshot) = watch.changed().await {
///     println!("{} instances", snapshot.instances.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dns {
    looking: Looking,
}

impl Dns {
    /// A builder of a source for the instances behind the host of `uri`.
    ///
    /// # Errors
    ///
    /// When `uri` is not that of an instance, or its port is neither given nor implied by its
    /// scheme.
    pub fn builder<U>(uri: U) -> Result<DnsBuilder, InvalidDns>
    where
        Uri: TryFrom<U>,
        <Uri as TryFrom<U>>::Error: Into<http::Error>,
    {
        let template = Instance::new(uri)?;
        let port = template.port().ok_or(InvalidDns::NoPort)?;
        Ok(DnsBuilder {
            name: Name {
                // The resolver wants IPv6 addresses without their brackets.
                host: template
                    .uri()
                    .host()
                    .unwrap_or_default()
                    .trim_matches(['[', ']'])
                    .into(),
                port,
                template,
            },
            schedule: Schedule::default(),
            resolver: SystemResolver,
        })
    }

    /// Looks now, beside the schedule, and waits until it has.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the look to be taken.
    pub async fn look(&self) {
        self.looking.looks.look().await;
    }
}

impl Discover for Dns {
    fn watch(&self) -> Watch {
        self.looking.watch.clone()
    }
}

/// Builds a [`Dns`].
#[derive(Clone, Debug)]
#[must_use]
pub struct DnsBuilder<R = SystemResolver> {
    name: Name,
    schedule: Schedule,
    resolver: R,
}

impl<R: Resolve> DnsBuilder<R> {
    /// The time from one lookup to the next. Default: 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.schedule.interval = interval;
        self
    }

    /// How far the interval may stray, as a fraction of itself. Default: 0.2.
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.schedule.jitter = jitter;
        self
    }

    /// How long one lookup may take. Default: 15 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.schedule.timeout = timeout;
        self
    }

    /// The clock that measures the interval. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.schedule.clock = clock;
        self
    }

    /// Who resolves the name. Default: [`SystemResolver`].
    pub fn resolver<S: Resolve>(self, resolver: S) -> DnsBuilder<S> {
        DnsBuilder {
            name: self.name,
            schedule: self.schedule,
            resolver,
        }
    }

    /// Starts looking; the first lookup begins at once.
    ///
    /// # Errors
    ///
    /// When the interval or the timeout is zero, or the jitter is not between 0 and 1.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self) -> Result<Dns, InvalidDns> {
        let Self {
            name,
            schedule,
            resolver,
        } = self;
        let looking = schedule.spawn(Addresses {
            name,
            resolver,
            limit: Limit::new(MAX_PER_NAME, "addresses"),
        })?;
        Ok(Dns { looking })
    }
}

struct Addresses<R> {
    name: Name,
    resolver: R,
    limit: Limit,
}

impl<R: Resolve> LookUp for Addresses<R> {
    fn host(&self) -> &Arc<str> {
        &self.name.host
    }

    async fn look_up(&mut self) -> Result<Vec<Instance>, String> {
        let lookup = self.resolver.resolve(&self.name.host, self.name.port);
        let mut addresses = lookup.await.map_err(|error| error.to_string())?;
        if addresses.is_empty() {
            return Err("the name has no addresses".into());
        }
        // Servers rotate their answers; sorting makes equal sets equal.
        addresses.sort_unstable();
        addresses.dedup();
        self.limit.cut(&self.name.host, &mut addresses);
        let instances = addresses.into_iter();
        Ok(instances.filter_map(|it| self.name.instance(it)).collect())
    }
}

#[derive(Clone, Debug)]
struct Name {
    host: Arc<str>,
    port: u16,
    template: Instance,
}

impl Name {
    fn instance(&self, address: IpAddr) -> Option<Instance> {
        let mut parts = self.template.uri().clone().into_parts();
        let authority = std::net::SocketAddr::new(address, self.port).to_string();
        parts.authority = Some(authority.parse().ok()?);
        let uri = Uri::from_parts(parts).ok()?;
        let instance = Instance::new(uri).ok()?;
        Some(instance.with_metadata(HOST, Arc::clone(&self.host)))
    }
}

/// A [`Dns`] or [`Srv`](crate::Srv) that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidDns {
    /// The URI is not that of an instance.
    #[error(transparent)]
    Instance(#[from] InvalidInstance),
    /// The URI has no port and its scheme implies none.
    #[error("the URI needs a port")]
    NoPort,
    /// The URI has a port, and the records that it stands for have their own.
    #[error("the URI must not have a port, which the records have")]
    Port,
    /// The interval is zero.
    #[error("the interval must be positive")]
    ZeroInterval,
    /// The timeout is zero.
    #[error("the timeout must be positive")]
    ZeroTimeout,
    /// The jitter is not a fraction.
    #[error("the jitter must be between 0 and 1")]
    Jitter,
}

#[cfg(test)]
mod tests;
