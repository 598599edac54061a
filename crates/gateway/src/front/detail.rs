//! The dialect of two of the documented gateways: what goes wrong is `{"detail": ...}`, a text,
//! or a list of faults if the request itself is at fault.

use std::collections::HashMap;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::Error;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The longest value that an answer repeats.
const LONGEST_INPUT: usize = 1_024;

/// What went wrong, in words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Detail {
    /// What went wrong, and what helps if that is known.
    pub(crate) detail: String,
}

/// Everything that is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Faults {
    /// The faults, in the order in which they were found.
    pub(crate) detail: Vec<Fault>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fault {
    /// What kind of fault it is, for programs.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Where it is, from the outside to the inside.
    pub(crate) loc: Vec<Place>,
    /// What is wrong, for people.
    pub(crate) msg: String,
    /// What was there instead; null where that was nothing, is long, or may be a secret.
    #[schema(value_type = Value, required = true)]
    pub(crate) input: Option<Box<RawValue>>,
}

/// A step to the place of a fault.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FaultPlace)]
#[serde(untagged)]
pub(crate) enum Place {
    /// A member of an object.
    Name(&'static str),
    /// A byte of a text.
    Byte(usize),
}

impl Fault {
    pub(crate) fn new(kind: &'static str, loc: Vec<Place>, msg: impl Into<String>) -> Self {
        Self {
            kind,
            loc,
            msg: msg.into(),
            input: None,
        }
    }

    /// A member of the body that must be there.
    pub(crate) fn missing(member: &'static str) -> Self {
        let loc = vec![Place::Name("body"), Place::Name(member)];
        Self::new("missing", loc, "Field required")
    }

    pub(crate) fn with_input(mut self, json: &str) -> Self {
        if json.len() <= LONGEST_INPUT {
            self.input = RawValue::from_string(json.to_owned()).ok();
        }
        self
    }
}

/// `value` as the answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let mut out = Vec::with_capacity(256);
    // Writing plain structs to a vector cannot fail.
    let _ = serde_json::to_writer(&mut out, value);
    bytes(status, out)
}

/// JSON that is there already as the answer.
pub(crate) fn bytes(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An error in words.
pub(crate) fn refuse(status: StatusCode, detail: impl Into<String>) -> Response<Body> {
    let detail = detail.into();
    json(status, &Detail { detail })
}

/// An error in words, and when to come back.
pub(crate) fn refuse_until(
    status: StatusCode,
    detail: impl Into<String>,
    retry_after_seconds: Option<u64>,
) -> Response<Body> {
    let mut response = refuse(status, detail);
    if let Some(seconds) = retry_after_seconds {
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// What the gateway itself refuses.
pub(crate) fn error(error: &Error) -> Response<Body> {
    let retry_after = error.retry_after_seconds();
    let mut response = refuse_until(error.status(), error.to_string(), retry_after);
    if matches!(error, Error::Unauthenticated) {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    }
    response
}

/// A request that is at fault.
pub(crate) fn invalid(detail: Vec<Fault>) -> Response<Body> {
    json(StatusCode::UNPROCESSABLE_ENTITY, &Faults { detail })
}

/// There is a page, but not by this method; the router adds `Allow`.
pub(crate) async fn not_allowed() -> Response<Body> {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

/// The text of a body that is a JSON object.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn object(body: &[u8]) -> Result<&str, Fault> {
    let place = || vec![Place::Name("body")];
    if body.trim_ascii().is_empty() {
        return Err(Fault::new("missing", place(), "Field required"));
    }
    let broken = |byte: usize, why: String| {
        let loc = vec![Place::Name("body"), Place::Byte(byte)];
        Fault::new("json_invalid", loc, format!("JSON decode error: {why}"))
    };
    let text =
        str::from_utf8(body).map_err(|error| broken(error.valid_up_to(), error.to_string()))?;
    let read = serde_json::from_str::<&RawValue>(text);
    let value = read.map_err(|error| broken(byte_of(text, &error), error.to_string()))?;
    if value.get().starts_with('{') {
        return Ok(value.get());
    }
    let fault = Fault::new("dict_type", place(), "Input should be a valid dictionary");
    Err(fault.with_input(value.get()))
}

/// The members of a body that has all that are `required`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(crate) fn read<T: DeserializeOwned>(
    body: &[u8],
    required: &[&'static str],
) -> Result<T, Vec<Fault>> {
    let text = object(body).map_err(|fault| vec![fault])?;
    serde_json::from_str(text).map_err(|error| {
        // Not their values, one of which may be what cannot be read.
        let members = serde_json::from_str::<HashMap<String, IgnoredAny>>(text);
        let is_missing = |name: &str| members.as_ref().is_ok_and(|it| !it.contains_key(name));
        let missing = required.iter().filter(|name| is_missing(name));
        let mut faults: Vec<_> = missing.map(|name| Fault::missing(name)).collect();
        if faults.is_empty() {
            let place = vec![Place::Name("body")];
            faults.push(Fault::new("value_error", place, error.to_string()));
        }
        faults
    })
}

fn byte_of(text: &str, error: &serde_json::Error) -> usize {
    let lines = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(body: &str) -> serde_json::Value {
        serde_json::to_value(object(body.as_bytes()).unwrap_err()).unwrap()
    }

    #[test]
    fn what_is_no_object_is_said_with_its_place() {
        let missing =
            json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null});
        assert_eq!(fault(" "), missing);
        let list = fault("[1]");
        assert_eq!(
            (&list["type"], &list["input"]),
            (&json!("dict_type"), &json!([1]))
        );
        let broken = fault("{\n\"a\" 1}");
        assert_eq!(broken["loc"], json!(["body", 6]));
        assert_eq!(broken["type"], "json_invalid");
        let long = format!("\"{}\"", "x".repeat(LONGEST_INPUT));
        assert_eq!(fault(&long)["input"], json!(null));
        assert_eq!(object(b" {\"a\": 1.10} ").unwrap(), "{\"a\": 1.10}");
    }

    #[test]
    fn every_member_that_is_missing_is_named() {
        #[derive(Debug, serde::Deserialize)]
        struct Pair {
            #[serde(rename = "a")]
            _a: u8,
            #[serde(rename = "b")]
            _b: u8,
        }
        let faults = |body: &str| {
            let faults = read::<Pair>(body.as_bytes(), &["a", "b"]).unwrap_err();
            serde_json::to_value(faults).unwrap()
        };
        assert_eq!(faults("{}")[1]["loc"], json!(["body", "b"]));
        // Nothing is missing where a value is none that can be read.
        for body in [
            r#"{"a": "x", "b": 1}"#,
            r#"{"a": 1e400, "b": 1}"#,
            r#"{"a": "\ud800", "b": 1}"#,
            r#"{"\ud800": 1}"#,
        ] {
            assert_eq!(faults(body)[0]["type"], "value_error", "{body}");
        }
        assert_eq!(faults(r#"{"a": 1e400}"#)[0]["loc"], json!(["body", "b"]));
    }
}
