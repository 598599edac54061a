//! A link between scripted ends.

use std::{sync::Arc, time::Duration};

use bartizan_transport::link::{
    Exchange, Ids, Link, LinkError, LinkLimits, Wire, WireEnd, WireError,
};
use bytes::Bytes;
use serde_json::Value;

fn linked(capacity: usize, limits: LinkLimits) -> (Link, WireEnd) {
    let (wire, end) = Wire::pair(capacity);
    (Link::new(wire, limits), end)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn call(id: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x"}}}}"#
    ))
}

fn call_with_token(id: &str, token: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0", "id":{id},"method":"tools/call","params":{{"n":1.10,"_meta":{{"progressToken":{token},"k":0}}}}}}"#
    ))
}

fn answer(id: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":1.10}}}}"#
    ))
}

fn progress(token: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
    ))
}

fn log(text: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{text}"}}}}"#
    ))
}

fn roots(id: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#
    ))
}

const LIST_CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

async fn says(end: &WireEnd, message: impl Into<Bytes>) {
    end.incoming.send(Ok(message.into())).await.unwrap();
}

async fn hears(end: &mut WireEnd) -> Bytes {
    let heard = tokio::time::timeout(Duration::from_secs(10), end.outgoing.recv()).await;
    heard
        .expect("the link says something")
        .expect("the link lives")
}

async fn hears_json(end: &mut WireEnd) -> Value {
    serde_json::from_slice(&hears(end).await).unwrap()
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn response(exchange: &mut Exchange) -> Bytes {
    exchange.next().await.unwrap().unwrap()
}

fn is_pending<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    future.poll(&mut cx).is_pending()
}

#[tokio::test]
async fn kept_ids_pass_byte_for_byte_both_ways() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let request = call_with_token("\"a\\u0062\"", "\"t\"");
    let mut exchange = link.request(request.clone(), Ids::Keep).await.unwrap();
    assert_eq!(hears(&mut end).await, request);
    says(&end, progress("\"t\"")).await;
    // The server decoded and encoded the id.
    says(&end, answer("\"ab\"")).await;
    assert_eq!(response(&mut exchange).await, progress("\"t\""));
    assert_eq!(response(&mut exchange).await, answer("\"ab\""));
    assert_eq!(exchange.next().await, None);
    assert_eq!(exchange.next().await, None);
}

#[tokio::test]
async fn remapped_ids_and_tokens_change_nothing_else() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut first = link
        .request(call_with_token("7", "\"t\""), Ids::Remap)
        .await
        .unwrap();
    let mut second = link
        .request(call_with_token("7", "\"t\""), Ids::Remap)
        .await
        .unwrap();
    assert_eq!(hears(&mut end).await, call_with_token("1", "1"));
    assert_eq!(hears(&mut end).await, call_with_token("2", "2"));
    for message in [progress("2"), progress("1"), answer("2"), answer("1")] {
        says(&end, message).await;
    }
    for exchange in [&mut first, &mut second] {
        assert_eq!(response(exchange).await, progress("\"t\""));
        assert_eq!(response(exchange).await, answer("7"));
        assert_eq!(exchange.next().await, None);
    }
}

#[tokio::test]
async fn an_id_under_way_is_refused_and_free_again_afterwards() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut first = link.request(call("1"), Ids::Keep).await.unwrap();
    let again = link.request(call("1.0"), Ids::Keep).await.unwrap_err();
    assert_eq!(again, LinkError::Duplicate);
    hears(&mut end).await;
    says(&end, answer("1")).await;
    response(&mut first).await;
    let mut second = link.request(call("1"), Ids::Keep).await.unwrap();
    drop(first);
    hears(&mut end).await;
    says(&end, answer("1")).await;
    assert_eq!(response(&mut second).await, answer("1"));
    assert!(end.outgoing.try_recv().is_err(), "nothing was cancelled");
}

#[tokio::test]
async fn a_fresh_id_avoids_those_that_were_kept() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let _kept = link.request(call("1"), Ids::Keep).await.unwrap();
    let remapped = link.request(call("1"), Ids::Remap).await.unwrap();
    assert_eq!(remapped.wire_id(), "2");
    hears(&mut end).await;
    assert_eq!(hears(&mut end).await, call("2"));
}

#[tokio::test]
async fn requests_under_way_are_bounded() {
    let limits = LinkLimits {
        exchanges: 2,
        ..LinkLimits::default()
    };
    let (link, _end) = linked(9, limits);
    let first = link.request(call("1"), Ids::Remap).await.unwrap();
    let _second = link.request(call("2"), Ids::Remap).await.unwrap();
    let third = link.request(call("3"), Ids::Remap).await.unwrap_err();
    assert_eq!(third, LinkError::Full { limit: 2 });
    drop(first);
    link.request(call("3"), Ids::Remap).await.unwrap();
}

#[tokio::test]
async fn only_requests_are_requested_and_only_the_rest_is_sent() {
    let (link, mut end) = linked(4, LinkLimits::default());
    for wrong in [bytes(LIST_CHANGED), answer("1"), bytes("{"), bytes("[]")] {
        let error = link.request(wrong, Ids::Remap).await.unwrap_err();
        assert!(matches!(error, LinkError::Invalid(_)), "{error}");
    }
    for wrong in [call("1"), bytes("nonsense")] {
        assert!(matches!(link.send(wrong).await, Err(LinkError::Invalid(_))));
    }
    link.send(answer("5")).await.unwrap();
    assert_eq!(hears(&mut end).await, answer("5"));
}

/// lemonmade/XcodeMCPKit#210: a proxy that numbers requests anew must cancel by the new number,
/// and must not keep the cancellation waiting until the call it cancels is over.
#[tokio::test]
async fn xcodemcpkit_210_cancel_maps_the_rewritten_id_and_does_not_queue_behind_the_call() {
    let (link, mut end) = linked(1, LinkLimits::default());
    let mut exchange = link.request(call("\"mine\""), Ids::Remap).await.unwrap();
    let id = serde_json::from_slice::<Value>(&hears(&mut end).await).unwrap()["id"].clone();
    assert_ne!(id, "mine");
    // The wire is full and another call waits for it.
    let _full = link.request(call("2"), Ids::Remap).await.unwrap();
    let waiting = link.clone();
    let waiting = tokio::spawn(async move { waiting.request(call("3"), Ids::Remap).await });
    settle().await;

    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mine","reason":"changed my mind"}}"#;
    let mut send = std::pin::pin!(link.send(bytes(cancel)));
    assert!(!is_pending(send.as_mut()), "the canceller does not wait");
    assert_eq!(
        exchange.next().await,
        Some(Err(LinkError::Cancelled)),
        "nor does the caller"
    );
    let mut cancelled = None;
    for _ in 0..3 {
        let message = hears_json(&mut end).await;
        if message["method"] == "notifications/cancelled" {
            cancelled = Some(message);
        }
    }
    let cancelled = cancelled.expect("the cancellation went out with the calls unanswered");
    assert_eq!(cancelled["params"]["requestId"], id);
    assert_eq!(cancelled["params"]["reason"], "changed my mind");

    // A late answer is swallowed, and cancelling again does nothing.
    says(&end, answer(&id.to_string())).await;
    assert_eq!(exchange.next().await, None);
    link.send(bytes(cancel)).await.unwrap();
    settle().await;
    assert!(end.outgoing.try_recv().is_err());
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_user_cannot_cancel_the_call_of_another_by_its_number() {
    let (link, mut end) = linked(9, LinkLimits::default());
    let first = link.request(call("7"), Ids::Remap).await.unwrap();
    let mut second = link.request(call("7"), Ids::Remap).await.unwrap();
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    let refused = link.send(bytes(cancel)).await;
    assert!(matches!(refused, Err(LinkError::Invalid(_))));
    hears(&mut end).await;
    hears(&mut end).await;

    let canceller = first.canceller();
    assert!(canceller.cancel(None));
    assert!(!canceller.cancel(None), "once is enough");
    assert_eq!(hears_json(&mut end).await["params"]["requestId"], 1);
    says(&end, answer("2")).await;
    assert_eq!(response(&mut second).await, answer("7"));
}

#[tokio::test]
async fn dropping_an_exchange_cancels_it_and_swallows_a_late_answer() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let exchange = link
        .request(call_with_token("\"a\"", "5"), Ids::Keep)
        .await
        .unwrap();
    hears(&mut end).await;
    drop(exchange);
    let cancelled = hears_json(&mut end).await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], "a");
    let mut unsolicited = link.unsolicited().unwrap();
    says(&end, progress("5")).await;
    says(&end, answer("\"a\"")).await;
    says(&end, LIST_CHANGED).await;
    assert_eq!(unsolicited.next().await.unwrap(), LIST_CHANGED);
}

#[tokio::test]
async fn initialize_is_never_cancelled() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    drop(link.request(bytes(initialize), Ids::Keep).await.unwrap());
    hears(&mut end).await;
    let exchange = link.request(bytes(initialize), Ids::Keep).await.unwrap();
    exchange.canceller().cancel(None);
    hears(&mut end).await;
    settle().await;
    assert!(end.outgoing.try_recv().is_err());
}

#[tokio::test]
async fn a_request_dropped_before_it_was_sent_leaves_no_trace() {
    let (link, mut end) = linked(1, LinkLimits::default());
    let _first = link.request(call("1"), Ids::Keep).await.unwrap();
    {
        let mut waiting = std::pin::pin!(link.request(call("2"), Ids::Keep));
        assert!(is_pending(waiting.as_mut()));
    }
    {
        let mut waiting = std::pin::pin!(link.send(bytes(LIST_CHANGED)));
        assert!(is_pending(waiting.as_mut()));
    }
    let mut again = Box::pin(link.request(call("2"), Ids::Keep));
    assert!(is_pending(again.as_mut()), "its id is free");
    assert_eq!(hears(&mut end).await, call("1"));
    again.await.unwrap();
    assert_eq!(hears(&mut end).await, call("2"));
}

#[tokio::test]
async fn a_request_that_waits_for_the_wire_can_be_cancelled() {
    let (link, mut end) = linked(1, LinkLimits::default());
    let _first = link.request(call("1"), Ids::Keep).await.unwrap();
    let waiting = tokio::spawn({
        let link = link.clone();
        async move { link.request(call("2"), Ids::Keep).await.map(drop) }
    });
    settle().await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#;
    link.send(bytes(cancel)).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(LinkError::Cancelled));
    assert_eq!(hears(&mut end).await, call("1"));
    settle().await;
    assert!(
        end.outgoing.try_recv().is_err(),
        "the server never heard of it"
    );
}

#[tokio::test]
async fn reading_can_be_given_up_and_taken_up_again() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    for _ in 0..3 {
        let mut next = std::pin::pin!(exchange.next());
        assert!(is_pending(next.as_mut()));
    }
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
}

#[tokio::test]
async fn the_end_of_the_wire_ends_every_exchange_and_says_whether_it_was_sent() {
    let (link, end) = linked(1, LinkLimits::default());
    let mut sent = link.request(call("1"), Ids::Keep).await.unwrap();
    let unsent = tokio::spawn({
        let link = link.clone();
        async move { link.request(call("2"), Ids::Keep).await.map(drop) }
    });
    settle().await;
    let reason = WireError::new("the child exited");
    end.incoming.send(Err(reason.clone())).await.unwrap();
    let closed = |sent| LinkError::Closed {
        reason: reason.clone(),
        sent,
    };
    assert_eq!(sent.next().await, Some(Err(closed(true))));
    assert_eq!(sent.next().await, None);
    assert_eq!(unsent.await.unwrap(), Err(closed(false)));
    assert_eq!(link.closed().await, closed(false));
    assert!(link.is_closed());
    assert_eq!(
        link.request(call("3"), Ids::Keep).await.unwrap_err(),
        closed(false)
    );
    assert_eq!(link.unsolicited().unwrap().next().await, None);
}

#[tokio::test]
async fn a_wire_that_takes_nothing_more_may_still_answer() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    end.outgoing.close();
    assert!(link.is_closed());
    let refused = link.request(call("2"), Ids::Keep).await.unwrap_err();
    assert!(matches!(refused, LinkError::Closed { sent: false, .. }));
    assert!(matches!(
        link.send(bytes(LIST_CHANGED)).await,
        Err(LinkError::Closed { sent: false, .. })
    ));
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
}

#[tokio::test]
async fn the_last_handle_ends_the_wire_and_an_exchange_is_one() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let _reader = link.unsolicited().unwrap();
    let mut exchange = link.clone().request(call("1"), Ids::Keep).await.unwrap();
    let canceller = exchange.canceller();
    drop(link);
    assert_eq!(hears(&mut end).await, call("1"));
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
    assert!(!end.incoming.is_closed());
    drop(exchange);
    end.incoming.closed().await;
    assert_eq!(end.outgoing.recv().await, None);
    assert!(!canceller.cancel(None));
}

#[tokio::test]
async fn the_last_cancellation_goes_out_before_the_wire_ends() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    drop(link);
    drop(exchange);
    hears(&mut end).await;
    assert_eq!(
        hears_json(&mut end).await["method"],
        "notifications/cancelled"
    );
    assert_eq!(end.outgoing.recv().await, None);
}

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
    assert!(matches!(
        first.next().await,
        Some(Err(LinkError::Unreadable(_)))
    ));
    says(&end, answer("2")).await;
    assert_eq!(response(&mut second).await, answer("2"));
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
async fn a_slow_reader_loses_progress_first_and_never_its_answer() {
    let limits = LinkLimits {
        queue: 4,
        ..LinkLimits::default()
    };
    let (link, mut end) = linked(4, limits);
    let mut exchange = link
        .request(call_with_token("1", "1"), Ids::Keep)
        .await
        .unwrap();
    hears(&mut end).await;
    for _ in 0..1000 {
        says(&end, progress("1")).await;
    }
    says(&end, roots("9")).await;
    says(&end, answer("1")).await;
    settle().await;
    for _ in 0..3 {
        assert_eq!(response(&mut exchange).await, progress("1"));
    }
    assert_eq!(response(&mut exchange).await, roots("9"));
    assert_eq!(response(&mut exchange).await, answer("1"));
}

#[tokio::test]
async fn a_reader_too_slow_is_ended_and_others_go_on() {
    let limits = LinkLimits {
        queue: 2,
        ..LinkLimits::default()
    };
    let (link, mut end) = linked(8, limits);
    let mut other = link.request(call("1"), Ids::Keep).await.unwrap();
    let mut slow = link.request(call("2"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    hears(&mut end).await;
    // The third goes past what may be unanswered, and is refused without ending anything.
    for id in ["7", "8", "9"] {
        says(&end, roots(id)).await;
    }
    assert_eq!(hears_json(&mut end).await["id"], 9);
    assert_eq!(response(&mut slow).await, roots("7"));
    link.send(answer("7")).await.unwrap();
    hears(&mut end).await;
    says(&end, roots("10")).await;
    link.send(answer("8")).await.unwrap();
    hears(&mut end).await;
    says(&end, roots("11")).await;
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(hears_json(&mut end).await);
    }
    assert_eq!(said[0]["params"]["requestId"], 2, "the server may stop");
    let refused: Vec<_> = said[1..].iter().map(|message| &message["id"]).collect();
    assert_eq!(refused, [8, 10, 11]);
    assert_eq!(slow.next().await, Some(Err(LinkError::Slow)));
    assert_eq!(slow.next().await, None);
    says(&end, answer("1")).await;
    assert_eq!(response(&mut other).await, answer("1"));
}

#[tokio::test]
async fn a_server_that_floods_and_reads_nothing_costs_no_memory_and_blocks_nobody() {
    let limits = LinkLimits {
        exchanges: 4,
        ..LinkLimits::default()
    };
    let (link, mut end) = linked(1, limits);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for _ in 0..1000 {
        says(&end, ping).await;
    }
    settle().await;
    let mut answers = 0;
    while end.outgoing.try_recv().is_ok() {
        answers += 1;
        settle().await;
    }
    assert!((1..=7).contains(&answers), "{answers} answers were kept");
    drop(link);
    end.incoming.closed().await;
    assert_eq!(end.outgoing.recv().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_threads_race_for_ids_answers_and_cancellations() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let server = tokio::spawn(async move {
        let (mut calls, mut cancellations) = (0, 0);
        while let Some(message) = end.outgoing.recv().await {
            let message: Value = serde_json::from_slice(&message).unwrap();
            if message["method"] == "notifications/cancelled" {
                cancellations += 1;
                continue;
            }
            calls += 1;
            let id = message["id"].to_string();
            let name = message["params"]["n"].clone();
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":{name}}}}}"#);
            if end.incoming.send(Ok(answer.into())).await.is_err() {
                break;
            }
        }
        (calls, cancellations)
    });
    let tasks: Vec<_> = (0..4_u64)
        .map(|task| {
            let link = link.clone();
            tokio::spawn(async move {
                let mut dropped = 0;
                for round in 0..500_u64 {
                    let number = task * 1000 + round;
                    let request = format!(
                        r#"{{"jsonrpc":"2.0","id":{round},"method":"tools/call","params":{{"n":{number}}}}}"#
                    );
                    let mut exchange = link.request(request.into(), Ids::Remap).await.unwrap();
                    if number.is_multiple_of(3) {
                        dropped += 1;
                        continue;
                    }
                    let answer: Value =
                        serde_json::from_slice(&response(&mut exchange).await).unwrap();
                    assert_eq!(answer["id"], round);
                    assert_eq!(answer["result"]["n"], number);
                    assert_eq!(exchange.next().await, None);
                }
                dropped
            })
        })
        .collect();
    let mut dropped = 0;
    for task in tasks {
        dropped += task.await.unwrap();
    }
    drop(link);
    let (calls, cancellations) = server.await.unwrap();
    assert_eq!(calls, 2000);
    assert!(cancellations <= dropped, "{cancellations} of {dropped}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_exchange_waits_as_long_as_it_takes() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    tokio::time::advance(Duration::from_secs(86_400)).await;
    says(&end, answer("1")).await;
    assert_eq!(response(&mut exchange).await, answer("1"));
    let mut closed = std::pin::pin!(link.closed());
    assert!(is_pending(closed.as_mut()));
}

#[tokio::test]
async fn an_exchange_is_a_stream_and_handles_cross_threads() {
    fn everywhere<T: Send + Sync + 'static>(_: &T) {}
    let (link, end) = linked(4, LinkLimits::default());
    let mut exchange = link.request(call("1"), Ids::Keep).await.unwrap();
    everywhere(&link);
    everywhere(&exchange);
    everywhere(&exchange.canceller());
    everywhere(&Arc::new(link.unsolicited()));
    says(&end, answer("1")).await;
    let item = std::future::poll_fn(|cx| {
        futures_util::Stream::poll_next(std::pin::Pin::new(&mut exchange), cx)
    });
    assert_eq!(item.await, Some(Ok(answer("1"))));
}
