use bartizan_balance::{Affinity, Endpoint, Tried};
use http::Request;

use super::Outbound;

/// Sends each attempt of a call to an instance that has not had one yet, where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elsewhere;

impl Affinity<Request<Outbound>> for Elsewhere {
    /// Calls of one agent stay together; without an agent, those of one correlation.
    fn key(&self, request: &Request<Outbound>) -> Option<u64> {
        let parts = request.body().parts();
        let key = parts.agent_id.as_ref().unwrap_or(&parts.correlation_id);
        Some(bartizan_balance::hash_key(key.as_bytes()))
    }

    fn tried(&self, request: &Request<Outbound>) -> Option<Tried> {
        let outbound = request.body();
        (outbound.attempt() > 1).then(|| *outbound.parts().tried.lock())
    }

    fn chosen(&self, request: &mut Request<Outbound>, endpoint: &Endpoint) {
        request.body().parts().tried.lock().insert(endpoint);
    }
}
