use bartizan_clock::Instant;

/// Tells when the caller of a request will have given up.
///
/// Implemented by functions from `&Req` to `Option<Instant>`, and by [`NoDeadline`].
pub trait DeadlineOf<Req> {
    /// The deadline of `request`; asked only when no token is there.
    fn deadline_of(&self, request: &Req) -> Option<Instant>;
}

impl<F, Req> DeadlineOf<Req> for F
where
    F: Fn(&Req) -> Option<Instant>,
{
    #[inline]
    fn deadline_of(&self, request: &Req) -> Option<Instant> {
        self(request)
    }
}

/// Gives no request a deadline.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDeadline;

impl<Req> DeadlineOf<Req> for NoDeadline {
    #[inline]
    fn deadline_of(&self, _: &Req) -> Option<Instant> {
        None
    }
}
