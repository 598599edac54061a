//! What the end of a wire means for those who wait.

use super::*;

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
