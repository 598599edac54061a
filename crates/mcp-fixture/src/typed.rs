use rmcp::{ErrorData, model::JsonObject};
use serde_json::Value;

/// Reads an rmcp type from the JSON that the suite documents, so that the fixture's answers look
/// in its source as they look on the wire.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(format!("fixture is wrong: {error}"), None))
}

/// A string argument, empty when it is absent or of another type.
pub(crate) fn text<'a>(arguments: &'a JsonObject, name: &str) -> &'a str {
    arguments
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
