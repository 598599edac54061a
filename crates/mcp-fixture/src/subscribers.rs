use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{Peer, RoleServer, model::ResourceUpdatedNotificationParam, service::SubscriptionSink};

/// What changed.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Tools,
    Prompts,
    Resource(&'static str),
}

/// Addresses that one legacy session subscribed to.
pub(crate) type Watched = Arc<Mutex<HashSet<String>>>;

/// Everyone who is told of a change, in the way of their revision.
#[derive(Clone, Default)]
pub(crate) struct Subscribers(Arc<Mutex<Lists>>);

#[derive(Default)]
struct Lists {
    next: u64,
    /// `subscriptions/listen` of 2026-07-28.
    listeners: Vec<(u64, SubscriptionSink)>,
    /// Sessions of the older revisions.
    sessions: Vec<(Peer<RoleServer>, Watched)>,
}

impl Subscribers {
    pub(crate) fn listen(&self, sink: SubscriptionSink) -> Listening {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.next += 1;
        let number = lists.next;
        lists.listeners.push((number, sink));
        Listening {
            number,
            subscribers: self.clone(),
        }
    }

    /// Adds a session, and forgets those that ended: there are never more than live ones and one.
    pub(crate) fn open(&self, peer: Peer<RoleServer>, watched: Watched) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists
            .sessions
            .retain(|(peer, _)| !peer.is_transport_closed());
        lists.sessions.push((peer, watched));
    }

    /// Tells everyone. Who cannot be told is gone, which is their own affair.
    pub(crate) async fn announce(&self, change: Change) {
        let (listeners, sessions) = {
            let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let listeners: Vec<_> = lists
                .listeners
                .iter()
                .map(|(_, sink)| sink.clone())
                .collect();
            (listeners, lists.sessions.clone())
        };
        for sink in listeners {
            let _ = match change {
                Change::Tools => sink.notify_tool_list_changed().await,
                Change::Prompts => sink.notify_prompt_list_changed().await,
                Change::Resource(uri) => sink.notify_resource_updated(uri).await,
            };
        }
        for (peer, watched) in sessions {
            let _ = match change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Resource(uri) => {
                    if !watched
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .contains(uri)
                    {
                        continue;
                    }
                    let updated = ResourceUpdatedNotificationParam::new(uri);
                    peer.notify_resource_updated(updated).await
                }
            };
        }
    }
}

/// A place in the list of listeners, given back when it is dropped.
pub(crate) struct Listening {
    number: u64,
    subscribers: Subscribers,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut lists = self
            .subscribers
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lists.listeners.retain(|(number, _)| *number != self.number);
    }
}
