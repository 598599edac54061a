use std::{sync::Arc, time::Duration};

use bartizan_classify::RequestClass;
use bartizan_protocol::{Envelope, Version, edit, error, method::PING};
use bartizan_transport::{
    seal::{Opened, Purpose, SessionToken},
    sessions::SessionId,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};

use super::{
    Door, Message, Refusal,
    ask::fresh_id,
    client::ClientSession,
    known::Told,
    live::Live,
    lost::{self, Asks, Says},
    probe,
    raw::{self, EITHER},
    upstream::{Introduction, UpstreamSession},
};
use crate::service::Payload;

/// How long the token of a session is good for: a week.
pub(super) const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The most that is remembered of what a client can do; one that says more can do nothing.
const MAX_CAPABILITIES_BYTES: usize = 64 * 1024;

/// A session of an older revision, as its client carries it.
///
/// All that must be known of it is sealed in its token, so that any replica can serve it.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    /// The upstream's own session, if messages pass through to one.
    upstream: Option<HeaderValue>,
    instance: Arc<str>,
    version: Version,
    /// The token, for what of it is seldom asked for.
    opened: Opened,
}

impl Session {
    /// Reads the token of a session, which must be the caller's own and of this service.
    ///
    /// # Errors
    ///
    /// That there is no such session, whatever is wrong with the token.
    pub(crate) fn open(door: &Door, token: &HeaderValue) -> Result<Self, Refusal> {
        Self::open_at(door, door.service.id(), token)
    }

    /// The same for the sessions of another place than the door's service.
    ///
    /// # Errors
    ///
    /// As [`Session::open`].
    pub(crate) fn open_at(door: &Door, place: u64, token: &HeaderValue) -> Result<Self, Refusal> {
        Self::read(door, place, token)
            .filter(|session| !door.shared.mcp().has_ended(&session.id, &door.caller))
            .ok_or_else(Refusal::session_not_found)
    }

    fn read(door: &Door, place: u64, token: &HeaderValue) -> Option<Self> {
        let mcp = door.shared.mcp();
        let opened = mcp.keys().open(
            Purpose::Session,
            door.caller.principal(),
            door.shared.unix_seconds(),
            token.to_str().ok()?,
        );
        let opened = opened.ok()?;
        let token = SessionToken::decode(opened.payload()).ok()?;
        if token.service != place {
            return None;
        }
        let version = Version::parse(token.protocol_version)?;
        Some(Self {
            id: token.session,
            upstream: token
                .upstream_session
                .and_then(|id| HeaderValue::from_str(id).ok()),
            instance: token.instance.into(),
            version,
            opened,
        })
    }

    /// The token for the session `upstream` that an instance began with this `answer` to `request`,
    /// an `initialize`.
    pub(super) fn begin(
        door: &Door,
        request: &[u8],
        answer: &[u8],
        upstream: &HeaderValue,
        instance: &str,
    ) -> Option<HeaderValue> {
        let agreed = edit::get(answer, &["result", "protocolVersion"]).and_then(edit::text);
        let version = agreed
            .and_then(|it| Version::parse(&it))
            .unwrap_or_else(|| asked_for(request));
        let (place, upstream) = (door.service.id(), Some(upstream.to_str().ok()?));
        Self::seal(door, place, request, version, upstream, instance)
    }

    /// The token for a session of the gateway's own, with a client that sent `request`, an
    /// `initialize`. What the client says of itself is remembered if the token has no room for it.
    pub(super) fn found(door: &Door, place: u64, request: &[u8]) -> Option<HeaderValue> {
        let token = Self::seal(door, place, request, asked_for(request), None, "")?;
        let capabilities = edit::get(request, &["params", "capabilities"]).unwrap_or("{}");
        if capabilities.len() > SessionToken::MAX_CLIENT_BYTES {
            let session = Self::read(door, place, &token)?;
            let clients = door.shared.mcp().clients();
            let introduction = Introduction {
                version: session.version,
                capabilities: Some(capabilities)
                    .filter(|text| text.len() <= MAX_CAPABILITIES_BYTES)
                    .unwrap_or("{}")
                    .into(),
                info: UNKNOWN_CLIENT.into(),
            };
            let remember = || Arc::new(ClientSession::new(introduction));
            clients
                .get_or_insert(session.id, &door.caller, remember)
                .ok()?;
        }
        Some(token)
    }

    /// The token of a session of this revision that `request`, an `initialize`, asked for.
    fn seal(
        door: &Door,
        place: u64,
        request: &[u8],
        version: Version,
        upstream: Option<&str>,
        instance: &str,
    ) -> Option<HeaderValue> {
        let now = door.shared.unix_seconds();
        let token = SessionToken {
            session: SessionId::random(),
            service: place,
            instance,
            upstream_session: upstream,
            protocol_version: version.as_str(),
            client_capabilities: edit::get(request, &["params", "capabilities"]).or(Some("{}")),
            client_info: edit::get(request, &["params", "clientInfo"]),
            created: now,
        };
        let sealed = door.shared.mcp().keys().seal(
            Purpose::Session,
            door.caller.principal(),
            now + LIFETIME.as_secs(),
            &token.encode().ok()?,
        );
        HeaderValue::try_from(sealed).ok()
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// The upstream's own session.
    pub(super) fn upstream(&self) -> Option<&HeaderValue> {
        self.upstream.as_ref()
    }

    /// Where the upstream's session is.
    pub(super) fn instance(&self) -> Arc<str> {
        Arc::clone(&self.instance)
    }

    /// Whether messages of this session pass through to a session of the upstream's.
    pub(crate) fn passes_through(&self) -> bool {
        self.upstream.is_some()
    }

    /// What the client said of itself when it began, if the token has room for it.
    pub(crate) fn introduction(&self) -> Option<Introduction> {
        let token = SessionToken::decode(self.opened.payload()).ok()?;
        token.client_capabilities.map(|capabilities| Introduction {
            version: self.version,
            capabilities: capabilities.into(),
            info: token.client_info.unwrap_or(UNKNOWN_CLIENT).into(),
        })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Sends a message in the upstream's session. If the upstream has lost it, another takes its
    /// place: the one thing of a session that passes through which the gateway remembers, with what
    /// clients have `told` the upstream to.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub(super) async fn send(
        &self,
        door: &Door,
        asks: Asks,
        told: Option<Told>,
        message: impl Fn(Option<&HeaderValue>, Arc<str>) -> Message,
    ) -> Result<Response<Payload>, Refusal> {
        let (response, stand_in) = self.deliver(door, asks, message).await?;
        if let Some(told) = told
            && !refuses(&response)
        {
            self.note(door, told);
        }
        if let Some((other, live)) = stand_in {
            other.restore(door, &live);
        }
        Ok(response)
    }

    /// The answer to a message; with what took the place of the upstream's session, if anything did.
    async fn deliver(
        &self,
        door: &Door,
        asks: Asks,
        message: impl Fn(Option<&HeaderValue>, Arc<str>) -> Message,
    ) -> Result<(Response<Payload>, Option<StandIn>), Refusal> {
        let stand_ins = door.shared.mcp().stand_ins();
        let other = stand_ins.get(&self.id, &door.caller);
        if let Some(other) = other.filter(|it| it.has_taken_over()) {
            let (response, live) = other
                .send(door, asks, |live| message(live.id(), live.instance()))
                .await?;
            let is_in_vain = asks == Asks::Nothing && live.says(&response, asks) == Says::Lost;
            let response = if is_in_vain {
                taken(response)
            } else {
                response
            };
            return Ok((response, Some((other, live))));
        }
        let instance = Arc::clone(&self.instance);
        let response = door.send(message(self.upstream.as_ref(), instance)).await?;
        let response = lost::look(door, response).await?;
        if self.upstream.is_none() {
            return Ok((response, None));
        }
        let status = response.status();
        if status.is_client_error() && probe::doubt_older(door, status, &response.body().bytes) {
            // A server that knows no sessions took the place of the one that had this.
            return Err(Refusal::session_not_found());
        }
        let goes_again = match lost::says(&response, asks, &self.instance) {
            Says::Lost if asks == Asks::Nothing => return Ok((taken(response), None)),
            Says::Lost => true,
            // Boxed: few answers leave it open, and all would be as large.
            Says::Perhaps if Box::pin(self.is_forgotten(door)).await => {
                lost::goes_again(&response, asks)
            }
            Says::Nothing | Says::Perhaps => {
                return Ok((lost::goes_on(door, asks, response)?, None));
            }
        };
        // Without its words nobody can begin a session in the client's name: it will itself.
        let Some(introduction) = self.introduction() else {
            return Ok((response, None));
        };
        let new = || Arc::new(UpstreamSession::stand_in(introduction));
        let other = stand_ins.get_or_insert(self.id, &door.caller, new)?;
        other.take_over();
        let has_ended = || door.shared.mcp().has_ended(&self.id, &door.caller);
        // Looked at once it is there, which whoever ends the session removes.
        if has_ended() {
            stand_ins.remove(&self.id, &door.caller);
            return Ok((response, None));
        }
        tracing::info!(
            service = &**door.service.name(),
            "the upstream lost a client's session; beginning another"
        );
        if lost::is_elsewhere(&response, &self.instance) {
            // It may be kept where it was begun, and nobody will come back to it.
            door.errand().run(self.farewell());
        }
        if !goes_again {
            return Ok((lost::goes_on(door, asks, response)?, None));
        }
        // Once more, and no oftener, whatever comes of it.
        let live = other.live(door).await?;
        if has_ended() {
            return Ok((response, None));
        }
        let response = door.send(message(live.id(), live.instance())).await?;
        let response = lost::look(door, response).await?;
        let response = live.sent_again(door, asks, response)?;
        Ok((response, Some((other, live))))
    }

    /// Whether the upstream says of a ping that it does not know its session.
    async fn is_forgotten(&self, door: &Door) -> bool {
        let ping = Message {
            method: Method::POST,
            body: error::request(&fresh_id(), PING, None),
            class: RequestClass::Safe,
            headers: raw::legacy_headers(raw::version_of(self.version), EITHER, self.upstream()),
            instance: Some(self.instance()),
            is_clients: false,
            is_request: true,
        };
        let pinged = async { lost::look(door, door.send(ping).await?).await };
        let pinged = pinged.await;
        pinged.is_ok_and(|it| lost::says(&it, Asks::Again, &self.instance) != Says::Nothing)
    }

    /// Ends the upstream's session.
    pub(super) fn farewell(&self) -> Message {
        let version = raw::version_of(self.version);
        raw::bodiless(
            Method::DELETE,
            version,
            self.upstream(),
            Some(self.instance()),
        )
    }

    /// Notes what the upstream was told to remember, for another session to be told if it takes the
    /// place of this one.
    fn note(&self, door: &Door, told: Told) {
        let stand_ins = door.shared.mcp().stand_ins();
        let other = stand_ins.get(&self.id, &door.caller);
        let other = other.or_else(|| {
            let introduction = self.introduction()?;
            let new = || Arc::new(UpstreamSession::stand_in(introduction));
            // Without room for it, another session will know less.
            let other = stand_ins.get_or_insert(self.id, &door.caller, new).ok();
            // Looked at once it is there, which whoever ends the session removes.
            if door.shared.mcp().has_ended(&self.id, &door.caller) {
                stand_ins.remove(&self.id, &door.caller);
            }
            other
        });
        if let Some(other) = other {
            other.note(told);
        }
    }
}

/// The revision of the gateway's that `request`, an `initialize`, asks for.
fn asked_for(request: &[u8]) -> Version {
    let version = edit::get(request, &["params", "protocolVersion"]).and_then(edit::text);
    Version::negotiate_legacy(&version.unwrap_or_default())
}

/// What took the place of an upstream's session, as its upstream knows it.
type StandIn = (Arc<UpstreamSession>, Arc<Live>);

/// What the client hears of its answer to a question that was lost with its session: nobody asks any
/// more, which is no end of the client's session.
fn taken(refusal: Response<Payload>) -> Response<Payload> {
    let mut response = refusal.map(|payload| Payload {
        bytes: Bytes::new(),
        stream: None,
        ..payload
    });
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().clear();
    response
}

/// Whether an answer says that nothing was done, as far as that can be seen of it.
fn refuses(response: &Response<Payload>) -> bool {
    let body = response.body();
    let is_error = || Envelope::read(&body.bytes).is_ok_and(|it| it.error_code().is_some());
    !response.status().is_success() || body.stream.is_none() && is_error()
}

const UNKNOWN_CLIENT: &str = r#"{"name":"unknown","version":"0"}"#;
