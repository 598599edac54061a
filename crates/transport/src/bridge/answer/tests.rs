use super::*;

fn legacy(method: &str, answer: &str) -> String {
    let bytes = to_legacy(method, answer.as_bytes()).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn modern(method: &str, answer: &str) -> String {
    let info = r#"{"name":"s","version":"1"}"#;
    let bytes = to_modern(method, answer.as_bytes(), Some(info)).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_modern_list_loses_what_is_modern_and_nothing_else() {
    assert_eq!(
        legacy(
            "tools/list",
            r#"{"jsonrpc":"2.0", "id":1, "result":{"resultType":"complete", "tools":[{"name":"get_weather","inputSchema":{"type":"object","$defs":{"n":{"maximum":123456789012345678901234567890}}}}],"nextCursor":"next-page-cursor","ttlMs":300000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"a/b":1.10}}}"#
        ),
        r#"{"jsonrpc":"2.0", "id":1, "result":{"tools":[{"name":"get_weather","inputSchema":{"type":"object","$defs":{"n":{"maximum":123456789012345678901234567890}}}}],"nextCursor":"next-page-cursor","_meta":{"a/b":1.10}}}"#
    );
}

#[test]
fn only_cacheable_results_lose_cache_hints() {
    assert_eq!(
        legacy(
            "tools/call",
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"ttlMs":1,"resultType":"complete"}}"#
        ),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"ttlMs":1}}"#
    );
}

#[test]
fn a_legacy_result_says_that_it_is_complete() {
    assert_eq!(
        modern(
            "tools/call",
            r#"{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"\u0041"}],"isError":false}}"#
        ),
        r#"{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"\u0041"}],"isError":false,"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}"#
    );
}

#[test]
fn a_legacy_list_may_not_be_cached() {
    for method in [
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "tools/list",
    ] {
        assert_eq!(
            modern(
                method,
                r#"{"id":1,"result":{"cacheScope":"public","_meta":{"x":1}}}"#
            ),
            r#"{"id":1,"result":{"cacheScope":"private","_meta":{"x":1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"resultType":"complete","ttlMs":0}}"#,
            "{method}"
        );
    }
    assert!(!modern("prompts/get", r#"{"id":1,"result":{}}"#).contains("ttlMs"));
}

#[test]
fn what_was_added_can_be_taken_away() {
    for (method, result) in [
        (
            "tools/call",
            r#"{"content":[],"structuredContent":{"n":1.10}}"#,
        ),
        ("tools/list", r#"{"tools":[]}"#),
        (
            "resources/read",
            r#"{ "contents" : [ ] , "_meta":{"a":{}} }"#,
        ),
        ("completion/complete", "{}"),
    ] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        assert_eq!(legacy(method, &modern(method, &answer)), answer);
    }
}

#[test]
fn errors_keep_all_but_their_code() {
    let error = |code: i64| {
        format!(
            r#"{{"jsonrpc":"2.0","id":5,"error":{{"code":{code},"message":"Resource not found","data":{{"uri":"file:///nonexistent.txt"}}}}}}"#
        )
    };
    for (method, code, becomes) in [
        ("resources/read", -32602, -32002),
        ("tools/call", -32602, -32602),
        ("tools/call", -32020, -32603),
        ("tools/call", -32021, -32602),
        ("tools/call", -32022, -32602),
        ("tools/call", -32601, -32601),
        ("tools/call", 7, 7),
    ] {
        assert_eq!(legacy(method, &error(code)), error(becomes), "{code}");
    }
    for (code, becomes) in [
        (-32002, -32602),
        (-32020, -32603),
        (-32021, -32603),
        (-32022, -32603),
        (-32042, -32603),
        (-32001, -32001),
        (-32602, -32602),
    ] {
        assert_eq!(
            modern("resources/read", &error(code)),
            error(becomes),
            "{code}"
        );
    }
}

#[test]
fn an_older_server_may_ask_for_capabilities_by_their_own_code() {
    let error = r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32021,"message":"","data":{"requiredCapabilities":{"sampling":{}}}}}"#;
    assert_eq!(modern("tools/call", error), error);
}

#[test]
fn a_result_of_an_unknown_kind_is_an_error() {
    for kind in ["task", "input_required", "x\\\"y"] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":"q","result":{{"resultType":"{kind}"}}}}"#);
        let told = legacy("tools/call", &answer);
        assert!(told.starts_with(r#"{"jsonrpc":"2.0","id":"q","error":{"code":50101,"#));
        assert!(told.contains(kind), "{told}");
    }
    let nonsense = r#"{"id":1,"result":{"resultType":7}}"#;
    assert_eq!(
        ResultKind::read(nonsense.as_bytes()),
        ResultKind::Other("".into())
    );
}

#[test]
fn structured_content_that_is_no_object_does_not_reach_older_clients() {
    let call = |structured: &str| {
        legacy(
            "tools/call",
            &format!(r#"{{"id":1,"result":{{"content":[]{structured}}}}}"#),
        )
    };
    assert_eq!(call(r#","structuredContent":[1,2]"#), call(""));
    assert_eq!(
        call(r#","structuredContent":{"a":1}"#),
        r#"{"id":1,"result":{"content":[],"structuredContent":{"a":1}}}"#
    );
}

#[test]
fn a_result_that_is_no_object_is_an_error() {
    assert!(to_modern("tools/call", br#"{"id":1,"result":7}"#, None).is_err());
}

#[test]
fn what_is_neither_result_nor_error_gets_no_result() {
    for answer in [
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002.5}}"#,
    ] {
        assert_eq!(modern("tools/list", answer), answer);
        assert_eq!(legacy("tools/list", answer), answer);
    }
}
