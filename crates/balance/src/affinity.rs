use crate::{Endpoint, Tried};

/// What a request says about the choice of its endpoint, and what it is told of it.
///
/// Implemented by functions from `&Request` to an optional key, and by [`NoAffinity`].
pub trait Affinity<Req> {
    /// The key that [`Strategy::ConsistentHash`](crate::Strategy::ConsistentHash) goes by.
    fn key(&self, request: &Req) -> Option<u64>;

    /// The name of the endpoint that the request must go to, because something of it is there
    /// already. If that endpoint has left, the request goes wherever any other would.
    fn pinned<'a>(&self, request: &'a Req) -> Option<&'a str> {
        let _ = request;
        None
    }

    /// The endpoints that earlier attempts of this request were sent to.
    fn tried(&self, request: &Req) -> Option<Tried> {
        let _ = request;
        None
    }

    /// The request will go to `endpoint`: to note its name, or to count it as tried.
    fn chosen(&self, request: &mut Req, endpoint: &Endpoint) {
        let _ = (request, endpoint);
    }
}

impl<F, Req> Affinity<Req> for F
where
    F: Fn(&Req) -> Option<u64>,
{
    #[inline]
    fn key(&self, request: &Req) -> Option<u64> {
        self(request)
    }
}

/// No request has a say.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAffinity;

impl<Req> Affinity<Req> for NoAffinity {
    #[inline]
    fn key(&self, _: &Req) -> Option<u64> {
        None
    }
}
