use crate::{
    scan::{RawString, Scanner},
    syntax_error::SyntaxError,
};

use super::{Id, InvalidEnvelope, InvalidEnvelopeReason};

/// The members that are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    JsonRpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    Name,
    Uri,
    TaskId,
    Meta,
    Cursor,
    RequestId,
    ProgressToken,
    Arguments,
    MetaProgressToken,
    ProtocolVersion,
    ClientCapabilities,
    ClientInfo,
    LogLevel,
    SubscriptionId,
}

const SLOTS: usize = Slot::SubscriptionId as usize + 1;

const MESSAGE: &[(&str, Slot)] = &[
    ("jsonrpc", Slot::JsonRpc),
    ("id", Slot::Id),
    ("method", Slot::Method),
    ("params", Slot::Params),
    ("result", Slot::Result),
    ("error", Slot::Error),
];

const PARAMS: &[(&str, Slot)] = &[
    ("name", Slot::Name),
    ("arguments", Slot::Arguments),
    ("_meta", Slot::Meta),
    ("uri", Slot::Uri),
    ("taskId", Slot::TaskId),
    ("cursor", Slot::Cursor),
    ("requestId", Slot::RequestId),
    ("progressToken", Slot::ProgressToken),
];

const META: &[(&str, Slot)] = &[
    ("progressToken", Slot::MetaProgressToken),
    (
        "io.modelcontextprotocol/protocolVersion",
        Slot::ProtocolVersion,
    ),
    (
        "io.modelcontextprotocol/clientCapabilities",
        Slot::ClientCapabilities,
    ),
    ("io.modelcontextprotocol/clientInfo", Slot::ClientInfo),
    ("io.modelcontextprotocol/logLevel", Slot::LogLevel),
    (
        "io.modelcontextprotocol/subscriptionId",
        Slot::SubscriptionId,
    ),
];

/// The raw text of every noted member, and the first thing that made the message ambiguous.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'a> {
    raw: [Option<&'a str>; SLOTS],
    problem: Option<InvalidEnvelopeReason>,
    id_is_ambiguous: bool,
}

impl<'a> Members<'a> {
    pub(super) fn raw(&self, slot: Slot) -> Option<&'a str> {
        self.raw[slot as usize]
    }

    pub(super) fn problem(&self) -> Option<InvalidEnvelopeReason> {
        self.problem
    }

    /// The error of a message of which this was read.
    pub(super) fn refused(&self, reason: InvalidEnvelopeReason) -> InvalidEnvelope {
        let has_method = self.raw(Slot::Method).is_some();
        InvalidEnvelope::new(reason, self.readable_id(), has_method)
    }

    /// The id to which a refusal can be addressed.
    fn readable_id(&self) -> Option<Id<'a>> {
        if self.id_is_ambiguous {
            return None;
        }
        self.raw(Slot::Id).and_then(Id::new)
    }

    /// Reads the whole text. What it noted before an error stays.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'a>) -> Result<(), SyntaxError> {
        if scanner.peek() == Some(b'{') {
            scanner.object(|scanner, key| self.message_member(scanner, key))?;
        } else {
            scanner.value()?;
            self.problem = Some(InvalidEnvelopeReason::NotAnObject);
        }
        scanner.end()
    }

    fn message_member(
        &mut self,
        scanner: &mut Scanner<'a>,
        key: RawString<'a>,
    ) -> Result<(), SyntaxError> {
        let slot = self.slot(key, MESSAGE);
        let start = scanner.offset();
        if slot == Some(Slot::Params) && scanner.peek() == Some(b'{') {
            scanner.object(|scanner, key| self.params_member(scanner, key))?;
        } else {
            scanner.value()?;
        }
        self.note(slot, scanner.slice(start, scanner.offset()));
        Ok(())
    }

    fn params_member(
        &mut self,
        scanner: &mut Scanner<'a>,
        key: RawString<'a>,
    ) -> Result<(), SyntaxError> {
        let slot = self.slot(key, PARAMS);
        let start = scanner.offset();
        if slot == Some(Slot::Meta) && scanner.peek() == Some(b'{') {
            scanner.object(|scanner, key| {
                let slot = self.slot(key, META);
                let raw = scanner.value()?;
                self.note(slot, raw);
                Ok::<_, SyntaxError>(())
            })?;
        } else {
            scanner.value()?;
        }
        self.note(slot, scanner.slice(start, scanner.offset()));
        Ok(())
    }

    /// The slot of the member called `key`, if it is one to note.
    fn slot(&mut self, key: RawString<'a>, names: &[(&'static str, Slot)]) -> Option<Slot> {
        for &(name, slot) in names {
            if key.is(name) {
                return Some(slot);
            }
        }
        for &(name, slot) in names {
            if key.folds_to(name) {
                self.id_is_ambiguous |= slot == Slot::Id;
                self.problem
                    .get_or_insert(InvalidEnvelopeReason::Case(name));
            }
        }
        None
    }

    fn note(&mut self, slot: Option<Slot>, raw: &'a str) {
        let Some(slot) = slot else { return };
        if self.raw[slot as usize].replace(raw).is_some() {
            self.id_is_ambiguous |= slot == Slot::Id;
            let name = [MESSAGE, PARAMS, META]
                .into_iter()
                .flatten()
                .find_map(|&(name, of)| (of == slot).then_some(name));
            self.problem
                .get_or_insert(InvalidEnvelopeReason::Duplicate(name.unwrap_or_default()));
        }
    }
}
