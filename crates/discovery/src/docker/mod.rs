//! Instances that are containers of an engine.

mod container;
mod follow;
#[cfg(unix)]
mod socket;

use std::{collections::BTreeSet, error::Error, fmt, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use thiserror::Error;
use tower_service::Service;

use self::follow::Following;
#[cfg(unix)]
pub use self::socket::EngineSocket;
use crate::{
    Discover, Watch,
    api::{self, Api},
    limit::{Limit, MAX_PER_SERVICE},
    looking::Looking,
};

/// The metadata that says which container an instance is.
pub const CONTAINER: &str = "container";

/// The containers of a Docker engine, or of one that speaks like it, with the label
/// `bartizan.service`.
///
/// | label | | without |
/// |---|---|---|
/// | `bartizan.service` | the service | not seen at all |
/// | `bartizan.port` | the port in the container | the only TCP port that it exposes |
/// | `bartizan.scheme` | `http` or `https` | `http` |
/// | `bartizan.path` | the base path | none |
/// | `bartizan.weight` | its share relative to others | 1 |
/// | `bartizan.health_url` | where its health is asked for: a URL, or a path at the container | as usual |
///
/// A container is at its address in a network of the engine, not at a published port. Those that
/// do not run are left out, and so are those with a health check of the engine that has not found
/// them well, or not yet. One whose labels are wrong is left out, and the log says why.
///
/// The engine is asked for a list when it tells of an event, and at an interval besides. An engine
/// that fails or takes too long is asked again after a growing delay; until it answers, the last
/// good set stays and is flagged stale, as it is when no container is well. One that tells of no
/// events is asked more often.
///
/// A task does the asking, which dropping the source stops.
///
/// ```no_run
/// use bartizan_discovery::{Discover, Docker, EngineSocket};
/// use std::path::Path;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = EngineSocket::new(Path::new("/var/run/docker.sock"));
/// let source = Docker::builder("users", socket)?.network("backend").spawn()?;
/// let mut watch = source.watch();
/// while let Some(snapshot) = watch.changed().await {
///     println!("{} instances", snapshot.instances.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Docker {
    looking: Looking,
}

impl Docker {
    /// A builder of a source for the containers that say they are `service`, of which `client`
    /// asks the engine.
    ///
    /// The host of the requests is `localhost`; where they go is for the client to know, such as
    /// `EngineSocket`.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn builder<S, B>(service: &str, client: S) -> Result<DockerBuilder, InvalidDocker>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if service.is_empty() {
            return Err(InvalidDocker::NoService);
        }
        Ok(DockerBuilder {
            service: service.into(),
            network: None,
            interval: Duration::from_secs(30),
            // Engines under load take seconds for a list of hundreds of containers.
            api: Api::new(client, Duration::from_secs(15)),
            first_retry: Duration::from_millis(500),
            last_retry: Duration::from_secs(15),
            clock: Clock::default(),
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

impl Discover for Docker {
    fn watch(&self) -> Watch {
        self.looking.watch.clone()
    }
}

/// Builds a [`Docker`].
#[derive(Clone)]
#[must_use]
pub struct DockerBuilder {
    service: Arc<str>,
    network: Option<Arc<str>>,
    interval: Duration,
    api: Api,
    first_retry: Duration,
    last_retry: Duration,
    clock: Clock,
}

impl DockerBuilder {
    /// The network in which containers are reached. Default: of those in which a container has an
    /// address the first by name.
    pub fn network(mut self, network: impl Into<Arc<str>>) -> Self {
        self.network = Some(network.into());
        self
    }

    /// From one list to the next, while the engine tells of no event. Default: 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long the engine may take to answer. Default: 15 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.api.timeout = timeout;
        self
    }

    /// How long to wait before an engine is asked again that failed: the first time, and at most.
    /// Default: 0.5 s and 15 s.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        (self.first_retry, self.last_retry) = (first, most);
        self
    }

    /// The clock that measures delays. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts asking at once.
    ///
    /// # Errors
    ///
    /// When the interval or the timeout is zero, or the delays are zero or the wrong way round.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn(self) -> Result<Docker, InvalidDocker> {
        if self.interval.is_zero() {
            return Err(InvalidDocker::ZeroInterval);
        }
        if self.api.timeout.is_zero() {
            return Err(InvalidDocker::ZeroTimeout);
        }
        let retry = api::retry(self.first_retry, self.last_retry);
        let retry = retry.ok_or(InvalidDocker::Retry)?;
        let looking = Looking::spawn(|publisher, looks| {
            let following = Following {
                api: self.api,
                service: self.service,
                network: self.network,
                interval: self.interval,
                retry,
                clock: self.clock,
                publisher,
                looks,
                told: BTreeSet::new(),
                limit: Limit::new(MAX_PER_SERVICE, "containers"),
            };
            following.run()
        });
        Ok(Docker { looking })
    }
}

impl fmt::Debug for DockerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerBuilder")
            .field("service", &self.service)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// A [`Docker`] that cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidDocker {
    /// No label can be empty.
    #[error("the name of the service must not be empty")]
    NoService,
    /// The interval is zero.
    #[error("the interval must be positive")]
    ZeroInterval,
    /// The timeout is zero.
    #[error("the timeout must be positive")]
    ZeroTimeout,
    /// The delays are zero, or the first is the longer.
    #[error("the delays must be positive, the first no longer than the last")]
    Retry,
}
