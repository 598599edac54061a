//! The data path reads every message: what it allocates, every call pays.

use bartizan_protocol::{Envelope, edit};

fn allocations(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).count_total
}

#[test]
fn reading_allocates_nothing() {
    let rows = format!("[{}{}{}]", "[{\"a\":[".repeat(20), 1, "]}]".repeat(20));
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"add","arguments":{{
        "text":"with \" escapes","rows":{rows}}},"_meta":{{"progressToken":1}}}}}}"#
    );
    let mut name = None;
    let count = allocations(|| {
        let envelope = Envelope::read(message.as_bytes()).unwrap();
        assert_eq!(envelope.method(), Some("tools/call"));
        assert!(envelope.subject().is_some_and(|subject| subject == "add"));
        name = envelope.subject_raw();
    });
    assert_eq!(count, 0);
    let count = allocations(|| {
        assert_eq!(
            edit::get(message.as_bytes(), &["params", "_meta", "progressToken"]),
            Some("1")
        );
    });
    assert_eq!(count, 0);
}

#[test]
fn only_a_decoded_text_is_allocated() {
    let message = r#"{"jsonrpc":"2.0","id":7,"method":"tools\/call"}"#;
    let count = allocations(|| {
        let envelope = Envelope::read(message.as_bytes()).unwrap();
        assert_eq!(envelope.method(), Some("tools/call"));
    });
    // The text itself, and what serde_json needs to put it together.
    assert!((1..=3).contains(&count), "{count}");
}
