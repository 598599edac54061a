use std::{
    convert::Infallible,
    error::Error,
    future::{Future, Ready, poll_fn},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::TokenErrorKind;

/// What a token endpoint may answer at most. Token responses are a few kilobytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// An HTTP client that tokens can be fetched with: a tower service, such as hyper-util's client.
///
/// Implemented for every service of the right kind and for nothing else. It should follow no
/// redirects, because they would carry secrets elsewhere.
pub trait TokenClient: Clone + Send + 'static {
    /// Sends `request` and reads the whole response.
    ///
    /// # Errors
    ///
    /// When the exchange fails, or the response is larger than 64 KiB.
    fn exchange(
        self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Bytes>, TokenErrorKind>> + Send;
}

impl<S, B> TokenClient for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn exchange(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, TokenErrorKind> {
        poll_fn(|cx| self.poll_ready(cx)).await.map_err(transport)?;
        let response = self.call(request).await.map_err(transport)?;
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
        let body = collected.map_err(|error| {
            if error.is::<LengthLimitError>() {
                TokenErrorKind::TooLarge
            } else {
                transport(error)
            }
        })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

fn transport(error: impl Into<Box<dyn Error + Send + Sync>>) -> TokenErrorKind {
    TokenErrorKind::Transport(Arc::from(error.into()))
}

/// The client of programs that fetch no tokens. There is none.
#[derive(Clone, Copy, Debug)]
pub enum NoClient {}

impl Service<Request<Full<Bytes>>> for NoClient {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match *self {}
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        match *self {}
    }
}
