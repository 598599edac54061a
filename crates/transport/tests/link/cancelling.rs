//! Requests that are given up: by number, by dropping, by the end of the wire.

use super::*;

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
async fn a_late_answer_to_a_cancelled_request_is_no_answer_to_its_repetition() {
    let (link, mut end) = linked(8, LinkLimits::default());
    drop(link.request(call("1"), Ids::Keep).await.unwrap());
    hears(&mut end).await;
    let cancelled = hears_json(&mut end).await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    let again = link.request(call("1"), Ids::Keep).await.unwrap_err();
    assert_eq!(again, LinkError::Duplicate);
    let mut other = link.request(call("1"), Ids::Remap).await.unwrap();
    let id = hears_json(&mut end).await["id"].clone();
    let late = r#"{"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"Request cancelled"}}"#;
    says(&end, late).await;
    says(&end, answer(&id.to_string())).await;
    assert_eq!(response(&mut other).await, answer("1"));

    // Nothing more can come.
    let mut again = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    says(&end, answer("1")).await;
    assert_eq!(response(&mut again).await, answer("1"));
}

#[tokio::test]
async fn a_request_that_its_client_cancelled_may_be_answered_late_too() {
    let (link, mut end) = linked(8, LinkLimits::default());
    let mut first = link.request(call("1"), Ids::Keep).await.unwrap();
    hears(&mut end).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    link.send(bytes(cancel)).await.unwrap();
    assert_eq!(first.next().await, Some(Err(LinkError::Cancelled)));
    let again = link.request(call("1"), Ids::Keep).await.unwrap_err();
    assert_eq!(again, LinkError::Duplicate);
}

#[tokio::test]
async fn a_server_ends_a_subscription_by_cancelling_it() {
    let listen = r#"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#;
    let meta = r#","_meta":{"io.modelcontextprotocol/subscriptionId":1}"#;
    for meta in ["", meta] {
        let (link, mut end) = linked(8, LinkLimits::default());
        let mut exchange = link.request(bytes(listen), Ids::Remap).await.unwrap();
        let mut called = link.request(call("2"), Ids::Remap).await.unwrap();
        assert_eq!(hears_json(&mut end).await["id"], 1);
        for id in [2, 1] {
            let cancelled = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}{meta}}}}}"#
            );
            says(&end, cancelled).await;
        }
        // Of the call, which a server cannot cancel, nothing is heard.
        says(&end, answer("2")).await;
        assert_eq!(response(&mut called).await, answer("2"));
        let mut last = exchange.next().await;
        if !meta.is_empty() {
            // The other one, which was said in the subscription.
            assert!(last.is_some_and(|said| said.is_ok()));
            last = exchange.next().await;
        }
        assert_eq!(last, Some(Err(LinkError::Cancelled)));
    }
}
