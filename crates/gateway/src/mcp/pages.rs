use std::{collections::HashSet, fmt, time::Duration};

use bartizan_protocol::{Envelope, edit, error as code, method::list_member};
use bartizan_transport::bridge::{self, ClientMeta};
use bytes::Bytes;

use super::{
    Door, Refusal,
    ask::{self, Client, Request},
    direct::RpcError,
};
use crate::error::Error;

/// Why there is no list: an error is not an empty one.
#[derive(Debug)]
pub(crate) enum ListError {
    /// It was not asked.
    Unasked(Error),
    /// No answer came.
    Refused(Refusal),
    /// An error of the service, the message of JSON-RPC.
    Answered(Bytes),
    /// The answer is none that a list could be read from.
    Unreadable(String),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked(error) => error.fmt(f),
            Self::Refused(refusal) => f.write_str(refusal.message()),
            Self::Answered(message) => f.write_str(&RpcError::read(message).message),
            Self::Unreadable(reason) => f.write_str(reason),
        }
    }
}

/// The most pages of one list, and the most items of all of them.
const MAX_PAGES: usize = 1000;
const MAX_ITEMS: usize = 100_000;
/// The most bytes of all pages, in messages of the greatest length that one may have.
const MAX_MESSAGES: usize = 4;
/// How long a list may take with all of its pages: each is a call that waits for its turn. Nobody
/// who asks waits that long, but who asks next finds it there.
const MAX_TIME: Duration = Duration::from_secs(120);

/// Every item of a list, from all of its pages, as JSON. A service that has no such list has
/// an empty one. Without a client the items are in the service's own words.
///
/// # Errors
///
/// What the service did instead.
pub(super) async fn all(
    door: &Door,
    client: Option<&Client>,
    method: &str,
) -> Result<Vec<Bytes>, ListError> {
    tokio::select! {
        listed = every_page(door, client, method) => listed,
        () = door.shared.clock().sleep(MAX_TIME) => {
            let after = humantime::format_duration(MAX_TIME);
            Err(ListError::Unreadable(format!("the list has no end after {after}")))
        }
    }
}

async fn every_page(
    door: &Door,
    client: Option<&Client>,
    method: &str,
) -> Result<Vec<Bytes>, ListError> {
    let unreadable = |reason: String| Err(ListError::Unreadable(reason));
    let member = list_member(method).unwrap_or_default();
    let mut items = Vec::new();
    let mut cursors: HashSet<String> = HashSet::new();
    // Raw JSON.
    let mut cursor: Option<String> = None;
    let max_bytes = MAX_MESSAGES.saturating_mul(door.shared.mcp().max_message_bytes());
    let mut bytes = 0;
    for _ in 0..MAX_PAGES {
        let answer = page(door, client, method, cursor.as_deref()).await?;
        bytes += answer.len();
        if bytes > max_bytes {
            return unreadable(format!("the list has more than {max_bytes} bytes"));
        }
        let envelope = match Envelope::read(&answer) {
            Ok(envelope) => envelope,
            Err(error) => return unreadable(error.to_string()),
        };
        if envelope.error_code() == Some(code::METHOD_NOT_FOUND) {
            return Ok(items);
        }
        let Some(result) = envelope.result() else {
            return Err(ListError::Answered(answer));
        };
        let elements = edit::get(result.as_bytes(), &[member])
            .and_then(|list| edit::elements(list.as_bytes()));
        let Some(elements) = elements else {
            return unreadable(format!("the answer has no list {member}"));
        };
        if items.len() + elements.len() > MAX_ITEMS {
            return unreadable(format!("the list has more than {MAX_ITEMS} items"));
        }
        let elements = elements.into_iter();
        items.extend(elements.map(|raw| answer.slice_ref(raw.as_bytes())));
        // Nothing but an end is one; and a cursor goes back as it came, even one that is no text.
        let next = match edit::get(result.as_bytes(), &["nextCursor"]) {
            None | Some("null") => return Ok(items),
            Some(next) if next.starts_with('"') => next.to_owned(),
            Some(_) => return unreadable("a cursor of the list is no string".to_owned()),
        };
        if !cursors.insert(next.clone()) {
            return unreadable("the list goes in circles: a cursor came twice".to_owned());
        }
        cursor = Some(next);
    }
    unreadable(format!("the list has more than {MAX_PAGES} pages"))
}

async fn page(
    door: &Door,
    client: Option<&Client>,
    method: &str,
    cursor: Option<&str>,
) -> Result<Bytes, ListError> {
    let id = "\"bartizan-list\"";
    let params = cursor.map_or_else(
        || "{}".to_owned(),
        |cursor| format!(r#"{{"cursor":{cursor}}}"#),
    );
    let Some(client) = client else {
        let answer = ask::direct(door, method, &params).await;
        return answer.map_err(ListError::Refused);
    };
    let mut body = code::request(id, method, Some(&params));
    if let Client::Modern(client) = client {
        let meta = ClientMeta {
            capabilities: &client.introduction.capabilities,
            info: Some(&client.introduction.info),
            log_level: None,
        };
        body = bridge::request_to_modern(&body, &meta)
            .map_err(|error| ListError::Unreadable(error.to_string()))?;
    }
    let request = Request::new(body, id, method);
    Ok(ask::alone(door, client, &request).await)
}
