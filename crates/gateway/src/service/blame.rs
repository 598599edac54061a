use bartizan_auth as auth;
use bartizan_balance::{self as balance, Balancer};
use bartizan_classify::{Classify, HttpClassifier, Outcome};
use http::Response;

use super::{
    Payload,
    endpoint::{Endpoint, EndpointError},
};

/// What a result says about the service as a whole, for its breaker.
///
/// A failing instance among others is the balancer's to set aside. Were its failures to count
/// here as well, the calls in flight at the death of one instance would open the circuit of a
/// service whose other instances are well.
#[derive(Clone, Debug)]
pub(crate) struct Blame {
    balancer: Balancer<Endpoint>,
    http: HttpClassifier,
}

impl Blame {
    pub(crate) fn new(balancer: Balancer<Endpoint>) -> Self {
        Self {
            balancer,
            http: HttpClassifier::default(),
        }
    }
}

type Failed = auth::Error<balance::Error<EndpointError>>;

impl Classify<Response<Payload>, Failed> for Blame {
    fn classify(&self, result: Result<&Response<Payload>, &Failed>) -> Outcome {
        let outcome = self.http.classify(result);
        if !matches!(outcome, Outcome::Failure { .. }) {
            return outcome;
        }
        let endpoint = match result {
            Ok(response) => &response.body().endpoint,
            Err(auth::Error::Inner(balance::Error::Inner(error))) => &error.endpoint,
            Err(_) => return outcome,
        };
        if self.balancer.absorbs(endpoint) {
            Outcome::Ignored
        } else {
            outcome
        }
    }
}
