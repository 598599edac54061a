//! Which messages cross between eras, and what becomes of the others.

use bartizan_protocol::method::{
    INITIALIZE, LOGGING_SET_LEVEL, NOTIFICATION_CANCELLED, NOTIFICATION_ELICITATION_COMPLETE,
    NOTIFICATION_PROMPTS_LIST_CHANGED, NOTIFICATION_RESOURCES_LIST_CHANGED,
    NOTIFICATION_RESOURCES_UPDATED, NOTIFICATION_SUBSCRIPTIONS_ACKNOWLEDGED,
    NOTIFICATION_TASKS_STATUS, NOTIFICATION_TOOLS_LIST_CHANGED, PING, RESOURCES_SUBSCRIBE,
    RESOURCES_UNSUBSCRIBE, SERVER_DISCOVER, SUBSCRIPTIONS_LISTEN,
};

/// What becomes of a request whose sender and receiver are of different eras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The other era has the method too: rewrite the envelope and pass it on.
    Forward,
    /// The other era has no such method, but what it asks for the gateway can do itself.
    Answer(Local),
    /// `subscriptions/listen` towards an older upstream: hold the stream open, subscribe
    /// upstream, and feed it from the upstream's notifications.
    Listen,
    /// Nothing in the other era corresponds. Answer `-32601` with this text.
    Refuse(&'static str),
}

/// A method that the gateway answers itself, because only the client's era has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// `initialize`: answered from what the upstream's `server/discover` said.
    Initialize,
    /// `ping`: answered with an empty result.
    Ping,
    /// `logging/setLevel`: kept for the session, sent in each upstream request's `_meta`.
    SetLevel,
    /// `resources/subscribe`: added to the session's upstream `subscriptions/listen`.
    Subscribe,
    /// `resources/unsubscribe`: taken from it.
    Unsubscribe,
    /// `server/discover`: answered from what the upstream's `initialize` said.
    Discover,
}

/// Where a server's notification goes that crosses between eras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// With the exchange it belongs to. Methods that neither era defines go this way, untouched.
    Exchange,
    /// To whoever subscribed: a session of the older revisions, or the `subscriptions/listen`
    /// streams of the newest whose filter [matches](super::Listen::matches).
    Subscribers,
    /// It cancels a request: do so in the other era's way, by closing a stream or by
    /// `notifications/cancelled` with the id of that hop.
    Cancel,
    /// Nowhere: it is for the gateway itself, or the other era has no word for it.
    Nowhere,
}

const TASKS: &str = "tasks are not passed on here: those of 2025-11-25 belong to a session with one \
                     server, and the tasks extension of 2026-07-28 is a different protocol";
const NOT_YET: &str = "this method is of revision 2026-07-28, which this session did not negotiate";
const NO_LONGER: &str = "revision 2026-07-28 has no such method";

/// What becomes of a request of a client of an older revision whose upstream speaks 2026-07-28.
pub fn from_legacy(method: &str) -> Verdict {
    match method {
        INITIALIZE => Verdict::Answer(Local::Initialize),
        PING => Verdict::Answer(Local::Ping),
        LOGGING_SET_LEVEL => Verdict::Answer(Local::SetLevel),
        RESOURCES_SUBSCRIBE => Verdict::Answer(Local::Subscribe),
        RESOURCES_UNSUBSCRIBE => Verdict::Answer(Local::Unsubscribe),
        SERVER_DISCOVER | SUBSCRIPTIONS_LISTEN => Verdict::Refuse(NOT_YET),
        _ if method.starts_with("tasks/") => Verdict::Refuse(TASKS),
        _ => Verdict::Forward,
    }
}

/// What becomes of a request of a client of 2026-07-28 whose upstream speaks an older revision.
pub fn from_modern(method: &str) -> Verdict {
    match method {
        SERVER_DISCOVER => Verdict::Answer(Local::Discover),
        SUBSCRIPTIONS_LISTEN => Verdict::Listen,
        INITIALIZE | PING | LOGGING_SET_LEVEL | RESOURCES_SUBSCRIBE | RESOURCES_UNSUBSCRIBE => {
            Verdict::Refuse(NO_LONGER)
        }
        _ if method.starts_with("tasks/") => Verdict::Refuse(TASKS),
        _ => Verdict::Forward,
    }
}

/// Where a server's notification goes, in either direction.
///
/// `notifications/message` goes with its exchange only if its level [is
/// wanted](super::LogLevel::admits_message). `notifications/cancelled` from an older server withdraws a
/// question it asked the client; from one of 2026-07-28, over stdio, it ends a subscription.
pub fn server_notification(method: &str) -> Route {
    match method {
        NOTIFICATION_CANCELLED => Route::Cancel,
        NOTIFICATION_PROMPTS_LIST_CHANGED
        | NOTIFICATION_RESOURCES_LIST_CHANGED
        | NOTIFICATION_RESOURCES_UPDATED
        | NOTIFICATION_TOOLS_LIST_CHANGED => Route::Subscribers,
        NOTIFICATION_ELICITATION_COMPLETE
        | NOTIFICATION_SUBSCRIPTIONS_ACKNOWLEDGED
        | "notifications/tasks"
        | NOTIFICATION_TASKS_STATUS => Route::Nowhere,
        _ => Route::Exchange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests of 2025-11-25 and what a modern upstream makes of each.
    #[test]
    fn every_legacy_request_has_its_verdict() {
        for method in [
            "completion/complete",
            "prompts/get",
            "prompts/list",
            "resources/list",
            "resources/read",
            "resources/templates/list",
            "tools/call",
            "tools/list",
        ] {
            assert_eq!(from_legacy(method), Verdict::Forward, "{method}");
            assert_eq!(from_modern(method), Verdict::Forward, "{method}");
        }
        for (method, local) in [
            ("initialize", Local::Initialize),
            ("logging/setLevel", Local::SetLevel),
            ("ping", Local::Ping),
            ("resources/subscribe", Local::Subscribe),
            ("resources/unsubscribe", Local::Unsubscribe),
        ] {
            assert_eq!(from_legacy(method), Verdict::Answer(local), "{method}");
            assert!(
                matches!(from_modern(method), Verdict::Refuse(_)),
                "{method}"
            );
        }
        for method in ["tasks/cancel", "tasks/get", "tasks/list", "tasks/result"] {
            assert!(
                matches!(from_legacy(method), Verdict::Refuse(_)),
                "{method}"
            );
        }
    }

    #[test]
    fn every_modern_request_has_its_verdict() {
        assert_eq!(
            from_modern("server/discover"),
            Verdict::Answer(Local::Discover)
        );
        assert_eq!(from_modern("subscriptions/listen"), Verdict::Listen);
        for method in ["server/discover", "subscriptions/listen"] {
            assert!(
                matches!(from_legacy(method), Verdict::Refuse(_)),
                "{method}"
            );
        }
        for method in ["tasks/cancel", "tasks/get", "tasks/update"] {
            assert!(
                matches!(from_modern(method), Verdict::Refuse(_)),
                "{method}"
            );
        }
    }

    #[test]
    fn unknown_methods_pass() {
        assert_eq!(from_legacy("vendor/thing"), Verdict::Forward);
        assert_eq!(from_modern("vendor/thing"), Verdict::Forward);
        assert_eq!(server_notification("notifications/vendor"), Route::Exchange);
    }

    #[test]
    fn notifications_go_where_the_other_era_looks_for_them() {
        for method in ["notifications/progress", "notifications/message"] {
            assert_eq!(server_notification(method), Route::Exchange);
        }
        for list in ["prompts", "resources", "tools"] {
            let method = format!("notifications/{list}/list_changed");
            assert_eq!(server_notification(&method), Route::Subscribers);
        }
        assert_eq!(
            server_notification("notifications/subscriptions/acknowledged"),
            Route::Nowhere
        );
    }
}
