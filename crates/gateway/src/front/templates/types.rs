//! What requests to this door say, and answers to them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use bartizan_protocol::edit;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::front::detail::{self, Fault, Place};

/// The body of `POST /mcp/{template}/tools/call` and of `.../prompts/get`:
/// `{"name": "...", "arguments": {...}}`. Other members are ignored.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) name: Cow<'a, str>,
    /// A JSON object, as it was written.
    pub(super) arguments: &'a str,
}

/// The body of `POST /mcp/{template}/resources/read`: `{"uri": "..."}`.
#[derive(Debug)]
pub(super) struct Addressed<'a> {
    pub(super) uri: Cow<'a, str>,
}

/// What is added to results as `_gateway_info`.
#[derive(Debug, Serialize)]
pub(super) struct GatewayInfo<'a> {
    pub(super) instance_id: Option<&'a str>,
    pub(super) endpoint: Option<String>,
    pub(super) load_balancer_strategy: &'a str,
    pub(super) execution_time_ms: u128,
}

/// The answer of `GET /mcp/{template}/health`.
#[derive(Debug, Serialize)]
pub(super) struct TemplateHealth<'a> {
    pub(super) template_name: &'a str,
    pub(super) total_instances: usize,
    pub(super) healthy_instances: usize,
    /// With one decimal; zero where there are no instances.
    pub(super) health_percentage: f64,
    pub(super) instances: BTreeMap<String, InstanceHealth>,
}

/// How one instance is.
#[derive(Debug, Serialize)]
pub(super) struct InstanceHealth {
    pub(super) healthy: bool,
    /// Nothing for a program.
    pub(super) endpoint: Option<String>,
    /// `http`, `sse` or `stdio`.
    pub(super) transport: &'static str,
    /// `healthy`, `unhealthy` or `unknown`.
    pub(super) status: &'static str,
    pub(super) consecutive_failures: u32,
    /// RFC 3339; nothing if it was never probed.
    pub(super) last_health_check: Option<String>,
}

/// The body of every error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    /// A text, or a list of what is wrong with the request's body.
    pub(super) detail: &'a Detail,
    pub(super) error: ErrorObject<'a>,
}

/// The same for programs.
#[derive(Debug, Serialize)]
pub(super) struct ErrorObject<'a> {
    /// Such as `TemplateNotFound`.
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
    /// For errors of an MCP server its `code`, and its `data` if there is any.
    pub(super) details: Option<&'a RawValue>,
    /// RFC 3339.
    pub(super) timestamp: String,
    /// That of the head of the answer, unless the request was refused at the edge.
    pub(super) request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Detail {
    Text(String),
    Invalid(Vec<Fault>),
}

impl<'a> Named<'a> {
    /// Reads a body, which says the name of `what`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(body: &'a [u8], what: &str) -> Result<Self, Problem> {
        let members = members(body)?;
        let name = text(&members, "name")?.filter(|name| !name.is_empty());
        let missing = || Problem::new(StatusCode::BAD_REQUEST, format!("Missing {what} name"));
        let name = name.ok_or_else(missing)?;
        let arguments = match value(&members, "arguments") {
            None | Some("null") => "{}",
            Some(object) if object.starts_with('{') => object,
            Some(other) => {
                let msg = "Input should be a valid dictionary";
                return Err(invalid("dict_type", Some("arguments"), msg, other));
            }
        };
        Ok(Self { name, arguments })
    }
}

impl<'a> Addressed<'a> {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Problem> {
        let members = members(body)?;
        let uri = text(&members, "uri")?.filter(|uri| !uri.is_empty());
        let missing = || Problem::new(StatusCode::BAD_REQUEST, "Missing resource uri");
        let uri = uri.ok_or_else(missing)?;
        Ok(Self { uri })
    }
}

type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

fn members(body: &[u8]) -> Result<Members<'_>, Problem> {
    let object = detail::object(body).map_err(Problem::invalid)?;
    let Some(members) = edit::members(object.as_bytes()) else {
        return Err(invalid(
            "value_error",
            None,
            "Input is nested too deeply",
            object,
        ));
    };
    let mut seen = HashSet::new();
    match members.iter().find(|(name, _)| !seen.insert(name.clone())) {
        // Two readers of one body must not see different calls.
        Some((name, value)) => {
            let msg = format!("Member {name} stands twice");
            Err(invalid("value_error", None, msg, value))
        }
        None => Ok(members),
    }
}

fn value<'a>(members: &Members<'a>, name: &str) -> Option<&'a str> {
    let member = members.iter().find(|(member, _)| member == name);
    member.map(|(_, value)| *value)
}

fn text<'a>(members: &Members<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, Problem> {
    match value(members, name) {
        None | Some("null") => Ok(None),
        Some(raw) => match edit::text(raw) {
            Some(text) => Ok(Some(text)),
            None => {
                let msg = "Input should be a valid string";
                Err(invalid("string_type", Some(name), msg, raw))
            }
        },
    }
}

fn invalid(
    kind: &'static str,
    member: Option<&'static str>,
    msg: impl Into<String>,
    input: &str,
) -> Problem {
    let body = [Place::Name("body")].into_iter();
    let place = body.chain(member.map(Place::Name)).collect();
    Problem::invalid(Fault::new(kind, place, msg).with_input(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_is_written() {
        let body = br#" {"name":"re\u0061d","arguments":{"n": 1.10},"x":[]} "#;
        let named = Named::read(body, "tool").unwrap();
        assert_eq!((&*named.name, named.arguments), ("read", r#"{"n": 1.10}"#));
        let bare = Named::read(br#"{"name":"a","arguments":null}"#, "tool").unwrap();
        assert_eq!(bare.arguments, "{}");
    }

    #[test]
    fn each_fault_has_its_place() {
        for (body, status, detail) in [
            ("{}", 400, r#""Missing tool name""#),
            (r#"{"name":""}"#, 400, r#""Missing tool name""#),
            (
                "[1]",
                422,
                r#"[{"type":"dict_type","loc":["body"],"msg":"Input should be a valid dictionary","input":[1]}]"#,
            ),
            (
                r#"{"name":7}"#,
                422,
                r#"[{"type":"string_type","loc":["body","name"],"msg":"Input should be a valid string","input":7}]"#,
            ),
            (
                r#"{"name":"a","arguments":[]}"#,
                422,
                r#"[{"type":"dict_type","loc":["body","arguments"],"msg":"Input should be a valid dictionary","input":[]}]"#,
            ),
            (
                "{\n\"name\" 1}",
                422,
                r#"[{"type":"json_invalid","loc":["body",9],"msg":"JSON decode error: expected `:` at line 2 column 8","input":null}]"#,
            ),
        ] {
            let problem = Named::read(body.as_bytes(), "tool").unwrap_err();
            assert_eq!(problem.status().as_u16(), status, "{body}");
            let said = serde_json::to_string(problem.detail()).unwrap();
            assert_eq!(said, detail, "{body}");
        }
        let twice = Named::read(br#"{"name":"a","n\u0061me":"b"}"#, "tool").unwrap_err();
        assert_eq!(twice.status().as_u16(), 422);
    }
}
