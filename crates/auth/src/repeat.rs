use bartizan_classify::RequestClass;
use http::Request;

/// Decides whether a request may be sent again after a service answered 401 to its token.
///
/// A service that checks tokens first has done nothing yet, but not every service does. Under
/// RFC 9110, section 15.5.2, a 401 says that the request has not been applied; a service that is
/// known to keep to it can be asked again whatever the request. Asked of requests with an OAuth2
/// token only. Implemented by functions and closures from `&Request<B>` to `bool`, for bodies that
/// are [`Clone`]; bytes are, at the cost of a counter.
pub trait RepeatPolicy<B> {
    /// A copy of `request`, which is about to be sent, if it may be sent twice.
    fn copy(&self, request: &Request<B>) -> Option<Request<B>>;
}

impl<F, B> RepeatPolicy<B> for F
where
    F: Fn(&Request<B>) -> bool,
    B: Clone,
{
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        self(request).then(|| request.clone())
    }
}

/// Repeats what the method allows: safe and idempotent requests. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByMethod;

impl<B: Clone> RepeatPolicy<B> for ByMethod {
    #[inline]
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        let may_repeat = RequestClass::from(request.method()).may_repeat();
        may_repeat.then(|| request.clone())
    }
}

/// Repeats nothing, and so copies nothing: for bodies that cannot be copied, such as streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverRepeat;

impl<B> RepeatPolicy<B> for NeverRepeat {
    #[inline]
    fn copy(&self, _: &Request<B>) -> Option<Request<B>> {
        None
    }
}
