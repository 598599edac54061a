use bartizan_auth as auth;
use bartizan_balance::{self as balance, Balancer};
use bartizan_classify::{Classify, Fault, HttpClassifier, Outcome};
use http::{Response, StatusCode};

use super::{
    Payload,
    endpoint::{Endpoint, EndpointError},
};

/// What a result says about the instance that it is of.
///
/// That a notification was accepted says nothing: a server that answers no call any more may still
/// take note of their being cancelled, and be taken for well each time. Nor does a stream that
/// somebody only listens to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judge(HttpClassifier);

impl<E: Fault> Classify<Response<Payload>, E> for Judge {
    fn classify(&self, result: Result<&Response<Payload>, &E>) -> Outcome {
        let stream = result.ok().and_then(|it| it.body().stream.as_ref());
        let is_accepted = result.is_ok_and(|it| it.status() == StatusCode::ACCEPTED);
        if stream.is_some_and(|stream| is_accepted || stream.listens()) {
            return Outcome::Ignored;
        }
        self.0.classify(result)
    }
}

/// What a result says about the service as a whole, for its breaker.
///
/// A failing instance among others is the balancer's to set aside. Were its failures to count
/// here as well, the calls in flight at the death of one instance would open the circuit of a
/// service whose other instances are well.
#[derive(Clone, Debug)]
pub(crate) struct Blame {
    balancer: Balancer<Endpoint>,
    judge: Judge,
}

impl Blame {
    pub(crate) fn new(balancer: Balancer<Endpoint>) -> Self {
        Self {
            balancer,
            judge: Judge::default(),
        }
    }
}

type Failed = auth::Error<balance::Error<EndpointError>>;

impl Classify<Response<Payload>, Failed> for Blame {
    fn classify(&self, result: Result<&Response<Payload>, &Failed>) -> Outcome {
        let outcome = self.judge.classify(result);
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
