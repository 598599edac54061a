use bartizan_classify::RequestClass;
use http::Request;

/// Decides whether a request may be sent again after a service answered 401 to its token.
///
/// A service that checks tokens first has done nothing yet, but not every service does. Under
/// RFC 9110, section 15.5.2, a 401 says that the request has not been applied; a service that is
/// known to keep to it can be asked again whatever the request. Asked of
/// requests with an OAuth2 token only; a request for which the answer is yes is copied before it
/// is sent. Implemented by functions and closures from `&Request<B>` to `bool`.
pub trait RepeatPolicy<B> {
    /// Whether `request` may be sent twice.
    fn may_repeat(&self, request: &Request<B>) -> bool;
}

impl<F, B> RepeatPolicy<B> for F
where
    F: Fn(&Request<B>) -> bool,
{
    fn may_repeat(&self, request: &Request<B>) -> bool {
        self(request)
    }
}

/// Repeats what the method allows: safe and idempotent requests. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByMethod;

impl<B> RepeatPolicy<B> for ByMethod {
    #[inline]
    fn may_repeat(&self, request: &Request<B>) -> bool {
        RequestClass::from(request.method()).may_repeat()
    }
}

/// Repeats nothing, and so copies nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverRepeat;

impl<B> RepeatPolicy<B> for NeverRepeat {
    #[inline]
    fn may_repeat(&self, _: &Request<B>) -> bool {
        false
    }
}
