use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use bartizan_protocol::{Envelope, edit, method::RESOURCES_READ};
use bartizan_transport::bridge::Abilities;
use parking_lot::Mutex;

use super::Request;

/// How many requests of one service are told apart. When there are more, all are forgotten.
const MAX_SUBJECTS: usize = 10_000;
/// How often a request that was once asked about must end without a question to count as quiet.
const AFTER_A_QUESTION: u8 = 8;

/// What requests a service asks its clients things about, as far as it was seen.
///
/// Nothing says so beforehand: a tool may ask, and its description does not tell.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    /// How often each must still end without a question, by its hash: names are as long as their
    /// clients like. Held for one look.
    unsure: Mutex<HashMap<u64, u8>>,
    hasher: RandomState,
}

/// What requests are told apart by: the tool or the prompt, and what the client can be asked for.
/// Resources are all alike, since there is no end of them.
#[derive(Debug, Hash)]
pub(super) struct Subject {
    of: Box<str>,
    abilities: Abilities,
}

impl Subject {
    pub(super) fn of(request: &Request, abilities: Abilities) -> Self {
        let method = &*request.method;
        let name = if method == RESOURCES_READ {
            None
        } else {
            edit::get(&request.body, &["params", "name"]).and_then(edit::text)
        };
        let name = name.unwrap_or(Cow::Borrowed(""));
        Self {
            of: format!("{method} {name}").into(),
            abilities,
        }
    }
}

impl Habits {
    /// Whether no question about it is to be expected.
    pub(super) fn is_quiet(&self, subject: &Subject) -> bool {
        self.unsure.lock().get(&self.hasher.hash_one(subject)) == Some(&0)
    }

    /// It was asked about.
    pub(super) fn asked(&self, subject: &Subject) {
        self.note(subject, |_| AFTER_A_QUESTION);
    }

    /// It ended with this response and without a question. That a request failed says nothing of
    /// others like it, not even that there is such a tool.
    pub(super) fn ended(&self, subject: &Subject, response: &[u8]) {
        let result = Envelope::read(response).ok();
        let result = result.as_ref().and_then(Envelope::result);
        let failed = |result: &str| edit::get(result.as_bytes(), &["isError"]) == Some("true");
        if result.is_some_and(|result| !failed(result)) {
            self.note(subject, |unsure| {
                unsure.map_or(0, |it| it.saturating_sub(1))
            });
        }
    }

    fn note(&self, subject: &Subject, change: impl FnOnce(Option<u8>) -> u8) {
        let mut unsure = self.unsure.lock();
        let hash = self.hasher.hash_one(subject);
        let known = unsure.get(&hash).copied();
        if known.is_none() && unsure.len() >= MAX_SUBJECTS {
            unsure.clear();
        }
        unsure.insert(hash, change(known));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const RESULT: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

    fn subject(method: &str, params: &str) -> Subject {
        let body = format!(r#"{{"params":{params}}}"#);
        let request = Request::new(Bytes::from(body), "1", method);
        Subject::of(&request, Abilities::read(r#"{"elicitation":{}}"#))
    }

    #[test]
    fn what_ended_without_a_question_is_quiet_until_there_is_one() {
        let habits = Habits::default();
        let tool = subject("tools/call", r#"{"name":"a"}"#);
        assert!(!habits.is_quiet(&tool));
        habits.ended(&tool, RESULT);
        assert!(habits.is_quiet(&tool));
        habits.asked(&tool);
        for _ in 0..AFTER_A_QUESTION {
            assert!(!habits.is_quiet(&tool));
            habits.ended(&tool, RESULT);
        }
        assert!(habits.is_quiet(&tool));
    }

    #[test]
    fn a_failure_says_nothing() {
        let habits = Habits::default();
        let tool = subject("tools/call", r#"{"name":"a"}"#);
        habits.ended(
            &tool,
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
        );
        habits.ended(
            &tool,
            br#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#,
        );
        assert!(!habits.is_quiet(&tool));
        assert!(habits.unsure.lock().is_empty());
    }

    #[test]
    fn tools_and_prompts_are_told_apart_by_name_and_resources_not_at_all() {
        let habits = Habits::default();
        habits.ended(&subject("tools/call", r#"{"name":"a"}"#), RESULT);
        habits.ended(&subject("resources/read", r#"{"uri":"x:1"}"#), RESULT);
        assert!(!habits.is_quiet(&subject("tools/call", r#"{"name":"b"}"#)));
        assert!(!habits.is_quiet(&subject("prompts/get", r#"{"name":"a"}"#)));
        assert!(habits.is_quiet(&subject("resources/read", r#"{"uri":"x:2"}"#)));
    }

    #[test]
    fn what_nobody_could_be_asked_does_not_count_for_those_who_can() {
        let habits = Habits::default();
        let book = subject("tools/call", r#"{"name":"book"}"#);
        let cannot = Subject {
            of: book.of.clone(),
            abilities: Abilities::read(r#"{"roots":{}}"#),
        };
        habits.ended(&cannot, RESULT);
        assert!(habits.is_quiet(&cannot));
        assert!(!habits.is_quiet(&book));
    }

    #[test]
    fn no_more_than_so_many_are_known() {
        let habits = Habits::default();
        let tool = |n| subject("tools/call", &format!(r#"{{"name":"{n}"}}"#));
        for n in 0..=MAX_SUBJECTS {
            habits.ended(&tool(n), RESULT);
        }
        assert!(habits.is_quiet(&tool(MAX_SUBJECTS)));
        assert!(!habits.is_quiet(&tool(0)));
        assert_eq!(habits.unsure.lock().len(), 1);
    }
}
