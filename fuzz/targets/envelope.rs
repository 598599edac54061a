//! Messages: what serde_json accepts and only that, and edits that touch nothing else.
#![no_main]

use bartizan_protocol::{
    Batch, Edit, Envelope, InvalidEnvelopeReason, SyntaxErrorReason, edit, is_batch,
};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let theirs = serde_json::from_slice::<&RawValue>(data);
    match Envelope::read(data) {
        Ok(envelope) => {
            theirs.as_ref().expect("a message is json");
            assert!(!is_batch(data));
            let member = |name: &str| edit::get(data, &[name]);
            assert_eq!(
                envelope.id().map(|id| id.as_raw()),
                member("id").filter(|id| *id != "null")
            );
            assert_eq!(
                envelope.method().map(str::to_owned),
                member("method").map(|raw| edit::text(raw).unwrap().into_owned())
            );
            let param = |name: &str| edit::get(data, &["params", name]);
            assert_eq!(envelope.arguments(), param("arguments"));
            assert_eq!(envelope.meta(), param("_meta"));
            assert_eq!(envelope.cursor(), param("cursor"));
            if let Some(raw) = envelope.subject_raw() {
                let same = edit::replace(data, &[(raw, raw)]).unwrap();
                assert_eq!(same, data);
            }
        }
        Err(error) => {
            let json = match error.reason() {
                InvalidEnvelopeReason::Syntax(syntax) => {
                    // They do not limit the depth of what they step over.
                    syntax.reason() == SyntaxErrorReason::Depth && theirs.is_ok()
                }
                _ => true,
            };
            assert_eq!(json, theirs.is_ok(), "{error}");
        }
    }
    if is_batch(data) {
        if let Ok(batch) = Batch::read(data) {
            let elements = edit::elements(data).expect("a batch is an array");
            assert!(batch.iter().eq(elements.iter().map(|raw| raw.as_bytes())));
        }
    }
    if let Some(elements) = edit::elements(data) {
        let theirs: Vec<&RawValue> = serde_json::from_slice(data).unwrap();
        assert!(elements.iter().eq(theirs.iter().map(|raw| raw.get()).collect::<Vec<_>>().iter()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let json = edit::string(text);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(edit::text(&json).as_deref(), Some(text));
        if let Some(decoded) = edit::text(text) {
            assert_eq!(serde_json::from_str::<String>(text).unwrap(), decoded);
        }
    }
    let Some(members) = edit::members(data) else {
        return;
    };
    assert_eq!(Edit::new(data).finish().unwrap(), data);
    for name in members.iter().map(|(name, _)| &**name).chain(["new"]) {
        // A name that is no text is shown as written, quotes and all, and cannot be addressed.
        if edit::text(name).is_none() && name.starts_with('"') {
            continue;
        }
        let mut setting = Edit::new(data);
        setting.set(&[name], "[1.10]");
        let set = setting.finish().unwrap();
        assert_eq!(edit::get(&set, &[name]), Some("[1.10]"));
        let others = |json: &[u8]| -> Vec<(String, String)> {
            edit::members(json)
                .unwrap()
                .into_iter()
                .filter(|(other, _)| other != name)
                .map(|(other, raw)| (other.into_owned(), raw.to_owned()))
                .collect()
        };
        assert_eq!(others(&set), others(data));
        let mut removing = Edit::new(&set);
        removing.remove(&[name]);
        let removed = removing.finish().unwrap();
        assert_eq!(edit::get(&removed, &[name]), None);
        assert_eq!(others(&removed), others(data));
        if members.len() > 16 {
            break;
        }
    }
});
