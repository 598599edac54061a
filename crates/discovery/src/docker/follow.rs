use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bartizan_backoff::{Backoff, spread};
use bartizan_clock::{Clock, Instant};
use fastrand::Rng;
use http::Uri;
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::container::Container;
use crate::{
    Instance, Publisher,
    api::{AnswerBody, Api, Failure},
    limit::Limit,
    looks::Looks,
};

/// The most bytes of a list of containers.
const MAX_LIST: usize = 64 * 1024 * 1024;

/// How long to wait after an event for more of them: a deployment has many.
const SETTLE: Duration = Duration::from_millis(200);

/// Events that ended sooner than this count as a failed attempt to get any.
const SHORT: Duration = Duration::from_secs(5);

/// Follows the containers of one service.
pub(super) struct Following {
    pub(super) api: Api,
    pub(super) service: Arc<str>,
    pub(super) network: Option<Arc<str>>,
    pub(super) interval: Duration,
    pub(super) retry: Backoff,
    pub(super) clock: Clock,
    pub(super) publisher: Publisher,
    pub(super) looks: Arc<Looks>,
    pub(super) told: BTreeSet<String>,
    pub(super) limit: Limit,
}

/// The engine tells what happens, for as long as it does.
struct Events {
    body: AnswerBody,
    since: Instant,
}

impl Following {
    pub(super) async fn run(mut self) {
        let mut random = Rng::new();
        let mut events: Option<Events> = None;
        let (mut silences, mut failures) = (0_u32, 0_u32);
        loop {
            self.looks.begin();
            // Before the list, so that nothing happens unnoticed in between.
            if events.is_none() {
                events = self.events(silences).await;
                silences = silences.saturating_add(u32::from(events.is_none()));
            }
            let pause = match self.list().await {
                Ok(containers) => {
                    failures = 0;
                    self.publish(&containers);
                    let pause = spread(self.interval, 0.2, &mut random);
                    match &events {
                        Some(_) => pause,
                        None => pause.min(self.retry.delay(silences, &mut random)),
                    }
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        let service = &*self.service;
                        tracing::warn!(service, error = %failure, "engine failed, keeping the last containers");
                    }
                    self.publisher.fail(&failure);
                    let delay = self.retry.delay(failures, &mut random);
                    delay.max(failure.retry_after.unwrap_or_default())
                }
            };
            self.looks.end();
            let Some(heard) = &mut events else {
                self.pause(pause).await;
                continue;
            };
            let is_over = tokio::select! {
                () = self.pause(pause) => false,
                is_over = heard.next(self.clock) => is_over,
            };
            if is_over {
                let lasted = self.clock.now() - heard.since >= SHORT;
                events = None;
                silences = if lasted {
                    1
                } else {
                    silences.saturating_add(1)
                };
                self.pause(self.retry.delay(silences, &mut random)).await;
            }
        }
    }

    /// Waits for so long, or until somebody wants a look.
    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.clock.sleep(pause) => {}
            () = self.looks.wanted() => {}
        }
    }

    async fn events(&self, silences: u32) -> Option<Events> {
        let actions = ["start", "die", "pause", "unpause", "health_status"];
        let filters = serde_json::json!({
            "type": ["container"],
            "label": [self.label()],
            "event": actions,
        });
        let opened = match uri("/events", &filters) {
            Ok(uri) => self.api.open(uri, None).await,
            Err(failure) => Err(failure),
        };
        match opened {
            Ok(body) => Some(Events {
                body,
                since: self.clock.now(),
            }),
            Err(failure) => {
                if silences == 0 {
                    let service = &*self.service;
                    tracing::debug!(service, error = %failure, "the engine tells of no events");
                }
                None
            }
        }
    }

    async fn list(&self) -> Result<Vec<Container>, Failure> {
        let filters = serde_json::json!({"label": [self.label()]});
        let uri = uri("/containers/json", &filters)?;
        self.api.ask(uri, None, MAX_LIST).await
    }

    fn label(&self) -> String {
        format!("bartizan.service={}", self.service)
    }

    fn publish(&mut self, containers: &[Container]) {
        let mut wrong = BTreeSet::new();
        let mut instances: Vec<Instance> = Vec::new();
        for container in containers.iter().filter(|it| it.is_well()) {
            match container.instance(self.network.as_deref()) {
                Ok(instance) => instances.push(instance),
                Err(reason) => {
                    let text = format!("container {}: {reason}", container.name());
                    wrong.insert(text);
                }
            }
        }
        for text in wrong.difference(&self.told) {
            let service = &*self.service;
            tracing::warn!(service, "{text}; left out");
        }
        self.told = wrong;
        // Engines list in the order in which containers were made; sorting makes equal sets equal.
        instances.sort_unstable_by(|one, other| one.id().cmp(other.id()));
        self.limit.cut(&self.service, &mut instances);
        match (instances.is_empty(), self.told.first()) {
            (false, _) => self.publisher.replace(instances),
            (true, Some(wrong)) => self.publisher.fail(wrong),
            (true, None) if containers.is_empty() => {
                self.publisher
                    .fail("no container has the label of the service");
            }
            (true, None) => self.publisher.fail("no container of the service is well"),
        }
    }
}

impl Events {
    /// Waits for something to happen and for things to settle; true if nothing will be heard any
    /// more.
    async fn next(&mut self, clock: Clock) -> bool {
        // What happened does not matter: the list says what is.
        if !matches!(self.body.frame().await, Some(Ok(_))) {
            return true;
        }
        let mut settled = std::pin::pin!(clock.sleep(SETTLE));
        loop {
            tokio::select! {
                () = &mut settled => return false,
                frame = self.body.frame() => match frame {
                    Some(Ok(_)) => {}
                    _ => return true,
                },
            }
        }
    }
}

fn uri(path: &str, filters: &serde_json::Value) -> Result<Uri, Failure> {
    let filters = filters.to_string();
    let filters = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
    // Without a version, so that every engine answers in its own.
    let uri = format!("http://localhost{path}?filters={filters}").parse();
    uri.map_err(|_| Failure::new("the filters are too long"))
}
