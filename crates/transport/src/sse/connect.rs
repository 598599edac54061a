use std::{fmt, future::poll_fn, pin::Pin};

use bartizan_classify::Fault;
use bartizan_clock::Clock;
use bartizan_protocol::{headers::is_media, sse::Decoder};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header::ACCEPT};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::{SseError, SseLimits, carrier::Carrier, endpoint::Base, post::Poster};
use crate::link::Wire;

/// Opens the stream at `url` and waits until it says where messages go.
///
/// `url` may be only a path, if `service` knows the rest. `headers`, such as `Authorization`, go
/// with every request.
///
/// # Errors
///
/// [`SseError`], within [`SseLimits::connect_timeout`] whatever the server does.
///
/// # Cancellation
///
/// Dropping the future closes the stream.
///
/// # Panics
///
/// Outside a tokio runtime with its timer enabled.
pub async fn connect<S, B>(
    service: S,
    url: &Uri,
    headers: HeaderMap,
    limits: SseLimits,
) -> Result<Wire, SseError<S::Error>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Fault + fmt::Display + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
{
    let base = Base::new(url).map_err(SseError::Address)?;
    let timeout = Clock::default().sleep(limits.connect_timeout);
    let opened = tokio::select! {
        biased;
        opened = open(service.clone(), url, &base, &headers, &limits) => opened?,
        () = timeout => return Err(SseError::TimedOut),
    };
    let (wire, end) = Wire::pair(limits.queue);
    let poster = Poster {
        service,
        endpoint: opened.endpoint,
        headers,
        timeout: limits.post_timeout,
    };
    let carrier = Carrier::new(poster, opened.body, opened.events, limits.posts);
    tokio::spawn(carrier.carry(end));
    Ok(wire)
}

struct Opened<B> {
    /// Boxed once a connection, so that the body need not be `Unpin`.
    body: Pin<Box<B>>,
    events: Decoder,
    endpoint: Uri,
}

async fn open<S, B>(
    mut service: S,
    url: &Uri,
    base: &Base,
    headers: &HeaderMap,
    limits: &SseLimits,
) -> Result<Opened<B>, SseError<S::Error>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    B: Body<Data = Bytes>,
    B::Error: fmt::Display + Send,
{
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url.clone();
    *request.headers_mut() = headers.clone();
    let accept = HeaderValue::from_static("text/event-stream");
    request.headers_mut().insert(ACCEPT, accept);

    poll_fn(|cx| service.poll_ready(cx))
        .await
        .map_err(SseError::Service)?;
    let response = service.call(request).await.map_err(SseError::Service)?;
    let (parts, body) = response.into_parts();
    if parts.status != StatusCode::OK {
        return Err(SseError::Refused {
            status: parts.status,
            headers: Box::new(parts.headers),
        });
    }
    if !is_media(&parts.headers, "text/event-stream") {
        return Err(SseError::NotAStream);
    }
    let mut body = Box::pin(body);
    let mut events = Decoder::new(limits.event_bytes);
    loop {
        for event in events.by_ref() {
            let event = event?;
            if event.kind() == b"endpoint" {
                let endpoint = base.resolve(&event.data).map_err(SseError::Endpoint)?;
                return Ok(Opened {
                    body,
                    events,
                    endpoint,
                });
            }
        }
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    events.push(data);
                }
            }
            Some(Err(error)) => return Err(SseError::Broken(error.to_string())),
            None => return Err(SseError::Broken("it ended".to_owned())),
        }
    }
}
