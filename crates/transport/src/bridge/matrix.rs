//! What crosses the bridge changed, and what does not cross it.

use std::fmt;

/// Whose words are turned into whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crossing {
    /// A client of an older revision, an upstream of 2026-07-28.
    LegacyToModern,
    /// A client of 2026-07-28, an upstream of an older revision.
    ModernToLegacy,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LegacyToModern => "older client, 2026-07-28 server",
            Self::ModernToLegacy => "2026-07-28 client, older server",
        })
    }
}

/// How much of a feature arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// A part of it is lost, or only approximated; the rest works.
    Partial,
    /// Nothing of it crosses: requests are refused, the capability is not shown.
    Whole,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partial => "in part",
            Self::Whole => "not at all",
        })
    }
}

/// Something that does not cross the bridge whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// In which direction.
    pub crossing: Crossing,
    /// Which feature.
    pub feature: &'static str,
    /// How much of it is lost.
    pub loss: Loss,
    /// What happens instead, and why it cannot be otherwise.
    pub what_happens: &'static str,
}

const fn limit(
    crossing: Crossing,
    feature: &'static str,
    loss: Loss,
    what_happens: &'static str,
) -> Limit {
    Limit {
        crossing,
        feature,
        loss,
        what_happens,
    }
}

use Crossing::{LegacyToModern, ModernToLegacy};
use Loss::{Partial, Whole};

/// Everything that does not cross the bridge whole. What is not listed here crosses.
pub const LIMITS: &[Limit] = &[
    limit(
        LegacyToModern,
        "tasks",
        Whole,
        "The experimental tasks of 2025-11-25 and the tasks extension of 2026-07-28 are different \
         protocols. Neither capability is shown to the other side, `tasks/*` is answered with \
         -32601, and a `task` parameter is taken away, so that the call runs as an ordinary one.",
    ),
    limit(
        ModernToLegacy,
        "tasks",
        Whole,
        "As in the other direction. A tool whose `execution.taskSupport` is `required` stays in \
         the list, but the server refuses to run it without a task, with -32601.",
    ),
    limit(
        LegacyToModern,
        "resuming a stream",
        Whole,
        "2026-07-28 has no event ids. If the gateway's stream to the server breaks, the call \
         fails, and `Last-Event-ID` cannot bring it back.",
    ),
    limit(
        LegacyToModern,
        "roots/list_changed",
        Whole,
        "A server of 2026-07-28 cannot be told. It asks for the roots whenever it needs them.",
    ),
    limit(
        LegacyToModern,
        "notifications/elicitation/complete",
        Whole,
        "A server of 2026-07-28 does not say when a visit to a URL is over; it finds out when the \
         call is retried. The client is asked again until then.",
    ),
    limit(
        ModernToLegacy,
        "notifications/elicitation/complete",
        Whole,
        "A client of 2026-07-28 has no such notification. It retries the call.",
    ),
    limit(
        LegacyToModern,
        "progress of a client on a server's question",
        Whole,
        "A question of a 2026-07-28 server is a part of a result, about which nothing can be \
         reported.",
    ),
    limit(
        ModernToLegacy,
        "progress of a client on a server's question",
        Whole,
        "The progress token is taken from the question: the answer arrives with a new call.",
    ),
    limit(
        LegacyToModern,
        "a question that the client answers with an error",
        Partial,
        "2026-07-28 knows only results there, so the waiting call ends with -32603 and the \
         client's error as data. Declining or dismissing a form is a result, and reaches the \
         server.",
    ),
    limit(
        LegacyToModern,
        "log messages",
        Partial,
        "They come only with a call of a session that has sent logging/setLevel. Outside of calls \
         a 2026-07-28 server cannot log to a client.",
    ),
    limit(
        ModernToLegacy,
        "log messages",
        Partial,
        "Those that an older server sends outside of calls belong to no request and are dropped.",
    ),
    limit(
        LegacyToModern,
        "structured content that is not an object",
        Partial,
        "`structuredContent` and `outputSchema` may be anything in 2026-07-28. Clients of the \
         older revisions refuse the whole message, so the one is taken from the result and the \
         other from the tool; the result's text stays.",
    ),
    limit(
        LegacyToModern,
        "content newer than the client",
        Partial,
        "A 2026-07-28 server does not know which older revision the client speaks. Audio and \
         resource links, or several blocks in a message to sample, reach clients whose revision \
         does not have them as they are.",
    ),
    limit(
        LegacyToModern,
        "caching hints",
        Whole,
        "The older revisions have no place for `ttlMs` and `cacheScope`; the gateway itself may \
         use them.",
    ),
    limit(
        LegacyToModern,
        "tools with an invalid x-mcp-header",
        Whole,
        "2026-07-28 forbids those who speak it over HTTP to offer such a tool; it is left out of \
         the list.",
    ),
    limit(
        LegacyToModern,
        "extensions that give results of their own kind",
        Whole,
        "A `resultType` other than `complete` and `input_required` cannot be told to an older \
         client; the call ends with the code 50101.",
    ),
    limit(
        ModernToLegacy,
        "questions outside of calls",
        Whole,
        "A 2026-07-28 client can be asked only while a tools/call, prompts/get or resources/read \
         waits. What an older server asks at any other time is refused.",
    ),
    limit(
        ModernToLegacy,
        "questions that nobody answers",
        Partial,
        "A 2026-07-28 client need not come back. The parked call is kept for a bounded time; then \
         a form counts as dismissed and other questions fail.",
    ),
    limit(
        ModernToLegacy,
        "a demand for URLs (-32042)",
        Partial,
        "Becomes a question; when the client comes back the call is sent to the server anew.",
    ),
    limit(
        ModernToLegacy,
        "whose question it is",
        Partial,
        "A process, or a server of HTTP+SSE, does not say which call its question is about. Calls \
         that may be asked about take turns in the session that they share, each for a second if \
         others wait. Those of tools and prompts that have ended without a question before do not \
         wait, and are asked about last.",
    ),
    limit(
        ModernToLegacy,
        "state that a session keeps",
        Partial,
        "Calls with equal capabilities of one principal share a session of the older server; a \
         server that keeps state for each of its clients sees them as one.",
    ),
    limit(
        ModernToLegacy,
        "resource changes below a watched one",
        Partial,
        "An older server may report a part of a watched resource under any URI. Those that begin \
         with the watched one are passed on.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_listed_once_and_explained() {
        for (index, limit) in LIMITS.iter().enumerate() {
            assert!(limit.what_happens.ends_with('.'), "{}", limit.feature);
            assert!(!limit.what_happens.contains("  "), "{}", limit.feature);
            let same =
                |other: &Limit| (other.crossing, other.feature) == (limit.crossing, limit.feature);
            assert!(!LIMITS[..index].iter().any(same), "{}", limit.feature);
        }
    }
}
