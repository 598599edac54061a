//! Questions of an older server, put to a client of 2026-07-28, and what it sends back.

use std::borrow::Cow;

use bartizan_protocol::{edit, error};
use bytes::Bytes;

use super::{meta::SERVER_INFO, question::Question};

/// The answer that puts an older server's questions to a client of 2026-07-28.
///
/// `id` is the raw id of the client's call, which thereby ends; `questions` come with the keys by
/// which the answers will come back; `request_state` is the sealed handle by which the gateway
/// will know the parked call again; `server_info` is the upstream's raw `Implementation`.
pub fn input_required<'a>(
    id: &str,
    questions: impl IntoIterator<Item = (&'a str, &'a Question)>,
    request_state: &str,
    server_info: Option<&str>,
) -> Bytes {
    let mut entries = String::new();
    for (key, question) in questions {
        if !entries.is_empty() {
            entries.push(',');
        }
        entries.push_str(&edit::string(key));
        entries.push(':');
        entries.push_str(&question.as_entry());
    }
    let state = edit::string(request_state);
    let meta = server_info.map_or_else(String::new, |info| {
        format!(r#","_meta":{{"{SERVER_INFO}":{info}}}"#)
    });
    let result = format!(
        r#"{{"resultType":"input_required","inputRequests":{{{entries}}},"requestState":{state}{meta}}}"#
    );
    error::response(id, &result)
}

/// What a client of 2026-07-28 sends back with the retry of a call.
#[derive(Clone, Debug)]
pub struct InputResponses<'a> {
    request_state: Option<Cow<'a, str>>,
    responses: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> InputResponses<'a> {
    /// Reads a call; `None` if it is a first one, with neither answers nor state.
    ///
    /// Nothing here is to be believed before the state has been unsealed.
    pub fn read(request: &'a [u8]) -> Option<Self> {
        let responses = edit::get(request, &["params", "inputResponses"]);
        let state = edit::get(request, &["params", "requestState"]);
        if responses.is_none() && state.is_none() {
            return None;
        }
        Some(Self {
            request_state: state.and_then(edit::text),
            responses: responses
                .and_then(|raw| edit::members(raw.as_bytes()))
                .unwrap_or_default(),
        })
    }

    /// The state, decoded; `None` if there is none or it is not a text.
    pub fn request_state(&self) -> Option<&str> {
        self.request_state.as_deref()
    }

    /// The raw result for the question of that key. Where there is none, or something that is not
    /// an object, ask again.
    pub fn result(&self, key: &str) -> Option<&'a str> {
        self.responses
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, result)| *result)
            .filter(|result| result.starts_with('{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_question_waits_in_a_modern_result() {
        let elicit = Question::read(
            br#"{"jsonrpc":"2.0","id":77,"method":"elicitation/create","params":{"message":"Your \u006eame?","requestedSchema":{"type":"object","properties":{"n":{"type":"number","maximum":1.10}}}}}"#,
        );
        let roots = Question::read(br#"{"id":78,"method":"roots/list","params":{}}"#);
        let answer = input_required(
            "\"c-1\"",
            [("0", &elicit.unwrap()), ("k\"1", &roots.unwrap())],
            "sealed.handle",
            Some(r#"{"name":"s","version":"1"}"#),
        );
        assert_eq!(
            std::str::from_utf8(&answer).unwrap(),
            r#"{"jsonrpc":"2.0","id":"c-1","result":{"resultType":"input_required","inputRequests":{"0":{"method":"elicitation/create","params":{"message":"Your \u006eame?","requestedSchema":{"type":"object","properties":{"n":{"type":"number","maximum":1.10}}}}},"k\"1":{"method":"roots/list","params":{}}},"requestState":"sealed.handle","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}"#
        );
    }

    #[test]
    fn a_retry_brings_the_answers_by_key() {
        let responses = InputResponses::read(
            br#"{"id":2,"method":"tools/call","params":{"name":"t","inputResponses":{"0":{"action":"accept","content":{"n":1.10}},"bad":7},"requestState":"sealed\u002ehandle"}}"#,
        )
        .unwrap();
        assert_eq!(responses.request_state(), Some("sealed.handle"));
        assert_eq!(
            responses.result("0"),
            Some(r#"{"action":"accept","content":{"n":1.10}}"#)
        );
        assert_eq!(responses.result("bad"), None);
        assert_eq!(responses.result("1"), None);
        assert!(InputResponses::read(br#"{"params":{"name":"t"}}"#).is_none());
        let odd = InputResponses::read(br#"{"params":{"requestState":7}}"#).unwrap();
        assert_eq!(odd.request_state(), None);
    }
}
