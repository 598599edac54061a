use std::{fmt, future::poll_fn, time::Duration};

use bartizan_classify::{Fault, FaultKind};
use bartizan_clock::Clock;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

/// How much of the body of an answer is read, so that its connection can be used again.
const DRAIN_BYTES: usize = 64 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Posts messages to the endpoint.
#[derive(Clone, Debug)]
pub(super) struct Poster<S> {
    pub(super) service: S,
    pub(super) endpoint: Uri,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Posted {
    Accepted,
    /// The server has forgotten the session.
    SessionLost,
    /// The server refused the message; with what it said to wait, in seconds.
    Refused(StatusCode, Option<u64>),
    /// The server was not reached, or broke off.
    Failed(String),
    /// The server was not asked, for a want of our own.
    Rejected(String),
    TimedOut,
}

impl<S, B> Poster<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Fault + fmt::Display,
    B: Body<Data = Bytes>,
{
    /// Posts `message`, waiting `patiently` or as long as the timeout allows.
    pub(super) async fn post(self, message: Bytes, patiently: bool) -> Posted {
        let timeout = self.timeout;
        let exchange = self.exchange(message);
        let body = if patiently {
            exchange.await
        } else {
            tokio::select! {
                biased;
                body = exchange => body,
                () = Clock::default().sleep(timeout) => return Posted::TimedOut,
            }
        };
        match body {
            Ok(body) => {
                tokio::select! {
                    () = drain(body) => {}
                    () = Clock::default().sleep(DRAIN_TIME) => {}
                }
                Posted::Accepted
            }
            Err(posted) => posted,
        }
    }

    async fn exchange(mut self, message: Bytes) -> Result<B, Posted> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint;
        let headers = request.headers_mut();
        *headers = self.headers;
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        // Servers answer with a word of text or with nothing, and say different things of either.
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));

        let failed = |error: S::Error| match error.fault() {
            FaultKind::Rejected { .. } => Posted::Rejected(error.to_string()),
            _ => Posted::Failed(error.to_string()),
        };
        poll_fn(|cx| self.service.poll_ready(cx))
            .await
            .map_err(failed)?;
        let response = self.service.call(request).await.map_err(failed)?;
        match response.status() {
            status if status.is_success() => Ok(response.into_body()),
            StatusCode::NOT_FOUND => Err(Posted::SessionLost),
            status => {
                let wait = response.headers().get(RETRY_AFTER);
                let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
                Err(Posted::Refused(status, wait))
            }
        }
    }
}

async fn drain<B: Body<Data = Bytes>>(body: B) {
    let mut body = std::pin::pin!(body);
    let mut drained = 0;
    while drained <= DRAIN_BYTES {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}
