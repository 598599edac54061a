//! The protocol's methods, and what a gateway must know of each.
//!
//! Methods that are not listed here, of extensions and of revisions to come, pass through: every
//! function answers "no" for them.
//!
//! ```
//! use bartizan_protocol::method;
//!
//! assert!(method::is_safe(method::TOOLS_LIST));
//! assert!(!method::is_safe(method::TOOLS_CALL));
//! assert_eq!(method::list_member("resources/templates/list"), Some("resourceTemplates"));
//! ```

/// Opens a legacy session.
pub const INITIALIZE: &str = "initialize";
/// Asks a legacy peer whether it is there.
pub const PING: &str = "ping";
/// Asks a modern server what it is and can do.
pub const SERVER_DISCOVER: &str = "server/discover";
/// Lists tools.
pub const TOOLS_LIST: &str = "tools/list";
/// Calls a tool.
pub const TOOLS_CALL: &str = "tools/call";
/// Lists resources.
pub const RESOURCES_LIST: &str = "resources/list";
/// Lists templates of resource addresses.
pub const RESOURCES_TEMPLATES_LIST: &str = "resources/templates/list";
/// Reads a resource.
pub const RESOURCES_READ: &str = "resources/read";
/// Asks a legacy server to tell of changes of a resource.
pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
/// Ends that.
pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
/// Lists prompts.
pub const PROMPTS_LIST: &str = "prompts/list";
/// Fills in a prompt.
pub const PROMPTS_GET: &str = "prompts/get";
/// Completes an argument of a prompt or resource template.
pub const COMPLETION_COMPLETE: &str = "completion/complete";
/// Sets the log level of a legacy session.
pub const LOGGING_SET_LEVEL: &str = "logging/setLevel";
/// Opens a modern stream of change notifications.
pub const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";
/// Asks for the state of a task.
pub const TASKS_GET: &str = "tasks/get";
/// Waits for the result of a task of 2025-11-25.
pub const TASKS_RESULT: &str = "tasks/result";
/// Lists the tasks of 2025-11-25.
pub const TASKS_LIST: &str = "tasks/list";
/// Gives a task of the tasks extension what it waits for.
pub const TASKS_UPDATE: &str = "tasks/update";
/// Cancels a task.
pub const TASKS_CANCEL: &str = "tasks/cancel";
/// Asks a client for the words of its model.
pub const SAMPLING_CREATE_MESSAGE: &str = "sampling/createMessage";
/// Asks a client for the words of its user.
pub const ELICITATION_CREATE: &str = "elicitation/create";
/// Asks a client for its roots.
pub const ROOTS_LIST: &str = "roots/list";
/// Says that a legacy session has begun.
pub const NOTIFICATION_INITIALIZED: &str = "notifications/initialized";
/// Cancels a request.
pub const NOTIFICATION_CANCELLED: &str = "notifications/cancelled";
/// Reports the progress of a request.
pub const NOTIFICATION_PROGRESS: &str = "notifications/progress";
/// A log message.
pub const NOTIFICATION_MESSAGE: &str = "notifications/message";
/// The list of tools has changed.
pub const NOTIFICATION_TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
/// The list of resources has changed.
pub const NOTIFICATION_RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
/// A resource has changed.
pub const NOTIFICATION_RESOURCES_UPDATED: &str = "notifications/resources/updated";
/// The list of prompts has changed.
pub const NOTIFICATION_PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
/// The roots of a legacy client have changed.
pub const NOTIFICATION_ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
/// What a user was asked by address has been answered.
pub const NOTIFICATION_ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";
/// The state of a task has changed.
pub const NOTIFICATION_TASKS_STATUS: &str = "notifications/tasks/status";
/// What a modern stream of notifications will carry; its first message.
pub const NOTIFICATION_SUBSCRIPTIONS_ACKNOWLEDGED: &str =
    "notifications/subscriptions/acknowledged";

/// The member of the result that holds the list that `method` asks for, page by page.
#[must_use]
pub fn list_member(method: &str) -> Option<&'static str> {
    match method {
        TOOLS_LIST => Some("tools"),
        RESOURCES_LIST => Some("resources"),
        RESOURCES_TEMPLATES_LIST => Some("resourceTemplates"),
        PROMPTS_LIST => Some("prompts"),
        _ => None,
    }
}

/// Whether `method` asks for a list that comes in pages and that a gateway merges.
#[must_use]
pub fn is_list(method: &str) -> bool {
    list_member(method).is_some()
}

/// The member of `params` that names what `method` is applied to.
///
/// 2026-07-28 mirrors it into the header `Mcp-Name` for the methods it has; see
/// [`headers::check`](crate::headers::check).
#[must_use]
pub fn subject_member(method: &str) -> Option<&'static str> {
    match method {
        TOOLS_CALL | PROMPTS_GET => Some("name"),
        RESOURCES_READ | RESOURCES_SUBSCRIBE | RESOURCES_UNSUBSCRIBE => Some("uri"),
        TASKS_GET | TASKS_UPDATE | TASKS_CANCEL | TASKS_RESULT => Some("taskId"),
        _ => None,
    }
}

/// Whether sending `method` twice does no harm, so that it may be retried, hedged and coalesced.
///
/// `prompts/get` and `completion/complete` are reads. `tools/call` never is: only trusted
/// annotations of the tool can say so.
#[must_use]
pub fn is_safe(method: &str) -> bool {
    is_list(method)
        || matches!(
            method,
            PING | SERVER_DISCOVER
                | RESOURCES_READ
                | PROMPTS_GET
                | COMPLETION_COMPLETE
                | TASKS_GET
                | TASKS_LIST
        )
}

/// Whether a result of `method` carries `ttlMs` and `cacheScope` in 2026-07-28.
#[must_use]
pub fn is_cacheable(method: &str) -> bool {
    is_list(method) || matches!(method, SERVER_DISCOVER | RESOURCES_READ)
}

/// Whether a client of 2026-07-28 may send the request `method`; extensions are not counted,
/// except that of tasks.
#[must_use]
pub fn is_modern(method: &str) -> bool {
    is_list(method)
        || matches!(
            method,
            SERVER_DISCOVER
                | TOOLS_CALL
                | RESOURCES_READ
                | PROMPTS_GET
                | COMPLETION_COMPLETE
                | SUBSCRIPTIONS_LISTEN
                | TASKS_GET
                | TASKS_UPDATE
                | TASKS_CANCEL
        )
}

/// Whether a modern server may answer `method` with `input_required`.
#[must_use]
pub fn may_require_input(method: &str) -> bool {
    matches!(method, TOOLS_CALL | PROMPTS_GET | RESOURCES_READ)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: [&str; 13] = [
        SERVER_DISCOVER,
        TOOLS_LIST,
        TOOLS_CALL,
        RESOURCES_LIST,
        RESOURCES_TEMPLATES_LIST,
        RESOURCES_READ,
        PROMPTS_LIST,
        PROMPTS_GET,
        COMPLETION_COMPLETE,
        SUBSCRIPTIONS_LISTEN,
        TASKS_GET,
        TASKS_UPDATE,
        TASKS_CANCEL,
    ];
    const LEGACY_ONLY: [&str; 7] = [
        INITIALIZE,
        PING,
        RESOURCES_SUBSCRIBE,
        RESOURCES_UNSUBSCRIBE,
        LOGGING_SET_LEVEL,
        TASKS_RESULT,
        TASKS_LIST,
    ];

    #[test]
    fn eras() {
        for method in MODERN {
            assert!(is_modern(method), "{method}");
        }
        for method in LEGACY_ONLY {
            assert!(!is_modern(method), "{method}");
        }
    }

    #[test]
    fn what_acts_is_never_safe() {
        for method in [
            TOOLS_CALL,
            TASKS_UPDATE,
            TASKS_CANCEL,
            INITIALIZE,
            LOGGING_SET_LEVEL,
            "vendor/any",
        ] {
            assert!(!is_safe(method), "{method}");
        }
        for method in MODERN {
            assert!(!is_cacheable(method) || is_safe(method), "{method}");
        }
    }

    #[test]
    fn subjects() {
        for method in MODERN.into_iter().chain(LEGACY_ONLY) {
            let expected = match method {
                "tools/call" | "prompts/get" => Some("name"),
                method if method.starts_with("tasks/") && method != "tasks/list" => Some("taskId"),
                "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
                _ => None,
            };
            assert_eq!(subject_member(method), expected, "{method}");
        }
    }

    #[test]
    fn input_is_required_only_of_methods_with_a_subject() {
        for method in MODERN {
            assert!(!may_require_input(method) || subject_member(method).is_some());
        }
    }

    #[test]
    fn server_requests_are_none_of_a_modern_client_s() {
        for method in [SAMPLING_CREATE_MESSAGE, ELICITATION_CREATE, ROOTS_LIST] {
            assert!(!is_modern(method));
        }
    }
}
