//! Messages of 2026-07-28, which stand alone.

use std::sync::Arc;

use bartizan_protocol::{Envelope, Kind, error, method};
use bytes::Bytes;
use http::request::Parts;
use tokio::sync::Mutex;

use super::{
    Host,
    answer::{self, Answer, Begun},
    connect::Refused,
    connection::{Role, Usage},
    state::State,
};
use crate::link::{Exchange, Ids, LinkError};

impl Host {
    /// Answers a message over the owner's shared connection.
    pub(super) async fn without_session(
        &self,
        head: &Parts,
        envelope: &Envelope<'_>,
        body: &Bytes,
        owner: u64,
    ) -> Answer {
        let state = &self.0.state;
        let id = envelope.raw_id();
        let method = envelope.method().unwrap_or_default();
        // The revision knows no `initialize`, and a server of both eras would begin a session
        // with it on a connection that is for all.
        if !self.0.connect.may_be_modern() || method == method::INITIALIZE {
            return Ok(answer::method_not_found(id));
        }
        if envelope.kind() != Kind::Request {
            // The revision has none that a server waits for, and to cancel a request its client
            // lets the answer go.
            return Ok(answer::accepted());
        }
        let usage = match self.shared(head, owner).await {
            Ok(usage) => usage,
            Err(refused) => return answer::refused(refused),
        };
        let mut exchange = match usage.request(head, body.clone(), Ids::Remap).await {
            Ok(exchange) => exchange,
            Err(failed) => return answer::failed(failed, id, |error| Err(error.into())),
        };
        if method == method::SERVER_DISCOVER {
            return probe(state, &usage, &mut exchange, id).await;
        }
        let after = state.limits.stream_after;
        let begun = Begun::wait(&mut exchange, method, after, state.clock).await;
        if let Begun::Stream(_) = begun {
            usage.prove();
        }
        let whole = |usage: &Usage, response: Bytes| {
            if answer::is_result(&response) {
                usage.prove();
            }
            Ok(answer::modern(response))
        };
        begun.answer(exchange, usage, whole, |_, error| Err(error.into()))
    }

    /// The owner's shared connection, opened if there is none.
    async fn shared(&self, head: &Parts, owner: u64) -> Result<Usage, Refused> {
        let state = &self.0.state;
        if let Some(usage) = state.shared(owner) {
            return Ok(usage);
        }
        let turn = Turn::new(state, owner);
        let _turn = turn.mutex.lock().await;
        match state.shared(owner) {
            Some(usage) => Ok(usage),
            None => self.open(Role::Shared, owner, head).await,
        }
    }
}

/// Waits for the answer to `server/discover`. An older server may know no answer to it, or die of
/// it; then the method was not found.
async fn probe(state: &State, usage: &Usage, exchange: &mut Exchange, id: Option<&str>) -> Answer {
    let response = tokio::select! {
        biased;
        response = answer::response(exchange, 0) => response,
        () = state.clock.sleep(state.limits.probe) => return Ok(answer::method_not_found(id)),
    };
    match response {
        // Nor a readable one.
        Ok((_, response)) if answer::error_code(&response) == Some(error::BAD_ANSWER) => {
            Ok(answer::method_not_found(id))
        }
        Ok((_, response)) => {
            if answer::is_result(&response) {
                usage.prove();
            }
            Ok(answer::modern(response))
        }
        Err(LinkError::Closed { .. }) => Ok(answer::method_not_found(id)),
        Err(error) => Err(error.into()),
    }
}

/// The turn to open a shared connection.
struct Turn<'a> {
    state: &'a State,
    owner: u64,
    mutex: Arc<Mutex<()>>,
}

impl<'a> Turn<'a> {
    fn new(state: &'a State, owner: u64) -> Self {
        let mutex = state.table.lock().turn(owner);
        Self {
            state,
            owner,
            mutex,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut table = self.state.table.lock();
        // Under the lock, so that the last of those who wait sees that it is the last.
        self.mutex = Arc::default();
        table.forget(self.owner);
    }
}
