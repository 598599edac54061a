use std::{future::Future, io, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use http::Uri;

use crate::{
    Discover, HOST, Instance, InvalidDns, InvalidInstance, Watch,
    limit::{Limit, MAX_PER_NAME},
    looking::Looking,
    schedule::{LookUp, Schedule},
};

/// The instances that the SRV records of a name list, looked up at an interval.
///
/// Each record is one instance: the URI given, with the record's host and port in place of the
/// name. Its weight is that of the record, at least one. Only the records with the best priority
/// are used, as RFC 2782 wants it for as long as these can be reached. A lookup that fails, takes
/// too long or finds nothing keeps the last good set, flagged stale, and is repeated sooner, as
/// that of [`Dns`](crate::Dns) is.
///
/// The hosts are fully qualified names, without the dot at their end, which neither `Host` nor a
/// certificate has. Whoever connects looks them up as such, and not in the search domains of the
/// system.
///
/// The feature `srv` has a resolver that asks name servers.
///
/// ```
/// use bartizan_discovery::{Discover, ResolveSrv, Srv, SrvRecord};
/// use std::io;
///
/// struct Fixed;
///
/// impl ResolveSrv for Fixed {
///     async fn resolve_srv(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
///         assert_eq!(name, "_http._tcp.users.internal");
///         let target = "one.users.internal.".into();
///         Ok(vec![SrvRecord { target, port: 8080, priority: 1, weight: 3 }])
///     }
/// }
///
/// # async fn example() -> Result<(), bartizan_discovery::InvalidDns> {
/// let source = Srv::builder("http://_http._tcp.users.internal/api", Fixed)?.spawn()?;
/// let snapshot = source.watch().changed().await.unwrap();
/// assert_eq!(&**snapshot.instances[0].id(), "http://one.users.internal:8080/api");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Srv {
    looking: Looking,
}

/// Finds the SRV records of a name.
pub trait ResolveSrv: Send + Sync + 'static {
    /// All records of `name`, in any order.
    ///
    /// # Errors
    ///
    /// When the name does not resolve. An empty answer counts as a failure too.
    fn resolve_srv(&self, name: &str) -> impl Future<Output = io::Result<Vec<SrvRecord>>> + Send;
}

/// What one SRV record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SrvRecord {
    /// The host, with or without the dot at its end; the dot alone says that there is none.
    pub target: String,
    /// The port.
    pub port: u16,
    /// The smaller, the better.
    pub priority: u16,
    /// Its share relative to others of the same priority.
    pub weight: u16,
}

impl Srv {
    /// A builder of a source for the instances behind the host of `uri`, whose records
    /// `resolver` finds.
    ///
    /// # Errors
    ///
    /// When `uri` is not that of an instance, or has a port, which the records have.
    pub fn builder<U, R: ResolveSrv>(uri: U, resolver: R) -> Result<SrvBuilder<R>, InvalidDns>
    where
        Uri: TryFrom<U>,
        <Uri as TryFrom<U>>::Error: Into<http::Error>,
    {
        let template = Instance::new(uri)?;
        if template.uri().port().is_some() {
            return Err(InvalidDns::Port);
        }
        let host = template.uri().host().ok_or(InvalidInstance::NotAbsolute)?;
        Ok(SrvBuilder {
            records: Records {
                host: host.into(),
                template,
                resolver,
                limit: Limit::new(MAX_PER_NAME, "records"),
            },
            schedule: Schedule::default(),
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

impl Discover for Srv {
    fn watch(&self) -> Watch {
        self.looking.watch.clone()
    }
}

/// Builds an [`Srv`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SrvBuilder<R> {
    records: Records<R>,
    schedule: Schedule,
}

impl<R: ResolveSrv> SrvBuilder<R> {
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

    /// Starts looking; the first lookup begins at once.
    ///
    /// # Errors
    ///
    /// When the interval or the timeout is zero, or the jitter is not between 0 and 1.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self) -> Result<Srv, InvalidDns> {
        let looking = self.schedule.spawn(self.records)?;
        Ok(Srv { looking })
    }
}

#[derive(Clone, Debug)]
struct Records<R> {
    host: Arc<str>,
    template: Instance,
    resolver: R,
    limit: Limit,
}

impl<R: ResolveSrv> LookUp for Records<R> {
    fn host(&self) -> &Arc<str> {
        &self.host
    }

    async fn look_up(&mut self) -> Result<Vec<Instance>, String> {
        let found = self.resolver.resolve_srv(&self.host).await;
        let mut records = found.map_err(|error| error.to_string())?;
        records.retain(|record| !record.target.trim_end_matches('.').is_empty());
        let best = records.iter().map(|record| record.priority).min();
        let Some(best) = best else {
            return Err("the name has no records of instances".into());
        };
        records.retain(|record| record.priority == best);
        // Servers rotate their answers; sorting makes equal sets equal.
        records.sort_unstable();
        records.dedup_by(|one, other| one.target == other.target && one.port == other.port);
        self.limit.cut(&self.host, &mut records);
        let instances: Vec<_> = records.iter().filter_map(|it| self.instance(it)).collect();
        if instances.is_empty() {
            return Err("no record names a host".into());
        }
        Ok(instances)
    }
}

impl<R> Records<R> {
    fn instance(&self, record: &SrvRecord) -> Option<Instance> {
        let host = record.target.trim_end_matches('.');
        let mut parts = self.template.uri().clone().into_parts();
        parts.authority = Some(format!("{host}:{}", record.port).parse().ok()?);
        let instance = Instance::new(Uri::from_parts(parts).ok()?).ok()?;
        let instance = instance.with_weight(u32::from(record.weight.max(1))).ok()?;
        Some(instance.with_metadata(HOST, host))
    }
}

#[cfg(test)]
mod tests;
