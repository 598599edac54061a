use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bartizan_classify::RequestClass;
use bartizan_protocol::{
    Envelope, Kind, Version, edit, error,
    headers::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID},
};
use bartizan_transport::bridge;
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, broadcast};

use super::{Door, Exchange, Message, Refusal, news::Attendance, raw::EITHER, refusal::JSON};
use crate::service::Payload;

/// How much news a listener may fall behind before it misses some.
const NEWS: usize = 256;
/// The most bytes of an answer to a handshake.
const MAX_HANDSHAKE: usize = 1024 * 1024;

/// What a client says of itself when it begins.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) version: Version,
    /// JSON, in the words of the older revisions.
    pub(crate) capabilities: Arc<str>,
    /// JSON.
    pub(crate) info: Arc<str>,
}

impl Introduction {
    /// The gateway itself, which can do nothing that an upstream might ask for.
    pub(crate) fn of_gateway() -> Self {
        Self {
            version: Version::LATEST_LEGACY,
            capabilities: "{}".into(),
            info: super::bridged::GATEWAY_INFO.into(),
        }
    }
}

/// A session of the gateway's own with an upstream of an older revision.
///
/// Begun when it is first needed, and begun again when the upstream has lost it; whoever comes
/// at the same time waits for the same one.
#[derive(Debug)]
pub(crate) struct UpstreamSession {
    introduction: Introduction,
    live: Mutex<Option<Arc<Live>>>,
    news: broadcast::Sender<Bytes>,
    logs_everything: AtomicBool,
    watched: SyncMutex<HashMap<Box<str>, usize>>,
    attendance: SyncMutex<Weak<Attendance>>,
}

/// A session as its upstream knows it.
#[derive(Debug)]
pub(crate) struct Live {
    id: Option<HeaderValue>,
    version: Version,
    instance: Arc<str>,
    /// The result of `initialize`.
    result: Bytes,
}

impl Live {
    /// The result of `initialize`, as JSON.
    pub(crate) fn result(&self) -> &[u8] {
        &self.result
    }

    /// The headers that make a message one of this session.
    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::with_capacity(6);
        headers.extend([(CONTENT_TYPE, JSON), (ACCEPT, EITHER)]);
        // The version header came with the revision that asks for it.
        if self.version >= Version::V2025_06_18 {
            let version = HeaderValue::from_static(self.version.as_str());
            headers.push((MCP_PROTOCOL_VERSION, version));
        }
        headers.extend(self.id.clone().map(|id| (MCP_SESSION_ID, id)));
        headers
    }

    /// The upstream's name for it, if it gave one.
    pub(crate) fn id(&self) -> Option<&HeaderValue> {
        self.id.as_ref()
    }

    pub(crate) fn instance(&self) -> Arc<str> {
        Arc::clone(&self.instance)
    }

    /// Whether an answer says that the upstream does not know this session.
    fn is_lost(&self, response: &Response<Payload>) -> bool {
        self.id.is_some() && response.status() == StatusCode::NOT_FOUND
    }
}

impl UpstreamSession {
    pub(crate) fn new(introduction: Introduction) -> Self {
        Self {
            introduction,
            live: Mutex::new(None),
            news: broadcast::channel(NEWS).0,
            logs_everything: AtomicBool::new(false),
            watched: SyncMutex::default(),
            attendance: SyncMutex::default(),
        }
    }

    /// The session as it is, begun if it was not.
    ///
    /// # Errors
    ///
    /// When the upstream does not begin one.
    pub(crate) async fn live(&self, door: &Door) -> Result<Arc<Live>, Refusal> {
        let mut live = self.live.lock().await;
        match &*live {
            Some(live) => Ok(Arc::clone(live)),
            None => {
                let begun = Arc::new(begin(door, &self.introduction).await?);
                *live = Some(Arc::clone(&begun));
                Ok(begun)
            }
        }
    }

    /// A session in the place of `lost`, which may have been replaced by somebody else already.
    async fn replace(&self, door: &Door, lost: &Arc<Live>) -> Result<Arc<Live>, Refusal> {
        {
            let mut live = self.live.lock().await;
            if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, lost)) {
                *live = None;
                self.logs_everything.store(false, Ordering::Relaxed);
            }
        }
        tracing::info!(
            service = &**door.service.name(),
            "the upstream lost a session; beginning another"
        );
        self.live(door).await
    }

    /// Sends a message in this session; once more in another if the upstream had lost it, for
    /// then it did nothing with the first.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub(crate) async fn send(
        &self,
        door: &Door,
        message: impl Fn(&Live) -> Message,
    ) -> Result<(Response<Payload>, Arc<Live>), Refusal> {
        let live = self.live(door).await?;
        let response = door.send(message(&live)).await?;
        if !live.is_lost(&response) {
            return Ok((response, live));
        }
        let live = self.replace(door, &live).await?;
        let response = door.send(message(&live)).await?;
        Ok((response, live))
    }

    /// What holds the stream of news open, begun by `begin` if nobody else holds it.
    pub(super) fn attended(&self, begin: impl FnOnce() -> Attendance) -> Arc<Attendance> {
        let mut held = self.attendance.lock();
        held.upgrade().unwrap_or_else(|| {
            let begun = Arc::new(begin());
            *held = Arc::downgrade(&begun);
            begun
        })
    }

    /// Counts one more who watches a resource; whether it is the first.
    pub(super) fn count_watch(&self, uri: &str) -> bool {
        let mut watched = self.watched.lock();
        let count = watched.entry(uri.into()).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts one less who watches a resource; whether it was the last.
    pub(super) fn count_unwatch(&self, uri: &str) -> bool {
        let mut watched = self.watched.lock();
        let Some(count) = watched.get_mut(uri) else {
            return false;
        };
        *count -= 1;
        let was_last = *count == 0;
        if was_last {
            watched.remove(uri);
        }
        was_last
    }

    /// Sends a request of the gateway's own and gives the response, if one came.
    pub(crate) async fn request(&self, door: &Door, method: &str, params: &str) -> Option<Bytes> {
        let body = error::request(r#""bartizan-request""#, method, Some(params));
        let message = |live: &Live| Message {
            method: Method::POST,
            body: body.clone(),
            class: RequestClass::Idempotent,
            headers: live.headers(),
            instance: Some(live.instance()),
        };
        let (response, _) = self.send(door, message).await.ok()?;
        let limit = door.shared.mcp().max_message_bytes();
        final_message(Exchange::new(response, limit)).await
    }

    /// Sends a notification, if the session has begun.
    pub(crate) async fn notify(&self, door: &Door, body: Bytes) {
        let Some(live) = self.live.lock().await.clone() else {
            return;
        };
        let message = Message {
            method: Method::POST,
            body,
            class: RequestClass::Idempotent,
            headers: live.headers(),
            instance: Some(live.instance()),
        };
        // Nobody waits for an answer to a notification.
        let _ = door.send(message).await;
    }

    /// Passes on what the upstream said to nobody in particular.
    pub(crate) fn tell(&self, message: Bytes) {
        let _ = self.news.send(message);
    }

    /// What the upstream says to nobody in particular from now on.
    pub(crate) fn news(&self) -> broadcast::Receiver<Bytes> {
        self.news.subscribe()
    }

    /// Has the upstream send every log message, so that each request can have its own level.
    ///
    /// # Errors
    ///
    /// When no answer came. That the upstream does not log is none.
    pub(crate) async fn log_everything(&self, door: &Door) -> Result<(), Refusal> {
        let live = self.live(door).await?;
        let logs = edit::get(live.result(), &["capabilities", "logging"]).is_some();
        if !logs || self.logs_everything.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.request(door, "logging/setLevel", r#"{"level":"debug"}"#)
            .await;
        Ok(())
    }

    /// Tells the upstream that the session is over, if there is one.
    pub(crate) async fn end(&self, door: &Door) {
        let Some(live) = self.live.lock().await.take() else {
            return;
        };
        if live.id.is_none() {
            return;
        }
        let message = Message {
            method: Method::DELETE,
            body: Bytes::new(),
            class: RequestClass::Idempotent,
            headers: live.headers(),
            instance: Some(live.instance()),
        };
        // Whether it listens is its own affair: it will have forgotten the session some day.
        let _ = door.send(message).await;
    }
}

/// Introduces the gateway to an upstream in the words of a client.
async fn begin(door: &Door, introduction: &Introduction) -> Result<Live, Refusal> {
    const ID: &str = r#""bartizan-initialize""#;

    let request = bridge::initialize_request(
        ID,
        introduction.version,
        &introduction.capabilities,
        &introduction.info,
    );
    let message = Message {
        method: Method::POST,
        body: request,
        class: RequestClass::Idempotent,
        headers: vec![(CONTENT_TYPE, JSON), (ACCEPT, EITHER)],
        instance: None,
    };
    let response = door.send(message).await?;
    let status = response.status();
    let id = response.headers().get(MCP_SESSION_ID).cloned();
    let instance = Arc::clone(&response.body().endpoint);
    let answer = final_message(Exchange::new(response, MAX_HANDSHAKE)).await;
    let result = answer.as_deref().and_then(result_of);
    let Some(result) = result else {
        return Err(not_begun(door, status, answer.as_deref()));
    };
    let version = edit::get(result.as_bytes(), &["protocolVersion"])
        .and_then(edit::text)
        .and_then(|version| Version::parse(&version))
        .unwrap_or(introduction.version);
    let live = Live {
        id,
        version,
        instance,
        result: Bytes::copy_from_slice(result.as_bytes()),
    };
    let initialized = Message {
        method: Method::POST,
        body: Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        class: RequestClass::Idempotent,
        headers: live.headers(),
        instance: Some(live.instance()),
    };
    door.send(initialized).await?;
    Ok(live)
}

fn result_of(message: &[u8]) -> Option<&str> {
    Envelope::read(message).ok()?.result()
}

/// The response that ends an exchange, past all that comes before it.
pub(super) async fn final_message(mut exchange: Exchange) -> Option<Bytes> {
    while let Some(Ok(message)) = exchange.next().await {
        let kind = Envelope::read(&message).ok()?.kind();
        if matches!(kind, Kind::Response | Kind::Error) {
            return Some(message);
        }
    }
    None
}

fn not_begun(door: &Door, status: StatusCode, answer: Option<&[u8]>) -> Refusal {
    let service = door.service.name();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Refusal::unauthorized(service);
    }
    let said = answer.and_then(|answer| {
        let text = edit::get(answer, &["error", "message"])?;
        edit::text(text).map(std::borrow::Cow::into_owned)
    });
    let said = said.unwrap_or_else(|| format!("status {}", status.as_u16()));
    Refusal::answer(
        error::BAD_ANSWER,
        format!("{service} did not begin a session: {said}"),
    )
}
