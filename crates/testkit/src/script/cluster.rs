use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Answer, Asked, Log, Refusal, Script, Tap};

/// An API server of Kubernetes, whose cluster has one Service: `users` in the namespace `shop`.
///
/// It lists in pages, watches from a version on, and forgets.
#[derive(Debug, Default)]
pub struct Cluster {
    state: Mutex<State>,
    log: Log,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// Versions before this one are forgotten.
    oldest: u64,
    slices: BTreeMap<String, Value>,
    /// What happened, with the version that it made.
    events: Vec<(u64, String)>,
    watchers: Vec<Tap>,
    /// The only token that is good, if any token is asked for.
    token: Option<String>,
    refusal: Option<Refusal>,
    /// Whether a version that is forgotten is refused by status, not by an event.
    gone_by_status: bool,
}

impl Cluster {
    /// Without slices.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let cluster = Self::default();
        cluster.state.lock().version = 100;
        Arc::new(cluster)
    }

    /// Makes or changes a slice with endpoints at these addresses and port 8080, all ready.
    pub fn put(&self, name: &str, addresses: &[&str]) {
        self.put_at(name, addresses, 8080);
    }

    /// As [`put`](Cluster::put), at another port.
    pub fn put_at(&self, name: &str, addresses: &[&str], port: u16) {
        let ready = |address: &&str| json!({"addresses": [address], "conditions": {"ready": true}});
        self.put_endpoints(name, addresses.iter().map(ready).collect(), port);
    }

    /// Makes or changes a slice.
    pub fn put_endpoints(&self, name: &str, endpoints: Value, port: u16) {
        let mut state = self.state.lock();
        state.version += 1;
        let mut slice = json!({
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "resourceVersion": state.version.to_string(),
                "labels": {"kubernetes.io/service-name": "users"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": port}],
        });
        slice["endpoints"] = endpoints;
        let kind = match state.slices.insert(name.to_owned(), slice.clone()) {
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        state.tell(&json!({"type": kind, "object": slice}));
    }

    /// Takes a slice out.
    ///
    /// # Panics
    ///
    /// When there is none with this name.
    pub fn delete(&self, name: &str) {
        let mut state = self.state.lock();
        state.version += 1;
        let mut slice = state.slices.remove(name).expect("a slice");
        slice["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.tell(&json!({"type": "DELETED", "object": slice}));
    }

    /// Something else happens in the cluster, and the server says how far it is.
    pub fn bookmark(&self) -> String {
        let mut state = self.state.lock();
        state.version += 50;
        let version = state.version.to_string();
        let object = json!({
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": version, "creationTimestamp": null},
            "endpoints": null, "addressType": "", "ports": null,
        });
        state.say(&json!({"type": "BOOKMARK", "object": object}).to_string());
        version
    }

    /// Says a text to all who watch.
    pub fn raw(&self, text: &str) {
        let state = self.state.lock();
        for watcher in &state.watchers {
            let _ = watcher.send(Ok(Bytes::copy_from_slice(text.as_bytes())));
        }
    }

    /// Ends all watches as a server does whose time for them is over.
    pub fn end_watches(&self) {
        self.state.lock().watchers.clear();
    }

    /// Cuts all watches, in the middle of a line.
    pub fn cut_watches(&self) {
        self.raw("{\"type\":\"MODIFIED\",\"object\":{\"kind\":");
        for watcher in self.state.lock().watchers.drain(..) {
            let _ = watcher.send(Err(io::Error::other("cut")));
        }
    }

    /// Forgets all that happened so far.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        state.oldest = state.version + 1;
        state.version += 10;
        state.events.clear();
        state.watchers.clear();
    }

    /// Refuses everything from now on, or nothing any more.
    pub fn refuse(&self, refusal: impl Into<Option<Refusal>>) {
        self.state.lock().refusal = refusal.into();
    }

    /// Everything that was asked, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.all()
    }

    /// Who asked for lists.
    pub fn lists(&self) -> Vec<Asked> {
        let all = self.log.all().into_iter();
        all.filter(|it| it.value("watch").is_none()).collect()
    }

    /// Who asked for watches.
    pub fn watches(&self) -> Vec<Asked> {
        let all = self.log.all().into_iter();
        all.filter(|it| it.value("watch").is_some()).collect()
    }

    /// Asks for this token from now on.
    pub fn require_token(&self, token: &str) {
        self.state.lock().token = Some(token.to_owned());
    }

    /// Says by a status, not by an event, that a version is forgotten.
    pub fn gone_by_status(&self) {
        self.state.lock().gone_by_status = true;
    }

    /// Takes all slices out without telling anyone.
    pub fn clear(&self) {
        self.state.lock().slices.clear();
    }

    /// Waits until nobody watches any more.
    pub async fn unwatched(&self) {
        let watchers = self.state.lock().watchers.clone();
        for watcher in watchers {
            watcher.closed().await;
        }
    }

    /// Waits until somebody watches.
    pub async fn watched(&self) {
        while self.state.lock().watchers.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl State {
    fn tell(&mut self, event: &Value) {
        let text = event.to_string();
        self.say(&text);
        self.events.push((self.version, text));
    }

    fn say(&self, line: &str) {
        for watcher in &self.watchers {
            let _ = watcher.send(Ok(format!("{line}\n").into()));
        }
    }

    fn list(&self, asked: &Asked) -> Answer {
        let limit = number(asked, "limit");
        let from = number(asked, "continue");
        let items: Vec<_> = self.slices.values().skip(from).take(limit).collect();
        let next = from + items.len();
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if next < self.slices.len() {
            metadata["continue"] = json!(next.to_string());
            metadata["remainingItemCount"] = json!(self.slices.len() - next);
        }
        let list = json!({
            "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
            "metadata": metadata, "items": items,
        });
        Answer::Json(200, list.to_string())
    }

    fn watch(&mut self, asked: &Asked) -> Answer {
        let from = number(asked, "resourceVersion") as u64;
        let (tap, frames) = tokio::sync::mpsc::unbounded_channel();
        if from < self.oldest {
            let status = status(410, "Expired", &format!("too old resource version: {from}"));
            if self.gone_by_status {
                return Answer::Json(410, status.to_string());
            }
            let event = json!({"type": "ERROR", "object": status});
            let _ = tap.send(Ok(format!("{event}\n").into()));
            return Answer::Stream(frames);
        }
        for (_, line) in self.events.iter().filter(|(version, _)| *version > from) {
            let _ = tap.send(Ok(format!("{line}\n").into()));
        }
        self.watchers.push(tap);
        Answer::Stream(frames)
    }
}

/// A number of the query, 0 without.
fn number(asked: &Asked, name: &str) -> usize {
    asked
        .value(name)
        .and_then(|it| it.parse().ok())
        .unwrap_or_default()
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

impl Script for Cluster {
    fn answer(&self, asked: &Asked) -> Answer {
        self.log.note(asked);
        let mut state = self.state.lock();
        match &state.refusal {
            Some(Refusal::Status(code, text)) => {
                return Answer::Json(*code, status(*code, "Refused", text).to_string());
            }
            Some(Refusal::Later(code, seconds)) => return Answer::Later(*code, *seconds),
            Some(Refusal::Silence | Refusal::HalfAList) => return Answer::Never,
            None => {}
        }
        if let Some(token) = &state.token {
            let shown = asked.headers.get("authorization");
            if shown.is_none_or(|it| *it != format!("Bearer {token}")) {
                return Answer::Json(401, status(401, "Unauthorized", "Unauthorized").to_string());
            }
        }
        let path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
        let selector = asked.value("labelSelector").unwrap_or_default();
        if asked.path != path || selector != "kubernetes.io/service-name=users" {
            return Answer::Json(404, status(404, "NotFound", "not found").to_string());
        }
        match asked.value("watch") {
            Some(_) => state.watch(asked),
            None => state.list(asked),
        }
    }
}
