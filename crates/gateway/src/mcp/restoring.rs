use std::sync::{Arc, Weak, atomic::Ordering};

use bartizan_protocol::{
    error,
    method::{LOGGING_SET_LEVEL, RESOURCES_SUBSCRIBE, RESOURCES_UNSUBSCRIBE},
};
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{
    Door,
    ask::fresh_id,
    client::ClientSession,
    known::Known,
    live::{Live, answer, result_of},
    upstream::uri_params,
};

/// Tells a session what the one knew whose place it takes. Clients say more meanwhile, which counts.
pub(super) struct Restoring {
    door: Door,
    live: Arc<Live>,
    /// Who is asked what the upstream asks meanwhile.
    client: Weak<ClientSession>,
    known: Arc<Known>,
}

impl Restoring {
    /// Begins to, in a task of its own, if there is anything to be known and nobody has seen to it.
    pub(super) fn begin(
        door: &Door,
        live: &Arc<Live>,
        client: &Weak<ClientSession>,
        known: &Arc<Known>,
    ) -> Option<JoinHandle<()>> {
        if live.is_restored.swap(true, Ordering::Relaxed) || known.is_empty() {
            return None;
        }
        let restoring = Self {
            door: door.clone(),
            live: Arc::clone(live),
            client: client.clone(),
            known: Arc::clone(known),
        };
        Some(tokio::spawn(restoring.run()))
    }

    async fn run(self) {
        while let Some(level) = self.known.level() {
            self.ask(LOGGING_SET_LEVEL, &level).await;
            if self.known.level().as_ref() == Some(&level) || self.live.is_over() {
                break;
            }
        }
        for uri in self.known.watched() {
            if self.live.is_over() {
                return;
            }
            self.subscribe(&uri).await;
        }
    }

    async fn subscribe(&self, uri: &str) {
        let mut is_subscribed = self.live.subscribed.hold(uri).await;
        if *is_subscribed || !self.known.is_watched(uri) {
            return;
        }
        let params = uri_params(uri);
        let answer = self.ask(RESOURCES_SUBSCRIBE, &params).await;
        *is_subscribed = answer.as_deref().and_then(result_of).is_some();
        // A client may have unsubscribed before the upstream heard this.
        if !self.known.is_watched(uri) {
            self.ask(RESOURCES_UNSUBSCRIBE, &params).await;
            *is_subscribed = false;
        }
    }

    async fn ask(&self, method: &str, params: &str) -> Option<Bytes> {
        let body = error::request(&fresh_id(), method, Some(params));
        let response = self.door.send(self.live.aside(body)).await.ok()?;
        answer(&self.door, &self.live, &self.client, response).await
    }
}
