//! What upstreams remember of a session, for the one that takes its place to be told.

use std::{collections::HashMap, sync::Arc};

use bartizan_protocol::{
    Envelope,
    method::{LOGGING_SET_LEVEL, RESOURCES_SUBSCRIBE, RESOURCES_UNSUBSCRIBE},
};
use bartizan_transport::bridge::Listen;
use parking_lot::Mutex;

/// The longest URI of a client's that is kept: as long as servers of HTTP take any.
const MAX_URI_BYTES: usize = 8 * 1024;
/// The longest parameters of `logging/setLevel` that are kept, which have one word to say.
const MAX_LEVEL_BYTES: usize = 256;

/// What a message of a client's tells an upstream to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The parameters of a `logging/setLevel`.
    Level(Arc<str>),
    Watch(Box<str>),
    Unwatch(Box<str>),
}

impl Told {
    /// Nothing if there is nothing to remember, or more than is kept.
    pub(super) fn read(envelope: &Envelope<'_>) -> Option<Self> {
        let uri = || {
            let uri = envelope.subject()?;
            (uri.len() <= MAX_URI_BYTES).then(|| Box::from(&*uri))
        };
        match envelope.method()? {
            LOGGING_SET_LEVEL => {
                let params = envelope.params()?;
                (params.len() <= MAX_LEVEL_BYTES).then(|| Self::Level(params.into()))
            }
            RESOURCES_SUBSCRIBE => uri().map(Self::Watch),
            RESOURCES_UNSUBSCRIBE => uri().map(Self::Unwatch),
            _ => None,
        }
    }
}

/// What the upstream of a session is to know.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The parameters of the last `logging/setLevel`.
    level: Mutex<Option<Arc<str>>>,
    /// The resources that are watched, and by how many.
    watched: Mutex<HashMap<Box<str>, usize>>,
}

impl Known {
    /// Notes what a client said, but of no more resources than a client may watch.
    pub(super) fn note(&self, told: Told) {
        match told {
            Told::Level(params) => self.set_level(params),
            Told::Watch(uri) => {
                let mut watched = self.watched.lock();
                if watched.len() < Listen::MAX_RESOURCES {
                    watched.insert(uri, 1);
                }
            }
            Told::Unwatch(uri) => {
                self.watched.lock().remove(&uri);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.level.lock().is_none() && self.watched.lock().is_empty()
    }

    pub(super) fn level(&self) -> Option<Arc<str>> {
        self.level.lock().clone()
    }

    pub(super) fn set_level(&self, params: Arc<str>) {
        *self.level.lock() = Some(params);
    }

    pub(super) fn watched(&self) -> Vec<Box<str>> {
        self.watched.lock().keys().cloned().collect()
    }

    /// Whether anybody watches a resource.
    pub(super) fn is_watched(&self, uri: &str) -> bool {
        self.watched.lock().contains_key(uri)
    }

    /// Counts one more who watches a resource.
    pub(super) fn count_watch(&self, uri: &str) {
        let mut watched = self.watched.lock();
        *watched.entry(uri.into()).or_default() += 1;
    }

    /// Counts one less who watches a resource; whether it was the last.
    pub(super) fn count_unwatch(&self, uri: &str) -> bool {
        let mut watched = self.watched.lock();
        let Some(count) = watched.get_mut(uri) else {
            return false;
        };
        *count -= 1;
        let was_last = *count == 0;
        if was_last {
            watched.remove(uri);
        }
        was_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, params: &str) -> Option<Told> {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        Told::read(&Envelope::read(message.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let watch = |length| {
            let uri = "u".repeat(length);
            told("resources/subscribe", &format!(r#"{{"uri":"{uri}"}}"#))
        };
        assert!(watch(MAX_URI_BYTES).is_some());
        assert_eq!(watch(MAX_URI_BYTES + 1), None);
        let level = r#"{"level":"info"}"#;
        assert_eq!(
            told("logging/setLevel", level),
            Some(Told::Level(level.into()))
        );
        let long = format!(r#"{{"level":"{}"}}"#, "x".repeat(MAX_LEVEL_BYTES));
        assert_eq!(told("logging/setLevel", &long), None);
        assert_eq!(told("tools/list", "{}"), None);
    }

    #[test]
    fn what_is_watched_no_longer_is_forgotten() {
        let known = Known::default();
        assert!(known.is_empty());
        known.note(Told::Watch("u://1".into()));
        assert!(known.is_watched("u://1"));
        known.note(Told::Unwatch("u://1".into()));
        assert!(known.is_empty());
    }
}
