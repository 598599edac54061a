//! `GET tools/list`, `resources/list` and `prompts/list`: every page of a list in one answer.

use bartizan_protocol::{
    Edit, edit,
    method::{PROMPTS_LIST, RESOURCES_LIST},
};
use bytes::{Bytes, BytesMut};

use super::{problem::Problem, rest, visit::Visit};
use crate::mcp::{all::own_tools, direct};

/// What a tool takes that does not say what it takes.
const ANYTHING: &str = r#"{"type":"object"}"#;

pub(super) async fn tools(visit: &Visit) -> Result<Bytes, Problem> {
    let tools = if visit.service.mcp().is_some() {
        let listed = own_tools(&visit.door(), visit.key(), &visit.witness).await;
        let listed = listed.map_err(|error| Problem::of_list(visit.template(), &error))?;
        listed.to_vec()
    } else {
        rest::tools(visit).await?
    };
    Ok(list("tools", tools.iter().map(with_both_schemas)))
}

pub(super) async fn resources(visit: &Visit) -> Result<Bytes, Problem> {
    listed(visit, RESOURCES_LIST, "resources").await
}

pub(super) async fn prompts(visit: &Visit) -> Result<Bytes, Problem> {
    listed(visit, PROMPTS_LIST, "prompts").await
}

async fn listed(visit: &Visit, method: &str, member: &str) -> Result<Bytes, Problem> {
    // Plain HTTP knows tools and nothing else.
    let items = if visit.service.mcp().is_some() {
        let items = direct::list(&visit.door_in_turn()?, method).await;
        items.map_err(|error| Problem::of_list(visit.template(), &error))?
    } else {
        Vec::new()
    };
    Ok(list(member, items.into_iter()))
}

fn list(member: &str, items: impl ExactSizeIterator<Item = Bytes>) -> Bytes {
    let count = items.len();
    let mut list = BytesMut::from(format!(r#"{{"{member}":["#).as_bytes());
    for (index, item) in items.enumerate() {
        if index > 0 {
            list.extend_from_slice(b",");
        }
        list.extend_from_slice(&item);
    }
    list.extend_from_slice(format!(r#"],"count":{count}}}"#).as_bytes());
    list.freeze()
}

/// A tool with `inputSchema`, as the protocol calls it, and `parameters`, as the document does.
fn with_both_schemas(tool: &Bytes) -> Bytes {
    let protocol = edit::get(tool, &["inputSchema"]);
    let document = edit::get(tool, &["parameters"]);
    let built;
    let (name, schema) = match (protocol, document) {
        (Some(_), Some(_)) => return tool.clone(),
        (Some(schema), None) => ("parameters", schema),
        (None, Some(schema)) if schema.starts_with('{') => ("inputSchema", schema),
        (None, described) => {
            built = described.and_then(rest::schema);
            ("", built.as_deref().unwrap_or(ANYTHING))
        }
    };
    let mut edit = Edit::new(tool);
    if name.is_empty() {
        edit.set(&["inputSchema"], schema);
        edit.set(&["parameters"], schema);
    } else {
        edit.set(&[name], schema);
    }
    // What is no object is the service's own affair.
    edit.finish().unwrap_or_else(|_| tool.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(tool: &'static str) -> String {
        let tool = with_both_schemas(&Bytes::from_static(tool.as_bytes()));
        String::from_utf8(tool.to_vec()).unwrap()
    }

    #[test]
    fn schemas_go_by_both_names_and_nothing_else_changes() {
        assert_eq!(
            both(r#"{"name":"a", "inputSchema":{"maximum":1.10},"x":1e3}"#),
            r#"{"name":"a", "inputSchema":{"maximum":1.10},"x":1e3,"parameters":{"maximum":1.10}}"#
        );
        assert_eq!(
            both(r#"{"name":"a","parameters":{"type":"object"}}"#),
            r#"{"name":"a","parameters":{"type":"object"},"inputSchema":{"type":"object"}}"#
        );
        assert_eq!(
            both(r#"{"name":"a"}"#),
            r#"{"name":"a","inputSchema":{"type":"object"},"parameters":{"type":"object"}}"#
        );
        let whole = r#"{"name":"a","parameters":1,"inputSchema":{}}"#;
        assert_eq!(both(whole), whole);
    }

    #[test]
    fn parameters_of_an_operation_become_a_schema() {
        assert_eq!(
            both(r#"{"name":"a","parameters":[{"name":"id","type":"string","required":true}]}"#),
            r#"{"name":"a","parameters":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]},"inputSchema":{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}}"#
        );
    }
}
