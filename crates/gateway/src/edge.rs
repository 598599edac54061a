use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{body::Body as AxumBody, extract::Request};
use bartizan_server::RemoteAddr;
use futures_util::future::{CatchUnwind, FutureExt};
use http::{
    HeaderMap, HeaderValue, Method, Response, Uri, Version,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST},
    uri::Authority,
};
use http_body::Body as HttpBody;
use percent_encoding::percent_decode_str;
use pin_project::pin_project;
use tower_service::Service;

use crate::{
    cors::Page,
    current::Current,
    error::Error,
    front::{self, Refuse},
    ids::{self, X_REQUEST_ID},
    shared::Shared,
};

/// What every request passes first and every answer last: preflights, the caller's API key,
/// the request id, CORS headers, and a panic that must not cost more than its own request.
#[derive(Clone, Debug)]
pub struct Edge<S> {
    inner: S,
    current: Current,
}

impl<S> Edge<S> {
    pub(crate) fn new(inner: S, current: Current) -> Self {
        Self { inner, current }
    }
}

impl<S, B> Service<http::Request<B>> for Edge<S>
where
    S: Service<Request, Response = Response<AxumBody>, Error = Infallible>,
    B: HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<AxumBody>;
    type Error = Infallible;
    type Future = EdgeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let request_id = ids::ensure(request.headers_mut());
        let page = Page::of(request.headers());
        let moved = front::docs::without_slash(request.uri().path());
        if let Some(uri) = without_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        let shared = self.current.load();
        let refuse = front::refusing(request.uri().path());
        let answer = match shortcut(&shared, refuse, &request).or(moved) {
            Some(response) => Answer::Known(Some(response)),
            None => {
                let call = self.inner.call(request.map(AxumBody::new));
                Answer::Called(AssertUnwindSafe(call).catch_unwind())
            }
        };
        EdgeFuture {
            answer,
            shared,
            refuse,
            request_id,
            page,
        }
    }
}

/// The same without slashes at the end of its path, which clients add or leave out as they like.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if path.len() < 2 || !path.ends_with('/') {
        return None;
    }
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}").parse(),
        None => path.parse(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.ok()?);
    Uri::from_parts(parts).ok()
}

/// Whether what is escaped in a path is text. Routes take parts of it for names.
fn is_text(path: &str) -> bool {
    !path.contains('%') || percent_decode_str(path).decode_utf8().is_ok()
}

fn shortcut<B>(
    shared: &Shared,
    refuse: Refuse,
    request: &http::Request<B>,
) -> Option<Response<AxumBody>> {
    if request.extensions().get::<RemoteAddr>().is_some() && !names_its_host(request) {
        return Some(refuse(shared, &Error::NoHost));
    }
    if request.method() == Method::OPTIONS {
        return Some(Response::new(AxumBody::from("OK")));
    }
    if !is_text(request.uri().path()) {
        let text = "the path holds bytes that are not UTF-8".to_owned();
        return Some(refuse(shared, &Error::Invalid(text)));
    }
    let is_open = is_open(request.uri().path());
    if !shared.admits(request.headers()) && !is_open {
        return Some(refuse(shared, &Error::Unauthenticated));
    }
    match shared.refuses_page(request.headers(), request.uri().authority()) {
        None => {}
        // Probes name addresses that no list foresees.
        Some(Error::ForeignHost) if is_open => {}
        Some(error) => return Some(refuse(shared, &error)),
    }
    if ids::has_passed(request.headers(), shared.pseudonym()) {
        return Some(refuse(shared, &Error::Loop));
    }
    if is_compressed(request.headers()) {
        let mut refusal = refuse(shared, &Error::Compressed);
        // Or it could be about the type (RFC 9110, section 15.5.16).
        let none = HeaderValue::from_static("identity");
        refusal.headers_mut().insert(ACCEPT_ENCODING, none);
        return Some(refusal);
    }
    None
}

/// Whether it has one `Host`, as RFC 9112, section 3.2, demands of what comes over HTTP/1.1.
fn names_its_host<B>(request: &http::Request<B>) -> bool {
    if request.version() != Version::HTTP_11 {
        return true;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_sound =
        |host: &HeaderValue| host.is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    hosts.next().is_some_and(is_sound) && hosts.next().is_none()
}

/// Whether a body was encoded on its way here, which nobody here undoes: bodies are passed on as
/// they came.
fn is_compressed(headers: &HeaderMap) -> bool {
    let as_it_is = |value: &HeaderValue| {
        value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity")
    };
    !headers.get_all(CONTENT_ENCODING).iter().all(as_it_is)
}

/// Whether a path is for everybody: for health checks of containers, which know no key and learn no
/// more than that the gateway is there and how many of its backends are, and for browsers, which
/// cannot show a key when they load a page.
fn is_open(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/health") || front::docs::is_open(path)
}

/// The future of an [`Edge`]; dropping it cancels the call.
#[pin_project]
#[derive(Debug)]
pub struct EdgeFuture<F> {
    #[pin]
    answer: Answer<F>,
    shared: Arc<Shared>,
    refuse: Refuse,
    request_id: HeaderValue,
    page: Page,
}

#[pin_project(project = AnswerProjection)]
#[derive(Debug)]
enum Answer<F> {
    Known(Option<Response<AxumBody>>),
    Called(#[pin] CatchUnwind<AssertUnwindSafe<F>>),
}

impl<F> Future for EdgeFuture<F>
where
    F: Future<Output = Result<Response<AxumBody>, Infallible>>,
{
    type Output = Result<Response<AxumBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.answer.project() {
            AnswerProjection::Known(response) => response.take().unwrap_or_default(),
            AnswerProjection::Called(call) => match ready!(call.poll(cx)) {
                Ok(Ok(response)) => response,
                Err(panic) => {
                    tracing::error!(reason = panic_text(&*panic), "a request panicked");
                    (this.refuse)(this.shared, &Error::Internal)
                }
            },
        };
        this.shared.count(response.status());
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, this.request_id.clone());
        this.shared.cors().apply(this.page, headers);
        Poll::Ready(Ok(response))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| Some(panic.downcast_ref::<String>()?.as_str()))
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_of_a_path_are_left_out() {
        for (uri, bare) in [
            ("/", None),
            ("/mcp", None),
            ("/mcp/", Some("/mcp")),
            ("/mcp/x//?a=/", Some("/mcp/x?a=/")),
            ("//", Some("/")),
            ("http://h:1/tools/", Some("http://h:1/tools")),
        ] {
            let found = without_slash(&uri.parse().unwrap());
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), bare, "{uri}");
        }
    }
}
