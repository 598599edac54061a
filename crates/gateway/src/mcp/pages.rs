use std::{borrow::Cow, collections::HashSet};

use bartizan_protocol::{Envelope, edit, error as code, method::list_member};
use bartizan_transport::bridge::{self, ClientMeta};
use bytes::Bytes;

use super::{
    Door,
    ask::{self, Client, Request},
};

/// The most pages of one list, and the most items of all of them.
const MAX_PAGES: usize = 1000;
const MAX_ITEMS: usize = 100_000;

/// Every item of a list, from all of its pages, as JSON. A service that has no such list has
/// an empty one.
///
/// # Errors
///
/// A text that says what the service did instead: an error is not an empty list.
pub(super) async fn all(door: &Door, client: &Client, method: &str) -> Result<Vec<Bytes>, String> {
    let member = list_member(method).unwrap_or_default();
    let mut items = Vec::new();
    let mut cursors: HashSet<String> = HashSet::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let answer = page(door, client, method, cursor.as_deref()).await?;
        let envelope = Envelope::read(&answer).map_err(|error| error.to_string())?;
        if envelope.error_code() == Some(code::METHOD_NOT_FOUND) {
            return Ok(items);
        }
        let result = envelope.result().ok_or_else(|| error_text(&answer))?;
        let elements = edit::get(result.as_bytes(), &[member])
            .and_then(|list| edit::elements(list.as_bytes()))
            .ok_or_else(|| format!("the answer has no list {member}"))?;
        if items.len() + elements.len() > MAX_ITEMS {
            return Err(format!("the list has more than {MAX_ITEMS} items"));
        }
        let elements = elements.into_iter();
        items.extend(elements.map(|raw| answer.slice_ref(raw.as_bytes())));
        let next = edit::get(result.as_bytes(), &["nextCursor"]).and_then(edit::text);
        let Some(next) = next.map(Cow::into_owned) else {
            return Ok(items);
        };
        if !cursors.insert(next.clone()) {
            return Err("the list goes in circles: a cursor came twice".to_owned());
        }
        cursor = Some(next);
    }
    Err(format!("the list has more than {MAX_PAGES} pages"))
}

async fn page(
    door: &Door,
    client: &Client,
    method: &str,
    cursor: Option<&str>,
) -> Result<Bytes, String> {
    let id = "\"bartizan-list\"";
    let params = cursor.map_or_else(
        || "{}".to_owned(),
        |cursor| format!(r#"{{"cursor":{}}}"#, edit::string(cursor)),
    );
    let mut body = code::request(id, method, Some(&params));
    if let Client::Modern(client) = client {
        let meta = ClientMeta {
            capabilities: &client.introduction.capabilities,
            info: Some(&client.introduction.info),
            log_level: None,
        };
        body = bridge::request_to_modern(&body, &meta).map_err(|error| error.to_string())?;
    }
    let request = Request {
        body,
        id: id.into(),
        method: method.into(),
    };
    let answer = ask::alone(door, client, &request).await;
    answer.ok_or_else(|| "no answer".to_owned())
}

fn error_text(answer: &[u8]) -> String {
    let message = edit::get(answer, &["error", "message"]).and_then(edit::text);
    message.map_or_else(|| "no result".to_owned(), Cow::into_owned)
}
