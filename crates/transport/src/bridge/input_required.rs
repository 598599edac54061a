//! A question of a 2026-07-28 server, put to a client of an older revision, and the retry.

use bartizan_protocol::{
    edit::{self, Edit, EditError},
    error::{BAD_ANSWER, ErrorMessage, INTERNAL},
    method::may_require_input,
};
use bytes::Bytes;

use super::{
    capability::{Abilities, Undeclared},
    question::Question,
    text::{given, object},
};

/// What a 2026-07-28 server wants to know before it completes a request.
///
/// For a client of an older revision each question becomes a [request](Question::request) on the
/// stream of the call that waits; [`read_answer`] reads what comes back; [`InputRequired::retry`]
/// then sends the call upstream again, with the answers. If there are no questions, only a state,
/// the call may be retried at once: the server is shedding load, so back off first.
///
/// How often a server may ask for one call is for the caller to bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired {
    questions: Vec<(Box<str>, Question)>,
    request_state: Option<Box<str>>,
}

impl InputRequired {
    /// The most questions in one result: 16. The protocol names no bound; each question is a
    /// request that the client must keep open.
    pub const MAX_QUESTIONS: usize = 16;

    /// Reads the answer of a 2026-07-28 server to `method` whose
    /// [kind](super::ResultKind::InputRequired) is `input_required`.
    ///
    /// # Errors
    ///
    /// [`InvalidInputRequired`] if the server may not ask this, here, of a client with these
    /// abilities.
    pub fn read(
        method: &str,
        answer: &[u8],
        abilities: Abilities,
    ) -> Result<Self, InvalidInputRequired> {
        if !may_require_input(method) {
            return Err(InvalidInputRequired::Method);
        }
        let member = |name| given(edit::get(answer, &["result", name]));
        let requests = match member("inputRequests") {
            None => Vec::new(),
            Some(raw) => edit::members(raw.as_bytes()).ok_or(InvalidInputRequired::Malformed)?,
        };
        if requests.len() > Self::MAX_QUESTIONS {
            return Err(InvalidInputRequired::TooMany);
        }
        let questions = requests
            .into_iter()
            .map(|(key, entry)| {
                let question = Question::entry(entry).ok_or(InvalidInputRequired::Malformed)?;
                question.admit(abilities)?;
                Ok((key.into(), question))
            })
            .collect::<Result<Vec<_>, InvalidInputRequired>>()?;
        let request_state = match member("requestState") {
            Some(raw) if raw.starts_with('"') => Some(raw.into()),
            Some(_) => return Err(InvalidInputRequired::Malformed),
            None => None,
        };
        if questions.is_empty() && request_state.is_none() {
            return Err(InvalidInputRequired::Malformed);
        }
        Ok(Self {
            questions,
            request_state,
        })
    }

    /// The questions, in the server's order.
    pub fn questions(&self) -> impl ExactSizeIterator<Item = &Question> {
        self.questions.iter().map(|(_, question)| question)
    }

    /// The call again, with the answers.
    ///
    /// `original` is the call as it went upstream, of this round or an earlier one; `id` is the
    /// raw id of the retry, which must be a new one; `results` are the raw results, one for each
    /// question, in the order of [`InputRequired::questions`]. The server's state goes back
    /// exactly as it came. Answers and state of an earlier round go.
    ///
    /// # Errors
    ///
    /// [`EditError`] if one of the texts is not JSON.
    pub fn retry(
        &self,
        original: &[u8],
        id: &str,
        results: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Bytes, EditError> {
        let mut edit = Edit::new(original);
        edit.set(&["id"], id);
        if self.questions.is_empty() {
            edit.remove(&["params", "inputResponses"]);
        } else {
            let mut responses = String::from("{");
            for ((key, _), result) in self.questions.iter().zip(results) {
                if responses.len() > 1 {
                    responses.push(',');
                }
                responses.push_str(&edit::string(key));
                responses.push(':');
                responses.push_str(result.as_ref());
            }
            responses.push('}');
            edit.set(&["params", "inputResponses"], &responses);
        }
        match &self.request_state {
            Some(state) => edit.set(&["params", "requestState"], state),
            None => edit.remove(&["params", "requestState"]),
        };
        edit.finish()
    }
}

/// The raw result in a client's answer to a [question](Question::request).
///
/// # Errors
///
/// [`QuestionFailed`] if the client answered with an error. A declined or dismissed elicitation
/// is a result, `"action": "decline"` or `"cancel"`, and passes. An error says that the client
/// could not ask at all, or would not sample; `inputResponses` has no word for that, and to
/// invent a `cancel` would put words into the user's mouth. So the call that waits fails.
pub fn read_answer(answer: &[u8]) -> Result<&str, QuestionFailed> {
    object(edit::get(answer, &["result"])).ok_or_else(|| QuestionFailed {
        error: object(edit::get(answer, &["error"])).map(Into::into),
    })
}

/// The client did not answer a server's question with a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client failed to answer the server's question")]
pub struct QuestionFailed {
    error: Option<Box<str>>,
}

impl QuestionFailed {
    /// The error that ends the call that waited, whose raw id is `id`: `-32603`, with the client's
    /// own error for data.
    pub fn answer(&self, id: &str, question: &Question) -> Bytes {
        let text = format!("the client failed to answer {}", question.method());
        ErrorMessage {
            id: Some(id),
            code: INTERNAL,
            message: &text,
            data: self.error.as_deref(),
        }
        .to_bytes()
    }
}

/// An `input_required` result that cannot be put to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidInputRequired {
    /// Only `tools/call`, `prompts/get` and `resources/read` may require input.
    #[error("the server required input for a method that takes none")]
    Method,
    /// Neither questions nor state, or a question that is none.
    #[error("the server required input without saying which")]
    Malformed,
    /// More than [`InputRequired::MAX_QUESTIONS`].
    #[error("the server asked too many questions at once")]
    TooMany,
    /// The client never declared that it can answer.
    #[error("the server asked what it may not: {0}")]
    Undeclared(#[from] Undeclared),
}

impl InvalidInputRequired {
    /// The error that ends the call, whose raw id is `id`: [`BAD_ANSWER`], for the server broke
    /// the rules.
    pub fn answer(self, id: &str) -> Bytes {
        ErrorMessage {
            id: Some(id),
            code: BAD_ANSWER,
            message: &self.to_string(),
            data: None,
        }
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Abilities = Abilities {
        elicitation_form: true,
        elicitation_url: true,
        sampling: true,
        sampling_tools: true,
        roots: true,
    };

    /// From the page on multi round-trip requests.
    const ANSWER: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"github_login":{"method":"elicitation/create","params":{"mode":"form","message":"Please provide your GitHub username","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}},"capital_of_france":{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"What is the capital of France?"}}],"modelPreferences":{"hints":[{"name":"claude-3-sonnet"}],"intelligencePriority":0.80},"maxTokens":100}}},"requestState":"AEAD-protected \u0062lob"}}"#;

    #[test]
    fn questions_keep_their_order_and_their_bytes() {
        let required = InputRequired::read("tools/call", ANSWER, ALL).unwrap();
        let questions: Vec<_> = required.questions().collect();
        assert_eq!(questions[0].method(), "elicitation/create");
        assert_eq!(questions[1].method(), "sampling/createMessage");
        assert!(questions[1].params().unwrap().contains("0.80"));
    }

    #[test]
    fn a_retry_is_the_call_with_answers_and_the_exact_state() {
        let required = InputRequired::read("tools/call", ANSWER, ALL).unwrap();
        let original = br#"{"jsonrpc":"2.0", "id":1, "method":"tools/call","params":{"name":"t","arguments":{"n":1.10},"requestState":"old","inputResponses":{"x":{}}}}"#;
        let retry = required
            .retry(
                original,
                "2",
                [
                    r#"{"action":"accept","content":{"name":"octocat"}}"#,
                    r#"{"role":"assistant"}"#,
                ],
            )
            .unwrap();
        assert_eq!(
            std::str::from_utf8(&retry).unwrap(),
            r#"{"jsonrpc":"2.0", "id":2, "method":"tools/call","params":{"name":"t","arguments":{"n":1.10},"requestState":"AEAD-protected \u0062lob","inputResponses":{"github_login":{"action":"accept","content":{"name":"octocat"}},"capital_of_france":{"role":"assistant"}}}}"#
        );
    }

    #[test]
    fn a_round_without_state_carries_none() {
        let answer = br#"{"id":2,"result":{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}}}}"#;
        let required = InputRequired::read("prompts/get", answer, ALL).unwrap();
        let retry = required.retry(
            br#"{"id":2,"params":{"name":"p","inputResponses":{"q":{}},"requestState":"s"}}"#,
            "3",
            [r#"{"roots":[]}"#],
        );
        assert_eq!(
            retry.unwrap(),
            r#"{"id":3,"params":{"name":"p","inputResponses":{"r":{"roots":[]}}}}"#
        );
        let answer = br#"{"id":3,"result":{"resultType":"input_required","requestState":"only"}}"#;
        let required = InputRequired::read("tools/call", answer, Abilities::default()).unwrap();
        assert_eq!(required.questions().len(), 0);
        let retry = required.retry(
            br#"{"id":3,"params":{"name":"p","inputResponses":{"q":{}}}}"#,
            "4",
            std::iter::empty::<&str>(),
        );
        assert_eq!(
            retry.unwrap(),
            r#"{"id":4,"params":{"name":"p","requestState":"only"}}"#
        );
    }

    #[test]
    fn a_server_may_ask_only_what_was_declared_and_where_it_may() {
        let read = |method, answer: &str, abilities| {
            InputRequired::read(method, answer.as_bytes(), abilities).unwrap_err()
        };
        let roots = r#"{"id":1,"result":{"inputRequests":{"r":{"method":"roots/list"}}}}"#;
        assert_eq!(
            read("tools/call", roots, Abilities::default()),
            InvalidInputRequired::Undeclared(Undeclared::Roots)
        );
        assert_eq!(read("tools/list", roots, ALL), InvalidInputRequired::Method);
        for nothing in [
            r#"{"id":1,"result":{}}"#,
            r#"{"id":1,"result":{"inputRequests":{}}}"#,
            r#"{"id":1,"result":{"inputRequests":7}}"#,
            r#"{"id":1,"result":{"requestState":7}}"#,
            r#"{"id":1,"result":{"inputRequests":{"a":{"method":"ping"}}}}"#,
        ] {
            let error = read("tools/call", nothing, ALL);
            assert_eq!(error, InvalidInputRequired::Malformed, "{nothing}");
        }
        let many: Vec<_> = (0..=InputRequired::MAX_QUESTIONS)
            .map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#))
            .collect();
        let many = format!(
            r#"{{"id":1,"result":{{"inputRequests":{{{}}}}}}}"#,
            many.join(",")
        );
        assert_eq!(
            read("tools/call", &many, ALL),
            InvalidInputRequired::TooMany
        );
    }

    #[test]
    fn a_declined_question_is_an_answer_and_a_failed_one_ends_the_call() {
        let declined = br#"{"jsonrpc":"2.0","id":9,"result":{"action":"decline"}}"#;
        assert_eq!(read_answer(declined), Ok(r#"{"action":"decline"}"#));
        let failed = read_answer(
            br#"{"jsonrpc":"2.0","id":9,"error":{"code":-1,"message":"User rejected sampling request"}}"#,
        )
        .unwrap_err();
        let question = Question::entry(r#"{"method":"sampling/createMessage","params":{}}"#);
        assert_eq!(
            failed.answer("\"call\"", &question.unwrap()),
            r#"{"jsonrpc":"2.0","id":"call","error":{"code":-32603,"message":"the client failed to answer sampling/createMessage","data":{"code":-1,"message":"User rejected sampling request"}}}"#
        );
        assert!(read_answer(br#"{"id":1,"result":null}"#).is_err());
    }
}
