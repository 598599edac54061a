use super::*;

/// From the page on subscriptions.
const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["file:///project/config.json","file:///project/\u0063onfig.json"],"taskIds":["t"]}}}"#;

#[test]
fn the_acknowledgement_says_what_is_honoured() {
    let listen = Listen::read(REQUEST).unwrap();
    assert_eq!(
        std::str::from_utf8(&listen.acknowledged()).unwrap(),
        r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///project/config.json"]}}}"#
    );
    let honoured = listen.honoured_by(r#"{"tools":{},"resources":{"subscribe":true}}"#);
    assert!(!honoured.tools);
    assert_eq!(honoured.uris().len(), 1);
    let nothing = listen.honoured_by(r#"{"resources":{"listChanged":true}}"#);
    assert!(nothing.is_empty());
    assert!(nothing.acknowledged().ends_with(br#""notifications":{}}}"#));
}

#[test]
fn only_what_was_asked_for_is_on_the_stream() {
    let listen = Listen::read(REQUEST).unwrap();
    assert!(listen.matches("notifications/tools/list_changed", None));
    assert!(!listen.matches("notifications/prompts/list_changed", None));
    assert!(!listen.matches("notifications/resources/list_changed", None));
    assert!(!listen.matches("notifications/message", None));
    let updated = |uri| listen.matches("notifications/resources/updated", uri);
    assert!(updated(Some("file:///project/config.json")));
    assert!(updated(Some("file:///project/config.json#part")));
    assert!(!updated(Some("file:///project/config.jsonl")));
    assert!(!updated(Some("file:///project")));
    assert!(!updated(None));
}

#[test]
fn a_stamp_comes_and_goes_without_a_trace() {
    let listen = Listen::new("\"l-1\"");
    for (plain, stamped) in [
        (
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"l-1"}}}"#,
        ),
        (
            r#"{"method":"notifications/resources/updated", "params":{ "uri":"a:\u002fb" }}"#,
            r#"{"method":"notifications/resources/updated", "params":{ "uri":"a:\u002fb","_meta":{"io.modelcontextprotocol/subscriptionId":"l-1"} }}"#,
        ),
        (
            r#"{"method":"m","params":{"_meta":{"x":1.10}}}"#,
            r#"{"method":"m","params":{"_meta":{"x":1.10,"io.modelcontextprotocol/subscriptionId":"l-1"}}}"#,
        ),
    ] {
        assert_eq!(listen.stamp(plain.as_bytes()).unwrap(), stamped);
        assert_eq!(unstamp(stamped.as_bytes()).unwrap(), plain);
        assert_eq!(unstamp(plain.as_bytes()).unwrap(), plain);
    }
    let restamped = Listen::new("9")
        .stamp(br#"{"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#)
        .unwrap();
    assert!(restamped.ends_with(br#"subscriptionId":9}}}"#));
}

#[test]
fn a_session_listens_with_what_it_subscribed_to() {
    let mut listen = Listen::new("7");
    listen.tools = true;
    listen.watch("test://watched").unwrap();
    listen.watch("test://watched").unwrap();
    listen.watch("test://\"other").unwrap();
    assert!(listen.unwatch("test://watched"));
    assert!(!listen.unwatch("test://watched"));
    let meta = ClientMeta {
        capabilities: "{}",
        info: None,
        log_level: None,
    };
    let request = listen.request(&meta).unwrap();
    assert_eq!(
        std::str::from_utf8(&request).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["test://\"other"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
    );
    assert_eq!(Listen::read(&request), Ok(listen));
}

#[test]
fn a_stream_ends_with_a_result() {
    assert_eq!(
        Listen::new("1").closed(Some(r#"{"name":"s","version":"1"}"#)),
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}}"#
    );
}

#[test]
fn a_filter_of_the_wrong_shape_is_refused() {
    for filter in [
        "7",
        r#"{"toolsListChanged":1}"#,
        r#"{"resourceSubscriptions":"a:b"}"#,
        r#"{"resourceSubscriptions":[1]}"#,
    ] {
        let request = format!(r#"{{"id":1,"params":{{"notifications":{filter}}}}}"#);
        let read = Listen::read(request.as_bytes());
        assert_eq!(read, Err(InvalidListen::Malformed), "{filter}");
    }
    assert!(Listen::read(br#"{"id":1,"params":{}}"#).is_err());
    let mut listen = Listen::new("1");
    for n in 0..Listen::MAX_RESOURCES {
        listen.watch(&format!("a:{n}")).unwrap();
    }
    assert_eq!(listen.watch("a:x"), Err(InvalidListen::TooMany));
    assert_eq!(listen.watch("a:0"), Ok(()));
}

#[test]
fn a_resource_counts_once_however_often_it_is_named() {
    let read = |distinct: usize| {
        let distinct = (0..distinct).map(|n| format!("\"a:{n}\""));
        let again = std::iter::repeat_n("\"a:0\"".to_owned(), 100_000);
        let uris: Vec<_> = distinct.chain(again).collect();
        let request = format!(
            r#"{{"id":1,"params":{{"notifications":{{"resourceSubscriptions":[{}]}}}}}}"#,
            uris.join(",")
        );
        Listen::read(request.as_bytes())
    };
    let listen = read(Listen::MAX_RESOURCES).unwrap();
    assert_eq!(listen.uris().len(), Listen::MAX_RESOURCES);
    let too_many = read(Listen::MAX_RESOURCES + 1);
    assert_eq!(too_many, Err(InvalidListen::TooMany));
}

#[test]
fn null_is_how_some_servers_say_that_there_are_no_params_and_no_meta() {
    let stamped = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#;
    for params in ["null", r#"{"_meta":null}"#] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{params}}}"#
        );
        let told = Listen::new("1").stamp(text.as_bytes());
        assert_eq!(told.unwrap(), stamped, "{params}");
    }
}
