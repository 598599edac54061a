//! Answers and other messages that ought not to come.

use bartizan_protocol::edit;

use super::*;

#[tokio::test]
async fn hostile_and_stray_messages_hurt_nobody() {
    let (link, mut end) = linked(16, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    for stray in [
        "Server listening on stdio",
        "{}",
        "null",
        "[]",
        "[1",
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"zz"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"x","method":"y"}"#,
    ] {
        says(&end, bytes(stray)).await;
    }
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_request_only() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut first = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut second = link.request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    let both = r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}"#;
    says(&end, both).await;
    let failed = response(&mut first).await;
    let unreadable =
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":50203,"message":"answer cannot be read: "#;
    assert!(failed.starts_with(unreadable.as_bytes()), "{failed:?}");
    says(&end, answer("2")).await;
    assert_eq!(response(&mut second).await, answer("2"));
    // As servers write that have Latin-1 for their language.
    for latin in [
        &b"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"text\":\"\xE9\"}}"[..],
        b"{\"jsonrpc\":\"2.0\",\"result\":{\"text\":\"\xE9\"},\"id\":3}",
    ] {
        let mut third = link.request(call("3"), Ids::Keep).await.unwrap();
        hears(&mut end).await;
        says(&end, Bytes::from_static(latin)).await;
        let code = edit::get(&response(&mut third).await, &["error", "code"]).map(str::to_owned);
        assert_eq!(code.as_deref(), Some("50203"));
    }
}

#[tokio::test]
async fn an_answer_before_the_request_was_sent_is_not_believed() {
    let (link, mut end) = linked(1, LinkLimits::default());
    let _first = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut waiting = Box::pin(link.request(call("2"), Ids::Keep));
    assert!(is_pending(waiting.as_mut()));
    says(&end, answer("2")).await;
    settle().await;
    hears(&mut end).await;
    let mut exchange = waiting.await.unwrap();
    let mut next = std::pin::pin!(exchange.next());
    assert!(is_pending(next.as_mut()));
}

#[tokio::test]
async fn an_error_without_an_id_answers_the_only_request() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let parse_error =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#;
    let mut first = link.request(call("\"a\""), Ids::Remap).await.unwrap();
    let mut second = link.request(call("\"b\""), Ids::Remap).await.unwrap();
    hears(&mut end).await;
    says(&end, parse_error).await;
    says(&end, answer("2")).await;
    assert_eq!(
        response(&mut second).await,
        answer("\"b\""),
        "with two there is no telling whose it is"
    );
    says(&end, parse_error).await;
    assert_eq!(
        response(&mut first).await,
        parse_error.replace("null", "\"a\"")
    );
}

/// Nor is it the answer to the call that was sent meanwhile.
#[tokio::test]
async fn an_error_about_a_notification_answers_no_request() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    for (code, text) in [
        (-32601, "Method not found: notifications/initialized"),
        (-32600, "Invalid Request: id is missing"),
        (-32603, "Internal error"),
    ] {
        let error = format!(r#"{{"code":{code},"message":"{text}"}}"#);
        says(
            &end,
            format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#),
        )
        .await;
    }
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
}

#[tokio::test]
async fn a_batch_is_taken_apart() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut first = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut second = link.request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    let answers = [answer("2"), answer("1")].map(|bytes| String::from_utf8(bytes.into()).unwrap());
    says(&end, format!("[{}, {}]", answers[0], answers[1])).await;
    assert_eq!(response(&mut first).await, answer("1"));
    assert_eq!(response(&mut second).await, answer("2"));
}
