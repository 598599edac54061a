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

    /// Notes what a message tells the upstream of this session to remember, for another session to
    /// know if it takes the place of this one.
    pub(super) fn note(&self, door: &Door, envelope: &Envelope<'_>) {
        if !self.passes_through() || !UpstreamSession::is_told_by(envelope) {
            return;
        }
        let Some(introduction) = self.introduction() else {
            return;
        };
        let spare = door.shared.mcp().spare();
        let new = || Arc::new(UpstreamSession::new(introduction));
        // Without room for it, another session will know less.
        if let Ok(spare) = spare.get_or_insert(self.id, &door.caller, new) {
            spare.note(envelope);
        }
    }

    /// Sends a message in the upstream's session. If the upstream has lost it, another takes its
    /// place: the one thing of a session that passes through which the gateway remembers.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub(super) async fn send(
        &self,
        door: &Door,
        message: impl Fn(Option<&HeaderValue>, Arc<str>) -> Message,
    ) -> Result<Response<Payload>, Refusal> {
        let replaced = door.shared.mcp().replaced();
        if let Some(other) = replaced.get(&self.id, &door.caller) {
            return other
                .send(door, |live| message(live.id(), live.instance()))
                .await
                .map(|(response, _)| response);
        }
        let instance = Arc::clone(&self.instance);
        let response = door.send(message(self.upstream.as_ref(), instance)).await?;
        let response = lost::look(door, response).await?;
        if self.upstream.is_none() || !lost::is_session_lost(&response) {
            return Ok(response);
        }
        // Without its words nobody can begin a session in the client's name: it will itself.
        let Some(introduction) = self.introduction() else {
            return Ok(response);
        };
        tracing::info!(
            service = &**door.service.name(),
            "the upstream lost a client's session; beginning another"
        );
        let spare = door.shared.mcp().spare().get(&self.id, &door.caller);
        let new = || spare.unwrap_or_else(|| Arc::new(UpstreamSession::new(introduction)));
        let other = replaced.get_or_insert(self.id, &door.caller, new)?;
        // Once more, and no oftener, whatever comes of it.
        let live = other.live(door).await?;
        let response = door.send(message(live.id(), live.instance())).await?;
        lost::look(door, response).await
    }
}

const UNKNOWN_CLIENT: &str = r#"{"name":"unknown","version":"0"}"#;
