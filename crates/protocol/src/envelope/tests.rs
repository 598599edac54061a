use super::*;

fn reason(text: &str) -> InvalidEnvelopeReason {
    Envelope::read(text.as_bytes()).unwrap_err().reason()
}

#[test]
fn a_modern_call_shows_what_policy_needs() {
    let body = r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"_meta":{
        "progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{},"traceparent":"00-1"},
        "name":"add","arguments":{"name":"other"}}}"#;
    let envelope = Envelope::read(body.as_bytes()).unwrap();
    assert_eq!(envelope.kind(), Kind::Request);
    assert_eq!(envelope.method(), Some("tools/call"));
    assert_eq!(envelope.subject().as_deref(), Some("add"));
    assert_eq!(envelope.progress_token(), Some("7"));
    assert_eq!(envelope.protocol_version(), Some("\"2026-07-28\""));
    assert_eq!(
        envelope.protocol_version_text().as_deref(),
        Some("2026-07-28")
    );
    assert_eq!(envelope.client_capabilities(), Some("{}"));
    assert_eq!(envelope.client_info(), None);
    assert_eq!(envelope.arguments(), Some(r#"{"name":"other"}"#));
}

#[test]
fn kinds() {
    let kind = |text: &str| Envelope::read(text.as_bytes()).map(|envelope| envelope.kind());
    let json = |rest: &str| format!(r#"{{"jsonrpc":"2.0",{rest}}}"#);
    assert_eq!(
        kind(&json(r#""id":1.5,"method":"ping""#)),
        Ok(Kind::Request)
    );
    assert_eq!(kind(&json(r#""method":"n""#)), Ok(Kind::Notification));
    assert_eq!(kind(&json(r#""id":1,"result":{}"#)), Ok(Kind::Response));
    assert_eq!(kind(&json(r#""id":null,"error":{}"#)), Ok(Kind::Error));
    assert_eq!(kind(&json(r#""error":{}"#)), Ok(Kind::Error));
    use InvalidEnvelopeReason as Reason;
    assert_eq!(reason(&json(r#""id":null,"method":"ping""#)), Reason::Id);
    assert_eq!(reason(&json(r#""id":null,"result":{}"#)), Reason::Id);
    assert_eq!(reason(&json(r#""result":{}"#)), Reason::Id);
    assert_eq!(reason(&json(r#""id":[1],"method":"ping""#)), Reason::Id);
    assert_eq!(reason(&json(r#""id":1"#)), Reason::Shape);
    assert_eq!(
        reason(&json(r#""id":1,"result":{},"error":{}"#)),
        Reason::Shape
    );
    assert_eq!(
        reason(&json(r#""id":1,"method":"a","result":1"#)),
        Reason::Shape
    );
    assert_eq!(reason(&json(r#""id":1,"method":7"#)), Reason::Method);
    assert_eq!(reason(&json(r#""method":"a","params":[]"#)), Reason::Params);
    assert_eq!(reason(&json(r#""id":1,"error":"no""#)), Reason::Error);
    assert_eq!(
        reason(r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#),
        Reason::JsonRpc
    );
    assert_eq!(reason(r#"{"id":1,"method":"a"}"#), Reason::JsonRpc);
    assert_eq!(reason("[]"), Reason::NotAnObject);
}

#[test]
fn members_that_decide_must_not_stand_twice_in_any_spelling() {
    let twice = [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","n\u0061me":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"uri":"x","uri":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_meta":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{},"error":{}}"#,
    ];
    for text in twice {
        let error = Envelope::read(text.as_bytes()).unwrap_err();
        assert!(
            matches!(error.reason(), InvalidEnvelopeReason::Duplicate(_)),
            "{text} {error}"
        );
        assert_eq!(error.code(), -32600);
    }
    let error = Envelope::read(twice[0].as_bytes()).unwrap_err();
    assert_eq!(error.id(), None, "of two ids neither is the message's");
    let error = Envelope::read(twice[1].as_bytes()).unwrap_err();
    assert_eq!(error.id(), Some("1"));
}
