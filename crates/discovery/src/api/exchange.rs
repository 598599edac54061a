use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, RETRY_AFTER},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use serde::{Deserialize, de::DeserializeOwned};
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of an answer, whoever gave it.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, Failure>;

// Boxed, body included: a request every few seconds, by a source that need not know its client.
type Answering = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Failure>> + Send>>;
type Sending = dyn Fn(Request<Full<Bytes>>) -> Answering + Send + Sync;

/// The most bytes of an answer that says what is wrong.
const MAX_COMPLAINT: usize = 64 * 1024;

/// The most characters of it that are shown.
const MAX_MESSAGE: usize = 300;

/// An API, and how long it may take.
#[derive(Clone)]
pub(crate) struct Api {
    send: Arc<Sending>,
    pub(crate) timeout: Duration,
}

impl Api {
    pub(crate) fn new<S, B>(client: S, timeout: Duration) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let send = move |request| -> Answering {
            let mut client = client.clone();
            Box::pin(async move {
                let ready = poll_fn(|context| client.poll_ready(context)).await;
                ready.map_err(Failure::broken)?;
                let answer = client.call(request).await.map_err(Failure::broken)?;
                Ok(answer.map(|body| body.map_err(Failure::broken).boxed_unsync()))
            })
        };
        Self {
            send: Arc::new(send),
            timeout,
        }
    }

    /// The beginning of a good answer to `GET`, within the timeout.
    pub(crate) async fn open(
        &self,
        uri: Uri,
        authorization: Option<HeaderValue>,
    ) -> Result<AnswerBody, Failure> {
        within(self.timeout, self.opened(uri, authorization)).await
    }

    /// A whole good answer to `GET`, within the timeout.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        uri: Uri,
        authorization: Option<HeaderValue>,
        max_bytes: usize,
    ) -> Result<T, Failure> {
        within(self.timeout, self.asked(uri, authorization, max_bytes)).await
    }

    async fn opened(
        &self,
        uri: Uri,
        authorization: Option<HeaderValue>,
    ) -> Result<AnswerBody, Failure> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        let answer = (self.send)(request).await?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        Err(Failure::refused(answer).await)
    }

    async fn asked<T: DeserializeOwned>(
        &self,
        uri: Uri,
        authorization: Option<HeaderValue>,
        max_bytes: usize,
    ) -> Result<T, Failure> {
        let body = self.opened(uri, authorization).await?;
        let whole = Limited::new(body, max_bytes).collect().await;
        let whole = whole.map_err(Failure::broken)?;
        understood(&whole.to_bytes())
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

async fn within<T, F>(timeout: Duration, answer: F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>> + Send,
{
    match tokio::time::timeout(timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::new("the answer took too long")),
    }
}

/// What `text` says.
fn understood<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    // What serde_json says names a place and a type, and quotes at most one value.
    let failure = |error| Failure::new(format_args!("the answer is not understood: {error}"));
    serde_json::from_slice(text).map_err(failure)
}

/// Why there is no answer that could be used.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What was answered, if anything.
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code))]
    pub(crate) status: Option<StatusCode>,
    /// How long the API wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    text: String,
}

impl Failure {
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self {
            status: None,
            retry_after: None,
            text: shown(&text.to_string()),
        }
    }

    /// What the API says in an answer that is not good, or in the middle of one.
    pub(crate) fn of_status(status: StatusCode, message: Option<&str>) -> Self {
        let text = match message.map(str::trim).filter(|it| !it.is_empty()) {
            Some(message) => format!("answered {}: {message}", status.as_u16()),
            None => format!("answered {}", status.as_u16()),
        };
        Self {
            status: Some(status),
            ..Self::new(text)
        }
    }

    /// The exchange broke.
    fn broken(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        let mut error: &(dyn Error + 'static) = &*error;
        while let Some(source) = error.source() {
            error = source;
        }
        Self::new(error)
    }

    async fn refused(answer: Response<AnswerBody>) -> Self {
        /// What both APIs say is wrong.
        #[derive(Deserialize)]
        struct Complaint {
            message: String,
        }
        let (parts, body) = answer.into_parts();
        let whole = Limited::new(body, MAX_COMPLAINT).collect().await;
        let complaint = whole.ok().and_then(|whole| {
            let complaint: Result<Complaint, _> = serde_json::from_slice(&whole.to_bytes());
            complaint.ok()
        });
        let message = complaint.as_ref().map(|complaint| &*complaint.message);
        Self {
            retry_after: retry_after(&parts.headers),
            ..Self::of_status(parts.status, message)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
    // Nobody means more than a minute, and nobody should be able to stop a source for longer.
    seconds.map(|seconds: u64| Duration::from_secs(seconds.min(60)))
}

/// A text from elsewhere, as a line of a log may have it.
fn shown(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_MESSAGE).map(line).collect()
}
