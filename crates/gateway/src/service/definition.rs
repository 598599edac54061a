use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use bartizan_classify::RequestClass;
use bartizan_clock::Instant;
use http::Method;
use serde::Deserialize;

/// How long a definition is believed before it is asked for again.
const FRESH: Duration = Duration::from_secs(300);
/// How long to leave a service alone that gave no definition.
const PAUSE: Duration = Duration::from_secs(60);
/// Most operations remembered of one service.
const MAX_OPERATIONS: usize = 10_000;

/// What a service says of its own operations at `GET /api/definition`: which may be repeated.
///
/// Filled when calls come by, never by a timer, so an idle gateway asks nobody anything.
#[derive(Debug)]
pub(crate) struct Definitions {
    classes: ArcSwap<HashMap<Box<str>, RequestClass>>,
    /// When to ask next, in nanoseconds of the gateway's clock.
    due: AtomicU64,
}

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    name: Box<str>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    idempotent: Option<bool>,
}

impl Definitions {
    pub(crate) fn new() -> Self {
        Self {
            classes: ArcSwap::default(),
            due: AtomicU64::new(0),
        }
    }

    /// The class that the service gives to `operation`, if it defines it.
    pub(crate) fn class(&self, operation: &str) -> Option<RequestClass> {
        self.classes.load().get(operation).copied()
    }

    /// Whether it is time to ask the service; only one of all callers is told so.
    pub(crate) fn claim(&self, now: Instant) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let next = (now + PAUSE).as_nanos();
        now.as_nanos() >= due
            && self
                .due
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Learns from a definition as the service sent it. One that is not understood leaves
    /// everything as it was.
    pub(crate) fn learn(&self, body: &[u8], now: Instant) {
        let Ok(definition) = serde_json::from_slice::<Definition>(body) else {
            return;
        };
        let mut classes = HashMap::new();
        for operation in definition.operations.into_iter().take(MAX_OPERATIONS) {
            let class = operation.class();
            let known = classes.entry(operation.name).or_insert(class);
            *known = least_repeatable(*known, class);
        }
        self.classes.store(std::sync::Arc::new(classes));
        self.due.store((now + FRESH).as_nanos(), Ordering::Relaxed);
    }
}

/// What a name may be taken for that two operations have: a call names the operation alone.
fn least_repeatable(one: RequestClass, other: RequestClass) -> RequestClass {
    match (one, other) {
        (RequestClass::Safe, class) | (class, RequestClass::Safe) => class,
        (RequestClass::Idempotent, class) | (class, RequestClass::Idempotent) => class,
        (RequestClass::Unsafe, RequestClass::Unsafe) => RequestClass::Unsafe,
    }
}

impl Operation {
    fn class(&self) -> RequestClass {
        let by_method = self
            .method
            .as_deref()
            .and_then(|method| method.to_ascii_uppercase().parse::<Method>().ok())
            .map_or(RequestClass::Unsafe, |method| RequestClass::from(&method));
        match self.idempotent {
            Some(true) if !by_method.may_repeat() => RequestClass::Idempotent,
            Some(false) => RequestClass::Unsafe,
            _ => by_method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_explicit_words_decide() {
        let definitions = Definitions::new();
        let body = br#"{"name":"users","operations":[
            {"name":"getUser","method":"GET","path":"/users/:id"},
            {"name":"replaceUser","method":"put"},
            {"name":"createUser","method":"POST"},
            {"name":"touchUser","method":"POST","idempotent":true},
            {"name":"countVisit","method":"GET","idempotent":false},
            {"name":"orders","method":"POST"},
            {"name":"orders","method":"GET"},
            {"name":"sites","method":"GET"},
            {"name":"sites","method":"PUT"},
            {"name":"unknown"}]}"#;
        definitions.learn(body, Instant::from_nanos(0));
        let class = |operation| definitions.class(operation);
        assert_eq!(class("getUser"), Some(RequestClass::Safe));
        assert_eq!(class("replaceUser"), Some(RequestClass::Idempotent));
        assert_eq!(class("createUser"), Some(RequestClass::Unsafe));
        assert_eq!(class("touchUser"), Some(RequestClass::Idempotent));
        assert_eq!(class("countVisit"), Some(RequestClass::Unsafe));
        assert_eq!(class("orders"), Some(RequestClass::Unsafe));
        assert_eq!(class("sites"), Some(RequestClass::Idempotent));
        assert_eq!(class("unknown"), Some(RequestClass::Unsafe));
        assert_eq!(class("notDefined"), None);
    }

    #[test]
    fn a_broken_definition_changes_nothing() {
        let definitions = Definitions::new();
        let good = br#"{"operations":[{"name":"a","method":"GET"}]}"#;
        definitions.learn(good, Instant::from_nanos(0));
        definitions.learn(b"<html>", Instant::from_nanos(0));
        assert_eq!(definitions.class("a"), Some(RequestClass::Safe));
    }

    #[test]
    fn one_caller_asks_and_not_again_until_it_is_time() {
        let definitions = Definitions::new();
        let start = Instant::from_nanos(1);
        assert!(definitions.claim(start));
        assert!(!definitions.claim(start));
        assert!(definitions.claim(start + PAUSE));
        definitions.learn(b"{}", start + PAUSE);
        assert!(!definitions.claim(start + PAUSE + PAUSE));
        assert!(definitions.claim(start + PAUSE + FRESH));
    }
}
