use std::{
    collections::HashSet,
    sync::{Arc, Weak},
};

use bartizan_clock::Instant;
use bartizan_protocol::{edit, error, method};
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;

use super::shelf::Held;
use crate::mcp::{Door, ask::Client, client::ClientSession, pages};

/// A list, as it was at one time.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Item>,
    /// All items that go by a name or URI, with a comma before each.
    pub(super) joined: Bytes,
    pub(super) fresh_until: Instant,
    /// The count of changes that the service had announced.
    pub(super) generation: u64,
    /// Who was told that it is another than what they were served.
    pub(super) told: Mutex<Vec<Weak<ClientSession>>>,
    /// What it takes of the shelf.
    pub(super) _held: Held,
}

impl List {
    /// Tells a client, which was served another, to ask for it: once, however often it was.
    pub(super) fn tell(&self, client: &Arc<ClientSession>, kind: Kind) {
        {
            let mut told = self.told.lock();
            if told.iter().any(|it| it.as_ptr() == Arc::as_ptr(client)) {
                return;
            }
            told.retain(|it| it.strong_count() > 0);
            told.push(Arc::downgrade(client));
        }
        client.tell(error::notification(kind.changed(), None));
    }
}

#[derive(Debug)]
pub(super) struct Item {
    /// The name or URI that it goes by; nothing if it can have no name among all services, and is
    /// there for those who know it by its own.
    pub(super) key: Option<Box<str>>,
    /// The name that its service knows.
    pub(super) original: Box<str>,
    /// In a list a part of what is joined, if it has a name there.
    pub(super) raw: Bytes,
}

impl Item {
    /// About how many bytes it is.
    pub(super) fn size(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.len());
        size_of::<Self>() + key + self.original.len() + COMMA.len() + self.raw.len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl Kind {
    pub(super) fn of(method: &str) -> Option<Self> {
        Some(match method {
            method::TOOLS_LIST => Self::Tools,
            method::PROMPTS_LIST => Self::Prompts,
            method::RESOURCES_LIST => Self::Resources,
            method::RESOURCES_TEMPLATES_LIST => Self::Templates,
            _ => return None,
        })
    }

    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST,
            Self::Prompts => method::PROMPTS_LIST,
            Self::Resources => method::RESOURCES_LIST,
            Self::Templates => method::RESOURCES_TEMPLATES_LIST,
        }
    }

    /// What says that such a list is another.
    pub(super) fn changed(self) -> &'static str {
        match self {
            Self::Tools => method::NOTIFICATION_TOOLS_LIST_CHANGED,
            Self::Prompts => method::NOTIFICATION_PROMPTS_LIST_CHANGED,
            Self::Resources | Self::Templates => method::NOTIFICATION_RESOURCES_LIST_CHANGED,
        }
    }

    pub(super) fn member(self) -> &'static str {
        method::list_member(self.method()).unwrap_or_default()
    }

    /// The member that tells items apart.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    pub(super) fn has_names(self) -> bool {
        matches!(self, Self::Tools | Self::Prompts)
    }
}

pub(super) const COMMA: &[u8] = b",";

/// Items with a comma before each, of those whose name or URI is to be there.
pub(super) fn join(items: &[Item], is_there: impl Fn(&str) -> bool) -> Bytes {
    let items = items.iter();
    let items = items.filter(|item| item.key.as_deref().is_some_and(&is_there));
    let room = items.clone().map(|item| COMMA.len() + item.raw.len());
    let mut joined = BytesMut::with_capacity(room.sum());
    for item in items {
        joined.extend_from_slice(COMMA);
        joined.extend_from_slice(&item.raw);
    }
    joined.freeze()
}

/// Joins items and has each be a part of that, so that none is kept twice, nor the answer that it
/// came in.
pub(super) fn gather(items: &mut [Item]) -> Bytes {
    let joined = join(items, |_| true);
    let mut rest = joined.clone();
    for item in items {
        if item.key.is_some() {
            rest.advance(COMMA.len());
            item.raw = rest.split_to(item.raw.len());
        } else {
            item.raw = Bytes::copy_from_slice(&item.raw);
        }
    }
    joined
}

/// Everything in a list, under the names that it has among all services.
///
/// # Errors
///
/// A text that says what the service did instead.
pub(super) async fn fetch(door: &Door, client: &Client, kind: Kind) -> Result<Vec<Item>, String> {
    let mut keys = HashSet::new();
    let mut items = Vec::new();
    let listed = pages::all(door, Some(client), kind.method()).await;
    for raw in listed.map_err(|error| error.to_string())? {
        let Some(item) = item(door, kind, raw) else {
            continue;
        };
        let key = item.key.as_ref().unwrap_or(&item.original);
        if keys.insert(key.clone()) {
            items.push(item);
        } else {
            let (service, key) = (&**door.service.name(), &**key);
            tracing::warn!(service, key, "listed twice; the first counts");
        }
    }
    Ok(items)
}

/// An item of a list, under the name that it has among those of all services.
fn item(door: &Door, kind: Kind, raw: Bytes) -> Option<Item> {
    let named = edit::get(&raw, &[kind.key()])?;
    let original = edit::text(named)?;
    if !kind.has_names() {
        return Some(Item {
            key: Some((&*original).into()),
            original: original.into(),
            raw,
        });
    }
    let places = door.shared.places();
    let joined = places.join(&door.service, &original);
    // What names must be is said of tools.
    let any = || (kind == Kind::Prompts).then(|| places.join_any(&door.service, &original));
    let Some(joined) = joined.or_else(any) else {
        let (service, name) = (&**door.service.name(), &*original);
        tracing::warn!(
            service,
            name,
            "no sound name for all services; left out at /mcp"
        );
        return Some(Item {
            key: None,
            original: original.into(),
            raw,
        });
    };
    let renamed = edit::replace(&raw, &[(named, &edit::string(&joined))]).ok()?;
    Some(Item {
        key: Some(joined.into()),
        original: original.into(),
        raw: renamed,
    })
}
