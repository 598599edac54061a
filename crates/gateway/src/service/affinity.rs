use bartizan_balance::{Affinity, Endpoint, Tried};
use http::Request;

use super::{Form, Outbound};

/// Sends each attempt of a call to an instance that has not had one yet, where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elsewhere;

impl Affinity<Request<Outbound>> for Elsewhere {
    /// Calls of one agent stay together; without an agent, those of one session or correlation.
    fn key(&self, request: &Request<Outbound>) -> Option<u64> {
        let parts = request.body().parts();
        let key = parts.agent_id.as_ref().or(parts.session.as_ref());
        let key = key.unwrap_or(&parts.correlation_id);
        Some(bartizan_balance::hash_key(key.as_bytes()))
    }

    /// A message of a session goes where the session is, on its first attempt: if that instance
    /// is not to be had, any other will say that it does not know the session.
    fn pinned<'a>(&self, request: &'a Request<Outbound>) -> Option<&'a str> {
        let outbound = request.body();
        match &outbound.parts().form {
            Form::Message { instance, .. } if outbound.attempt() == 1 => instance.as_deref(),
            Form::Message { .. } | Form::Operation => None,
        }
    }

    fn tried(&self, request: &Request<Outbound>) -> Option<Tried> {
        request.body().tried()
    }

    fn chosen(&self, request: &mut Request<Outbound>, endpoint: &Endpoint) {
        request.body().goes_to(endpoint);
    }
}
