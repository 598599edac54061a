//! The protocol's methods and what they are like.

/// Reports progress of a request.
pub const NOTIFICATION_PROGRESS: &str = "notifications/progress";

/// The member of `params` that names what `method` is applied to.
#[must_use]
pub fn subject_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => Some("taskId"),
        _ => None,
    }
}
