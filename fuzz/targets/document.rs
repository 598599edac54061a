//! Files of people: JSON is what serde_json says it is, and what is known of a value is so.
#![no_main]

use bartizan_document::{Node, Value, parse_json, parse_yaml, utf8};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = utf8(data) else {
        return;
    };
    let strict = serde_json::from_str::<serde_json::Value>(text);
    match parse_json(text) {
        Ok(root) => {
            serde_json::from_str::<IgnoredAny>(text).expect("what is taken is json");
            check_ranges(text, &root);
            if let (Ok(value), false) = (strict, matches!(root.value, Value::Text(_))) {
                assert_eq!(rendered(&root), value, "rendering changes nothing");
            }
        }
        Err(error) => assert!(
            strict.is_err() || error.text.contains("nested more than"),
            "{error}"
        ),
    }
    let lines = u32::try_from(text.split(['\n', '\r']).count()).unwrap();
    match parse_yaml(text) {
        Ok(root) => {
            let json = root.render();
            if !matches!(root.value, Value::Text(_)) {
                serde_json::from_str::<IgnoredAny>(&json).expect("what is rendered is json");
            }
        }
        Err(error) => assert!(error.place.line <= lines + 1, "{error}"),
    }
});

/// What stands where a value is said to be is that value.
fn check_ranges(text: &str, node: &Node<'_>) {
    let alone = parse_json(&text[node.range.clone()]).expect("a value by itself");
    assert_eq!(alone.render(), node.render());
    for value in node.list().unwrap_or_default() {
        check_ranges(text, value);
    }
    for member in node.members().unwrap_or_default() {
        let key = &text[member.range.start..member.value.range.start];
        assert!(key.starts_with('"') && member.range.end == member.value.range.end);
        check_ranges(text, &member.value);
    }
}

fn rendered(node: &Node<'_>) -> serde_json::Value {
    serde_json::from_str(&node.render()).expect("what is rendered is json")
}
