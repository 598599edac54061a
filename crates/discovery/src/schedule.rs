use std::{future::Future, sync::Arc, time::Duration};

use bartizan_backoff::{Backoff, Jitter, spread};
use bartizan_clock::Clock;
use fastrand::Rng;

use crate::{Instance, InvalidDns, Publisher, looking::Looking, looks::Looks};

/// Asks for the instances behind one name.
pub(crate) trait LookUp: Send + Sync + 'static {
    fn host(&self) -> &Arc<str>;

    /// At least one instance, or why there is none.
    fn look_up(&mut self) -> impl Future<Output = Result<Vec<Instance>, String>> + Send;
}

/// When names are looked up.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) interval: Duration,
    pub(crate) jitter: f64,
    pub(crate) timeout: Duration,
    pub(crate) clock: Clock,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            // What Kubernetes' cluster DNS sets as the time to live of its records.
            interval: Duration::from_secs(30),
            jitter: 0.2,
            // glibc gives up on one name server after five seconds and knows three: two of them
            // may be dead.
            timeout: Duration::from_secs(15),
            clock: Clock::default(),
        }
    }
}

impl Schedule {
    /// Looks up again and again, from now on.
    pub(crate) fn spawn(self, names: impl LookUp) -> Result<Looking, InvalidDns> {
        if self.interval.is_zero() {
            return Err(InvalidDns::ZeroInterval);
        }
        if self.timeout.is_zero() {
            return Err(InvalidDns::ZeroTimeout);
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(InvalidDns::Jitter);
        }
        let retry = Backoff::exponential(Duration::from_secs(1).min(self.interval))
            .max(self.interval)
            .jitter(Jitter::Equal)
            .build()
            .map_err(|_| InvalidDns::ZeroInterval)?;
        Ok(Looking::spawn(|publisher, looks| {
            self.run(names, publisher, retry, looks)
        }))
    }

    async fn run(
        self,
        mut names: impl LookUp,
        publisher: Publisher,
        retry: Backoff,
        looks: Arc<Looks>,
    ) {
        let mut random = Rng::new();
        let mut failures = 0_u32;
        loop {
            looks.begin();
            let found = match tokio::time::timeout(self.timeout, names.look_up()).await {
                Ok(found) => found,
                Err(_) => Err("the lookup took too long".into()),
            };
            let pause = match found {
                Ok(instances) => {
                    failures = 0;
                    publisher.replace(instances);
                    spread(self.interval, self.jitter, &mut random)
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        let host = &**names.host();
                        tracing::warn!(host, error, "lookup failed, keeping the last addresses");
                    }
                    publisher.fail(error);
                    retry.delay(failures, &mut random)
                }
            };
            looks.end();
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = looks.wanted() => {}
            }
        }
    }
}
