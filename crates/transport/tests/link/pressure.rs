//! Readers that are slow, servers that flood, and threads that race.

use super::*;

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
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let mut other = link.request(bytes(list), Ids::Keep).await.unwrap();
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
