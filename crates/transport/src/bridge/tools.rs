//! Tools of a list that a receiver could not take.

use bartizan_protocol::edit::{self, Edit};

/// Plans to take from the tools of a `tools/list` answer every `outputSchema` whose root is not
/// declared to be an object.
///
/// 2026-07-28 allows any JSON Schema there. The older revisions demand `"type": "object"`, and
/// their clients refuse the whole list over one tool that has another.
pub(super) fn drop_unreadable_schemas(edit: &mut Edit<'_>, answer: &[u8]) {
    for (index, tool) in tools(answer).into_iter().enumerate() {
        if edit::get(tool.as_bytes(), &["outputSchema"]).is_some()
            && edit::get(tool.as_bytes(), &["outputSchema", "type"]) != Some("\"object\"")
        {
            edit.remove(&["result", "tools", &index.to_string(), "outputSchema"]);
        }
    }
}

/// The raw tools of a `tools/list` answer.
fn tools(answer: &[u8]) -> Vec<&str> {
    edit::get(answer, &["result", "tools"])
        .and_then(|tools| edit::elements(tools.as_bytes()))
        .unwrap_or_default()
}
