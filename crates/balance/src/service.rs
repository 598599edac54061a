use std::task::{Context, Poll};

use bartizan_classify::{Classify, HttpClassifier};
use tower_service::Service;

use crate::{
    Affinity, Balancer, Busy, Error, NoAffinity, ResponseFuture, TrackCompletion, UntilBodyEnd,
    UntilResponse, claim::Claim, set::Entry,
};

/// A service that sends each request to an endpoint of a [`Balancer`].
///
/// It is always ready: readiness belongs to an endpoint, and which one it will be is known only
/// when the request comes. The response future waits for the endpoint chosen, which counts the
/// request as in flight meanwhile, so that others avoid it.
///
/// # Cancellation
///
/// Dropping the response future, or the body of the response, frees the endpoint.
#[derive(Clone, Debug)]
pub struct Balance<T, C, A = NoAffinity, K = UntilResponse> {
    balancer: Balancer<T>,
    classify: C,
    affinity: A,
    track: K,
}

impl<T, C> Balance<T, C> {
    /// A service over `balancer` that judges endpoints by what `classify` says of their
    /// responses, and takes a call to be over when its response is there.
    pub fn new(balancer: Balancer<T>, classify: C) -> Self {
        Self {
            balancer,
            classify,
            affinity: NoAffinity,
            track: UntilResponse,
        }
    }
}

impl<T> Balance<T, HttpClassifier, NoAffinity, UntilBodyEnd> {
    /// A service for HTTP: 5xx and transport errors are failures, and a call is over when the
    /// body of its response is.
    pub fn http(balancer: Balancer<T>) -> Self {
        Balance::new(balancer, HttpClassifier::default()).track(UntilBodyEnd)
    }
}

impl<T, C, A, K> Balance<T, C, A, K> {
    /// Asks `affinity` about each request. Default: [`NoAffinity`].
    pub fn affinity<A2>(self, affinity: A2) -> Balance<T, C, A2, K> {
        Balance {
            balancer: self.balancer,
            classify: self.classify,
            affinity,
            track: self.track,
        }
    }

    /// Lets `track` decide when a call is over.
    pub fn track<K2>(self, track: K2) -> Balance<T, C, A, K2> {
        Balance {
            balancer: self.balancer,
            classify: self.classify,
            affinity: self.affinity,
            track,
        }
    }

    /// The balancer, to look at or to update.
    pub fn balancer(&self) -> &Balancer<T> {
        &self.balancer
    }
}

impl<Req, T, C, A, K> Service<Req> for Balance<T, C, A, K>
where
    T: Service<Req> + Clone + Send + Sync + 'static,
    C: Classify<T::Response, T::Error> + Clone,
    A: Affinity<Req>,
    K: TrackCompletion<Busy, T::Response> + Clone,
{
    type Response = K::Output;
    type Error = Error<T::Error>;
    type Future = ResponseFuture<T, Req, C, K>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    // Always inlined, as a layer's call has one caller, the layer outside: what is handed over
    // through memory is copied at every layer.
    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        // A clone of the service, because most are cheaper to clone than to hold on to.
        let picked = |entry: &Entry<T>, begun| {
            let claim = Claim::new(entry, begun);
            let service = claim.service().clone();
            (claim, service)
        };
        let pinned = self.affinity.pinned(&request);
        if let Some((claim, service)) = pinned.and_then(|id| self.balancer.pick_pinned(id, picked))
        {
            return self.call_claimed(claim, service, request);
        }
        let key = self.affinity.key(&request);
        let tried = self.affinity.tried(&request);
        match self.balancer.pick_among(key, tried.as_ref(), picked) {
            Ok((claim, service)) => self.call_claimed(claim, service, request),
            Err(error) => {
                ResponseFuture::rejected(error, self.classify.clone(), self.track.clone())
            }
        }
    }
}

impl<T, C, A, K> Balance<T, C, A, K> {
    // Always inlined where it has been decided which endpoint it is, for the same reason.
    #[inline(always)]
    fn call_claimed<Req>(
        &self,
        claim: Claim<T>,
        service: T,
        mut request: Req,
    ) -> ResponseFuture<T, Req, C, K>
    where
        T: Service<Req> + Clone,
        C: Clone,
        A: Affinity<Req>,
        K: Clone,
    {
        self.affinity.chosen(&mut request, claim.endpoint());
        let (classify, track) = (self.classify.clone(), self.track.clone());
        ResponseFuture::new(claim, service, request, classify, track)
    }
}
