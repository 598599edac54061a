use http::Response;

use crate::{Busy, BusyBody};

/// Decides when a call has ended: with its response, or later.
///
/// Also the place to note which endpoint answered: [`Busy::endpoint`] knows it.
///
/// The idea is tower's `TrackCompletion`.
pub trait TrackCompletion<Handle, Res> {
    /// The response as the caller gets it.
    type Output;

    /// Attaches `handle`, which keeps the endpoint busy until it is dropped, to `response`.
    fn track(&self, handle: Handle, response: Res) -> Self::Output;
}

/// The call ends when its response is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct UntilResponse;

impl<Handle, Res> TrackCompletion<Handle, Res> for UntilResponse {
    type Output = Res;

    #[inline]
    fn track(&self, _: Handle, response: Res) -> Res {
        response
    }
}

/// The call ends when the body of its HTTP response does: at its last frame, at its error, or
/// when it is dropped.
///
/// An event stream can go on for hours; an endpoint that holds a thousand of them is not idle.
#[derive(Clone, Copy, Debug, Default)]
pub struct UntilBodyEnd;

impl<B: http_body::Body> TrackCompletion<Busy, Response<B>> for UntilBodyEnd {
    type Output = Response<BusyBody<B>>;

    #[inline]
    fn track(&self, busy: Busy, response: Response<B>) -> Self::Output {
        response.map(|body| BusyBody::new(body, busy))
    }
}
