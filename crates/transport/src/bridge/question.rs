use std::borrow::Cow;

use bartizan_protocol::{
    edit::{self, Edit},
    error::{
        self, ErrorMessage, INTERNAL, INVALID_PARAMS, METHOD_NOT_FOUND, URL_ELICITATION_REQUIRED,
    },
    method::{ELICITATION_CREATE, ROOTS_LIST, SAMPLING_CREATE_MESSAGE},
};
use bytes::Bytes;

use super::{
    answer::code,
    capability::{Abilities, Undeclared},
    text::{object, strip},
};

/// Something that a server asks of a client: a form or a URL for its user, a message from its
/// model, or its roots.
///
/// In the older revisions this is a JSON-RPC request of the server's own, with an id; in
/// 2026-07-28 it is an entry of a result, with a key. Method and parameters are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    method: Box<str>,
    params: Option<Box<str>>,
}

impl Question {
    /// Reads a request that a server of an older revision sent, for
    /// [`input_required`](super::input_required).
    ///
    /// `None` if it is not one of the three questions; a `ping`, say, which the gateway answers
    /// itself. From the parameters go those that 2026-07-28 has no place for: `task`,
    /// `elicitationId`, and the progress token, since nothing of a client's progress could come
    /// back.
    pub fn read(request: &[u8]) -> Option<Self> {
        let method = edit::text(edit::get(request, &["method"])?)?;
        let params = edit::get(request, &["params"]);
        Self::new(&method, params.filter(|raw| *raw != "null"))
    }

    /// What an older server's error `-32042` demands: that the user visit some URLs before the
    /// request is sent again.
    ///
    /// `None` if the answer is no such error or names no URL. Told to a client of 2026-07-28 as
    /// [`input_required`](super::input_required); when it comes back, the original request is
    /// sent upstream anew, for nothing waits there.
    pub fn required_by(answer: &[u8]) -> Option<Vec<Self>> {
        if code(answer)? != URL_ELICITATION_REQUIRED {
            return None;
        }
        let elicitations = edit::get(answer, &["error", "data", "elicitations"])?;
        let questions: Option<Vec<_>> = edit::elements(elicitations.as_bytes())?
            .into_iter()
            .map(|params| Self::new(ELICITATION_CREATE, object(Some(params))))
            .collect();
        questions.filter(|questions| {
            !questions.is_empty() && questions.iter().all(|question| question.params.is_some())
        })
    }

    /// Reads an entry of a 2026-07-28 server's `inputRequests`; the parameters stay untouched.
    pub(super) fn entry(entry: &str) -> Option<Self> {
        let method = edit::text(edit::get(entry.as_bytes(), &["method"])?)?;
        is_question(&method).then(|| Self {
            method: method.into(),
            params: object(edit::get(entry.as_bytes(), &["params"])).map(Into::into),
        })
    }

    fn new(method: &str, params: Option<&str>) -> Option<Self> {
        if !is_question(method) {
            return None;
        }
        let params = match params {
            None => None,
            Some(raw) => {
                let mut edit = Edit::new(raw.as_bytes());
                edit.remove(&["task"]).remove(&["elicitationId"]);
                let meta = edit::get(raw.as_bytes(), &["_meta"]);
                strip(&mut edit, meta, &["_meta"], &["progressToken"]);
                Some(String::from_utf8_lossy(&edit.finish().ok()?).into())
            }
        };
        Some(Self {
            method: method.into(),
            params,
        })
    }

    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The raw parameters.
    pub fn params(&self) -> Option<&str> {
        self.params.as_deref()
    }

    /// Whether a client with these abilities may be asked.
    ///
    /// # Errors
    ///
    /// [`Undeclared`] if it never said that it can answer.
    pub fn admit(&self, abilities: Abilities) -> Result<(), Undeclared> {
        abilities.admit(&self.method, self.params())
    }

    /// The request that puts this question to a client of an older revision.
    ///
    /// `id` is raw JSON, unique among the requests that the gateway has open with this client.
    /// The URL mode of 2025-11-25 demands an `elicitationId`, which 2026-07-28 dropped: if there
    /// is none, the id serves for it too.
    pub fn request(&self, id: &str) -> Bytes {
        let params = self.params().map(|params| {
            let json = params.as_bytes();
            let url = edit::get(json, &["mode"]) == Some("\"url\"");
            if !url || edit::get(json, &["elicitationId"]).is_some() {
                return Cow::Borrowed(params);
            }
            let text = if id.starts_with('"') {
                Cow::Borrowed(id)
            } else {
                Cow::Owned(edit::string(id))
            };
            let mut edit = Edit::new(json);
            edit.set(&["elicitationId"], &text);
            edit.finish().map_or(Cow::Borrowed(params), |edited| {
                Cow::Owned(String::from_utf8_lossy(&edited).into_owned())
            })
        });
        error::request(id, &self.method, params.as_deref())
    }

    /// The entry that puts this question to a client of 2026-07-28.
    pub(super) fn as_entry(&self) -> String {
        let method = edit::string(&self.method);
        match self.params() {
            Some(params) => format!(r#"{{"method":{method},"params":{params}}}"#),
            None => format!(r#"{{"method":{method}}}"#),
        }
    }

    /// The answer to the older server whose request `id` this was, from the raw result that the
    /// client gave.
    pub fn answer(&self, id: &str, result: &str) -> Bytes {
        error::response(id, result)
    }

    /// The answer to the older server where the client [cannot be asked](Self::admit):
    /// `-32602` for an elicitation, as 2025-11-25 says of an undeclared mode, `-32601` for the
    /// others.
    pub fn refuse(&self, id: &str, why: Undeclared) -> Bytes {
        let code = match why {
            Undeclared::ElicitationForm | Undeclared::ElicitationUrl => INVALID_PARAMS,
            _ => METHOD_NOT_FOUND,
        };
        failure(id, code, &why.to_string())
    }

    /// The answer to the older server where the client was asked and never came back.
    ///
    /// An elicitation counts as dismissed, `"action": "cancel"`, which is what not answering a
    /// dialogue means; the others fail with `-32603`.
    pub fn give_up(&self, id: &str) -> Bytes {
        if &*self.method == ELICITATION_CREATE {
            error::response(id, r#"{"action":"cancel"}"#)
        } else {
            failure(id, INTERNAL, "the client did not answer in time")
        }
    }
}

fn is_question(method: &str) -> bool {
    matches!(
        method,
        ELICITATION_CREATE | ROOTS_LIST | SAMPLING_CREATE_MESSAGE
    )
}

fn failure(id: &str, code: i64, message: &str) -> Bytes {
    ErrorMessage {
        id: Some(id),
        code,
        message,
        data: None,
    }
    .to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_request_becomes_a_question_without_what_only_legacy_knows() {
        let question = Question::read(
            br#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"mode":"url","elicitationId":"550e8400","url":"https://mcp.example.com/ui/set_api_key","message":"Please provide your API key to continue.","task":{"ttl":1},"_meta":{"progressToken":3}}}"#,
        )
        .unwrap();
        assert_eq!(
            question.as_entry(),
            r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://mcp.example.com/ui/set_api_key","message":"Please provide your API key to continue."}}"#
        );
        assert_eq!(Question::read(br#"{"id":1,"method":"ping"}"#), None);
    }

    #[test]
    fn roots_need_no_parameters() {
        let question = Question::read(br#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#);
        let question = question.unwrap();
        assert_eq!(question.as_entry(), r#"{"method":"roots/list"}"#);
        assert_eq!(
            question.request("7"),
            r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#
        );
    }

    #[test]
    fn a_url_question_to_a_legacy_client_has_an_elicitation_id() {
        let entry = r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example","message":"m"}}"#;
        let question = Question::entry(entry).unwrap();
        assert_eq!(
            question.request("\"g-1\""),
            r#"{"jsonrpc":"2.0","id":"g-1","method":"elicitation/create","params":{"mode":"url","url":"https://a.example","message":"m","elicitationId":"g-1"}}"#
        );
        assert!(question.request("3").ends_with(br#""elicitationId":"3"}}"#));
        let form = r#"{"method":"elicitation/create","params":{"message":"m", "requestedSchema":{"type":"object"}}}"#;
        assert_eq!(
            Question::entry(form).unwrap().request("3"),
            r#"{"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":{"message":"m", "requestedSchema":{"type":"object"}}}"#
        );
    }

    #[test]
    fn a_demand_for_urls_becomes_questions() {
        let answer = br#"{"jsonrpc":"2.0","id":2,"error":{"code":-32042,"message":"This request requires more information.","data":{"elicitations":[{"mode":"url","elicitationId":"550e8400","url":"https://mcp.example.com/connect","message":"Authorization is required."}]}}}"#;
        let questions = Question::required_by(answer).unwrap();
        assert_eq!(
            questions[0].params(),
            Some(
                r#"{"mode":"url","url":"https://mcp.example.com/connect","message":"Authorization is required."}"#
            )
        );
        for other in [
            &br#"{"id":2,"error":{"code":-32042,"data":{"elicitations":[]}}}"#[..],
            br#"{"id":2,"error":{"code":-32042,"data":{"elicitations":[1]}}}"#,
            br#"{"id":2,"error":{"code":-32042}}"#,
            br#"{"id":2,"error":{"code":-32002,"data":{"elicitations":[{}]}}}"#,
            br#"{"id":2,"result":{}}"#,
        ] {
            assert_eq!(Question::required_by(other), None);
        }
    }

    #[test]
    fn a_server_gets_an_answer_whatever_the_client_does() {
        let elicit = Question::new("elicitation/create", Some("{}")).unwrap();
        let sample = Question::new("sampling/createMessage", Some("{}")).unwrap();
        assert_eq!(
            elicit.answer("4", r#"{"action":"accept","content":{"n":1.10}}"#),
            r#"{"jsonrpc":"2.0","id":4,"result":{"action":"accept","content":{"n":1.10}}}"#
        );
        assert_eq!(
            elicit.give_up("4"),
            r#"{"jsonrpc":"2.0","id":4,"result":{"action":"cancel"}}"#
        );
        assert_eq!(
            sample.give_up("4"),
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32603,"message":"the client did not answer in time"}}"#
        );
        assert_eq!(
            sample.refuse("4", sample.admit(Abilities::default()).unwrap_err()),
            r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"the client did not declare sampling"}}"#
        );
    }
}
