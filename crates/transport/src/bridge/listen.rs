use std::collections::HashSet;

use bartizan_protocol::{
    edit::{self, Edit, EditError},
    error,
    method::{
        NOTIFICATION_PROMPTS_LIST_CHANGED, NOTIFICATION_RESOURCES_LIST_CHANGED,
        NOTIFICATION_RESOURCES_UPDATED, NOTIFICATION_SUBSCRIPTIONS_ACKNOWLEDGED,
        NOTIFICATION_TOOLS_LIST_CHANGED, SUBSCRIPTIONS_LISTEN,
    },
};
use bytes::Bytes;

use super::{
    meta::{SERVER_INFO, SUBSCRIPTION_ID},
    request::ClientMeta,
    text::{emptied, strip},
};

/// A `subscriptions/listen`: which notifications its stream carries, and under which id.
///
/// Towards a client of 2026-07-28 it is [read](Self::read) from the client's request, cut down to
/// what the upstream [honours](Self::honoured_by), [acknowledged](Self::acknowledged), and fed
/// with [stamped](Self::stamp) notifications of an older upstream. Towards a 2026-07-28 upstream
/// it is built from a session's subscriptions and [sent](Self::request); what comes back loses
/// its stamp by [`unstamp`].
///
/// The id is the id of the listen request as that hop sees it, so a stamp never crosses the
/// gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    id: Box<str>,
    /// Whether the list of tools is watched.
    pub tools: bool,
    /// Whether the list of prompts is watched.
    pub prompts: bool,
    /// Whether the list of resources is watched.
    pub resources: bool,
    uris: Vec<Box<str>>,
}

impl Listen {
    /// The most resources that one stream may watch: 1024. The protocol names no bound; every
    /// one may cost a subscription at an older upstream.
    pub const MAX_RESOURCES: usize = 1024;

    /// A stream that watches nothing yet; `id` is the raw id of its request.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            tools: false,
            prompts: false,
            resources: false,
            uris: Vec::new(),
        }
    }

    /// Reads a `subscriptions/listen` request.
    ///
    /// Members that 2026-07-28 does not know, `taskIds` of the tasks extension among them, are not
    /// honoured and so not acknowledged.
    ///
    /// # Errors
    ///
    /// [`InvalidListen`]: `-32602` to the client.
    pub fn read(request: &[u8]) -> Result<Self, InvalidListen> {
        let id = edit::get(request, &["id"]).ok_or(InvalidListen::Malformed)?;
        let filter = edit::get(request, &["params", "notifications"])
            .and_then(|raw| edit::members(raw.as_bytes()))
            .ok_or(InvalidListen::Malformed)?;
        let mut listen = Self::new(id);
        for (name, value) in filter {
            let flag = match &*name {
                "toolsListChanged" => &mut listen.tools,
                "promptsListChanged" => &mut listen.prompts,
                "resourcesListChanged" => &mut listen.resources,
                "resourceSubscriptions" => {
                    listen.uris = distinct(value)?;
                    continue;
                }
                _ => continue,
            };
            *flag = match value {
                "true" => true,
                "false" => false,
                _ => return Err(InvalidListen::Malformed),
            };
        }
        Ok(listen)
    }

    /// Watches one more resource; twice is once.
    ///
    /// # Errors
    ///
    /// [`InvalidListen::TooMany`] past [`Listen::MAX_RESOURCES`].
    pub fn watch(&mut self, uri: &str) -> Result<(), InvalidListen> {
        if self.uris.iter().any(|watched| **watched == *uri) {
            return Ok(());
        }
        if self.uris.len() == Self::MAX_RESOURCES {
            return Err(InvalidListen::TooMany);
        }
        self.uris.push(uri.into());
        Ok(())
    }

    /// Watches a resource no longer; whether it was watched.
    pub fn unwatch(&mut self, uri: &str) -> bool {
        let before = self.uris.len();
        self.uris.retain(|watched| **watched != *uri);
        self.uris.len() < before
    }

    /// The raw id of the request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The resources watched, in the order in which they were named.
    pub fn uris(&self) -> impl ExactSizeIterator<Item = &str> {
        self.uris.iter().map(|uri| &**uri)
    }

    /// Whether the stream would carry nothing.
    pub fn is_empty(&self) -> bool {
        !(self.tools || self.prompts || self.resources) && self.uris.is_empty()
    }

    /// What of this a server with these raw `ServerCapabilities` will ever send.
    pub fn honoured_by(&self, capabilities: &str) -> Self {
        let declares = |path: &[&str]| edit::get(capabilities.as_bytes(), path) == Some("true");
        Self {
            id: self.id.clone(),
            tools: self.tools && declares(&["tools", "listChanged"]),
            prompts: self.prompts && declares(&["prompts", "listChanged"]),
            resources: self.resources && declares(&["resources", "listChanged"]),
            uris: if declares(&["resources", "subscribe"]) {
                self.uris.clone()
            } else {
                Vec::new()
            },
        }
    }

    /// Whether a notification of this method, about this resource if about any, belongs on the
    /// stream.
    ///
    /// A server may report a change to a part of a watched resource, so every URI below a watched
    /// one matches: those that go on after a `/`, `?` or `#`.
    pub fn matches(&self, method: &str, uri: Option<&str>) -> bool {
        match method {
            NOTIFICATION_TOOLS_LIST_CHANGED => self.tools,
            NOTIFICATION_PROMPTS_LIST_CHANGED => self.prompts,
            NOTIFICATION_RESOURCES_LIST_CHANGED => self.resources,
            NOTIFICATION_RESOURCES_UPDATED => uri.is_some_and(|uri| {
                self.uris.iter().any(|watched| {
                    uri.strip_prefix(&**watched).is_some_and(|rest| {
                        rest.is_empty()
                            || watched.ends_with('/')
                            || rest.starts_with(['/', '?', '#'])
                    })
                })
            }),
            _ => false,
        }
    }

    /// The request that opens this stream at a 2026-07-28 upstream.
    ///
    /// # Errors
    ///
    /// [`EditError`] if the capabilities or the client's info are not JSON.
    pub fn request(&self, meta: &ClientMeta<'_>) -> Result<Bytes, EditError> {
        let filter = self.filter();
        let params = format!(r#"{{"notifications":{filter}}}"#);
        let request = error::request(&self.id, SUBSCRIPTIONS_LISTEN, Some(&params));
        let mut edit = Edit::new(&request);
        meta.write(&mut edit);
        edit.finish()
    }

    /// The first message of the stream: what of the request is honoured, which is this.
    pub fn acknowledged(&self) -> Bytes {
        let (id, filter) = (&self.id, self.filter());
        let params =
            format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}},"notifications":{filter}}}"#);
        error::notification(NOTIFICATION_SUBSCRIPTIONS_ACKNOWLEDGED, Some(&params))
    }

    /// An upstream's notification, marked as one of this stream.
    ///
    /// # Errors
    ///
    /// [`EditError`] if its `params` or `_meta` is not an object.
    pub fn stamp(&self, notification: &[u8]) -> Result<Bytes, EditError> {
        let mut edit = Edit::new(notification);
        for path in [&["params"][..], &["params", "_meta"]] {
            if edit::get(notification, path) == Some("null") {
                // For some servers that is how to say that there are none.
                edit.set(path, "{}");
            }
        }
        edit.set(&["params", "_meta", SUBSCRIPTION_ID], &self.id);
        edit.finish()
    }

    /// The result that ends the stream in good order, as when the gateway drains; an abrupt end
    /// has none. `server_info` is the raw `Implementation` of who says so.
    pub fn closed(&self, server_info: Option<&str>) -> Bytes {
        let id = &self.id;
        let info =
            server_info.map_or_else(String::new, |info| format!(r#","{SERVER_INFO}":{info}"#));
        let result =
            format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":{id}{info}}}}}"#);
        error::response(id, &result)
    }

    /// The raw `SubscriptionFilter`; what is not watched is left out.
    fn filter(&self) -> String {
        let mut members = Vec::with_capacity(4);
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                members.push(format!("\"{name}\":true"));
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<_> = self.uris.iter().map(|uri| edit::string(uri)).collect();
            members.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// The resources in a raw list, each once.
///
/// With a set, since looking for each among all would let a long request cost a thousand times
/// its length.
fn distinct(raw: &str) -> Result<Vec<Box<str>>, InvalidListen> {
    let named = edit::elements(raw.as_bytes()).ok_or(InvalidListen::Malformed)?;
    let mut known = HashSet::new();
    let mut uris = Vec::new();
    for uri in named {
        let uri = edit::text(uri).ok_or(InvalidListen::Malformed)?;
        if known.insert(uri.clone()) {
            if uris.len() == Listen::MAX_RESOURCES {
                return Err(InvalidListen::TooMany);
            }
            uris.push(uri.into());
        }
    }
    Ok(uris)
}

/// A notification from a 2026-07-28 upstream's stream without the mark of that stream, for a
/// session of an older revision.
///
/// `_meta`, and then `params`, go too if nothing else was in them; all else stays byte for byte.
///
/// # Errors
///
/// [`EditError`] if the notification is not JSON.
pub fn unstamp(notification: &[u8]) -> Result<Bytes, EditError> {
    let mut edit = Edit::new(notification);
    let params = edit::get(notification, &["params"]);
    let meta = params.and_then(|params| edit::get(params.as_bytes(), &["_meta"]));
    if emptied(meta, &[SUBSCRIPTION_ID]) {
        strip(&mut edit, params, &["params"], &["_meta"]);
    } else {
        edit.remove(&["params", "_meta", SUBSCRIPTION_ID]);
    }
    edit.finish()
}

/// A `subscriptions/listen` that cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidListen {
    /// The filter is missing or has a member of the wrong type.
    #[error("`notifications` must be a subscription filter")]
    Malformed,
    /// More resources than [`Listen::MAX_RESOURCES`].
    #[error("one stream may watch at most 1024 resources")]
    TooMany,
}

#[cfg(test)]
mod tests;
