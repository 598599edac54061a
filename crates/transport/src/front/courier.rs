use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::Full;
use tokio::sync::mpsc;

use bartizan_protocol::headers::LAST_EVENT_ID;

use super::{
    FrontLimits, Target, call::Call, params::Params, session::Session, upstream::Upstream,
};

/// Brings what a client says to the service, and what is said to it back.
#[derive(Clone, Debug)]
pub(super) struct Courier<U> {
    pub(super) upstream: U,
    pub(super) target: Arc<Target>,
    pub(super) out: mpsc::Sender<Bytes>,
    pub(super) params: Arc<Params>,
    pub(super) limits: FrontLimits,
}

impl<U: Upstream> Courier<U> {
    /// Has the client hear this; false if it does not listen any more.
    pub(super) async fn say(&self, message: Bytes) -> bool {
        self.out.send(message).await.is_ok()
    }

    pub(super) async fn post(
        &self,
        call: &Call,
        session: Option<&Session>,
    ) -> Result<Response<U::Body>, String> {
        let mut headers = self.target.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let either = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(ACCEPT, either);
        call.set_headers(session, &self.params, &mut headers);
        self.send(Method::POST, headers, call.message.clone()).await
    }

    /// Opens the stream of what is said unasked, or one that broke off after an event.
    pub(super) async fn get(
        &self,
        session: &Session,
        last_event: Option<&Bytes>,
    ) -> Result<Response<U::Body>, String> {
        let mut headers = self.target.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        session.set_headers(&mut headers);
        if let Some(id) = last_event.and_then(|id| HeaderValue::from_bytes(id).ok()) {
            headers.insert(LAST_EVENT_ID, id);
        }
        self.send(Method::GET, headers, Bytes::new()).await
    }

    /// Ends a session.
    pub(super) async fn delete(&self, session: &Session) {
        let mut headers = self.target.headers.clone();
        session.set_headers(&mut headers);
        // A server that cannot be told finds out by itself.
        let _ = self.send(Method::DELETE, headers, Bytes::new()).await;
    }

    async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<U::Body>, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.path.clone();
        *request.headers_mut() = headers;
        self.upstream.send(request).await
    }
}
