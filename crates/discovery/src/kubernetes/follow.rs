use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bartizan_backoff::{Backoff, spread};
use bartizan_clock::{Clock, Instant};
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    account::ServiceAccount,
    merge::Common,
    slice::{Bookmark, Event, Slice, SliceList, Status},
};
use crate::{
    Publisher,
    api::{Api, Failure, Lines},
    limit::{Limit, MAX_PER_SERVICE},
    looks::Looks,
};

/// How many slices an answer has at most. One has up to a thousand endpoints, usually a hundred.
const PAGE: usize = 100;

/// The most bytes of a page.
const MAX_PAGE: usize = 64 * 1024 * 1024;

/// The most bytes of an event: what etcd keeps of an object, twice over.
const MAX_EVENT: usize = 4 * 1024 * 1024;

/// How long a watch goes on before another takes its place, so that none outlives a token or the
/// certificate of a server. The clients of Kubernetes take 5 to 10 minutes.
const WATCH: Duration = Duration::from_secs(300);

/// A watch that ended sooner than this counts as a failed attempt, for the next not to come at
/// once.
const SHORT: Duration = Duration::from_secs(5);

const TOO_MANY: &str = "there are too many slices of endpoints";

/// Follows the slices of one Service.
pub(super) struct Following {
    pub(super) api: Api,
    pub(super) server: Uri,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) service: Arc<str>,
    pub(super) account: ServiceAccount,
    pub(super) common: Common,
    pub(super) retry: Backoff,
    pub(super) clock: Clock,
    pub(super) publisher: Publisher,
    pub(super) looks: Arc<Looks>,
    pub(super) known: Known,
    pub(super) limit: Limit,
}

/// What the API server has said.
#[derive(Default)]
pub(super) struct Known {
    slices: BTreeMap<String, Slice>,
    /// Of what state of the cluster that is; unknown before the first list, and when the server
    /// does not remember it any more.
    version: Option<String>,
    /// Since when there is a watch.
    watched_since: Option<Instant>,
    /// How many attempts in a row have come to nothing.
    failures: u32,
}

/// How a watch ended that did not fail.
enum End {
    /// Sooner or later each does.
    Over,
    /// What happened since then is forgotten, so everything must be listed again.
    Expired,
    /// Somebody wants everything to be listed again.
    Relist,
}

impl Following {
    pub(super) async fn run(mut self) {
        let mut random = Rng::new();
        loop {
            let turn = self.turn(&mut random).await;
            self.looks.end();
            let watched_since = self.known.watched_since.take();
            let lasted = watched_since.is_some_and(|since| self.clock.now() - since >= SHORT);
            if lasted {
                self.known.failures = 0;
            }
            let wish = match turn {
                Ok(end) => {
                    if !matches!(end, End::Over) {
                        self.known.version = None;
                    }
                    if lasted || matches!(end, End::Relist) {
                        continue;
                    }
                    None
                }
                Err(failure) => {
                    self.failed(&failure);
                    failure.retry_after
                }
            };
            self.known.failures = self.known.failures.saturating_add(1);
            let delay = self.retry.delay(self.known.failures, &mut random);
            let looks = Arc::clone(&self.looks);
            tokio::select! {
                () = self.clock.sleep(delay.max(wish.unwrap_or_default())) => {}
                () = looks.wanted() => self.known.version = None,
            }
        }
    }

    /// Lists if it must, and watches until the watch ends.
    async fn turn(&mut self, random: &mut Rng) -> Result<End, Failure> {
        self.looks.begin();
        let base = self.base().await?;
        let version = match &self.known.version {
            Some(version) => version.clone(),
            None => self.list(&base).await?,
        };
        let seconds = spread(WATCH, 0.3, random).as_secs();
        let query = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}",
            encoded(&version)
        );
        let authorization = self.authorization().await?;
        let opened = self.api.open(uri(&base, &query)?, authorization).await;
        let body = match opened {
            Ok(body) => body,
            Err(failure) if failure.status == Some(StatusCode::GONE) => return Ok(End::Expired),
            Err(failure) => return Err(failure),
        };
        // Nothing was missed: what happened since that version comes now.
        self.publish();
        self.looks.end();
        self.known.watched_since = Some(self.clock.now());
        // The server ends a watch in time. Over a connection that is dead and does not know it,
        // it cannot.
        let patience = Duration::from_secs(seconds) + self.api.timeout;
        let looks = Arc::clone(&self.looks);
        let watched = self.watch(Lines::new(body, MAX_EVENT));
        tokio::select! {
            ended = tokio::time::timeout(patience, watched) => ended.unwrap_or_else(|_| {
                Err(Failure::new("the watch did not end when it should have"))
            }),
            () = looks.wanted() => Ok(End::Relist),
        }
    }

    async fn watch(&mut self, mut lines: Lines) -> Result<End, Failure> {
        while let Some(lines) = lines.next().await {
            let mut changed = false;
            for line in lines? {
                match self.known.apply(&line) {
                    Ok(Applied::Changed) => changed = true,
                    Ok(Applied::Noted) => {}
                    Ok(Applied::Expired) => return Ok(End::Expired),
                    Err(failure) => {
                        // What the line would have changed is not known.
                        self.known.version = None;
                        return Err(failure);
                    }
                }
            }
            if changed {
                self.publish();
            }
        }
        Ok(End::Over)
    }

    /// Lists all slices, page by page, and says of what version they are.
    async fn list(&mut self, base: &str) -> Result<String, Failure> {
        let mut slices = BTreeMap::new();
        let mut next = String::new();
        loop {
            let mut query = format!("limit={PAGE}");
            if !next.is_empty() {
                query = format!("{query}&continue={}", encoded(&next));
            }
            let authorization = self.authorization().await?;
            let uri = uri(base, &query)?;
            let page: SliceList = self.api.ask(uri, authorization, MAX_PAGE).await?;
            for slice in page.items {
                slices.insert(slice.metadata.name.clone(), slice);
            }
            if slices.len() > MAX_PER_SERVICE {
                return Err(Failure::new(TOO_MANY));
            }
            next = page.metadata.next;
            if next.is_empty() {
                let version = page.metadata.resource_version;
                self.known.slices = slices;
                self.known.version = Some(version.clone());
                self.publish();
                return Ok(version);
            }
        }
    }

    fn publish(&mut self) {
        let slices = &self.known.slices;
        let found = self
            .common
            .instances(slices, &self.service, &mut self.limit);
        match found {
            Ok(instances) if instances.is_empty() => {
                self.publisher.fail("the service has no ready endpoints");
            }
            Ok(instances) => self.publisher.replace(instances),
            Err(reason) => self.publisher.fail(reason),
        }
    }

    fn failed(&mut self, failure: &Failure) {
        let keeps_version = match failure.status {
            None | Some(StatusCode::TOO_MANY_REQUESTS) => true,
            Some(status) => status.is_server_error(),
        };
        if !keeps_version {
            self.known.version = None;
        }
        if self.known.failures == 0 {
            let service = &*self.service;
            tracing::warn!(service, error = %failure, "API server failed, keeping the last endpoints");
        }
        self.publisher.fail(failure);
    }

    /// The address of the slices, and which ones.
    async fn base(&self) -> Result<String, Failure> {
        let own;
        let namespace = match &self.namespace {
            Some(namespace) => &**namespace,
            None => {
                own = self.account.namespace().await?;
                &own
            }
        };
        let server = self.server.to_string();
        Ok(format!(
            "{}/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector={}",
            server.trim_end_matches('/'),
            encoded(namespace),
            encoded(&format!("kubernetes.io/service-name={}", self.service)),
        ))
    }

    /// The token, which travels encrypted only.
    async fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        if self.server.scheme_str() == Some("https") {
            return self.account.authorization().await.map(Some);
        }
        Ok(None)
    }
}

enum Applied {
    Changed,
    Noted,
    Expired,
}

impl Known {
    fn apply(&mut self, line: &Bytes) -> Result<Applied, Failure> {
        let unknown = |error| Failure::new(format_args!("an event is not understood: {error}"));
        let event: Event<'_> = serde_json::from_slice(line).map_err(unknown)?;
        let object = event.object.get();
        match event.kind {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let slice: Slice = serde_json::from_str(object).map_err(unknown)?;
                self.at(&slice.metadata.resource_version);
                let name = slice.metadata.name.clone();
                if event.kind == "DELETED" {
                    self.slices.remove(&name);
                } else {
                    self.slices.insert(name, slice);
                }
                if self.slices.len() > MAX_PER_SERVICE {
                    return Err(Failure::new(TOO_MANY));
                }
                Ok(Applied::Changed)
            }
            "BOOKMARK" => {
                let bookmark: Bookmark = serde_json::from_str(object).map_err(unknown)?;
                self.at(&bookmark.metadata.resource_version);
                Ok(Applied::Noted)
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(object).map_err(unknown)?;
                match StatusCode::from_u16(status.code) {
                    Ok(StatusCode::GONE) => Ok(Applied::Expired),
                    Ok(code) => Err(Failure::of_status(code, Some(&status.message))),
                    Err(_) => Err(Failure::new(status.message)),
                }
            }
            // What later versions of the API may say besides.
            _ => Ok(Applied::Noted),
        }
    }

    fn at(&mut self, version: &str) {
        if !version.is_empty() {
            self.version = Some(version.to_owned());
        }
    }
}

fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

fn uri(base: &str, query: &str) -> Result<Uri, Failure> {
    let uri = format!("{base}&{query}").parse();
    uri.map_err(|_| Failure::new("the address of the API server cannot be used"))
}
