//! HTTP+SSE of 2024-11-05: one event stream to the client, and posts beside it.
//!
//! `GET {path}/sse` opens a session, `POST {path}/messages?session=…` says something in it, and
//! it ends with its stream. What is said goes to Streamable HTTP at `path`.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing::{get, post},
};
use bartizan_protocol::{Envelope, error as code, is_batch, sse::Event};
use bartizan_transport::{
    front::{FrontLimits, Target, relay},
    sessions::{InvalidLimits, Session, SessionId, SessionLimits, Sessions},
    stream::{EventStream, set_headers},
};
use bytes::Bytes;
use futures_util::Stream;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, HOST},
    request::Parts,
};
use tokio::sync::mpsc;

use super::is_json;
use crate::{
    current::Current,
    error::Error,
    ids,
    mcp::Refusal,
    shared::{Shared, X_API_KEY},
};

/// How many messages of a client wait while others go first.
const INBOX: usize = 16;
/// How long a post may wait for room among them.
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams end when they end, so that no session is idle or too old.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The clients that hold an event stream.
#[derive(Clone, Debug)]
pub(crate) struct Clients(Sessions<Client>);

#[derive(Debug)]
struct Client {
    /// Where it was told to post.
    messages: Box<str>,
    /// Leads nowhere once the gateway drains.
    inbox: mpsc::WeakSender<Bytes>,
}

impl Clients {
    /// Under the same caps as other sessions.
    ///
    /// # Errors
    ///
    /// When the caps allow nothing.
    pub(crate) fn new(shared: &Shared) -> Result<Self, InvalidLimits> {
        let limits = SessionLimits {
            idle: FOR_EVER,
            lifetime: FOR_EVER,
            ..*shared.mcp().parked().limits()
        };
        Ok(Self(Sessions::new(limits, shared.clock())?))
    }
}

#[derive(Clone)]
struct Front {
    current: Current,
    clients: Clients,
    /// What answers the messages.
    core: Router,
}

/// The routes in front of `core`, which has those of Streamable HTTP.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    current: &Current,
    clients: &Clients,
    core: Router,
) -> Router<S> {
    let front = Front {
        current: current.clone(),
        clients: clients.clone(),
        core,
    };
    let mut router = Router::new();
    for path in ["", "/mcp", "/mcp/{service}"] {
        router = router
            .route(&format!("{path}/sse"), get(open))
            .route(&format!("{path}/messages"), post(say));
    }
    router.with_state(front)
}

async fn open(
    State(front): State<Front>,
    service: Option<Path<String>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    let shared = &front.current.load();
    if let Err(refusal) = check_origin(shared, &head) {
        return refusal.response(None);
    }
    if let Some(Path(name)) = service {
        let service = shared.catalog().service(&name);
        if service.is_none_or(|it| it.mcp().is_none()) {
            let error = Error::no_server(name, service.is_some());
            return Refusal::from(error).response(None);
        }
    }
    let path = head.uri.path();
    let base = path.strip_suffix("/sse").unwrap_or_default();
    let core = if base.is_empty() { "/mcp" } else { base };
    let Ok(core) = Uri::try_from(core) else {
        return Refusal::from(Error::Internal).response(None);
    };
    let target = Target {
        path: core,
        headers: identity(&head),
        modern: false,
    };
    let limits = FrontLimits {
        answer_bytes: shared.mcp().max_message_bytes(),
        ..FrontLimits::default()
    };

    let id = SessionId::random();
    let messages: Box<str> = format!("{base}/messages").into();
    let endpoint = format!("{messages}?session={id}");
    let (inbox, heard) = mpsc::channel(INBOX);
    let (out, said) = mpsc::channel(limits.queue);
    let caller = shared.caller(&head.headers);
    let client = Client {
        messages,
        inbox: inbox.downgrade(),
    };
    let Ok(session) = front.clients.0.insert(id, caller.principal(), client) else {
        let text = "too many event streams are open";
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, text)
            .response(None);
    };
    // Nobody says anything once listeners are to go, so that the stream ends with what is under way.
    let leaves = shared.until_listeners_go();
    tokio::spawn(async move {
        tokio::select! {
            () = leaves => {}
            () = inbox.closed() => {}
        }
    });
    // Ends when the stream is dropped, since nobody listens to it then.
    tokio::spawn(relay(
        front.core,
        target,
        heard,
        out,
        limits,
        std::future::pending(),
    ));
    let said = Said {
        endpoint: Some(Event::message(endpoint).with_event("endpoint")),
        said,
        session,
        clients: front.clients,
    };
    let house = shared.mcp();
    let body = EventStream::new(said, house.keep_alive(), house.clock());
    let mut response = Response::new(Body::new(body));
    set_headers(response.headers_mut());
    response
}

async fn say(State(front): State<Front>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let shared = &front.current.load();
    if let Err(refusal) = check_origin(shared, &head) {
        return refusal.response(None);
    }
    let refuse =
        |status, code, text: &str| Refusal::new(status, code, text.to_owned()).response(None);
    let Some(id) = head.uri.query().and_then(session_id) else {
        let text = "the session is missing: open the event stream first";
        return refuse(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, text);
    };
    // Whose session it is counts, not who knows its id.
    let caller = shared.caller(&head.headers);
    let session = front.clients.0.get(&id, caller.principal());
    let Some(client) = session.filter(|it| *it.messages == *head.uri.path()) else {
        return Refusal::session_not_found().response(None);
    };
    if !is_json(&head.headers) {
        let text = "Content-Type must be application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return refuse(status, code::INVALID_REQUEST, text);
    }
    let message = match shared.collect(body).await {
        Ok(message) => message,
        Err(error) => return Refusal::from(error).response(None),
    };
    if !is_batch(&message)
        && let Err(invalid) = Envelope::read(&message)
    {
        let (status, code) = (StatusCode::BAD_REQUEST, invalid.code());
        return Refusal::new(status, code, invalid.to_string()).response(invalid.id());
    }
    let Some(inbox) = client.inbox.upgrade() else {
        return Refusal::session_not_found().response(None);
    };
    tokio::select! {
        sent = inbox.send(message) => match sent {
            Ok(()) => {
                let mut response = Response::new(Body::from("Accepted"));
                *response.status_mut() = StatusCode::ACCEPTED;
                response
            }
            Err(_) => Refusal::session_not_found().response(None),
        },
        () = shared.clock().sleep(PATIENCE) => {
            let text = "too many messages of this session wait";
            refuse(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, text)
        }
    }
}

fn check_origin(shared: &Shared, head: &Parts) -> Result<(), Refusal> {
    let checked = shared
        .mcp()
        .origin()
        .check(&head.headers, head.uri.authority());
    checked.map_err(|refused| {
        let (status, code) = (StatusCode::FORBIDDEN, code::INVALID_REQUEST);
        Refusal::new(status, code, refused.to_string())
    })
}

/// What shows who the client is, for every message to show again.
fn identity(head: &Parts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [
        HOST,
        AUTHORIZATION,
        X_API_KEY,
        ids::TRACEPARENT,
        ids::TRACESTATE,
    ] {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    headers
}

fn session_id(query: &str) -> Option<SessionId> {
    let text = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("session="))?;
    let mut digits = text.bytes().filter(|byte| *byte != b'-');
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        for _ in 0..2 {
            let digit = char::from(digits.next()?).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    digits
        .next()
        .is_none()
        .then(|| SessionId::from_bytes(bytes))
}

/// What is said to a client, for as long as it listens.
struct Said {
    endpoint: Option<Event>,
    said: mpsc::Receiver<Bytes>,
    session: Session<Client>,
    clients: Clients,
}

impl Stream for Said {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(endpoint) = self.endpoint.take() {
            return Poll::Ready(Some(endpoint));
        }
        let said = self.said.poll_recv(cx);
        said.map(|message| Some(Event::message(message?).with_event("message")))
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        let (id, owner) = (self.session.id(), self.session.owner());
        self.clients.0.remove(&id, owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else() {
        let id = SessionId::random();
        assert_eq!(session_id(&format!("a=1&session={id}")), Some(id));
        assert_eq!(session_id(&format!("session={id}0")), None);
        for query in ["", "session=", "session=12", "sessionid=00", "session=é"] {
            assert_eq!(session_id(query), None, "{query}");
        }
    }
}
