use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// The body of `POST /mcp/request`, read once and borrowed.
///
/// `parameters` stays the text the caller wrote: no number changes, nothing is dropped.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    /// Echoed as `requestId`, whatever its type, `null` included.
    pub(super) id: Option<&'a RawValue>,
    pub(super) service: Cow<'a, str>,
    pub(super) operation: Cow<'a, str>,
    pub(super) parameters: Option<&'a RawValue>,
    pub(super) metadata: Metadata<'a>,
}

/// The `metadata` object. Members that are absent or `null` have their defaults.
#[derive(Debug, Default)]
pub(super) struct Metadata<'a> {
    pub(super) correlation_id: Option<Cow<'a, str>>,
    /// Milliseconds.
    pub(super) timeout: Option<f64>,
    pub(super) priority: Option<Priority>,
    pub(super) agent_id: Option<Cow<'a, str>>,
    pub(super) idempotency_key: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    Low,
    Normal,
    High,
}

impl<'a> Envelope<'a> {
    /// Reads `body`.
    ///
    /// # Errors
    ///
    /// A sentence for the caller that names the member at fault, and never quotes its value.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, String> {
        // Looked at once here, instead of once for each string and raw value in the reader.
        let text = str::from_utf8(body)
            .map_err(|error| format!("the request body is not valid UTF-8: {error}"))?;
        serde_json::from_str(text).map_err(|error| diagnose(text, &error))
    }
}

// Written by hand, because a derived struct also reads an array, taking its elements for the
// members in order.

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Id,
    Service,
    Operation,
    Parameters,
    Metadata,
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum MetadataMember {
    CorrelationId,
    Timeout,
    Priority,
    AgentId,
    IdempotencyKey,
    #[serde(other)]
    Other,
}

/// A string that borrows from the input unless it holds escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                let (mut service, mut operation, mut metadata) = (None, None, None);
                while let Some(member) = members.next_key()? {
                    match member {
                        Member::Id => once(&mut envelope.id, members.next_value()?, "id")?,
                        Member::Service => {
                            once(&mut service, members.next_value::<Text<'_>>()?.0, "service")?;
                        }
                        Member::Operation => {
                            once(
                                &mut operation,
                                members.next_value::<Text<'_>>()?.0,
                                "operation",
                            )?;
                        }
                        Member::Parameters => {
                            let parameters = members.next_value()?;
                            once(&mut envelope.parameters, parameters, "parameters")?;
                        }
                        Member::Metadata => {
                            let given = members.next_value::<Option<Metadata<'_>>>()?;
                            once(&mut metadata, given.unwrap_or_default(), "metadata")?;
                        }
                        Member::Other => {
                            members.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                envelope.service = service.ok_or_else(|| Error::missing_field("service"))?;
                envelope.operation = operation.ok_or_else(|| Error::missing_field("operation"))?;
                envelope.metadata = metadata.unwrap_or_default();
                Ok(envelope)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Metadata<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Metadata<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut metadata = Metadata::default();
                while let Some(member) = members.next_key()? {
                    let text = match member {
                        MetadataMember::CorrelationId => &mut metadata.correlation_id,
                        MetadataMember::AgentId => &mut metadata.agent_id,
                        MetadataMember::IdempotencyKey => &mut metadata.idempotency_key,
                        MetadataMember::Timeout => {
                            metadata.timeout = members.next_value()?;
                            continue;
                        }
                        MetadataMember::Priority => {
                            metadata.priority = members.next_value()?;
                            continue;
                        }
                        MetadataMember::Other => {
                            members.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *text = members.next_value::<Option<Text<'_>>>()?.map(|text| text.0);
                }
                Ok(metadata)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Takes a member, which must not have been there before: two readers of one document must not
/// see different calls.
fn once<T, E: Error>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

/// What is wrong with `body`, in more detail than one pass over it can afford.
///
/// Only bad requests pay for this second look.
fn diagnose(body: &str, error: &serde_json::Error) -> String {
    if body.is_empty() {
        return "the request body is empty, expected a JSON object".to_owned();
    }
    let value = match serde_json::from_str::<Value>(body) {
        Ok(value) => value,
        Err(syntax) => return format!("the request body is not valid JSON: {syntax}"),
    };
    let Value::Object(members) = &value else {
        return format!(
            "the request body must be a JSON object, not {}",
            kind(&value)
        );
    };
    for name in ["service", "operation"] {
        match members.get(name) {
            Some(Value::String(_)) => {}
            Some(other) => return format!("{name} must be a string, not {}", kind(other)),
            None => return format!("{name} is required"),
        }
    }
    match members.get("metadata") {
        None | Some(Value::Null) => {}
        Some(Value::Object(metadata)) => {
            for name in ["correlationId", "agentId", "idempotencyKey"] {
                if let Some(other) = wrong(metadata.get(name), Value::is_string) {
                    return format!("metadata.{name} must be a string, not {}", kind(other));
                }
            }
            if let Some(other) = wrong(metadata.get("timeout"), Value::is_number) {
                let kind = kind(other);
                return format!("metadata.timeout must be a number of milliseconds, not {kind}");
            }
            if metadata.get("priority").is_some() {
                return "metadata.priority must be low, normal or high".to_owned();
            }
        }
        Some(other) => return format!("metadata must be an object, not {}", kind(other)),
    }
    // A member that is given twice, for one: `Value` takes the last, the envelope none.
    format!("the request is not valid: {error}")
}

fn wrong(value: Option<&Value>, right: fn(&Value) -> bool) -> Option<&Value> {
    value.filter(|value| !value.is_null() && !right(value))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> String {
        Envelope::parse(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_documented_example_is_read() {
        let body = r#"{"id":"request-123","timestamp":"2025-01-21T10:30:00Z","service":"user-service",
            "operation":"getUser","parameters":{"userId":"123","big":123456789012345678901234567890,"n":1.10},
            "metadata":{"correlationId":"corr-123","timeout":30000,"priority":"normal","agentId":"chatbot-agent"}}"#;
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        assert_eq!(envelope.id.unwrap().get(), r#""request-123""#);
        assert_eq!(
            (&*envelope.service, &*envelope.operation),
            ("user-service", "getUser")
        );
        let parameters = r#"{"userId":"123","big":123456789012345678901234567890,"n":1.10}"#;
        assert_eq!(envelope.parameters.unwrap().get(), parameters);
        let metadata = envelope.metadata;
        assert_eq!(metadata.correlation_id.as_deref(), Some("corr-123"));
        assert_eq!(metadata.timeout, Some(30_000.0));
        assert_eq!(metadata.priority, Some(Priority::Normal));
        assert_eq!(metadata.agent_id.as_deref(), Some("chatbot-agent"));
    }

    #[test]
    fn only_service_and_operation_are_required() {
        let envelope = Envelope::parse(br#"{"service":"s","operation":"o"}"#).unwrap();
        assert!(envelope.id.is_none() && envelope.parameters.is_none());
        let nulls =
            br#"{"id":null,"service":"s","operation":"o","parameters":null,"metadata":null}"#;
        assert!(Envelope::parse(nulls).is_ok());
    }

    #[test]
    fn escapes_in_names_are_undone() {
        let envelope = Envelope::parse(br#"{"service":"a\u0062c","operation":"o"}"#).unwrap();
        assert_eq!(envelope.service, "abc");
    }

    #[test]
    fn each_fault_is_named() {
        let cases = [
            ("", "the request body is empty, expected a JSON object"),
            (
                "[1]",
                "the request body must be a JSON object, not an array",
            ),
            ("null", "the request body must be a JSON object, not null"),
            (r#"{"operation":"o"}"#, "service is required"),
            (
                r#"{"service":7,"operation":"o"}"#,
                "service must be a string, not a number",
            ),
            (r#"{"service":"s"}"#, "operation is required"),
            (
                r#"{"service":"s","operation":{}}"#,
                "operation must be a string, not an object",
            ),
            (
                r#"{"service":"s","operation":"o","metadata":[]}"#,
                "metadata must be an object, not an array",
            ),
            (
                r#"{"service":"s","operation":"o","metadata":{"timeout":"5"}}"#,
                "metadata.timeout must be a number of milliseconds, not a string",
            ),
            (
                r#"{"service":"s","operation":"o","metadata":{"priority":"urgent"}}"#,
                "metadata.priority must be low, normal or high",
            ),
            (
                r#"{"service":"s","operation":"o","metadata":{"agentId":true}}"#,
                "metadata.agentId must be a string, not a boolean",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(fault(body), expected, "{body}");
        }
        let fault_of_bytes = Envelope::parse(b"{\"service\":\"\xff\"}").unwrap_err();
        assert!(fault_of_bytes.starts_with("the request body is not valid UTF-8"));
        assert!(fault("{\"service\"").starts_with("the request body is not valid JSON: EOF"));
        assert!(fault(r#"{"service":"a","service":"b","operation":"o"}"#).contains("duplicate"));
    }
}
