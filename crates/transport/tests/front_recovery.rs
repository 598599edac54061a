//! What the front makes good: sessions that are lost, streams that end, answers that are not as
//! they should be.

#[allow(dead_code, reason = "shared with the other tests of the front")]
#[path = "front/scripted.rs"]
mod scripted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_transport::front::FrontLimits;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use scripted::{
    Client, Reply, Scripted, Seen, events, initialized, json, json_status, raw_events, result,
    status,
};
use tokio::sync::Semaphore;

/// A service whose sessions are `s1`, `s2` and so on; `handler` has the rest.
fn with_numbered_sessions<F>(handler: impl Fn(Seen) -> F + Send + Sync + 'static) -> Scripted
where
    F: Future<Output = Reply> + Send + 'static,
{
    let (handler, begun) = (Arc::new(handler), AtomicUsize::new(0));
    Scripted::new(move |seen| {
        let handler = Arc::clone(&handler);
        let session = match seen.what().as_str() {
            "initialize" => begun.fetch_add(1, Ordering::Relaxed) + 1,
            _ => 0,
        };
        async move {
            match seen.what().as_str() {
                "initialize" => initialized(&format!("s{session}"), &seen.json()),
                "notifications/initialized" => status(202),
                "DELETE" => status(200),
                "GET" => status(405),
                _ => handler(seen).await,
            }
        }
    })
}

fn count(service: &Scripted, name: &str) -> usize {
    service.names().iter().filter(|it| *it == name).count()
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_lost_in_other_words_is_begun_again() {
    let lost = |id: &str| {
        let error = r#"{"code":-32001,"message":"Session not found"}"#;
        json_status(
            400,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
        )
    };
    for name in ["tools/list", "notifications/roots/list_changed"] {
        let service = with_numbered_sessions(move |seen| async move {
            match seen.header("mcp-session-id") {
                Some("s1") => lost("null"),
                _ if seen.json()["id"].is_null() => status(202),
                _ => json(result(&seen.json(), "{}")),
            }
        });
        let mut client = Client::of(&service);
        client.begin().await;
        if name == "tools/list" {
            client.ask(1, name, "{}").await;
            assert!(client.hear().await["result"].is_object());
        } else {
            client.notify(name, "{}").await;
        }
        let repeated = service.arrived(name, 2).await;
        assert_eq!(repeated.header("mcp-session-id"), Some("s2"), "{name}");
    }
}

/// It ran, and its client hears what came of it.
#[tokio::test(start_paused = true)]
async fn what_answers_a_request_with_404_is_no_lost_session() {
    for outcome in [
        r#""error":{"code":-32000,"message":"order placed, but its coupon was not found"}"#,
        r#""result":{"content":[]}"#,
    ] {
        let service = with_numbered_sessions(move |seen| async move {
            let id = &seen.json()["id"];
            json_status(404, format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#))
        });
        let mut client = Client::of(&service);
        client.begin().await;
        client.ask(1, "tools/call", "{}").await;
        let heard = client.hear().await.to_string();
        assert!(heard.contains(&outcome[..9]), "{heard}");
        client.hang_up().await;
        client.rest().await;
        assert_eq!(count(&service, "tools/call"), 1, "{outcome}");
        assert_eq!(count(&service, "initialize"), 1, "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_is_not_known_loses_no_session() {
    let service = with_numbered_sessions(|seen| async move {
        if seen.json()["id"].is_null() {
            let error = r#"{"code":-32601,"message":"Method not found"}"#;
            return json_status(
                404,
                format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#),
            );
        }
        json(result(&seen.json(), "{}"))
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client
        .notify("notifications/roots/list_changed", "{}")
        .await;
    service.arrived("notifications/roots/list_changed", 1).await;
    client.ask(1, "tools/list", "{}").await;
    client.hear().await;
    client.hang_up().await;
    client.rest().await;
    assert_eq!(count(&service, "initialize"), 1, "{:?}", service.names());
}

/// Calls `slow` end only once there is a permit, and are not known outside of the session `last`.
fn slow_sessions(release: &Arc<Semaphore>, last: &'static str) -> Scripted {
    let release = Arc::clone(release);
    with_numbered_sessions(move |seen| {
        let release = Arc::clone(&release);
        async move {
            if seen.what() == "slow" {
                release.acquire().await.unwrap().forget();
            }
            match seen.header("mcp-session-id") {
                Some(session) if session == last => json(result(&seen.json(), "{}")),
                _ => status(404),
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_ended_session_does_not_cost_the_next() {
    let release = Arc::new(Semaphore::new(0));
    let service = slow_sessions(&release, "s2");
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "slow", "{}").await;
    service.arrived("slow", 1).await;
    client.begin().await;
    release.add_permits(2);
    assert_eq!(client.hear().await["id"], 1);
    client.ask(2, "tools/list", "{}").await;
    assert!(client.hear().await["result"].is_object());
    let list = service.arrived("tools/list", 1).await;
    assert_eq!(list.header("mcp-session-id"), Some("s2"));
    assert_eq!(count(&service, "initialize"), 2, "{:?}", service.names());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_ended_session_begins_none_while_the_client_does() {
    let release = Arc::new(Semaphore::new(0));
    let second = Arc::new(Semaphore::new(1));
    let (released, seconds) = (Arc::clone(&release), Arc::clone(&second));
    let service = Scripted::new(move |seen| {
        let (release, second) = (Arc::clone(&released), Arc::clone(&seconds));
        async move {
            match seen.what().as_str() {
                "initialize" => {
                    second.acquire().await.unwrap().forget();
                    initialized("s", &seen.json())
                }
                "slow" => {
                    release.acquire().await.unwrap().forget();
                    status(404)
                }
                "GET" => status(405),
                _ => status(202),
            }
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "slow", "{}").await;
    service.arrived("slow", 1).await;
    let params = r#"{"protocolVersion":"2025-11-25"}"#;
    client.ask(2, "initialize", params).await;
    service.arrived("initialize", 2).await;
    release.add_permits(1);
    let heard = client.hear().await;
    assert_eq!(
        (&heard["id"], &heard["error"]["code"]),
        (&1.into(), &(-32001).into())
    );
    second.add_permits(2);
    assert_eq!(client.hear().await["id"], 2);
    client.hang_up().await;
    client.rest().await;
    assert_eq!(count(&service, "initialize"), 2, "{:?}", service.names());
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_asked_for_as_often_as_it_takes() {
    let polls = Arc::new(AtomicUsize::new(0));
    let service = Scripted::with_sessions(move |seen| {
        let polls = Arc::clone(&polls);
        async move {
            if seen.method == "GET" && seen.header("last-event-id").is_none() {
                return status(405);
            }
            let poll = polls.fetch_add(1, Ordering::Relaxed);
            if poll == 100 {
                let request = serde_json::json!({"id": 1});
                return events(stream::iter([result(&request, "{}")]));
            }
            // Still at it: an event that is nothing but a place to come back to, and the end.
            let event = format!("id: p{poll}\nretry: 500\ndata:\n\n");
            raw_events(stream::iter([Bytes::from(event)]))
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    let heard = client.hear().await;
    assert!(heard["result"].is_object(), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_asked_for_or_never_comes_is_given_up() {
    for (failing, polls) in [(true, 5), (false, 1000)] {
        let service = Scripted::with_sessions(move |seen| async move {
            match seen.header("last-event-id") {
                None if seen.method == "GET" => status(405),
                Some(_) if failing => status(502),
                _ => raw_events(stream::iter([Bytes::from_static(
                    b"id: p\nretry: 100\ndata:\n\n",
                )])),
            }
        });
        let mut client = Client::of(&service);
        client.begin().await;
        client.ask(1, "tools/call", "{}").await;
        let heard = client.hear().await;
        assert_eq!(heard["error"]["code"], 50203, "{heard}");
        let asked = service.seen();
        let asked = asked
            .iter()
            .filter(|it| it.header("last-event-id").is_some());
        assert_eq!(asked.count(), polls);
    }
}

/// A balancer ends every stream after five minutes in which nothing was said.
#[tokio::test(start_paused = true)]
async fn a_quiet_stream_that_lived_long_is_opened_again_at_once() {
    let life = Duration::from_secs(300);
    let opened = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&opened);
    let service = Scripted::with_sessions(move |seen| {
        if seen.method == "GET" {
            all.lock().push(Clock::tokio().now());
        }
        async move {
            if seen.method != "GET" {
                return json(result(&seen.json(), "{}"));
            }
            raw_events(stream::once(async move {
                tokio::time::sleep(life).await;
                Bytes::from_static(b": bye\n\n")
            }))
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    tokio::time::sleep(life * 13).await;
    let opened = opened.lock();
    assert!(opened.len() > 10, "{opened:?}");
    for two in opened.windows(2) {
        let pause = two[1] - two[0] - life;
        assert!(pause < Duration::from_secs(1), "{opened:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_is_not_asked_for_again() {
    let large = format!("id: e1\ndata: {{\"x\":\"{}\"}}\n\n", "x".repeat(1000));
    let service = Scripted::with_sessions(move |seen| {
        let is_call = seen.method == "POST";
        let answered = if is_call { "e2" } else { "e3" };
        let after = format!("id: {answered}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"n\"}}\n\n");
        let chunks = [
            "id: e0\nretry: 1\ndata:\n\n".to_owned(),
            large.clone(),
            after,
        ];
        let chunks = stream::iter(chunks.map(Bytes::from));
        async move {
            match is_call {
                true => raw_events(chunks),
                false => raw_events(chunks.chain(stream::pending())),
            }
        }
    });
    let limits = FrontLimits {
        answer_bytes: 1000,
        ..FrontLimits::default()
    };
    let mut client = Client::with(&service, limits, 1 << 20);
    client.begin().await;
    // Of what is said unasked the rest is heard.
    assert_eq!(client.hear().await["method"], "n");
    client.ask(1, "tools/call", "{}").await;
    assert_eq!(client.hear().await["error"]["code"], 41301);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(count(&service, "GET"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_is_no_part_of_an_answer() {
    let service = Scripted::with_sessions(|seen| async move {
        let answer = format!("\u{FEFF}{}", result(&seen.json(), "{}"));
        match seen.what().as_str() {
            "GET" => status(405),
            "whole" => json(answer),
            _ => events(stream::iter([answer])),
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    for (id, method) in [(1, "whole"), (2, "events")] {
        client.ask(id, method, "{}").await;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        assert_eq!(client.line().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_an_id_of_the_services_own_names_the_request() {
    // What the Python SDK says whenever it refuses over HTTP.
    let service = Scripted::new(|_| async move {
        let error = r#"{"code":-32600,"message":"Bad Request"}"#;
        json_status(
            400,
            format!(r#"{{"jsonrpc":"2.0","id":"server-error","error":{error}}}"#),
        )
    });
    let mut client = Client::of(&service);
    client.ask(1, "tools/call", "{}").await;
    let heard = client.hear().await;
    assert_eq!(
        (&heard["id"], &heard["error"]["code"]),
        (&1.into(), &(-32600).into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_member_of_a_batch_costs_no_other_its_answer() {
    let broken = r#"{"jsonrpc":"2.0","id":2,"result":{},"error":null}"#;
    let good = r#"{"jsonrpc":"2.0","id":1,"result":{"n":1.10}}"#;
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","id":2,"method":"tools/list"}]"#;
    let heard = async |answer: String| {
        let service = Scripted::with_sessions(move |seen| {
            let answer = answer.clone();
            async move {
                match seen.method == "GET" {
                    true => status(405),
                    false => json(answer),
                }
            }
        });
        let mut client = Client::of(&service);
        client.begin().await;
        client.say(batch).await;
        client.hang_up().await;
        client.rest().await.0
    };
    let lines = heard(format!("[{good},{broken}]")).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], format!("[{good}]"));
    assert!(
        lines[1].contains(r#""id":2,"error":{"code":50203"#),
        "{lines:?}"
    );
    let lines = heard(format!("[{broken}]")).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(r#""id":1,"error""#) && lines[0].contains(r#""id":2,"error""#));
}
