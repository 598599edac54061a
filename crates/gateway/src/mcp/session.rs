use std::sync::Arc;

use bartizan_protocol::{Envelope, Version, edit, headers::MCP_SESSION_ID};
use bartizan_transport::{
    seal::{Opened, Purpose, SessionToken},
    sessions::SessionId,
};
use http::{HeaderValue, Response};

use super::{
    Door, Message, Refusal,
    client::ClientSession,
    known::Told,
    live::Live,
    lost,
    upstream::{Introduction, UpstreamSession},
};
use crate::service::Payload;

/// How long the token of a session is good for, in seconds: a week.
const LIFETIME: u64 = 7 * 24 * 3600;

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

    /// The token for the session that an upstream began with this answer to `request`, an
    /// `initialize`; none if it keeps no sessions.
    pub(super) fn begin(
        door: &Door,
        request: &[u8],
        response: &Response<Payload>,
    ) -> Option<HeaderValue> {
        let upstream = response.headers().get(MCP_SESSION_ID)?.to_str().ok()?;
        let (place, instance) = (door.service.id(), &response.body().endpoint);
        Self::seal(door, place, request, Some(upstream), instance)
    }

    /// The token for a session of the gateway's own, with a client that sent `request`, an
    /// `initialize`. What the client says of itself is remembered if the token has no room for it.
    pub(super) fn found(door: &Door, place: u64, request: &[u8]) -> Option<HeaderValue> {
        let token = Self::seal(door, place, request, None, "")?;
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

    /// The token of a session that `request`, an `initialize`, asked for.
    fn seal(
        door: &Door,
        place: u64,
        request: &[u8],
        upstream: Option<&str>,
        instance: &str,
    ) -> Option<HeaderValue> {
        let version = edit::get(request, &["params", "protocolVersion"]).and_then(edit::text);
        let now = door.shared.unix_seconds();
        let token = SessionToken {
            session: SessionId::random(),
            service: place,
            instance,
            upstream_session: upstream,
            protocol_version: Version::negotiate_legacy(&version.unwrap_or_default()).as_str(),
            client_capabilities: edit::get(request, &["params", "capabilities"]).or(Some("{}")),
            client_info: edit::get(request, &["params", "clientInfo"]),
            created: now,
        };
        let sealed = door.shared.mcp().keys().seal(
            Purpose::Session,
            door.caller.principal(),
            now + LIFETIME,
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
        told: Option<Told>,
        message: impl Fn(Option<&HeaderValue>, Arc<str>) -> Message,
    ) -> Result<Response<Payload>, Refusal> {
        let (response, stand_in) = self.deliver(door, message).await?;
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
        message: impl Fn(Option<&HeaderValue>, Arc<str>) -> Message,
    ) -> Result<(Response<Payload>, Option<StandIn>), Refusal> {
        let stand_ins = door.shared.mcp().stand_ins();
        let other = stand_ins.get(&self.id, &door.caller);
        if let Some(other) = other.filter(|it| it.has_taken_over()) {
            let (response, live) = other
                .send(door, |live| message(live.id(), live.instance()))
                .await?;
            return Ok((response, Some((other, live))));
        }
        let instance = Arc::clone(&self.instance);
        let response = door.send(message(self.upstream.as_ref(), instance)).await?;
        let response = lost::look(door, response).await?;
        if self.upstream.is_none() || !lost::is_session_lost(&response) {
            return Ok((response, None));
        }
        // Without its words nobody can begin a session in the client's name: it will itself.
        let Some(introduction) = self.introduction() else {
            return Ok((response, None));
        };
        tracing::info!(
            service = &**door.service.name(),
            "the upstream lost a client's session; beginning another"
        );
        let new = || Arc::new(UpstreamSession::stand_in(introduction));
        let other = stand_ins.get_or_insert(self.id, &door.caller, new)?;
        other.take_over();
        // Once more, and no oftener, whatever comes of it.
        let live = other.live(door).await?;
        let response = door.send(message(live.id(), live.instance())).await?;
        let response = lost::look(door, response).await?;
        Ok((response, Some((other, live))))
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
            stand_ins.get_or_insert(self.id, &door.caller, new).ok()
        });
        if let Some(other) = other {
            other.note(told);
        }
    }
}

/// What took the place of an upstream's session, as its upstream knows it.
type StandIn = (Arc<UpstreamSession>, Arc<Live>);

/// Whether an answer says that nothing was done, as far as that can be seen of it.
fn refuses(response: &Response<Payload>) -> bool {
    let body = response.body();
    let is_error = || Envelope::read(&body.bytes).is_ok_and(|it| it.error_code().is_some());
    !response.status().is_success() || body.stream.is_none() && is_error()
}

const UNKNOWN_CLIENT: &str = r#"{"name":"unknown","version":"0"}"#;
