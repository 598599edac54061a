use std::{
    fmt,
    future::{Future, poll_fn},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

/// Any service that speaks Streamable HTTP, in the shape in which fronts use it.
pub(super) trait Upstream: Clone + Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error: fmt::Display + Send> + Send + 'static;

    /// Sends a request; what went wrong if no answer came.
    fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Self::Body>, String>> + Send;
}

impl<S, B> Upstream for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: fmt::Display + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
{
    type Body = B;

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<B>, String> {
        let mut service = self.clone();
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(|error| error.to_string())?;
        service
            .call(request)
            .await
            .map_err(|error| error.to_string())
    }
}
