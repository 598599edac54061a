//! Tools of a list that a receiver could not take.

use bartizan_protocol::{
    edit::{self, Edit, EditError},
    headers::{InvalidParamHeader, Param},
};
use bytes::Bytes;

/// A tool that was left out of a list, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTool {
    /// The tool's name; empty if it has none.
    pub name: String,
    /// What its schema breaks.
    pub reason: InvalidParamHeader,
}

/// A `tools/list` answer of a 2026-07-28 server over HTTP without the tools whose `x-mcp-header`
/// annotations break the rules, and which those were.
///
/// 2026-07-28 demands this of whoever is the client there, whatever era its own client is of. All
/// other tools stay byte for byte; an answer without such tools is returned as it is.
///
/// # Errors
///
/// [`EditError`] if the answer is not JSON.
pub fn drop_invalid_tools(answer: &Bytes) -> Result<(Bytes, Vec<InvalidTool>), EditError> {
    let mut edit = Edit::new(answer);
    let mut invalid = Vec::new();
    let tools = elements(edit::get(answer, &["result", "tools"]));
    for (index, tool) in tools.into_iter().enumerate() {
        let json = tool.as_bytes();
        let params = edit::get(json, &["inputSchema"]).map(Param::all);
        match params {
            // Not a matter of headers: whoever calls such a tool will hear from the server.
            None | Some(Ok(_) | Err(InvalidParamHeader::Schema)) => {}
            Some(Err(reason)) => {
                let name = edit::get(json, &["name"]).and_then(edit::text);
                let name = name.unwrap_or_default().into_owned();
                invalid.push(InvalidTool { name, reason });
                edit.remove(&["result", "tools", &index.to_string()]);
            }
        }
    }
    if invalid.is_empty() {
        return Ok((answer.clone(), invalid));
    }
    Ok((edit.finish()?, invalid))
}

/// Plans to take from the tools of a `tools/list` answer every `outputSchema` whose root is not
/// declared to be an object.
///
/// 2026-07-28 allows any JSON Schema there. The older revisions demand `"type": "object"`, and
/// their clients refuse the whole list over one tool that has another.
pub(super) fn drop_unreadable_schemas(edit: &mut Edit<'_>, tools: Option<&str>) {
    for (index, tool) in elements(tools).into_iter().enumerate() {
        let json = tool.as_bytes();
        if edit::get(json, &["outputSchema"]).is_some()
            && edit::get(json, &["outputSchema", "type"]) != Some("\"object\"")
        {
            edit.remove(&["result", "tools", &index.to_string(), "outputSchema"]);
        }
    }
}

/// The raw elements of an array; none of anything else.
fn elements(raw: Option<&str>) -> Vec<&str> {
    raw.and_then(|raw| edit::elements(raw.as_bytes()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_with_an_invalid_header_is_left_out_and_named() {
        let good = r#"{"name":"good","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"Region"}}}}"#;
        let bad = r#"{"name":"b\u0061d","inputSchema":{"type":"object","properties":{"n":{"type":"number","x-mcp-header":"N"}}}}"#;
        let plain =
            r#"{ "name":"plain", "inputSchema":{"type":"object","$defs":{"a":{"maximum":1.10}}} }"#;
        let answer = Bytes::from(format!(
            r#"{{"id":1,"result":{{"tools":[{bad},{good}, {bad} ,{plain}],"ttlMs":5}}}}"#
        ));
        let (kept, invalid) = drop_invalid_tools(&answer).unwrap();
        assert_eq!(
            kept,
            format!(r#"{{"id":1,"result":{{"tools":[{good} ,{plain}],"ttlMs":5}}}}"#)
        );
        assert_eq!(invalid.len(), 2);
        assert_eq!(invalid[0].name, "bad");
        assert_eq!(invalid[0].reason, InvalidParamHeader::Type);
    }

    #[test]
    fn a_list_of_valid_tools_is_the_same_bytes() {
        let answer = Bytes::from_static(br#"{"id":1,"result":{"tools":[{"name":"a","inputSchema":{}},{"name":"b"},{"inputSchema":7}]}}"#);
        let (kept, invalid) = drop_invalid_tools(&answer).unwrap();
        assert_eq!(kept.as_ptr(), answer.as_ptr());
        assert_eq!(invalid, []);
        let error = Bytes::from_static(br#"{"id":1,"error":{"code":1,"message":""}}"#);
        assert_eq!(drop_invalid_tools(&error).unwrap().0, error);
    }

    #[test]
    fn an_output_schema_that_is_no_object_does_not_reach_older_clients() {
        let answer = br#"{"id":1,"result":{"tools":[{"name":"a","outputSchema":{"type":"array","items":{}}},{"name":"b","outputSchema":{"type":"object"}},{"outputSchema":{"oneOf":[]},"name":"c"}]}}"#;
        let mut edit = Edit::new(answer);
        drop_unreadable_schemas(&mut edit, edit::get(answer, &["result", "tools"]));
        assert_eq!(
            edit.finish().unwrap(),
            r#"{"id":1,"result":{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object"}},{"name":"c"}]}}"#
        );
    }
}
