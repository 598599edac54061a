//! What the fixture's addresses hold.

use rmcp::{ErrorData, model::ReadResourceResult};
use serde_json::{Value, json};

use crate::{catalog::PNG, typed::typed};

/// The resource whose changes are announced.
pub(crate) const WATCHED: &str = "test://watched-resource";

pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let content = match uri {
        "test://static-text" => json!({
            "uri": uri,
            "mimeType": "text/plain",
            "text": "This is the content of the static text resource."
        }),
        "test://static-binary" => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
        WATCHED => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": "Watched resource content." })
        }
        _ => templated(uri).ok_or_else(|| {
            ErrorData::resource_not_found("Resource not found", Some(json!({ "uri": uri })))
        })?,
    };
    typed(json!({ "contents": [content], "resultType": "complete" }))
}

fn templated(uri: &str) -> Option<Value> {
    let id = uri
        .strip_prefix("test://template/")?
        .strip_suffix("/data")?;
    let text = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
    Some(json!({ "uri": uri, "mimeType": "application/json", "text": text.to_string() }))
}

/// What may follow `typed` as the `name` argument of a prompt or a template.
pub(crate) fn completions(name: &str, typed: &str) -> Vec<String> {
    let known: &[&str] = match name {
        "arg1" => &["paris", "park", "party"],
        "id" => &["1", "2", "3"],
        _ => &[],
    };
    known
        .iter()
        .filter(|value| value.starts_with(typed))
        .map(|value| (*value).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_takes_one_segment_and_nothing_else_is_found() {
        assert_eq!(
            templated("test://template/7/data").unwrap()["uri"],
            "test://template/7/data"
        );
        assert!(read("test://template/7").is_err());
        assert_eq!(
            read("test://none").unwrap_err().data.unwrap()["uri"],
            "test://none"
        );
    }

    #[test]
    fn completions_begin_with_what_was_typed() {
        assert_eq!(completions("arg1", "par"), ["paris", "park", "party"]);
        assert_eq!(completions("arg1", "part"), ["party"]);
        assert!(completions("other", "").is_empty());
    }
}
