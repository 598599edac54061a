//! A JSON-RPC message, read in one borrowing pass.

mod batch;
mod id;
mod invalid;
mod members;

use std::borrow::Cow;

use crate::{method, scan::Scanner, syntax_error::SyntaxError};

pub use batch::{Batch, is_batch};
pub use id::Id;
pub use invalid::{InvalidEnvelope, InvalidEnvelopeReason};

use members::{Members, Slot};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has a method and an id: an answer is due.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has a result.
    Response,
    /// Has an error instead of a result.
    Error,
}

/// What a gateway needs to know of a message, borrowed from the message's own bytes.
///
/// One pass checks the grammar and notes where the few members stand that routing, policy and
/// bridging look at. Nothing is decoded but names, nothing is copied but a decoded text that held
/// escapes. Whatever is not noted is stepped over, and stays in the bytes as it was sent.
///
/// Members that decide what a message means must not stand twice in it, in whatever spelling
/// (`"n\u0061me"` is `"name"`) or letter case (some parsers match `"Name"` too): two readers could
/// see two different messages. Such messages are refused.
///
/// ```
/// use bartizan_protocol::{Envelope, Kind};
///
/// let body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call",
///     "params":{"name":"add","arguments":{"a":1.10}}}"#;
/// let envelope = Envelope::read(body)?;
/// assert_eq!(envelope.kind(), Kind::Request);
/// assert_eq!(envelope.id().unwrap().as_raw(), "7");
/// assert_eq!(envelope.subject().as_deref(), Some("add"));
/// assert_eq!(envelope.arguments(), Some(r#"{"a":1.10}"#));
/// # Ok::<(), bartizan_protocol::InvalidEnvelope>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    kind: Kind,
    method: Option<Cow<'a, str>>,
    members: Members<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// [`InvalidEnvelope`] if `bytes` are not UTF-8, not JSON, nested deeper than 127 levels, not a
    /// JSON-RPC 2.0 message, or ambiguous.
    pub fn read(bytes: &'a [u8]) -> Result<Self, InvalidEnvelope> {
        let mut scanner = match Scanner::from_bytes(bytes) {
            Ok(scanner) => scanner,
            Err(error) => return Err(Self::refuse_bytes(bytes, error)),
        };
        let mut members = Members::default();
        if let Err(error) = members.read(&mut scanner) {
            return Err(members.refused(error.into()));
        }
        Self::judge(members)
    }

    /// Refuses what is not UTF-8, naming what it belongs to as far as that can be read.
    fn refuse_bytes(bytes: &[u8], error: SyntaxError) -> InvalidEnvelope {
        let text = String::from_utf8_lossy(bytes);
        let mut members = Members::default();
        // It is refused for its bytes, whatever else is wrong with it.
        let _ = members.read(&mut Scanner::new(&text));
        members.refused(error.into())
    }

    fn judge(members: Members<'a>) -> Result<Self, InvalidEnvelope> {
        use InvalidEnvelopeReason as Reason;
        let refuse = |reason| Err(members.refused(reason));
        if let Some(reason) = members.problem() {
            return refuse(reason);
        }
        match members.raw(Slot::JsonRpc) {
            Some("\"2.0\"") => {}
            Some(raw) if crate::edit::text(raw).as_deref() == Some("2.0") => {}
            _ => return refuse(Reason::JsonRpc),
        }
        let (id, params) = (members.raw(Slot::Id), members.raw(Slot::Params));
        if id.is_some_and(|raw| raw != "null" && Id::new(raw).is_none()) {
            return refuse(Reason::Id);
        }
        if params.is_some_and(|raw| raw != "null" && !raw.starts_with('{')) {
            return refuse(Reason::Params);
        }
        let mut method = None;
        let (result, error) = (members.raw(Slot::Result), members.raw(Slot::Error));
        let kind = match (members.raw(Slot::Method), result, error) {
            (Some(raw), None, None) => {
                method = crate::edit::text(raw);
                if method.is_none() {
                    return refuse(Reason::Method);
                }
                match id {
                    None => Kind::Notification,
                    Some("null") => return refuse(Reason::Id),
                    Some(_) => Kind::Request,
                }
            }
            (None, Some(_), None) if id.is_some_and(|id| id != "null") => Kind::Response,
            (None, Some(_), None) => return refuse(Reason::Id),
            (None, None, Some(raw)) if raw.starts_with('{') => Kind::Error,
            (None, None, Some(_)) => return refuse(Reason::Error),
            _ => return refuse(Reason::Shape),
        };
        Ok(Self {
            kind,
            method,
            members,
        })
    }

    /// Whether this is a request, a notification, a response or an error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id; `None` in a notification, and in an error that answers no particular request.
    #[must_use]
    pub fn id(&self) -> Option<Id<'a>> {
        self.members.raw(Slot::Id).and_then(Id::new)
    }

    /// The raw JSON of [`Envelope::id`].
    #[must_use]
    pub fn raw_id(&self) -> Option<&'a str> {
        self.id().map(|id| id.as_raw())
    }

    /// The method of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// What the method is applied to: the `name` of `tools/call` and `prompts/get`, the `uri` of
    /// `resources/read`, `resources/subscribe` and `resources/unsubscribe`, the `taskId` of
    /// `tasks/*`.
    ///
    /// `None` for other methods, and where the member is missing or is not a text.
    #[must_use]
    pub fn subject(&self) -> Option<Cow<'a, str>> {
        self.subject_raw().and_then(crate::edit::text)
    }

    /// The raw JSON of [`Envelope::subject`], whatever its type.
    #[must_use]
    pub fn subject_raw(&self) -> Option<&'a str> {
        let slot = match method::subject_member(self.method()?)? {
            "name" => Slot::Name,
            "uri" => Slot::Uri,
            _ => Slot::TaskId,
        };
        self.members.raw(slot)
    }

    /// The raw JSON object of the parameters; `"params": null` counts as none.
    #[must_use]
    pub fn params(&self) -> Option<&'a str> {
        self.members.raw(Slot::Params).filter(|raw| *raw != "null")
    }

    /// The raw JSON of `params.arguments`.
    #[must_use]
    pub fn arguments(&self) -> Option<&'a str> {
        self.members.raw(Slot::Arguments)
    }

    /// The raw JSON of `params._meta`.
    #[must_use]
    pub fn meta(&self) -> Option<&'a str> {
        self.members.raw(Slot::Meta)
    }

    /// The raw JSON of the progress token: `params._meta.progressToken`, or
    /// `params.progressToken` in `notifications/progress`; `null` counts as none.
    #[must_use]
    pub fn progress_token(&self) -> Option<&'a str> {
        let slot = if self.method() == Some(method::NOTIFICATION_PROGRESS) {
            Slot::ProgressToken
        } else {
            Slot::MetaProgressToken
        };
        self.members.raw(slot).filter(|raw| *raw != "null")
    }

    /// The raw JSON of `_meta["io.modelcontextprotocol/protocolVersion"]`: with its quotes, where
    /// it is the text that it should be. [`edit::text`](crate::edit::text) decodes it.
    #[must_use]
    pub fn protocol_version(&self) -> Option<&'a str> {
        self.members.raw(Slot::ProtocolVersion)
    }

    /// The raw JSON of `_meta["io.modelcontextprotocol/clientCapabilities"]`.
    #[must_use]
    pub fn client_capabilities(&self) -> Option<&'a str> {
        self.members.raw(Slot::ClientCapabilities)
    }

    /// The raw JSON of `_meta["io.modelcontextprotocol/clientInfo"]`.
    #[must_use]
    pub fn client_info(&self) -> Option<&'a str> {
        self.members.raw(Slot::ClientInfo)
    }

    /// The raw JSON of `_meta["io.modelcontextprotocol/logLevel"]`.
    #[must_use]
    pub fn log_level(&self) -> Option<&'a str> {
        self.members.raw(Slot::LogLevel)
    }

    /// The raw JSON of `_meta["io.modelcontextprotocol/subscriptionId"]` of a request or
    /// notification.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&'a str> {
        self.members.raw(Slot::SubscriptionId)
    }

    /// The raw JSON of `params.cursor`.
    #[must_use]
    pub fn cursor(&self) -> Option<&'a str> {
        self.members.raw(Slot::Cursor)
    }

    /// The id of the request that a `notifications/cancelled` speaks of.
    #[must_use]
    pub fn request_id(&self) -> Option<Id<'a>> {
        self.members.raw(Slot::RequestId).and_then(Id::new)
    }

    /// The raw JSON of the result of a response.
    #[must_use]
    pub fn result(&self) -> Option<&'a str> {
        self.members.raw(Slot::Result)
    }

    /// The raw JSON object of the error of an error.
    #[must_use]
    pub fn error(&self) -> Option<&'a str> {
        self.members.raw(Slot::Error)
    }

    /// The code of an error, if it is an integer of 64 bits.
    #[must_use]
    pub fn error_code(&self) -> Option<i64> {
        crate::edit::get(self.error()?.as_bytes(), &["code"])?
            .parse()
            .ok()
    }

    /// The version that `_meta` names, decoded.
    #[must_use]
    pub fn protocol_version_text(&self) -> Option<Cow<'a, str>> {
        self.protocol_version().and_then(crate::edit::text)
    }
}

#[cfg(test)]
mod tests;
