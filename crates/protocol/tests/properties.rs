//! Arbitrary JSON, written with arbitrary white space and escapes.

use std::collections::HashSet;

use bartizan_protocol::{Edit, Envelope, InvalidEnvelopeReason, SyntaxError, edit};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, value::RawValue};

/// JSON text of a value.
fn json() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 32, 4, |inner| {
        let array = vec((space(), inner.clone(), space()), 0..4).prop_map(|elements| {
            let elements = elements
                .iter()
                .map(|(a, value, b)| format!("{a}{value}{b}"));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        });
        prop_oneof![array, object_of(inner)]
    })
}

/// JSON text of an object.
fn object() -> impl Strategy<Value = String> {
    object_of(json().boxed())
}

/// JSON text of an object, whose names are few, so that paths meet members, and all different.
fn object_of(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    vec((space(), name(), space(), value, space()), 0..5).prop_map(|mut members| {
        let mut seen = HashSet::new();
        members.retain(|(_, name, ..)| seen.insert(edit::text(name).unwrap().into_owned()));
        let members = members
            .iter()
            .map(|(a, name, b, value, c)| format!("{a}{name}{b}:{a}{value}{c}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        text(),
    ]
}

fn space() -> impl Strategy<Value = String> {
    "[ \n\r\t]{0,2}"
}

/// A string: plain characters and all kinds of escapes.
fn text() -> impl Strategy<Value = String> {
    let plain = any::<String>().prop_map(|text| {
        let json = edit::string(&text);
        json[1..json.len() - 1].to_owned()
    });
    let escape = prop::sample::select(vec!["\\\"", "\\\\", "\\/", "\\u00E9", "\\ud83d\\uDE00"]);
    vec(prop_oneof![plain, escape.prop_map(str::to_owned)], 0..4)
        .prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// One of few names, in one of two spellings.
fn name() -> impl Strategy<Value = String> {
    ("[a-d]", any::<bool>()).prop_map(|(name, escaped)| {
        let code = u32::from(name.chars().next().unwrap());
        if escaped {
            format!("\"\\u{code:04x}\"")
        } else {
            format!("\"{name}\"")
        }
    })
}

#[derive(Clone, Debug)]
enum Change {
    Set(Vec<String>, String),
    Remove(Vec<String>),
}

fn change() -> impl Strategy<Value = Change> {
    let path = || vec("[a-d]", 1..4);
    prop_oneof![
        (path(), json()).prop_map(|(path, value)| Change::Set(path, value)),
        path().prop_map(Change::Remove),
    ]
}

fn plan(edit: &mut Edit<'_>, change: &Change) {
    fn names(path: &[String]) -> Vec<&str> {
        path.iter().map(String::as_str).collect()
    }
    match change {
        Change::Set(path, value) => edit.set(&names(path), value),
        Change::Remove(path) => edit.remove(&names(path)),
    };
}

/// The same on a parsed value; `None` where the path leads through what has no members.
fn model(value: &mut Value, change: &Change) -> Option<()> {
    match change {
        Change::Set(path, new) => {
            let mut at = value;
            for name in path {
                at = at
                    .as_object_mut()?
                    .entry(name)
                    .or_insert_with(|| Value::Object(Map::new()));
            }
            *at = serde_json::from_str(new).unwrap();
        }
        Change::Remove(path) => {
            let (last, parents) = path.split_last().unwrap();
            let mut at = value;
            for name in parents {
                match at.get_mut(name) {
                    Some(child) if child.is_object() => at = child,
                    _ => return Some(()),
                }
            }
            at.as_object_mut()?.remove(last);
        }
    }
    Some(())
}

/// The raw text of every value that is neither changed nor contains what is.
fn untouched<'a>(
    json: &'a str,
    path: &mut Vec<String>,
    changed: &[&[String]],
    into: &mut Vec<(Vec<String>, &'a str)>,
) {
    let inside = changed.iter().any(|change| path.starts_with(change));
    let above = changed.iter().any(|change| change.starts_with(path));
    if inside {
        return;
    }
    if !above {
        into.push((path.clone(), json));
        return;
    }
    for (name, raw) in edit::members(json.as_bytes()).unwrap_or_default() {
        path.push(name.into_owned());
        untouched(raw, path, changed, into);
        path.pop();
    }
}

proptest! {
    #[test]
    fn reading_accepts_what_serde_json_accepts(text in prop_oneof![json(), "[ -~]{0,20}"]) {
        let theirs = serde_json::from_str::<&RawValue>(&text);
        prop_assert_eq!(edit::get(text.as_bytes(), &[]), theirs.ok().map(RawValue::get));
    }

    #[test]
    fn cutting_a_message_short_is_a_parse_error(value in json(), keep in 0.0..1.0) {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{value}}}"#);
        prop_assert_eq!(
            Envelope::read(message.as_bytes()).unwrap().result(),
            Some(value.trim_matches([' ', '\n', '\r', '\t']))
        );
        let cut = (message.len() as f64 * keep) as usize;
        let error = Envelope::read(&message.as_bytes()[..cut]).unwrap_err();
        prop_assert_eq!(error.code(), -32700);
    }

    #[test]
    fn envelopes_note_raw_text(value in object(), id in scalar(), gap in space()) {
        let message = format!(
            "{gap}{{{gap}\"id\":{id},{gap}\"params\" :{value}{gap},\"method\":\"x\",\"jsonrpc\":\"2.0\"}}"
        );
        match Envelope::read(message.as_bytes()) {
            Ok(envelope) => {
                prop_assert_eq!(envelope.params(), Some(&*value));
                prop_assert_eq!(envelope.id().unwrap().as_raw(), id);
            }
            Err(error) => {
                prop_assert!(id == "null" || id == "true");
                prop_assert_eq!(error.reason(), InvalidEnvelopeReason::Id);
            }
        }
    }

    #[test]
    fn depth_is_limited(depth in 100_usize..200) {
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}1{}}}"#,
            r#"{"arguments":"#.repeat(depth),
            "}".repeat(depth)
        );
        let within = depth < SyntaxError::MAX_DEPTH as usize;
        prop_assert_eq!(Envelope::read(message.as_bytes()).is_ok(), within);
        prop_assert_eq!(serde_json::from_str::<Value>(&message).is_ok(), within);
    }

    #[test]
    fn editing_equals_editing_a_value(document in object(), changes in vec(change(), 1..5)) {
        let mut expected: Value = serde_json::from_str(&document).unwrap();
        let possible = changes.iter().all(|change| model(&mut expected, change).is_some());
        let mut edit = Edit::new(document.as_bytes());
        changes.iter().for_each(|change| plan(&mut edit, change));
        if !possible {
            return Ok(());
        }
        let edited = edit.finish().unwrap();
        let edited = std::str::from_utf8(&edited).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(edited).unwrap(), expected);

        let changed: Vec<&[String]> = changes
            .iter()
            .map(|(Change::Set(path, _) | Change::Remove(path))| &**path)
            .collect();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        untouched(&document, &mut Vec::new(), &changed, &mut before);
        untouched(edited, &mut Vec::new(), &changed, &mut after);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn one_edit_of_many_changes_equals_many_edits(
        document in object(),
        changes in vec(change(), 1..5),
    ) {
        let mut stepwise = document.clone();
        for change in &changes {
            let mut edit = Edit::new(stepwise.as_bytes());
            plan(&mut edit, change);
            match edit.finish() {
                Ok(edited) => stepwise = String::from_utf8(edited.into()).unwrap(),
                Err(_) => return Ok(()),
            }
        }
        let mut edit = Edit::new(document.as_bytes());
        changes.iter().for_each(|change| plan(&mut edit, change));
        let at_once: Value = serde_json::from_slice(&edit.finish().unwrap()).unwrap();
        prop_assert_eq!(at_once, serde_json::from_str::<Value>(&stepwise).unwrap());
    }

    #[test]
    fn removing_elements_keeps_the_others(
        elements in vec((space(), scalar(), space()), 0..8),
        removed in vec(any::<bool>(), 8),
    ) {
        let text: Vec<String> =
            elements.iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
        let document = format!("[{}]", text.join(","));
        let mut edit = Edit::new(document.as_bytes());
        for (index, _) in removed.iter().enumerate().filter(|(_, removed)| **removed) {
            edit.remove(&[&index.to_string()]);
        }
        let edited = edit.finish().unwrap();
        let kept: Vec<&str> = elements
            .iter()
            .zip(&removed)
            .filter_map(|((_, value, _), removed)| (!removed).then_some(&**value))
            .collect();
        prop_assert_eq!(edit::elements(&edited).unwrap(), kept);
    }

    #[test]
    fn strings_are_decoded_as_they_were_encoded(text in any::<String>()) {
        let json = edit::string(&text);
        prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
        prop_assert_eq!(edit::text(&json).unwrap(), text);
    }
}
