//! The front between a client on a pipe and a service of Streamable HTTP.

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
use bartizan_transport::front::{End, FrontLimits, Target, relay};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use scripted::{
    Client, Dropped, Scripted, Seen, events, initialized, json, json_status, raw_events, result,
    status,
};
use tokio::sync::{Notify, Semaphore, mpsc};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// Answers every request with `{}`, and accepts all else.
async fn agreeable(seen: Seen) -> scripted::Reply {
    match seen.json()["id"].is_null() {
        _ if seen.method == "GET" => status(405),
        true => status(202),
        false => json(result(&seen.json(), "{}")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_carried_through_its_life() {
    let service = Scripted::with_sessions(agreeable);
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/list", "{}").await;
    assert_eq!(client.hear().await["id"], 1);
    service.arrived("GET", 1).await;
    client
        .say(r#"{"jsonrpc":"2.0","id":"q1","result":{}}"#)
        .await;
    service.arrived("response", 1).await;
    client.hang_up().await;
    let (rest, end) = client.rest().await;
    assert_eq!((rest.len(), end), (0, End::Said));

    let seen = service.seen();
    let first = &seen[0];
    assert_eq!(first.what(), "initialize");
    assert_eq!(first.header("mcp-session-id"), None);
    assert_eq!(first.header("mcp-protocol-version"), None);
    assert_eq!(seen[1].what(), "notifications/initialized");
    for it in &seen[1..] {
        assert_eq!(it.header("mcp-session-id"), Some("s1"), "{it:?}");
        let version = it.header("mcp-protocol-version");
        assert_eq!(version, Some("2025-11-25"), "{it:?}");
    }
    assert_eq!(service.names().last().unwrap(), "DELETE");
}

#[tokio::test(start_paused = true)]
async fn nothing_overtakes_the_handshake() {
    let service = Scripted::new(|seen| async move {
        // The sooner a message comes, the longer it takes.
        match seen.what().as_str() {
            "initialize" => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                initialized("s1", &seen.json())
            }
            "notifications/initialized" => {
                tokio::time::sleep(Duration::from_secs(10)).await;
                status(202)
            }
            _ => agreeable(seen).await,
        }
    });
    let mut client = Client::of(&service);
    client
        .ask(0, "initialize", r#"{"protocolVersion":"2025-06-18"}"#)
        .await;
    client.notify("notifications/initialized", "{}").await;
    client.ask(1, "tools/list", "{}").await;
    assert_eq!(client.hear().await["id"], 0);
    assert_eq!(client.hear().await["id"], 1);
    let names = service.names();
    assert_eq!(names[..2], ["initialize", "notifications/initialized"]);
    let list = service.arrived("tools/list", 1).await;
    assert_eq!(list.header("mcp-session-id"), Some("s1"));
}

#[tokio::test(start_paused = true)]
async fn messages_pass_byte_for_byte_on_one_line() {
    let odd = "{\"jsonrpc\" : \"2.0\",\"id\":1.0e0,\"result\":{\"n\":1.10,\"big\":123456789012345678901234567890,\"s\":\"\\u0041\\/\"}}";
    let service =
        Scripted::new(move |_| async move { json(format!("{}\n", odd.replace(" : ", " \n: "))) });
    let mut client = Client::of(&service);
    let request =
        r#"{"jsonrpc":"2.0", "id":1.0e0,"method":"x/y","params":{"n":1.10, "A":"\u0041"}}"#;
    client.say(request).await;
    let line = client.line().await.unwrap();
    assert_eq!(line.trim_end(), odd.replace(" : ", "  : "));
    assert_eq!(service.seen()[0].body, request);
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_wait_for_each_other() {
    let service = Scripted::new(|seen| async move {
        let request = seen.json();
        let pause = request["params"]["pause"].as_u64().unwrap();
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#.to_owned();
        let answer = result(&request, "{}");
        events(stream::iter([progress]).chain(stream::once(async move {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            answer
        })))
    });
    let mut client = Client::of(&service);
    for (id, pause) in [(1, 30), (2, 20), (3, 10)] {
        client
            .ask(id, "tools/call", &format!(r#"{{"pause":{pause}}}"#))
            .await;
    }
    let mut order = Vec::new();
    while order.len() < 3 {
        let heard = client.hear().await;
        order.extend(heard["id"].as_u64());
    }
    assert_eq!(order, [3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_allowed() {
    let gate = Arc::new(Semaphore::new(0));
    let running = Arc::new(AtomicUsize::new(0));
    let (inner, count) = (Arc::clone(&gate), Arc::clone(&running));
    let service = Scripted::new(move |seen| {
        let (gate, running) = (Arc::clone(&inner), Arc::clone(&count));
        async move {
            assert!(running.fetch_add(1, Ordering::Relaxed) < 2);
            gate.acquire().await.unwrap().forget();
            running.fetch_sub(1, Ordering::Relaxed);
            json(result(&seen.json(), "{}"))
        }
    });
    let limits = FrontLimits {
        requests: 2,
        waiting_bytes: 3 << 10,
        ..FrontLimits::default()
    };
    let mut client = Client::with(&service, limits, 1 << 20);
    for id in 1..=6 {
        client.ask(id, "tools/call", "{}").await;
    }
    let refused = client.hear().await;
    assert_eq!(refused["id"], 6);
    assert_eq!(refused["error"]["code"], 50302);
    assert_eq!(service.seen().len(), 2);

    // One that waits is cancelled before anybody hears of it.
    client
        .notify("notifications/cancelled", r#"{"requestId":4}"#)
        .await;
    client.ask(7, "tools/call", "{}").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.add_permits(100);
    let mut answered = Vec::new();
    for _ in 0..5 {
        answered.push(client.hear().await["id"].as_u64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3, 5, 7]);
}

#[tokio::test(start_paused = true)]
async fn to_cancel_a_modern_request_hangs_up() {
    let dropped = Arc::new(Notify::new());
    let notify = Arc::clone(&dropped);
    let service = Scripted::new(move |seen| {
        let guard = Dropped(Arc::clone(&notify));
        async move {
            if seen.what() != "tools/call" {
                return agreeable(seen).await;
            }
            events(stream::once(async move {
                let _guard = guard;
                std::future::pending().await
            }))
        }
    });
    let mut client = Client::of(&service);
    client
        .ask(1, "tools/call", &format!(r#"{{"name":"slow",{META}}}"#))
        .await;
    service.arrived("tools/call", 1).await;
    client
        .notify("notifications/cancelled", r#"{"requestId":1}"#)
        .await;
    let hung_up = tokio::time::timeout(Duration::from_secs(60), dropped.notified()).await;
    hung_up.expect("it hangs up");
    client.ask(2, "ping", "{}").await;
    assert_eq!(client.hear().await["id"], 2, "there is no answer to 1");
    assert_eq!(service.names(), ["tools/call", "ping"], "nothing is posted");
}

#[tokio::test(start_paused = true)]
async fn to_cancel_a_request_of_a_session_says_so_and_waits_for_nothing() {
    let dropped = Arc::new(Notify::new());
    let notify = Arc::clone(&dropped);
    let service = Scripted::with_sessions(move |seen| {
        let guard = Dropped(Arc::clone(&notify));
        async move {
            if seen.what() != "tools/call" {
                return agreeable(seen).await;
            }
            // It never ends by itself.
            let _guard = guard;
            std::future::pending().await
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    service.arrived("tools/call", 1).await;
    client
        .notify("notifications/cancelled", r#"{"requestId":1}"#)
        .await;
    let notice = service.arrived("notifications/cancelled", 1).await;
    assert_eq!(notice.header("mcp-session-id"), Some("s1"));
    dropped.notified().await;
    client.hang_up().await;
    let (rest, _) = client.rest().await;
    assert_eq!(rest, [""; 0], "there is no answer");
}

#[tokio::test(start_paused = true)]
async fn headers_say_what_a_modern_message_says() {
    let service = Scripted::new(|seen| async move {
        let tools = r#"{"tools":[{"name":"größe","inputSchema":{"type":"object","properties":
            {"region":{"type":"string","x-mcp-header":"Region"}}}}]}"#;
        match seen.what().as_str() {
            "tools/list" => json(result(&seen.json(), tools)),
            _ => agreeable(seen).await,
        }
    });
    let mut client = Client::of(&service);
    let call = format!(r#"{{"name":"größe","arguments":{{"region":"süd"}},{META}}}"#);
    client.ask(1, "tools/list", &format!("{{{META}}}")).await;
    client.hear().await;
    client.ask(2, "tools/call", &call).await;
    client.hear().await;
    let seen = service.seen();
    assert_eq!(seen[0].header("mcp-method"), Some("tools/list"));
    assert_eq!(seen[0].header("mcp-name"), None);
    assert_eq!(seen[1].header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(seen[1].header("mcp-name"), Some("=?base64?Z3LDtsOfZQ==?="));
    assert_eq!(
        seen[1].header("mcp-param-region"),
        Some("=?base64?c8O8ZA==?=")
    );
    let envelope = bartizan_protocol::Envelope::read(seen[1].body.as_bytes()).unwrap();
    assert!(bartizan_protocol::headers::check(&seen[1].headers, &envelope).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_headers_are_refused_is_repeated_once_the_tool_is_known() {
    let service = Scripted::new(|seen| async move {
        let request = seen.json();
        match seen.what().as_str() {
            "tools/list" if request["params"]["cursor"].is_null() => {
                json(result(&request, r#"{"tools":[],"nextCursor":"2"}"#))
            }
            "tools/list" => json(result(
                &request,
                r#"{"tools":[{"name":"a","inputSchema":{"type":"object","properties":
                {"r":{"type":"string","x-mcp-header":"R"}}}}]}"#,
            )),
            _ if seen.header("mcp-param-r") == Some("v") => json(result(&request, "{}")),
            _ => json_status(
                400,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"no"}}"#,
            ),
        }
    });
    let mut client = Client::of(&service);
    let arguments = format!(r#"{{"name":"a","arguments":{{"r":"v"}},{META}}}"#);
    client.ask(1, "tools/call", &arguments).await;
    assert!(client.hear().await["result"].is_object());
    let expected = ["tools/call", "tools/list", "tools/list", "tools/call"];
    assert_eq!(service.names(), expected);

    // What no list explains is refused, after one more look.
    let unknown = format!(r#"{{"name":"b","arguments":{{}},{META}}}"#);
    client.ask(2, "tools/call", &unknown).await;
    let refused = client.hear().await;
    assert_eq!(refused["id"], 2);
    assert_eq!(refused["error"]["code"], -32020);
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_answered_and_do_not_end_anything() {
    let service = Scripted::new(agreeable);
    let limits = FrontLimits {
        message_bytes: 200,
        ..FrontLimits::default()
    };
    let mut client = Client::with(&service, limits, 1 << 20);
    client.say("{oops").await;
    let heard = client.hear().await;
    assert_eq!(heard["error"]["code"], -32700);
    assert!(heard["id"].is_null() && heard.get("id").is_some());
    client.say(r#"{"jsonrpc":"2.0","id":4,"method":5}"#).await;
    let heard = client.hear().await;
    assert_eq!(heard["error"]["code"], -32600);
    assert_eq!(heard["id"], 4);
    client.say(&"x".repeat(300)).await;
    let heard = client.hear().await;
    assert_eq!(heard["error"]["code"], 41301);
    assert_eq!(heard["error"]["data"]["limit"], 200);
    client.say("\r").await;
    client.ask(1, "ping", "{}").await;
    assert_eq!(client.hear().await["id"], 1);
    assert_eq!(service.names(), ["ping"]);
}

/// Sessions get lost when the service restarts: D rows 2 and 20.
#[tokio::test(start_paused = true)]
async fn a_lost_session_is_begun_again_once_and_what_was_not_done_is_repeated() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let service = Scripted::new(move |seen| {
        let begun = Arc::clone(&count);
        async move {
            let session = begun.load(Ordering::Relaxed).to_string();
            match seen.what().as_str() {
                "initialize" => {
                    let next = begun.fetch_add(1, Ordering::Relaxed) + 1;
                    initialized(&next.to_string(), &seen.json())
                }
                "restart" => {
                    // Another program has taken its place.
                    begun.fetch_add(1, Ordering::Relaxed);
                    json(result(&seen.json(), "{}"))
                }
                _ if seen.header("mcp-session-id") != Some(&session) => status(404),
                _ => agreeable(seen).await,
            }
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "restart", "{}").await;
    client.hear().await;
    for id in 10..18 {
        client.ask(id, "tools/call", "{}").await;
    }
    let mut answered = Vec::new();
    for _ in 10..18 {
        let heard = client.hear().await;
        assert!(heard["result"].is_object(), "{heard}");
        answered.push(heard["id"].as_u64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, (10..18).collect::<Vec<_>>());
    let names = service.names();
    let count = |name: &str| names.iter().filter(|it| *it == name).count();
    assert_eq!(count("initialize"), 2, "{names:?}");
    assert_eq!(count("notifications/initialized"), 2, "{names:?}");
    assert_eq!(begun.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_begun_again_fails_what_needs_it() {
    let service = Scripted::with_sessions(|seen| async move {
        if seen.method == "GET" {
            return status(405);
        }
        status(404)
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    let heard = client.hear().await;
    assert_eq!(heard["id"], 1);
    assert_eq!(heard["error"]["code"], -32001);
    let calls = service.names();
    let calls = calls.iter().filter(|it| *it == "tools/call").count();
    assert_eq!(calls, 2, "it is repeated once");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_unasked_is_heard_and_its_stream_opened_again() {
    let opened = Arc::new(AtomicUsize::new(0));
    let service = Scripted::with_sessions(move |seen| {
        let times = opened.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_eq!(seen.method, "GET");
            let chunk =
                format!("id: e{times}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"n{times}\"}}\n\n");
            match times {
                0 => raw_events(stream::iter([Bytes::from(chunk)])),
                1 => status(503),
                2 => raw_events(stream::iter([Bytes::from(chunk)]).chain(stream::pending())),
                _ => unreachable!(),
            }
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    assert_eq!(client.hear().await["method"], "n0");
    assert_eq!(client.hear().await["method"], "n2");
    let last = |seen: &Seen| seen.header("last-event-id").map(str::to_owned);
    assert_eq!(last(&service.arrived("GET", 1).await), None);
    assert_eq!(
        last(&service.arrived("GET", 3).await).as_deref(),
        Some("e0")
    );
    client.hang_up().await;
    assert_eq!(
        client.rest().await.1,
        End::Said,
        "the stream holds nothing up"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_resumed_where_it_can_be() {
    let service = Scripted::with_sessions(|seen| async move {
        match seen.header("last-event-id") {
            Some("p1") => {
                let request = serde_json::json!({"id": 1});
                events(stream::iter([result(&request, "{}")]))
            }
            Some(other) => panic!("{other}"),
            None if seen.method == "GET" => status(405),
            None => raw_events(stream::iter([Bytes::from("id: p1\nretry: 500\ndata:\n\n")])),
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    assert!(client.hear().await["result"].is_object());

    let service = Scripted::new(|_| async move { events(stream::empty()) });
    let mut client = Client::of(&service);
    client.ask(1, "tools/call", "{}").await;
    let heard = client.hear().await;
    assert_eq!(
        (&heard["id"], &heard["error"]["code"]),
        (&1.into(), &50203.into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_request_whatever_the_service_read_of_it() {
    let service = Scripted::new(|seen| async move {
        let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":41301,"message":"large"}}"#;
        match seen.json()["id"].as_u64() {
            Some(1) => json_status(413, body),
            Some(2) => status(429),
            _ => json_status(502, "<html>"),
        }
    });
    let mut client = Client::of(&service);
    for (id, code) in [(1, 41301), (2, 42901), (3, 50203)] {
        client.ask(id, "tools/call", "{}").await;
        let heard = client.hear().await;
        assert_eq!(
            (&heard["id"], &heard["error"]["code"]),
            (&id.into(), &code.into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_line_each_way() {
    let answer = r#"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{}}]"#;
    let refused = Arc::new(AtomicUsize::new(0));
    let service = Scripted::with_sessions(move |seen| {
        let times = refused.fetch_add(usize::from(seen.method == "POST"), Ordering::Relaxed);
        async move {
            match times {
                _ if seen.method == "GET" => status(405),
                0 => json(answer),
                1 => status(202),
                _ => status(500),
            }
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    let batch =
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#;
    client.say(batch).await;
    assert_eq!(client.line().await.unwrap(), answer);
    client
        .say(r#"[{"jsonrpc":"2.0","method":"notifications/x"}]"#)
        .await;
    client.say(batch).await;
    let heard = client.hear().await;
    let ids: Vec<_> = heard
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_service_down_and_loses_nothing() {
    let service = Scripted::new(|seen| async move {
        let answer = result(&seen.json(), "{}");
        let notes = stream::iter(0..1000)
            .map(|n| format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"n":{n}}}}}"#));
        events(notes.chain(stream::iter([answer])))
    });
    let limits = FrontLimits {
        queue: 2,
        ..FrontLimits::default()
    };
    let mut client = Client::with(&service, limits, 64);
    // Two that would interleave within a line if they could.
    client.ask(1, "tools/call", "{}").await;
    client.ask(2, "tools/call", "{}").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (mut notes, mut answers) = (0, 0);
    while answers < 2 {
        match client.hear().await["id"].is_null() {
            true => notes += 1,
            false => answers += 1,
        }
    }
    assert_eq!(notes, 2000);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_input_lets_requests_finish_for_a_while() {
    let service = Scripted::with_sessions(|seen| async move {
        match seen.what().as_str() {
            "GET" => events(stream::pending()),
            "hang" | "subscriptions/listen" => std::future::pending().await,
            _ => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                json(result(&seen.json(), "{}"))
            }
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    client.ask(2, "hang", "{}").await;
    let listen = format!(r#"{{"notifications":{{}},{META}}}"#);
    client.ask(3, "subscriptions/listen", &listen).await;
    client.hang_up().await;
    let start = Clock::tokio().now();
    let (rest, end) = client.rest().await;
    assert_eq!(end, End::Said);
    assert_eq!(rest, [r#"{"jsonrpc":"2.0","id":1,"result":{}}"#]);
    assert_eq!((Clock::tokio().now() - start).as_secs(), 10);
    assert_eq!(service.names().last().unwrap(), "DELETE");
}

#[tokio::test(start_paused = true)]
async fn a_last_line_without_its_end_is_read() {
    let service = Scripted::new(agreeable);
    let input = &br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#[..];
    let mut output = Vec::new();
    let end = bartizan_transport::front::serve(
        service,
        http::Uri::from_static("/mcp/x"),
        input,
        &mut output,
        FrontLimits::default(),
        std::future::pending(),
    );
    assert_eq!(end.await.unwrap(), End::Said);
    assert_eq!(output, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
}

#[tokio::test(start_paused = true)]
async fn to_stop_drops_what_is_under_way_and_ends_the_session() {
    let dropped = Arc::new(Notify::new());
    let notify = Arc::clone(&dropped);
    let service = Scripted::with_sessions(move |_| {
        let guard = Dropped(Arc::clone(&notify));
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    service.arrived("tools/call", 1).await;
    client.stop();
    dropped.notified().await;
    let (rest, end) = client.rest().await;
    assert_eq!((rest.len(), end), (0, End::Told));
    assert_eq!(service.names().last().unwrap(), "DELETE");
}

/// A client with more answers than it takes.
async fn reading_nothing() -> (Scripted, Client) {
    let service = Scripted::with_sessions(|seen| async move {
        match seen.method.as_str() {
            "GET" => status(405),
            _ => json(result(&seen.json(), &format!("\"{}\"", "x".repeat(1000)))),
        }
    });
    let limits = FrontLimits {
        queue: 1,
        ..FrontLimits::default()
    };
    let mut client = Client::with(&service, limits, 400);
    client.begin().await;
    for id in 0..5 {
        client.ask(id, "x", "{}").await;
    }
    service.arrived("x", 5).await;
    (service, client)
}

#[tokio::test(start_paused = true)]
async fn to_stop_is_obeyed_even_if_the_client_reads_nothing() {
    let (service, mut client) = reading_nothing().await;
    client.stop();
    let start = Clock::tokio().now();
    service.arrived("DELETE", 1).await;
    assert!(Clock::tokio().now() - start < Duration::from_secs(1));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_ends_the_session() {
    let service = Scripted::with_sessions(|seen| async move {
        match seen.method.as_str() {
            "GET" => events(stream::iter(0..).then(|n| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"n":{n}}}}}"#)
            })),
            _ => std::future::pending().await,
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    service.arrived("tools/call", 1).await;
    let served = client.vanish().await;
    assert!(served.is_err() || served.is_ok_and(|end| end == End::Gone));
    assert_eq!(service.names().last().unwrap(), "DELETE");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_begins_at_the_last_moment_is_ended() {
    let answers = Arc::new(Notify::new());
    let own = Arc::clone(&answers);
    let service = Scripted::new(move |seen| {
        let answers = Arc::clone(&own);
        async move {
            if seen.what() != "initialize" {
                return agreeable(seen).await;
            }
            answers.notified().await;
            initialized("s1", &seen.json())
        }
    });
    let mut client = Client::of(&service);
    client
        .ask(0, "initialize", r#"{"protocolVersion":"2025-11-25"}"#)
        .await;
    service.arrived("initialize", 1).await;
    answers.notify_one();
    client.stop();
    assert_eq!(client.rest().await.1, End::Told);
    assert_eq!(service.names(), ["initialize", "DELETE"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_handshake_ends_the_first_session() {
    let service = Scripted::with_sessions(agreeable);
    let mut client = Client::of(&service);
    client.begin().await;
    client.begin().await;
    let ended = service.arrived("DELETE", 1).await;
    assert_eq!(ended.header("mcp-session-id"), Some("s1"));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_is_older_carries_no_modern_messages() {
    let service = Scripted::new(agreeable);
    let (say, messages) = mpsc::channel(4);
    let (out, mut said) = mpsc::channel(4);
    let target = Target {
        modern: false,
        ..Target::local(http::Uri::from_static("/mcp/x"))
    };
    let relayed = tokio::spawn(relay(
        service.clone(),
        target,
        messages,
        out,
        FrontLimits::default(),
        std::future::pending(),
    ));
    let discover =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#);
    say.send(discover.into()).await.unwrap();
    let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    say.send(ping).await.unwrap();
    let refused: serde_json::Value = serde_json::from_slice(&said.recv().await.unwrap()).unwrap();
    assert_eq!(refused["error"]["code"], -32601);
    let answer = said.recv().await.unwrap();
    assert_eq!(answer, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    assert_eq!(service.names(), ["ping"]);
    drop(said);
    assert_eq!(relayed.await.unwrap(), End::Gone);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_input_is_noticed_during_a_handshake_that_hangs() {
    let service = Scripted::new(|_| std::future::pending());
    let mut client = Client::of(&service);
    client.ask(0, "initialize", "{}").await;
    client.notify("notifications/initialized", "{}").await;
    client.ask(1, "tools/list", "{}").await;
    client.hang_up().await;
    let start = Clock::tokio().now();
    assert_eq!(client.rest().await.1, End::Said);
    assert_eq!((Clock::tokio().now() - start).as_secs(), 10);
    assert_eq!(service.names(), ["initialize"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_no_more_and_reads_nothing_is_not_waited_for() {
    let (service, mut client) = reading_nothing().await;
    // As long as it may say more, it may take its time.
    tokio::time::sleep(Duration::from_secs(600)).await;
    client.hang_up().await;
    let start = Clock::tokio().now();
    assert_eq!(client.unread_end().await, End::Gone);
    assert_eq!((Clock::tokio().now() - start).as_secs(), 2);
    assert_eq!(service.names().last().unwrap(), "DELETE");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_input_is_noticed_behind_what_cannot_be_answered() {
    let service = Scripted::new(agreeable);
    let limits = FrontLimits {
        queue: 1,
        message_bytes: 100,
        ..FrontLimits::default()
    };
    let too_long = "x".repeat(101);
    for mistake in ["{", &too_long] {
        let mut client = Client::with(&service, limits, 1 << 10);
        for _ in 0..1000 {
            client.say(mistake).await;
        }
        client.hang_up().await;
        let start = Clock::tokio().now();
        assert_eq!(client.unread_end().await, End::Gone, "{mistake}");
        assert_eq!((Clock::tokio().now() - start).as_secs(), 2, "{mistake}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_no_more_may_read_slowly() {
    let service = Scripted::new(|seen| async move {
        json(result(&seen.json(), &format!("\"{}\"", "x".repeat(1000))))
    });
    let mut client = Client::with(&service, FrontLimits::default(), 400);
    for id in 0..5 {
        client.ask(id, "x", "{}").await;
    }
    client.hang_up().await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(1900)).await;
        assert!(client.hear().await["result"].is_string());
    }
    assert_eq!(client.unread_end().await, End::Said);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_that_ends_without_an_answer_is_no_failure() {
    let cancelled = Arc::new(Notify::new());
    let service = Scripted::with_sessions(move |seen| {
        let cancelled = Arc::clone(&cancelled);
        async move {
            match seen.what().as_str() {
                "tools/call" => {
                    cancelled.notified().await;
                    events(stream::empty())
                }
                "notifications/cancelled" => {
                    cancelled.notify_one();
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    status(202)
                }
                _ => agreeable(seen).await,
            }
        }
    });
    let mut client = Client::of(&service);
    client.begin().await;
    client.ask(1, "tools/call", "{}").await;
    service.arrived("tools/call", 1).await;
    client
        .notify("notifications/cancelled", r#"{"requestId":1}"#)
        .await;
    service.arrived("notifications/cancelled", 1).await;
    client.hang_up().await;
    assert_eq!(client.rest().await.0, [""; 0]);
}
