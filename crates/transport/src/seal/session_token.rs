use std::fmt;

use thiserror::Error;

use crate::sessions::SessionId;

/// What a client carries for its session, so that any replica can go on with it.
///
/// Borrows all texts, from the caller when it is made and from the opened token when it is read.
/// It is the payload of a token for [`Purpose::Session`](super::Purpose::Session); nobody but
/// [`Keys`](super::Keys) keeps clients from making their own.
///
/// ```
/// use bartizan_transport::{seal::SessionToken, sessions::SessionId};
///
/// let token = SessionToken {
///     session: SessionId::random(),
///     service: 0x5eed,
///     instance: "calculator-1",
///     upstream_session: Some("9f31"),
///     protocol_version: "2025-11-25",
///     client_capabilities: Some(r#"{"sampling":{}}"#),
///     client_info: None,
///     created: 1_795_000_000,
/// };
/// let payload = token.encode()?;
/// assert_eq!(SessionToken::decode(&payload)?, token);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken<'a> {
    /// The session, wherever it is kept.
    pub session: SessionId,
    /// A hash of the service that the session is with; all replicas must compute the same.
    pub service: u64,
    /// The instance of the service that knows the upstream session. At most 255 bytes.
    pub instance: &'a str,
    /// The service's own id for the session, if it has one. At most 4096 bytes.
    pub upstream_session: Option<&'a str>,
    /// The revision that was agreed on with the client. At most 32 bytes.
    pub protocol_version: &'a str,
    /// The capabilities of the client: JSON, as the client wrote it.
    ///
    /// Left out by [`SessionToken::encode`] when it is longer than
    /// [`SessionToken::MAX_CLIENT_BYTES`].
    pub client_capabilities: Option<&'a str>,
    /// The name and version of the client: JSON, as the client wrote it.
    ///
    /// Left out by [`SessionToken::encode`] when it is longer than what the capabilities leave of
    /// [`SessionToken::MAX_CLIENT_BYTES`].
    pub client_info: Option<&'a str>,
    /// When the session began, in seconds since 1970.
    pub created: u64,
}

/// The first byte of the encoding. Another layout gets another number.
const LAYOUT: u8 = 1;

/// Layout, session, service, created; the lengths of five texts.
const FIXED_BYTES: usize = 1 + 16 + 8 + 8 + 5 * 2;

const MAX_INSTANCE_BYTES: usize = 255;
const MAX_PROTOCOL_VERSION_BYTES: usize = 32;
/// Some servers put whole signed tokens into their ids. With all else it fits a header of 8 KiB.
const MAX_UPSTREAM_SESSION_BYTES: usize = 4096;

impl<'a> SessionToken<'a> {
    /// How much of what the client said about itself is carried: capabilities before info.
    pub const MAX_CLIENT_BYTES: usize = 1024;

    /// The payload to seal.
    ///
    /// # Errors
    ///
    /// When the instance, the upstream session or the revision is longer than its bound.
    pub fn encode(&self) -> Result<Vec<u8>, FieldTooLong> {
        let fits = |text: &str, max, field| {
            let fits = text.len() <= max;
            fits.then_some(()).ok_or(FieldTooLong { field, max })
        };
        let upstream_session = self.upstream_session;
        fits(self.instance, MAX_INSTANCE_BYTES, "instance")?;
        fits(
            upstream_session.unwrap_or(""),
            MAX_UPSTREAM_SESSION_BYTES,
            "upstream session id",
        )?;
        fits(
            self.protocol_version,
            MAX_PROTOCOL_VERSION_BYTES,
            "protocol version",
        )?;
        let room = Self::MAX_CLIENT_BYTES;
        let capabilities = self.client_capabilities.filter(|text| text.len() <= room);
        let room = room - capabilities.map_or(0, str::len);
        let info = self.client_info.filter(|text| text.len() <= room);

        let texts = [
            Some(self.instance),
            Some(self.protocol_version),
            upstream_session,
            capabilities,
            info,
        ];
        let len = texts.iter().flatten().map(|text| text.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(FIXED_BYTES + len);
        bytes.push(LAYOUT);
        bytes.extend_from_slice(self.session.as_bytes());
        bytes.extend_from_slice(&self.service.to_le_bytes());
        bytes.extend_from_slice(&self.created.to_le_bytes());
        for text in texts {
            // One more than the length, so that an empty text is not an absent one.
            let len = text.map_or(0, |text| text.len() as u16 + 1);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(text.unwrap_or("").as_bytes());
        }
        Ok(bytes)
    }

    /// Reads the payload of an opened token.
    ///
    /// # Errors
    ///
    /// When it is not what [`SessionToken::encode`] writes: the token was sealed by another
    /// version of this program, as nobody else can.
    pub fn decode(payload: &'a [u8]) -> Result<Self, InvalidSessionToken> {
        Reader(payload).session_token().ok_or(InvalidSessionToken)
    }
}

impl fmt::Debug for SessionToken<'_> {
    /// Leaves out the upstream session id, which some servers take for a credential, and what
    /// the client said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken")
            .field("session", &self.session)
            .field("service", &self.service)
            .field("instance", &self.instance)
            .field("protocol_version", &self.protocol_version)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn session_token(&mut self) -> Option<SessionToken<'a>> {
        if self.array::<1>()? != [LAYOUT] {
            return None;
        }
        let token = SessionToken {
            session: SessionId::from_bytes(self.array()?),
            service: u64::from_le_bytes(self.array()?),
            created: u64::from_le_bytes(self.array()?),
            instance: self.text(MAX_INSTANCE_BYTES)??,
            protocol_version: self.text(MAX_PROTOCOL_VERSION_BYTES)??,
            upstream_session: self.text(MAX_UPSTREAM_SESSION_BYTES)?,
            client_capabilities: self.text(SessionToken::MAX_CLIENT_BYTES)?,
            client_info: self.text(SessionToken::MAX_CLIENT_BYTES)?,
        };
        self.0.is_empty().then_some(token)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// The outer `None` is not a text at all, the inner one an absent text.
    #[expect(clippy::option_option, reason = "the two mean different things")]
    fn text(&mut self, max: usize) -> Option<Option<&'a str>> {
        let Some(len) = usize::from(u16::from_le_bytes(self.array()?)).checked_sub(1) else {
            return Some(None);
        };
        if len > max {
            return None;
        }
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(Some(std::str::from_utf8(text).ok()?))
    }
}

/// A part of a session that is too long to be carried in its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the {field} of the session is longer than {max} bytes")]
pub struct FieldTooLong {
    field: &'static str,
    max: usize,
}

/// A payload that is not a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the token holds no session that this version can read")]
pub struct InvalidSessionToken;

#[cfg(test)]
mod tests;
