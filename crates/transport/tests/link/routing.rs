//! What a server says of itself, and whom it is told.

use super::*;

#[tokio::test]
async fn the_youngest_exchange_gets_what_names_none() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut older = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut younger = link.request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    hears(&mut end).await;
    says(&end, roots("\"s1\"")).await;
    says(&end, log("a")).await;
    says(&end, answer("2")).await;
    says(&end, roots("\"s2\"")).await;
    assert_eq!(response(&mut younger).await, roots("\"s1\""));
    assert_eq!(response(&mut younger).await, log("a"));
    assert_eq!(response(&mut younger).await, answer("2"));
    assert_eq!(response(&mut older).await, roots("\"s2\""));
    link.send(answer("\"s2\"")).await.unwrap();
    assert_eq!(hears(&mut end).await, answer("\"s2\""));
}

#[tokio::test]
async fn a_question_goes_to_the_call_and_not_to_a_list_that_came_after_it() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut called = link.request(call("1"), Ids::Keep).await.unwrap();
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let mut listed = link.request(bytes(list), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    hears(&mut end).await;
    says(&end, roots("\"s1\"")).await;
    says(&end, answer("2")).await;
    assert_eq!(response(&mut listed).await, answer("2"));
    assert_eq!(response(&mut called).await, roots("\"s1\""));
    // Better than nobody.
    says(&end, answer("1")).await;
    assert_eq!(response(&mut called).await, answer("1"));
    let mut listed = link.request(bytes(list), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    says(&end, roots("\"s2\"")).await;
    assert_eq!(response(&mut listed).await, roots("\"s2\""));
}

/// The server's question of this id reaches that exchange.
async fn reaches(end: &WireEnd, id: &str, exchange: &mut Exchange) {
    says(end, roots(id)).await;
    assert_eq!(response(exchange).await, roots(id));
}

#[tokio::test]
async fn a_question_goes_to_a_quiet_call_only_if_there_is_no_other() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut called = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut quiet = link.quiet_request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    hears(&mut end).await;
    reaches(&end, "\"s1\"", &mut called).await;
    says(&end, answer("1")).await;
    assert_eq!(response(&mut called).await, answer("1"));
    let list = r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#;
    let _listed = link.request(bytes(list), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    reaches(&end, "\"s2\"", &mut quiet).await;
}

/// What nobody asks about is asked about by no mistake either.
#[tokio::test]
async fn a_quiet_request_that_is_no_call_hears_nothing_but_its_response() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let mut listed = link.request(bytes(list), Ids::Keep).await.unwrap();
    let level = r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel"}"#;
    let mut quiet = link.quiet_request(bytes(level), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    hears(&mut end).await;
    reaches(&end, "\"s1\"", &mut listed).await;
    says(&end, log("a")).await;
    assert_eq!(response(&mut listed).await, log("a"));
    says(&end, answer("1")).await;
    assert_eq!(response(&mut listed).await, answer("1"));
    let mut unsolicited = link.unsolicited().unwrap();
    says(&end, roots("\"s2\"")).await;
    assert_eq!(unsolicited.next().await.unwrap(), roots("\"s2\""));
    says(&end, answer("2")).await;
    assert_eq!(response(&mut quiet).await, answer("2"));
}

#[tokio::test]
async fn a_quiet_call_is_asked_about_before_one_that_waits_for_an_answer() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut waits = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    reaches(&end, "\"s1\"", &mut waits).await;
    let mut quiet = link.quiet_request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    reaches(&end, "\"s2\"", &mut quiet).await;
}

#[tokio::test]
async fn with_an_answer_the_server_goes_on_with_what_it_asked_about() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut older = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    reaches(&end, "\"s1\"", &mut older).await;
    let mut younger = link.request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    link.send(answer("\"s1\"")).await.unwrap();
    hears(&mut end).await;
    reaches(&end, "\"s2\"", &mut older).await;
    says(&end, answer("1")).await;
    assert_eq!(response(&mut older).await, answer("1"));
    reaches(&end, "\"s3\"", &mut younger).await;
}

#[tokio::test]
async fn a_call_that_waits_for_an_answer_is_not_asked_about_before_it_has_one() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut older = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut younger = link.request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    hears(&mut end).await;
    reaches(&end, "\"s1\"", &mut younger).await;
    reaches(&end, "\"s2\"", &mut older).await;
    link.send(answer("\"s1\"")).await.unwrap();
    hears(&mut end).await;
    reaches(&end, "\"s3\"", &mut younger).await;
    // Both wait: the last that was answered.
    reaches(&end, "\"s4\"", &mut younger).await;
}

#[tokio::test]
async fn a_request_that_the_server_takes_back_is_told_to_whoever_got_it() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut older = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    says(&end, roots("9")).await;
    assert_eq!(response(&mut older).await, roots("9"));
    let _younger = link.request(call("2"), Ids::Keep).await.unwrap();
    let back = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#;
    says(&end, back).await;
    assert_eq!(response(&mut older).await, back);
}

#[tokio::test]
async fn what_was_not_taken_out_is_refused_when_the_reader_goes() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    says(&end, roots("9")).await;
    settle().await;
    drop(exchange);
    assert_eq!(
        hears_json(&mut end).await["method"],
        "notifications/cancelled"
    );
    let refusal = hears_json(&mut end).await;
    assert_eq!(
        (&refusal["id"], &refusal["error"]["code"]),
        (&9.into(), &(-32603).into())
    );
}

#[tokio::test]
async fn subscriptions_are_routed_by_their_id_and_mapped_back() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let listen = |id| {
        bytes(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{}}}}"#
        ))
    };
    let notification = |method, id| {
        bytes(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
        ))
    };
    let end_of = |id| {
        bytes(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
        ))
    };
    let mut first = link.request(listen("\"a\""), Ids::Remap).await.unwrap();
    let mut second = link.request(listen("\"b\""), Ids::Keep).await.unwrap();
    assert_eq!(hears(&mut end).await, listen("1"));
    hears(&mut end).await;
    for (method, id) in [
        ("subscriptions/acknowledged", "\"b\""),
        ("subscriptions/acknowledged", "1"),
        ("tools/list_changed", "1"),
    ] {
        says(&end, notification(method, id)).await;
    }
    says(&end, end_of("1")).await;
    says(&end, log("not for subscriptions")).await;
    assert_eq!(
        response(&mut first).await,
        notification("subscriptions/acknowledged", "\"a\"")
    );
    assert_eq!(
        response(&mut first).await,
        notification("tools/list_changed", "\"a\"")
    );
    assert_eq!(response(&mut first).await, end_of("\"a\""));
    assert_eq!(
        response(&mut second).await,
        notification("subscriptions/acknowledged", "\"b\"")
    );
    let mut unsolicited = link.unsolicited().unwrap();
    assert_eq!(
        unsolicited.next().await.unwrap(),
        log("not for subscriptions")
    );
}

#[tokio::test]
async fn pings_are_answered_unless_the_limits_say_otherwise() {
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    let (_link, mut end) = linked(4, LinkLimits::default());
    says(&end, ping).await;
    assert_eq!(
        hears(&mut end).await,
        r#"{"jsonrpc":"2.0","id":"p","result":{}}"#
    );

    let limits = LinkLimits {
        answer_ping: false,
        ..LinkLimits::default()
    };
    let (link, end) = linked(4, limits);
    let mut unsolicited = link.unsolicited().unwrap();
    says(&end, ping).await;
    assert_eq!(unsolicited.next().await.unwrap(), ping);
}

#[tokio::test]
async fn unsolicited_messages_are_bounded_and_have_one_reader() {
    let limits = LinkLimits {
        unsolicited: 2,
        ..LinkLimits::default()
    };
    let (link, mut end) = linked(8, limits);
    // Nobody reads: notifications are kept, requests refused.
    for text in ["a", "b", "c"] {
        says(&end, log(text)).await;
    }
    says(&end, roots("1")).await;
    assert_eq!(hears_json(&mut end).await["error"]["code"], -32603);
    let mut unsolicited = link.unsolicited().unwrap();
    assert!(link.unsolicited().is_none());
    assert_eq!(unsolicited.next().await.unwrap(), log("b"));
    assert_eq!(unsolicited.next().await.unwrap(), log("c"));

    // Somebody reads slowly: requests outlast notifications, and are refused past the bound.
    says(&end, log("d")).await;
    for id in ["2", "3", "4"] {
        says(&end, roots(id)).await;
    }
    assert_eq!(hears_json(&mut end).await["id"], 4);
    assert_eq!(unsolicited.next().await.unwrap(), roots("2"));
    drop(unsolicited);
    assert_eq!(hears_json(&mut end).await["id"], 3);
    assert!(link.unsolicited().is_some());
}

#[tokio::test]
async fn a_broken_request_of_the_server_ends_no_exchange() {
    let (link, mut end) = linked(8, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Remap).await.unwrap();
    hears(&mut end).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let broken = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{{"x":{deep}}}}}"#
    );
    says(&end, broken).await;
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
}

#[tokio::test]
async fn a_ping_is_asked_and_told_nothing() {
    let (link, mut end) = linked(8, LinkLimits::default());
    let mut unsolicited = link.unsolicited().unwrap();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let mut exchange = link.request(bytes(ping), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    for message in [roots("\"s1\""), log("a"), answer("1")] {
        says(&end, message).await;
    }
    assert_eq!(response(&mut exchange).await, answer("1"));
    assert_eq!(unsolicited.next().await.unwrap(), roots("\"s1\""));
    assert_eq!(unsolicited.next().await.unwrap(), log("a"));
}
