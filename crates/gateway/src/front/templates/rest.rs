//! Services that are plain HTTP, in the words of MCP.

use bartizan_discovery::Tool;
use bartizan_protocol::edit;
use bartizan_rate_limit::Priority;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{problem::Problem, visit::Visit};
use crate::{
    error::Error,
    ids,
    service::{Form, Outbound, Parts, Payload},
};

/// The tools of a service: those that its registry lists, else the operations that it defines.
pub(super) async fn tools(visit: &Visit) -> Result<Vec<Bytes>, Problem> {
    let listed = listed(visit);
    if !listed.is_empty() {
        return Ok(listed);
    }
    let definition = visit.service.fetch_definition().await;
    let definition = definition.map_err(|reason| Problem::all_failed(visit.template(), &reason))?;
    let operations = edit::get(&definition, &["operations"]);
    let operations = operations.and_then(|list| edit::elements(list.as_bytes()));
    let Some(operations) = operations else {
        let reason = "the definition has no list `operations`";
        return Err(Problem::all_failed(visit.template(), reason));
    };
    let operations = operations.into_iter();
    let operations = operations.map(|raw| definition.slice_ref(raw.as_bytes()));
    Ok(operations.collect())
}

fn listed(visit: &Visit) -> Vec<Bytes> {
    let listing = visit.service.listing();
    listing.map_or_else(Vec::new, |it| it.tools().map(listed_tool).collect())
}

fn listed_tool(tool: &Tool) -> Bytes {
    let mut json = Map::new();
    json.insert("name".to_owned(), (*tool.name).into());
    if let Some(description) = &tool.description {
        json.insert("description".to_owned(), (**description).into());
    }
    for (name, text) in &tool.metadata {
        // Registries keep texts as they are and the rest as JSON.
        let value = match serde_json::from_str(text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
            _ => (**text).into(),
        };
        json.insert(name.to_string(), value);
    }
    Value::Object(json).to_string().into()
}

/// The schema that a list of an operation's parameters describes, such as
/// `[{"name":"id","type":"string","required":true}]`; `None` of anything else.
pub(super) fn schema(parameters: &str) -> Option<String> {
    let mut properties = Vec::new();
    let mut required = Vec::new();
    for parameter in edit::elements(parameters.as_bytes())? {
        let name = edit::get(parameter.as_bytes(), &["name"])?;
        edit::text(name)?;
        let own = |member| edit::get(parameter.as_bytes(), &[member]);
        let property = match own("schema") {
            Some(schema) if schema.starts_with('{') => schema.to_owned(),
            _ => {
                let said = ["type", "description"].into_iter();
                let said = said.filter_map(|it| Some(format!(r#""{it}":{}"#, own(it)?)));
                format!("{{{}}}", said.collect::<Vec<_>>().join(","))
            }
        };
        properties.push(format!("{name}:{property}"));
        if own("required") == Some("true") {
            required.push(name);
        }
    }
    let mut schema = format!(
        r#"{{"type":"object","properties":{{{}}}"#,
        properties.join(",")
    );
    if !required.is_empty() {
        schema = format!(r#"{schema},"required":[{}]"#, required.join(","));
    }
    schema.push('}');
    Some(schema)
}

/// Calls the operation that goes by a tool's name, and gives its answer as the result of a tool.
pub(super) async fn call(visit: &Visit, tool: &str, arguments: &str) -> Result<Bytes, Problem> {
    let service = &visit.service;
    if service.listing().is_some_and(|listing| listing.lacks(tool)) {
        let template = visit.template();
        let detail = format!("Tool '{tool}' not found in template '{template}'");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let path = service.path(tool);
    let path = path.map_err(|error| visit.problem(&Error::from(error)))?;
    let idempotency_key = ids::idempotency_key(&visit.headers);
    let trace = ids::trace(&visit.headers);
    let parts = Parts {
        method: Method::POST,
        path,
        body: Bytes::copy_from_slice(arguments.as_bytes()),
        class: service.class(tool, idempotency_key.is_some()),
        priority: Priority::Normal,
        deadline: visit.received + service.timeout(),
        request_id: ids::header(&visit.headers),
        correlation_id: visit.correlation_id(),
        agent_id: visit.agent_id().cloned(),
        session: visit.session().cloned(),
        idempotency_key,
        trace,
        form: Form::Operation,
    };
    let outbound = Outbound::avoiding(parts, service.without(tool));
    match service.call(outbound).await {
        Ok(response) => {
            visit.witness.note(&response.body().endpoint);
            Ok(result(&response))
        }
        Err(failure) => {
            if let Some(endpoint) = failure.cause.endpoint() {
                visit.witness.note(endpoint);
            }
            Err(Problem::of_failure(visit.template(), &failure))
        }
    }
}

/// An answer of plain HTTP as the result of a tool: its body as a text, and as it is if it is a
/// JSON object. Whatever is no success is an error of the tool.
fn result(response: &Response<Payload>) -> Bytes {
    let (status, body) = (response.status(), &response.body().bytes);
    let text = String::from_utf8_lossy(body);
    let is_error = !status.is_success();
    let text = match is_error {
        false => text,
        true if text.trim().is_empty() => {
            format!("Request failed with status code {}", status.as_u16()).into()
        }
        true => format!(
            "Request failed with status code {}: {text}",
            status.as_u16()
        )
        .into(),
    };
    let content = json!([{ "type": "text", "text": text }]);
    let object = edit::get(body, &[]).filter(|raw| raw.starts_with('{'));
    let object = object.map_or_else(String::new, |raw| format!(r#","structuredContent":{raw}"#));
    format!(r#"{{"content":{content}{object},"isError":{is_error}}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_described_as_a_schema() {
        let described = r#"[{"name":"a","type":"integer","description":"d"},
            {"name":"b","required":true,"schema":{"enum":[1.10]}},{"name":"c"}]"#;
        assert_eq!(
            schema(described).unwrap(),
            r#"{"type":"object","properties":{"a":{"type":"integer","description":"d"},"b":{"enum":[1.10]},"c":{}},"required":["b"]}"#
        );
        assert_eq!(schema(r#"[{"type":"string"}]"#), None);
        assert_eq!(schema(r#""none""#), None);
    }
}
