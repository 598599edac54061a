use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bartizan_protocol::{
    Edit, Envelope, Kind, edit, error, headers::LAST_EVENT_ID, method::NOTIFICATION_CANCELLED,
};
use bartizan_transport::{
    bridge::{CapabilitiesDigest, Route, server_notification},
    sessions::SessionId,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Method};
use parking_lot::Mutex;

use super::{
    GivenUp, ModernClient, Request, broken_off, modern_upstream::fresh_id, turn::Turn,
    untranslatable,
};
use crate::mcp::{
    Door, Exchange, Message, Refusal,
    call::Errand,
    house::key_of,
    live::Live,
    lost::{self, Asks},
    upstream::UpstreamSession,
};

/// How often in a row an answer that its upstream broke off on purpose is taken up again and
/// nothing be said.
const MAX_RESUMPTIONS: u32 = 1000;
/// When to take it up if the upstream did not say, and the longest that it may say.
const RESUME_AFTER: Duration = Duration::from_secs(1);
const RESUME_AFTER_AT_MOST: Duration = Duration::from_secs(30);
/// How long the answer to a question is waited for that outlived its call.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// The pool's key for the sessions that requests of this client share: never another's, and
/// never one that was begun with other abilities.
fn pool_key(door: &Door, client: &ModernClient) -> SessionId {
    let digest = CapabilitiesDigest::of(&client.introduction.capabilities);
    let (service, caller) = (door.service.id(), &door.caller);
    let instance = door.instance();
    key_of((
        service,
        caller.owner(),
        caller.principal(),
        digest.as_bytes(),
        instance,
    ))
}

/// The session that requests of this client share.
///
/// # Errors
///
/// When there is no room for another.
pub(in crate::mcp) fn pooled(
    door: &Door,
    client: &ModernClient,
) -> Result<Arc<UpstreamSession>, Refusal> {
    let make = || Arc::new(UpstreamSession::new(client.introduction.clone()));
    let pool = door.shared.mcp().pool();
    match pool.get_or_insert(pool_key(door, client), &door.caller, make) {
        // A service may have more instances than a caller may have sessions: one for this request.
        Err(_) if door.instance().is_some() => Ok(make()),
        pooled => pooled,
    }
}

/// A request under way at an upstream of an older revision.
///
/// Dropping it before the response tells the upstream that nobody waits any more, for to close
/// its stream would not.
pub(crate) struct Call {
    door: Door,
    session: Arc<UpstreamSession>,
    live: Arc<Live>,
    exchange: Exchange,
    resumptions: u32,
    /// Its progress token at the upstream.
    token: Option<String>,
    under_way: UnderWay,
    turn: Turn,
}

/// A request that its upstream is told about if nobody waits for it any more.
struct UnderWay {
    errand: Errand,
    /// The request's id at the upstream, where several clients share a session.
    id: String,
    /// Where it goes, or went last; nowhere once it is over.
    live: Mutex<Option<Arc<Live>>>,
    /// Whether it got there: one that waits for its turn is nobody's to cancel.
    is_sent: Arc<AtomicBool>,
    given_up: GivenUp,
}

impl UnderWay {
    fn is_over(&mut self) {
        *self.live.get_mut() = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Some(live) = self.live.get_mut().take() else {
            return;
        };
        if !self.is_sent.load(Ordering::Relaxed) {
            return;
        }
        let cancelled = error::notification(
            NOTIFICATION_CANCELLED,
            Some(&format!(
                r#"{{"requestId":{},"reason":{}}}"#,
                self.id,
                self.given_up.reason()
            )),
        );
        self.errand.run(live.aside(cancelled));
    }
}

/// Something that an upstream says in answer to a request.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Bytes),
    /// A request of its own.
    Request(Bytes),
    /// The response, with the upstream's id.
    Response(Bytes),
}

impl Call {
    /// Sends `body`, a request in the words of the older revisions, whose turn it is.
    pub(super) async fn begin(
        door: &Door,
        session: &Arc<UpstreamSession>,
        body: Bytes,
        turn: Turn,
        given_up: &GivenUp,
    ) -> Result<Self, Refusal> {
        let id = fresh_id();
        let mut edit = Edit::new(&body);
        edit.set(&["id"], &id);
        let token = progress_token(&body).map(|_| fresh_id());
        if let Some(token) = &token {
            edit.set(&["params", "_meta", "progressToken"], token);
        }
        let body = edit
            .finish()
            .map_err(|error| untranslatable(door, &error))?;
        let envelope = Envelope::read(&body).map_err(|error| untranslatable(door, &error))?;
        door.learn(&envelope).await;
        let class = door.class(&envelope);
        let mut under_way = UnderWay {
            errand: door.errand(),
            id,
            live: Mutex::default(),
            is_sent: Arc::default(),
            given_up: given_up.clone(),
        };
        let telling = door.telling(&under_way.is_sent);
        let sent = session
            .send(&telling, Asks::of(class), |live| {
                *under_way.live.lock() = Some(Arc::clone(live));
                under_way.is_sent.store(false, Ordering::Relaxed);
                let mut headers = live.headers();
                headers.extend(turn.header());
                Message {
                    method: Method::POST,
                    body: body.clone(),
                    class,
                    headers,
                    instance: Some(live.instance()),
                    is_clients: true,
                    is_request: true,
                }
            })
            .await;
        let checked = sent.and_then(|(response, live)| {
            lost::check(door, &response)?;
            Ok((response, live))
        });
        let (response, live) = match checked {
            Ok(answered) => answered,
            Err(refusal) => {
                // One that took too long may still be at it; others never began or are over.
                if !refusal.is_timeout() {
                    under_way.is_over();
                }
                return Err(refusal);
            }
        };
        Ok(Self {
            door: door.clone(),
            session: Arc::clone(session),
            live,
            exchange: door.exchange(response),
            resumptions: 0,
            token,
            under_way,
            turn,
        })
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// What the upstream says next. Progress is told under `request`'s own token.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost by dropping the future.
    pub(super) async fn hear(&mut self, request: &Request) -> Result<Heard, Refusal> {
        loop {
            let message = match self.exchange.next().await {
                Some(Ok(message)) => {
                    self.resumptions = 0;
                    message
                }
                Some(Err(error)) => return Err(broken_off(&self.door, Some(error))),
                None => {
                    self.resume().await?;
                    continue;
                }
            };
            let unreadable = |error: &dyn std::fmt::Display| untranslatable(&self.door, error);
            let envelope = Envelope::read(&message).map_err(|error| unreadable(&error))?;
            match envelope.kind() {
                Kind::Response | Kind::Error => {
                    let id = &self.under_way.id;
                    let is_other = envelope.raw_id().is_some_and(|it| it != id);
                    // Whoever refuses the whole request may not have read its id, and have given
                    // the error one of its own, as the Python SDK's `server-error`.
                    let refuses_it = !self.exchange.is_stream() && envelope.kind() == Kind::Error;
                    if is_other && !refuses_it {
                        continue;
                    }
                    self.under_way.is_over();
                    self.turn.end(&self.door, &message);
                    return Ok(Heard::Response(message));
                }
                Kind::Request => return Ok(Heard::Request(message)),
                Kind::Notification => {
                    self.session.heard(&self.door, &envelope);
                    if server_notification(envelope.method().unwrap_or_default())
                        == Route::Subscribers
                    {
                        self.session.tell(message);
                        continue;
                    }
                    if let Some(own) = progress_token(&request.body)
                        && envelope.progress_token() == self.token.as_deref()
                    {
                        let mut edit = Edit::new(&message);
                        edit.set(&["params", "progressToken"], own);
                        let told = edit.finish().map_err(|error| unreadable(&error))?;
                        return Ok(Heard::Message(told));
                    }
                    return Ok(Heard::Message(message));
                }
            }
        }
    }

    /// Takes up an answer that ended before its response: a server of 2025-11-25 may close a
    /// stream whose events have ids and expect its client to come back.
    async fn resume(&mut self) -> Result<(), Refusal> {
        let Some((last, retry)) = self.exchange.resume_from() else {
            return Err(broken_off(&self.door, None));
        };
        self.resumptions += 1;
        let last = HeaderValue::from_bytes(&last).ok();
        let (Some(last), true) = (last, self.resumptions <= MAX_RESUMPTIONS) else {
            return Err(broken_off(&self.door, None));
        };
        let wait = retry.unwrap_or(RESUME_AFTER).min(RESUME_AFTER_AT_MOST);
        self.door.shared.clock().sleep(wait).await;
        let mut message = self.live.listen();
        message.headers.push((LAST_EVENT_ID, last));
        let response = self.door.send(message).await?;
        if !response.status().is_success() {
            return Err(broken_off(&self.door, None));
        }
        self.exchange = self.exchange.resumed(response);
        Ok(())
    }

    /// Notes that the upstream has a question.
    pub(super) fn asked(&self) {
        self.turn.asked(&self.door);
    }

    /// The answer takes its time, in which others may be asked.
    pub(super) fn pause(&mut self) {
        self.turn.pause();
    }

    /// Sends the answer, when it is this call's turn again.
    pub(super) async fn go_on(&mut self, answer: Bytes) -> Result<(), Refusal> {
        self.turn.resume(&self.door).await;
        self.answer(answer).await
    }

    /// Sends an answer to one of the upstream's own requests.
    pub(super) async fn answer(&self, answer: Bytes) -> Result<(), Refusal> {
        self.door.send(self.live.aside(answer)).await.map(drop)
    }

    /// Sees to the answers to questions that are open when the call is over: a server on one
    /// connection does not say which call it asks about, and it may be another one's.
    pub(super) fn leave<F>(&self, mut asked: FuturesUnordered<F>)
    where
        F: Future<Output = Option<Bytes>> + Send + 'static,
    {
        let (door, live) = (self.door.clone(), Arc::clone(&self.live));
        tokio::spawn(async move {
            let clock = door.shared.clock();
            let answers = async {
                while let Some(answer) = asked.next().await {
                    let Some(answer) = answer else { continue };
                    // Nobody is left to be told that it did not arrive.
                    let _ = door.send(live.aside(answer)).await;
                }
            };
            tokio::select! {
                () = answers => {}
                () = clock.sleep(ANSWER_WITHIN) => {}
            }
        });
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.under_way.id)
            .finish_non_exhaustive()
    }
}

/// The raw progress token of a request; `null` counts as none.
pub(in crate::mcp) fn progress_token(request: &[u8]) -> Option<&str> {
    edit::get(request, &["params", "_meta", "progressToken"]).filter(|raw| *raw != "null")
}
