//! A session as its upstream knows it, from its beginning on.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use bartizan_classify::RequestClass;
use bartizan_protocol::{
    Envelope, Kind, Version, edit, error, headers::MCP_SESSION_ID, method::PING,
};
use bartizan_transport::{bridge, host::QUIET};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use tokio::sync::OwnedMutexGuard;

use super::{
    Door, Message, Refusal, ask,
    call::Errand,
    client::ClientSession,
    lost::{self, Asks, Says},
    probe,
    raw::{self, EITHER},
    subscribed::Subscribed,
    upstream::Introduction,
};
use crate::service::{Payload, Stream};

/// One session, until nobody has any use for it.
#[derive(Debug)]
pub(crate) struct Live {
    id: Option<HeaderValue>,
    version: Version,
    instance: Arc<str>,
    /// The result of `initialize`.
    result: Bytes,
    mixes_questions: bool,
    /// Whether the upstream is not to ask about what the gateway itself says in it.
    is_quiet: bool,
    /// Whether it knows what the lost one knew, or is being told.
    pub(super) is_restored: AtomicBool,
    pub(super) subscribed: Subscribed,
    errand: Errand,
    /// Whether the upstream knows that it is over.
    is_over: AtomicBool,
}

impl Drop for Live {
    /// Tells the upstream that nobody will come back: sessions that are forgotten here are not
    /// to pile up there.
    fn drop(&mut self) {
        if self.id.is_some() && !self.is_over() {
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
        raw::legacy_headers(raw::version_of(self.version), EITHER, self.id())
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
    pub(super) fn kept(self: &Arc<Self>, door: &Door) -> Option<Arc<Self>> {
        let is_there = door.instance().is_none_or(|it| *it == self.instance);
        is_there.then(|| Arc::clone(self))
    }

    /// What an answer says of the session; that it is lost is noted.
    pub(super) fn says(&self, response: &Response<Payload>, asks: Asks) -> Says {
        if self.id.is_none() {
            return Says::Nothing;
        }
        let says = lost::says(response, asks, &self.instance);
        // Another instance may not know it where the one that began it does; and what refuses an answer
        // may be about the question.
        let is_over = says == Says::Lost && asks != Asks::Nothing;
        if is_over && !lost::is_elsewhere(response, &self.instance) {
            self.set_over();
        }
        says
    }

    /// What came of a message that was sent once more, in this session: there is no third time.
    ///
    /// # Errors
    ///
    /// As [`lost::goes_on`].
    pub(super) fn sent_again(
        &self,
        door: &Door,
        asks: Asks,
        response: Response<Payload>,
    ) -> Result<Response<Payload>, Refusal> {
        match self.says(&response, asks) {
            Says::Lost => Ok(response),
            Says::Perhaps if lost::goes_again(&response, asks) => Ok(response),
            Says::Nothing | Says::Perhaps => lost::goes_on(door, asks, response),
        }
    }

    /// Whether the upstream says of a ping that it does not know the session.
    pub(super) async fn is_forgotten(&self, door: &Door) -> bool {
        let ping = self.aside(error::request(&ask::fresh_id(), PING, None));
        let pinged = async { lost::look(door, door.send(ping).await?).await };
        let pinged = pinged.await;
        pinged.is_ok_and(|pinged| self.says(&pinged, Asks::Again) != Says::Nothing)
    }

    /// Whether the upstream watches a resource, for one at a time to see and to change.
    pub(super) async fn hold(
        &self,
        door: &Door,
        uri: &str,
    ) -> Result<OwnedMutexGuard<bool>, Refusal> {
        door.in_time(self.subscribed.hold(uri)).await
    }

    /// Whether the upstream knows that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Notes that the upstream knows that it is over.
    pub(super) fn set_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// What ends this session.
    pub(super) fn farewell(&self) -> Message {
        self.bodiless(Method::DELETE)
    }

    /// A message of the gateway's own in this session.
    pub(super) fn aside(&self, body: Bytes) -> Message {
        let mut headers = self.headers();
        if self.is_quiet {
            headers.push((QUIET, HeaderValue::from_static("1")));
        }
        let is_request = Envelope::read(&body).is_ok_and(|it| it.kind() == Kind::Request);
        Message {
            method: Method::POST,
            body,
            class: RequestClass::Idempotent,
            headers,
            instance: Some(self.instance()),
            is_clients: false,
            is_request,
        }
    }

    /// A `GET` of this session, for a stream.
    pub(super) fn listen(&self) -> Message {
        self.bodiless(Method::GET)
    }

    fn bodiless(&self, method: Method) -> Message {
        let version = raw::version_of(self.version);
        raw::bodiless(method, version, self.id(), Some(self.instance()))
    }
}

/// The response in an answer. Over one connection a server may ask in it what belongs to no call.
pub(super) async fn answer(
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
pub(super) async fn begin(
    door: &Door,
    introduction: &Introduction,
    stands_in: bool,
) -> Result<Live, Refusal> {
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
        headers: raw::legacy_headers(None, EITHER, None),
        instance: door.instance().cloned(),
        is_clients: false,
        is_request: true,
    };
    let response = door.send_first(message).await?;
    let status = response.status();
    let id = response.headers().get(MCP_SESSION_ID).cloned();
    let instance = Arc::clone(&response.body().endpoint);
    let stream = response.body().stream.as_ref();
    let mixes_questions = stream.is_some_and(Stream::is_hosted);
    let answer = door.final_message(response).await;
    let result = answer.as_deref().and_then(result_of);
    let Some(result) = result else {
        probe::doubt_older(door, status, answer.as_deref().unwrap_or_default());
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
        is_quiet: stands_in && mixes_questions,
        is_restored: AtomicBool::new(false),
        subscribed: Subscribed::default(),
        errand: door.errand(),
        is_over: AtomicBool::new(false),
    };
    door.send(live.aside(bridge::INITIALIZED)).await?;
    Ok(live)
}

pub(super) fn result_of(message: &[u8]) -> Option<&str> {
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
