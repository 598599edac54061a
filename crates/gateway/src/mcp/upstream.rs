use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bartizan_classify::RequestClass;
use bartizan_protocol::{
    Envelope, Kind, Version, edit, error,
    headers::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID},
    method::{LOGGING_SET_LEVEL, RESOURCES_SUBSCRIBE, RESOURCES_UNSUBSCRIBE},
};
use bartizan_transport::bridge::{self, Listen};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use parking_lot::Mutex as SyncMutex;
use tokio::{
    sync::{Mutex, MutexGuard, OwnedMutexGuard, broadcast},
    task::JoinHandle,
};

use super::{
    Door, Message, Refusal,
    ask::{self, Turns, fresh_id},
    call::{Errand, changes_a_list},
    client::ClientSession,
    lost,
    news::Attendance,
    raw::{EITHER, EVENTS},
    refusal::JSON,
    subscribed::Subscribed,
};
use crate::service::{Payload, Stream};

/// How much news a listener may fall behind before it misses some.
const NEWS: usize = 256;

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
    /// Whose it is, unless several clients share it: who is asked what the upstream asks.
    client: Weak<ClientSession>,
    live: Mutex<Option<Arc<Live>>>,
    /// How often the upstream did not begin one.
    failures: AtomicU64,
    news: broadcast::Sender<Bytes>,
    /// Once the upstream said in this session that its lists have changed.
    own_lists: OnceLock<u64>,
    /// The parameters of the last `logging/setLevel` that was answered.
    level: SyncMutex<Option<Arc<str>>>,
    watched: SyncMutex<HashMap<Box<str>, usize>>,
    attendance: SyncMutex<Weak<Attendance>>,
    turns: Arc<Turns>,
}

/// A session as its upstream knows it.
#[derive(Debug)]
pub(crate) struct Live {
    id: Option<HeaderValue>,
    version: Version,
    instance: Arc<str>,
    /// The result of `initialize`.
    result: Bytes,
    mixes_questions: bool,
    subscribed: Subscribed,
    errand: Errand,
    /// Whether the upstream knows that it is over.
    is_over: AtomicBool,
}

impl Drop for Live {
    /// Tells the upstream that nobody will come back: sessions that are forgotten here are not
    /// to pile up there.
    fn drop(&mut self) {
        if self.id.is_some() && !self.is_over.load(Ordering::Relaxed) {
            self.errand.run(self.farewell());
        }
    }
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

    /// Whether the upstream does not say which call its questions are about.
    pub(crate) fn mixes_questions(&self) -> bool {
        self.mixes_questions
    }

    /// The upstream's name for it, if it gave one.
    pub(crate) fn id(&self) -> Option<&HeaderValue> {
        self.id.as_ref()
    }

    pub(crate) fn instance(&self) -> Arc<str> {
        Arc::clone(&self.instance)
    }

    /// What is kept of it for the next request: nothing, if the instance that the request was
    /// meant for could not be had. The session is for that one, and no other's.
    fn kept(self: &Arc<Self>, door: &Door) -> Option<Arc<Self>> {
        let is_there = door.instance().is_none_or(|it| *it == self.instance);
        is_there.then(|| Arc::clone(self))
    }

    /// Whether an answer says that the upstream has lost the session.
    fn is_lost(&self, response: &Response<Payload>) -> bool {
        // An instance that was asked in the place of the one that failed does not know the
        // session, in whatever words it says so.
        let is_elsewhere = response.body().endpoint != self.instance;
        let refuses = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
        let is_refused = is_elsewhere && refuses.contains(&response.status());
        self.id.is_some() && (is_refused || lost::is_session_lost(response))
    }

    /// Whether the upstream watches a resource, for one at a time to see and to change.
    async fn hold(&self, door: &Door, uri: &str) -> Result<OwnedMutexGuard<bool>, Refusal> {
        door.in_time(self.subscribed.hold(uri)).await
    }

    fn farewell(&self) -> Message {
        Message {
            method: Method::DELETE,
            body: Bytes::new(),
            class: RequestClass::Idempotent,
            headers: self.headers(),
            instance: Some(self.instance()),
            is_clients: false,
        }
    }

    /// A message of the gateway's own in this session.
    pub(super) fn aside(&self, body: Bytes) -> Message {
        Message {
            method: Method::POST,
            body,
            class: RequestClass::Idempotent,
            headers: self.headers(),
            instance: Some(self.instance()),
            is_clients: false,
        }
    }

    /// A `GET` of this session, for a stream.
    pub(super) fn listen(&self) -> Message {
        let mut headers = self.headers();
        headers.retain(|(name, _)| *name != CONTENT_TYPE && *name != ACCEPT);
        headers.push((ACCEPT, EVENTS));
        Message {
            method: Method::GET,
            body: Bytes::new(),
            class: RequestClass::Safe,
            headers,
            instance: Some(self.instance()),
            is_clients: false,
        }
    }
}

impl UpstreamSession {
    pub(crate) fn new(introduction: Introduction) -> Self {
        Self {
            introduction,
            client: Weak::new(),
            live: Mutex::new(None),
            failures: AtomicU64::new(0),
            news: broadcast::channel(NEWS).0,
            own_lists: OnceLock::new(),
            level: SyncMutex::default(),
            watched: SyncMutex::default(),
            attendance: SyncMutex::default(),
            turns: Arc::default(),
        }
    }

    /// One of this client alone.
    pub(crate) fn of(client: &Arc<ClientSession>) -> Self {
        Self {
            client: Arc::downgrade(client),
            ..Self::new(client.introduction().clone())
        }
    }

    /// The session as it is, begun if it was not.
    ///
    /// # Errors
    ///
    /// When the upstream does not begin one, or did not for whoever asked it meanwhile.
    pub(crate) async fn live(&self, door: &Door) -> Result<Arc<Live>, Refusal> {
        let failures = self.failures.load(Ordering::Relaxed);
        let live = door.in_time(self.live.lock()).await?;
        match &*live {
            Some(live) => Ok(Arc::clone(live)),
            // One after the other they would wait for as many times as they are.
            None if self.failures.load(Ordering::Relaxed) != failures => {
                let text = format!("{} did not begin a session just now", door.service.name());
                Err(Refusal::answer(error::UNREACHABLE, text))
            }
            None => self.begun(door, live).await,
        }
    }

    /// A session in the place of `lost`, which may have been replaced by somebody else already.
    async fn replace(&self, door: &Door, lost: &Arc<Live>) -> Result<Arc<Live>, Refusal> {
        let mut live = door.in_time(self.live.lock()).await?;
        if let Some(live) = &*live
            && !Arc::ptr_eq(live, lost)
        {
            return Ok(Arc::clone(live));
        }
        *live = None;
        lost.is_over.store(true, Ordering::Relaxed);
        tracing::info!(
            service = &**door.service.name(),
            "the upstream lost a session; beginning another"
        );
        self.begun(door, live).await
    }

    /// Begins a session in `place`, which is empty: the first, or one that knows what the lost one
    /// knew. Whoever needed it waits for that, and need not stay for it to happen.
    async fn begun(
        &self,
        door: &Door,
        mut place: MutexGuard<'_, Option<Arc<Live>>>,
    ) -> Result<Arc<Live>, Refusal> {
        let begun = begin(door, &self.introduction).await;
        let begun = Arc::new(begun.inspect_err(|_| {
            self.failures.fetch_add(1, Ordering::Relaxed);
        })?);
        *place = begun.kept(door);
        let is_kept = place.is_some();
        drop(place);
        if is_kept && let Some(restoring) = self.restore(door, &begun) {
            let _ = restoring.await;
        }
        Ok(begun)
    }

    /// Has a new session know what the lost one knew, if that is anything.
    fn restore(&self, door: &Door, live: &Arc<Live>) -> Option<JoinHandle<()>> {
        let level = self.level.lock().clone();
        let watched: Vec<_> = self.watched.lock().keys().cloned().collect();
        if level.is_none() && watched.is_empty() {
            return None;
        }
        let (door, live, client) = (door.clone(), Arc::clone(live), self.client.clone());
        Some(tokio::spawn(async move {
            if let Some(level) = level {
                ask(&door, &live, &client, "logging/setLevel", &level).await;
            }
            for uri in watched {
                let mut is_subscribed = live.subscribed.hold(&uri).await;
                if !*is_subscribed {
                    let params = uri_params(&uri);
                    let answer = ask(&door, &live, &client, RESOURCES_SUBSCRIBE, &params).await;
                    *is_subscribed = answer.as_deref().and_then(result_of).is_some();
                }
            }
        }))
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
        message: impl Fn(&Arc<Live>) -> Message,
    ) -> Result<(Response<Payload>, Arc<Live>), Refusal> {
        let live = self.live(door).await?;
        let response = lost::look(door, door.send(message(&live)).await?).await?;
        if !live.is_lost(&response) {
            return Ok((response, live));
        }
        let live = self.replace(door, &live).await?;
        let response = lost::look(door, door.send(message(&live)).await?).await?;
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

    /// The turns of calls that may be asked about.
    pub(super) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Whether a message has its upstream remember something of its session.
    pub(super) fn is_told_by(envelope: &Envelope<'_>) -> bool {
        matches!(
            envelope.method(),
            Some(LOGGING_SET_LEVEL | RESOURCES_SUBSCRIBE | RESOURCES_UNSUBSCRIBE)
        )
    }

    /// Has a session that is not begun yet know what the message says, but of no more resources than
    /// a client may watch.
    pub(super) fn note(&self, envelope: &Envelope<'_>) {
        match (envelope.method(), envelope.subject()) {
            (Some(LOGGING_SET_LEVEL), _) => {
                *self.level.lock() = envelope.params().map(Into::into);
            }
            (Some(RESOURCES_SUBSCRIBE), Some(uri)) => {
                let mut watched = self.watched.lock();
                if watched.len() < Listen::MAX_RESOURCES {
                    watched.insert((&*uri).into(), 1);
                }
            }
            (Some(RESOURCES_UNSUBSCRIBE), Some(uri)) => {
                self.watched.lock().remove(&*uri);
            }
            _ => {}
        }
    }

    /// Counts one more who watches a resource.
    pub(super) fn count_watch(&self, uri: &str) {
        let mut watched = self.watched.lock();
        *watched.entry(uri.into()).or_default() += 1;
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

    /// Whether anybody watches a resource.
    pub(super) fn is_watched(&self, uri: &str) -> bool {
        self.watched.lock().contains_key(uri)
    }

    /// Sends a request of the gateway's own and gives the response, if one came.
    pub(crate) async fn request(&self, door: &Door, method: &str, params: &str) -> Option<Bytes> {
        let body = error::request(&fresh_id(), method, Some(params));
        let sent = self.send(door, |live| live.aside(body.clone())).await;
        let (response, live) = sent.ok()?;
        answer(door, &live, &self.client, response).await
    }

    /// Subscribes to a resource, unless the session with the upstream has; what the upstream says
    /// to that, if anything.
    pub(super) async fn subscribe(&self, door: &Door, uri: &str) -> Option<Bytes> {
        let body = error::request(&fresh_id(), RESOURCES_SUBSCRIBE, Some(&uri_params(uri)));
        let mut live = self.live(door).await.ok()?;
        for may_be_lost in [true, false] {
            let mut is_subscribed = live.hold(door, uri).await.ok()?;
            if *is_subscribed {
                return Some(bridge::empty_result(&fresh_id()));
            }
            let response = door.send(live.aside(body.clone())).await.ok()?;
            let response = lost::look(door, response).await.ok()?;
            if may_be_lost && live.is_lost(&response) {
                // The one in its place may have subscribed already, as the lost one had.
                live = self.replace(door, &live).await.ok()?;
                continue;
            }
            let answer = answer(door, &live, &self.client, response).await;
            *is_subscribed = answer.as_deref().and_then(result_of).is_some();
            return answer;
        }
        None
    }

    /// Subscribes to a resource no longer, unless somebody watches it again.
    pub(super) async fn unsubscribe(&self, door: &Door, uri: &str) {
        let Ok(live) = self.live(door).await else {
            return;
        };
        let Ok(mut is_subscribed) = live.hold(door, uri).await else {
            return;
        };
        if self.is_watched(uri) {
            return;
        }
        let params = uri_params(uri);
        let body = error::request(&fresh_id(), RESOURCES_UNSUBSCRIBE, Some(&params));
        *is_subscribed = false;
        let sent = async { lost::look(door, door.send(live.aside(body)).await?).await };
        match sent.await {
            // The one in its place is not told to watch it.
            Ok(response) if live.is_lost(&response) => {
                let _ = self.replace(door, &live).await;
            }
            Ok(response) => {
                answer(door, &live, &self.client, response).await;
            }
            Err(_) => {}
        }
    }

    /// Sees to a question that the upstream asked in `live`, outside of calls.
    pub(crate) async fn asked(&self, door: &Door, live: &Arc<Live>, question: Bytes) {
        ask::put(door, live, self.client.upgrade().as_ref(), question).await;
    }

    /// Sends a notification, if the session has begun.
    pub(crate) async fn notify(&self, door: &Door, body: Bytes) {
        // One that is being begun will be asked what there is to know.
        let live = self.live.try_lock().ok().and_then(|live| live.clone());
        let Some(live) = live else {
            return;
        };
        // Nobody waits for an answer to a notification.
        let _ = door.send(live.aside(body)).await;
    }

    /// Notes what a message of the upstream's says about what is known of it.
    pub(super) fn heard(&self, door: &Door, envelope: &Envelope<'_>) {
        if changes_a_list(envelope) {
            self.own_lists.get_or_init(|| fastrand::u64(..));
        }
        door.heard(envelope);
    }

    /// What the lists of this session are known by, once it was told that they have changed: they
    /// may be no other's.
    pub(super) fn own_lists(&self) -> Option<u64> {
        self.own_lists.get().copied()
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
        if logs && self.level.lock().is_none() {
            // Twice is as good as once.
            self.set_level(door, ALL_LEVELS).await;
        }
        Ok(())
    }

    /// Has the upstream send the log messages that `params` ask for, in this session and in those
    /// that take its place.
    pub(crate) async fn set_level(&self, door: &Door, params: &str) {
        if self
            .request(door, "logging/setLevel", params)
            .await
            .is_some()
        {
            *self.level.lock() = Some(params.into());
        }
    }

    /// Tells the upstream that the session is over, if there is one.
    pub(crate) async fn end(&self, door: &Door) {
        // One that is being begun ends when it is dropped.
        let live = self.live.try_lock().ok().and_then(|mut live| live.take());
        let Some(live) = live else {
            return;
        };
        if live.id.is_none() {
            return;
        }
        live.is_over.store(true, Ordering::Relaxed);
        // Whether it listens is its own affair: it will have forgotten the session some day.
        let _ = door.send(live.farewell()).await;
    }
}

const ALL_LEVELS: &str = r#"{"level":"debug"}"#;

fn uri_params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, edit::string(uri))
}

/// Sends a request in a session as it is, and waits for the response.
async fn ask(
    door: &Door,
    live: &Arc<Live>,
    client: &Weak<ClientSession>,
    method: &str,
    params: &str,
) -> Option<Bytes> {
    let body = error::request(&fresh_id(), method, Some(params));
    let response = door.send(live.aside(body)).await.ok()?;
    answer(door, live, client, response).await
}

/// The response in an answer. Over one connection a server may ask in it what belongs to no call.
async fn answer(
    door: &Door,
    live: &Arc<Live>,
    client: &Weak<ClientSession>,
    response: Response<Payload>,
) -> Option<Bytes> {
    let mut exchange = door.exchange(response);
    let answer = async {
        loop {
            let message = exchange.next().await?.ok()?;
            match Envelope::read(&message).ok()?.kind() {
                Kind::Response | Kind::Error => return Some(message),
                Kind::Request => ask::put(door, live, client.upgrade().as_ref(), message).await,
                Kind::Notification if ask::takes_back(&message) => {
                    if let Some(client) = client.upgrade()
                        && let Some(message) = ask::taken_back(door, &client, &message)
                    {
                        client.tell(message);
                    }
                }
                Kind::Notification => {}
            }
        }
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = door.shared.clock().sleep(door.service.timeout()) => None,
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
        instance: door.instance().cloned(),
        is_clients: false,
    };
    let response = door.send(message).await?;
    let status = response.status();
    let id = response.headers().get(MCP_SESSION_ID).cloned();
    let instance = Arc::clone(&response.body().endpoint);
    let stream = response.body().stream.as_ref();
    let mixes_questions = stream.is_some_and(Stream::is_hosted);
    let answer = door.final_message(response).await;
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
        mixes_questions,
        subscribed: Subscribed::default(),
        errand: door.errand(),
        is_over: AtomicBool::new(false),
    };
    door.send(live.aside(bridge::INITIALIZED)).await?;
    Ok(live)
}

fn result_of(message: &[u8]) -> Option<&str> {
    Envelope::read(message).ok()?.result()
}

fn not_begun(door: &Door, status: StatusCode, answer: Option<&[u8]>) -> Refusal {
    let service = door.service.name();
    if lost::is_credential(status) {
        return Refusal::unauthorized(service, status);
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
