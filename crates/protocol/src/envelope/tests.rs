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

#[test]
fn members_that_decide_must_not_come_in_another_letter_case() {
    let refused = |rest: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{rest}}}"#);
        match Envelope::read(text.as_bytes()).map_err(|error| error.reason()) {
            Ok(_) => None,
            Err(InvalidEnvelopeReason::Case(name)) => Some(name),
            Err(other) => panic!("{text}: {other}"),
        }
    };
    assert_eq!(refused(r#""params":{"name":"x","NAME":"y"}"#), Some("name"));
    assert_eq!(
        refused(r#""params":{"name":"x","N\u0061me":"y"}"#),
        Some("name")
    );
    assert_eq!(refused(r#""Params":{}"#), Some("params"));
    assert_eq!(refused(r#""Method":"x""#), Some("method"));
    assert_eq!(refused(r#""param\u017f":{}"#), Some("params"));
    assert_eq!(refused("\"params\":{\"tas\u{212a}Id\":1}"), Some("taskId"));
    assert_eq!(refused(r#""params":{"_META":{}}"#), Some("_meta"));
    assert_eq!(
        refused(r#""params":{"_meta":{"io.modelcontextprotocol/protocolversion":1}}"#),
        Some("io.modelcontextprotocol/protocolVersion")
    );
    // Elsewhere names may be what they like.
    assert_eq!(
        refused(r#""params":{"arguments":{"Name":1,"name":2}},"ids":1"#),
        None
    );
    assert_eq!(
        refused(r#""params":{"ID":1,"names":2,"nam\u00e9":3}"#),
        None
    );
}

#[test]
fn subjects() {
    let subject = |method: &str, params: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let envelope = Envelope::read(text.as_bytes()).unwrap();
        envelope.subject().map(Cow::into_owned)
    };
    let params = r#"{"name":"n\u0061","uri":"u:","taskId":"t"}"#;
    assert_eq!(subject("tools/call", params).as_deref(), Some("na"));
    assert_eq!(subject("prompts/get", params).as_deref(), Some("na"));
    assert_eq!(subject("resources/read", params).as_deref(), Some("u:"));
    assert_eq!(subject("tasks/get", params).as_deref(), Some("t"));
    assert_eq!(subject("tools/list", params), None);
    assert_eq!(subject("tools/call", r#"{"name":7}"#), None);
    assert_eq!(subject("tools/call", "null"), None);
    assert_eq!(subject("tools/call", r#"{"name":"\ud800"}"#), None);
}

#[test]
fn the_other_members_are_noted_where_they_belong() {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{
        "requestId":"r\/1","reason":"no","cursor":"c","progressToken":"outer","_meta":{
        "progressToken":"inner","io.modelcontextprotocol/clientInfo":{"name":"c"},
        "io.modelcontextprotocol/logLevel":"debug","io.modelcontextprotocol/subscriptionId":9}}}"#;
    let envelope = Envelope::read(text.as_bytes()).unwrap();
    assert_eq!(envelope.request_id(), Id::new("\"r/1\""));
    assert_eq!(envelope.cursor(), Some("\"c\""));
    assert_eq!(envelope.progress_token(), Some("\"inner\""));
    assert_eq!(envelope.client_info(), Some(r#"{"name":"c"}"#));
    assert_eq!(envelope.log_level(), Some("\"debug\""));
    assert_eq!(envelope.subscription_id(), Some("9"));
    assert!(envelope.params().is_some());
    assert!(envelope.id().is_none());

    let progress = text.replace("notifications/cancelled", "notifications/progress");
    let envelope = Envelope::read(progress.as_bytes()).unwrap();
    assert_eq!(envelope.progress_token(), Some("\"outer\""));

    // In the result of a response, and in what is no object, nothing is looked for.
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"params":{"cursor":1},"_meta":{}}}"#;
    let envelope = Envelope::read(text.as_bytes()).unwrap();
    assert_eq!((envelope.cursor(), envelope.meta()), (None, None));
    assert!(envelope.params().is_none());
    let text = r#"{"jsonrpc":"2.0","method":"a","params":{"_meta":["progressToken"]}}"#;
    let envelope = Envelope::read(text.as_bytes()).unwrap();
    assert_eq!(envelope.meta(), Some(r#"["progressToken"]"#));
    assert_eq!(envelope.progress_token(), None);
}

#[test]
fn errors_keep_the_id_that_was_read() {
    let id = |text: &str| {
        let error = Envelope::read(text.as_bytes()).unwrap_err();
        (error.code(), error.id().map(str::to_owned))
    };
    assert_eq!(
        id(r#"{"id":"a","method":}"#),
        (-32700, Some("\"a\"".into()))
    );
    assert_eq!(id(r#"{"method":} "id":1"#), (-32700, None));
    assert_eq!(
        id(r#"{"jsonrpc":"1.0","id":7}"#),
        (-32600, Some("7".into()))
    );
    assert_eq!(
        id(r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#),
        (-32600, None)
    );
    assert_eq!(
        id(r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#),
        (-32600, None)
    );
    assert_eq!(id("7"), (-32600, None));
    assert_eq!(
        Envelope::read(b"{\"a\":\"\xff\"}").unwrap_err().code(),
        -32700
    );
    assert_eq!(
        Envelope::read(b"{\"a\":\"\xff\"}").unwrap_err().to_string(),
        "not json: invalid utf-8 at byte 6"
    );
    for latin in [
        &b"{\"id\":7,\"result\":\"\xe9\"}"[..],
        b"{\"result\":\"\xe9\",\"id\":7}",
    ] {
        let error = Envelope::read(latin).unwrap_err();
        assert_eq!((error.code(), error.id()), (-32700, Some("7")));
    }
    assert_eq!(Envelope::read(b"").unwrap_err().code(), -32700);
}

#[test]
fn errors_know_whether_a_method_was_read() {
    let has_method = |text: &str| {
        let error = Envelope::read(text.as_bytes()).unwrap_err();
        error.has_method()
    };
    assert!(has_method(r#"{"id":1,"method":"a","params":{"b":}}"#));
    assert!(has_method(r#"{"id":1,"method":"a"}"#));
    assert!(!has_method(r#"{"id":1,"method":}"#));
    assert!(!has_method(r#"{"id":1,"result":{}}"#));
    assert!(!Batch::read(b"[]").unwrap_err().has_method());
}

#[test]
fn a_token_that_is_null_is_none() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":null}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":null}}"#,
    ] {
        let envelope = Envelope::read(text.as_bytes()).unwrap();
        assert_eq!(envelope.progress_token(), None, "{text}");
    }
}

#[test]
fn error_codes_are_read() {
    let code = |error: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
        Envelope::read(text.as_bytes()).unwrap().error_code()
    };
    assert_eq!(code(r#"{"code":-32601,"message":"m"}"#), Some(-32601));
    assert_eq!(code(r#"{"code":1.5}"#), None);
    assert_eq!(code("{}"), None);
}

#[test]
fn batches() {
    let reason = |text: &str| Batch::read(text.as_bytes()).unwrap_err().reason();
    let text = r#" [ {"id":1} , 2,"x" ] "#;
    assert!(is_batch(text.as_bytes()));
    let batch = Batch::read(text.as_bytes()).unwrap();
    assert_eq!(batch.len(), 3);
    let messages: Vec<&[u8]> = batch.iter().collect();
    assert_eq!(messages, [&br#"{"id":1}"#[..], b"2", b"\"x\""]);
    assert!((&batch).into_iter().eq(messages.iter().copied()));
    assert!(batch.into_iter().eq(messages));

    assert_eq!(reason("[]"), InvalidEnvelopeReason::EmptyBatch);
    let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(Batch::read(many(100).as_bytes()).unwrap().len(), 100);
    assert_eq!(reason(&many(101)), InvalidEnvelopeReason::LargeBatch(100));
    assert!(Batch::read_at_most(many(3).as_bytes(), 2).is_err());
    assert_eq!(Batch::read(b"[1,").unwrap_err().code(), -32700);
    assert_eq!(Batch::read(b"{}").unwrap_err().code(), -32700);
    for text in ["", " ", "{}", "x["] {
        assert!(!is_batch(text.as_bytes()), "{text}");
    }
}
