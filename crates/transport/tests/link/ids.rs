//! Ids and tokens that are given anew, and mapped back.

use super::*;

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

#[tokio::test]
async fn a_fresh_id_avoids_those_that_may_be_answered_late() {
    let (link, mut end) = linked(8, LinkLimits::default());
    drop(link.request(call("1"), Ids::Keep).await.unwrap());
    let remapped = link.request(call("\"b\""), Ids::Remap).await.unwrap();
    assert_eq!(remapped.wire_id(), "2");
    hears(&mut end).await;
}

#[tokio::test]
async fn no_token_stays_no_token() {
    let (link, mut end) = linked(4, LinkLimits::default());
    let request = call_with_token("\"a\"", "null");
    let _exchange = link.request(request, Ids::Remap).await.unwrap();
    assert_eq!(hears(&mut end).await, call_with_token("1", "null"));
}
