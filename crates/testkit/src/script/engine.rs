use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Answer, Asked, Log, Refusal, Script, Tap};

/// A Docker engine, asked about the service `users`.
#[derive(Debug, Default)]
pub struct Engine {
    state: Mutex<State>,
    log: Log,
}

#[derive(Debug, Default)]
struct State {
    containers: Vec<Value>,
    listeners: Vec<Tap>,
    refusal: Option<Refusal>,
    /// Whether `/events` is refused, as proxies in front of engines do.
    is_silent: bool,
}

impl Engine {
    /// With these containers.
    #[must_use]
    pub fn with(containers: &[Value]) -> Arc<Self> {
        let engine = Self::default();
        engine.state.lock().containers = containers.to_vec();
        Arc::new(engine)
    }

    /// A container of the service, as an engine lists it: at port 8080, unless a label is changed.
    #[must_use]
    pub fn container(name: &str, address: &str) -> Value {
        json!({
            "Id": format!("{name}fdbc3a40"),
            "Names": [format!("/{name}")],
            "Labels": {"bartizan.service": "users", "bartizan.port": "8080"},
            "State": "running",
            "Status": "Up 2 hours",
            "Ports": [],
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": address, "GlobalIPv6Address": ""}}},
        })
    }

    /// Adds a container, and tells of it.
    pub fn run(&self, container: Value) {
        self.quietly(|containers| containers.push(container));
        self.tell("start");
    }

    /// Takes a container out, and tells of it.
    pub fn stop(&self, name: &str) {
        self.quietly(|containers| containers.retain(|it| it["Names"][0] != format!("/{name}")));
        self.tell("die");
    }

    /// Changes containers without an event.
    pub fn quietly(&self, change: impl FnOnce(&mut Vec<Value>)) {
        change(&mut self.state.lock().containers);
    }

    /// Tells all who listen that something happened.
    pub fn tell(&self, action: &str) {
        let event = json!({
            "status": action, "id": "ede54ee1afda", "from": "users:latest",
            "Type": "container", "Action": action,
            "Actor": {"ID": "ede54ee1afda", "Attributes": {"bartizan.service": "users"}},
            "scope": "local", "time": 1_461_943_101, "timeNano": 1_461_943_101_301_854_122_u64,
        });
        for listener in &self.state.lock().listeners {
            let _ = listener.send(Ok(format!("{event}\n").into()));
        }
    }

    /// Cuts all streams of events, in the middle of one.
    pub fn cut_events(&self) {
        for listener in self.state.lock().listeners.drain(..) {
            let _ = listener.send(Ok(Bytes::from_static(b"{\"status\":\"st")));
            let _ = listener.send(Err(io::Error::other("cut")));
        }
    }

    /// Tells nobody of events from now on, as some proxies in front of engines have it.
    pub fn refuse_events(&self) {
        self.state.lock().is_silent = true;
    }

    /// Refuses everything from now on, or nothing any more.
    pub fn refuse(&self, refusal: impl Into<Option<Refusal>>) {
        self.state.lock().refusal = refusal.into();
    }

    /// Waits until somebody listens.
    pub async fn heard(&self) {
        while self.state.lock().listeners.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until nobody listens any more.
    pub async fn unheard(&self) {
        let listeners = self.state.lock().listeners.clone();
        for listener in listeners {
            listener.closed().await;
        }
    }

    /// Everything that was asked, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.all()
    }

    /// How many lists were asked for.
    pub fn lists(&self) -> usize {
        let all = self.log.all();
        all.iter()
            .filter(|it| it.path == "/containers/json")
            .count()
    }
}

impl Script for Engine {
    fn answer(&self, asked: &Asked) -> Answer {
        self.log.note(asked);
        let filters = asked.value("filters").unwrap_or_default();
        let filters: Value = serde_json::from_str(&filters).unwrap_or_default();
        let host = asked.headers.get("host");
        if filters["label"] != json!(["bartizan.service=users"])
            || host.is_none_or(|it| it != "localhost")
        {
            return Answer::Json(400, json!({"message": "invalid request"}).to_string());
        }
        let mut state = self.state.lock();
        let (refusal, is_events) = (state.refusal.clone(), asked.path == "/events");
        match refusal {
            Some(Refusal::Status(code, words)) => {
                return Answer::Json(code, json!({"message": words}).to_string());
            }
            Some(Refusal::Later(code, seconds)) => return Answer::Later(code, seconds),
            Some(Refusal::Silence) => return Answer::Never,
            Some(Refusal::HalfAList) if !is_events => {
                let (tap, frames) = tokio::sync::mpsc::unbounded_channel();
                let _ = tap.send(Ok(Bytes::from_static(b"[{\"Id\":\"8df")));
                let _ = tap.send(Err(io::Error::other("cut")));
                return Answer::Stream(frames);
            }
            _ => {}
        }
        match &*asked.path {
            "/containers/json" => Answer::Json(200, json!(state.containers).to_string()),
            "/events" if state.is_silent => Answer::Json(403, "{}".to_owned()),
            "/events" => {
                let (tap, frames) = tokio::sync::mpsc::unbounded_channel();
                state.listeners.push(tap);
                Answer::Stream(frames)
            }
            _ => Answer::Json(404, json!({"message": "page not found"}).to_string()),
        }
    }
}
