//! Which instance gets a call, and what becomes of the call if that one fails.

use std::{collections::HashMap, time::Duration};

use bartizan_testkit::{Reply, Upstream};
use bartizan_tests::{Running, until};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::server::{
    Registry, call, count, instance, legacy, modern, plain, post, post_with, text,
};

async fn nobody() -> String {
    format!("http://{}", Upstream::nobody())
}

/// The instances that so many calls went to, one after the other.
async fn sequence(gateway: &Running, calls: usize) -> Vec<String> {
    let mut instances = Vec::with_capacity(calls);
    for _ in 0..calls {
        let answer = call(gateway).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
        instances.push(answer.header("x-instance-id").unwrap().to_owned());
    }
    instances
}

fn shares(sequence: &[String]) -> HashMap<&str, f64> {
    let mut shares = HashMap::new();
    for instance in sequence {
        *shares.entry(&**instance).or_insert(0.0) += 100.0 / sequence.len() as f64;
    }
    shares
}

fn longest_run(sequence: &[String]) -> usize {
    let runs = sequence.chunk_by(|a, b| a == b);
    runs.map(<[_]>::len).max().unwrap_or(0)
}

#[tokio::test]
async fn a_dead_first_instance_costs_no_call() {
    for live in [plain("live").await, legacy("live").await] {
        let dead = nobody().await;
        let instances = [("dead", &*dead), ("live", &*live.url())];
        let gateway = Registry::of(&instances).start().await;
        for _ in 0..8 {
            let answer = call(&gateway).await;
            assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.json());
            assert_eq!(text(&answer), "live");
            assert_eq!(answer.header("x-instance-id"), Some("live"));
        }
        assert_eq!(count(&live, "tools/call"), 8);
        let listed = gateway.get("/mcp/t/resources/list").await;
        assert_eq!(listed.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_call_that_may_have_run_is_not_sent_twice() {
    for fate in [
        Reply::close(),
        Reply::truncated(),
        Reply::status(500),
        Reply::status(503),
    ] {
        let reply = fate.clone();
        let bad = modern("bad", move |_, method| {
            (method == "tools/call").then(|| reply.clone())
        })
        .await;
        let good = plain("good").await;
        let instances = [("bad", &*bad.url()), ("good", &*good.url())];
        let gateway = Registry::of(&instances).start().await;
        let mut failed = 0;
        for _ in 0..4 {
            let answer = call(&gateway).await;
            if answer.status == StatusCode::BAD_GATEWAY {
                failed += 1;
            } else {
                assert_eq!(text(&answer), "good");
            }
        }
        assert!(failed > 0, "{fate:?}");
        assert_eq!(count(&bad, "tools/call"), failed, "{fate:?}");
        assert_eq!(count(&bad, "tools/call") + count(&good, "tools/call"), 4);
    }
}

#[tokio::test]
async fn a_call_with_an_idempotency_key_goes_to_the_next() {
    let bad = modern("bad", |_, method| {
        (method == "tools/call").then(Reply::close)
    })
    .await;
    let good = plain("good").await;
    let instances = [("bad", &*bad.url()), ("good", &*good.url())];
    let gateway = Registry::of(&instances).start().await;
    for number in 0..4 {
        let key = [("idempotency-key", &*format!("k-{number}"))];
        let answer = post_with(&gateway, "/mcp/t/tools/call", &key, r#"{"name":"x"}"#).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(text(&answer), "good");
    }
}

#[tokio::test]
async fn no_more_instances_are_tried_than_the_registry_allows() {
    let (a, b, c) = (nobody().await, nobody().await, nobody().await);
    let live = plain("live").await;
    let instances = [("a", &*a), ("b", &*b), ("c", &*c), ("live", &*live.url())];
    let instances: Vec<_> = instances
        .iter()
        .map(|(id, url)| instance(id, url))
        .collect();
    let templates = |retries: u32| json!({ "t": { "instances": instances, "load_balancer": { "max_retries": retries } } });
    let gateway = Registry::new(&templates(3)).start().await;
    assert_eq!(call(&gateway).await.status, StatusCode::OK);
    // The first question of all finds three that are dead, and may ask one more.
    let gateway = Registry::new(&templates(1)).start().await;
    let answer = post(&gateway, "/mcp/t/tools/call", r#"{"name":"x"}"#).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn round_robin_takes_turns() {
    for servers in [
        [plain("a").await, plain("b").await, plain("c").await],
        [legacy("a").await, legacy("b").await, legacy("c").await],
    ] {
        let urls = servers.each_ref().map(Upstream::url);
        let instances = [("a", &*urls[0]), ("b", &*urls[1]), ("c", &*urls[2])];
        let gateway = Registry::of(&instances).start().await;
        sequence(&gateway, 3).await;
        let sequence = sequence(&gateway, 600).await;
        assert_eq!(longest_run(&sequence), 1);
        for (instance, share) in shares(&sequence) {
            assert!((share - 100.0 / 3.0).abs() < 0.1, "{instance}: {share}");
        }
    }
}

#[tokio::test]
async fn turns_are_fair_under_load() {
    let servers = [plain("a").await, plain("b").await, plain("c").await];
    let urls = servers.each_ref().map(Upstream::url);
    let instances = [("a", &*urls[0]), ("b", &*urls[1]), ("c", &*urls[2])];
    let gateway = Registry::of(&instances).start().await;
    call(&gateway).await;
    let before = servers.each_ref().map(|it| count(it, "tools/call"));
    let callers = (0..10).map(|_| sequence(&gateway, 120));
    join_all(callers).await;
    for (server, before) in servers.iter().zip(before) {
        let share = (count(server, "tools/call") - before) as f64 / 1200.0;
        assert!((share - 1.0 / 3.0).abs() < 0.02, "{share}");
    }
}

#[tokio::test]
async fn weights_of_three_to_one_are_three_to_one_and_smooth() {
    for servers in [
        [plain("a").await, plain("b").await],
        [legacy("a").await, legacy("b").await],
    ] {
        let urls = servers.each_ref().map(Upstream::url);
        let weighted = |id: &str, url: &str, weight: u32| {
            let mut instance = instance(id, url);
            instance["metadata"] = json!({ "weight": weight });
            instance
        };
        let registry = Registry::new(&json!({ "t": {
            "instances": [weighted("a", &urls[0], 3), weighted("b", &urls[1], 1)],
            "load_balancer": { "strategy": "weighted" }
        } }));
        let gateway = registry.start().await;
        sequence(&gateway, 8).await;
        let sequence = sequence(&gateway, 400).await;
        assert!(longest_run(&sequence) <= 3);
        let shares = shares(&sequence);
        assert!((shares["a"] - 75.0).abs() < 0.5, "{shares:?}");
    }
}

#[tokio::test]
async fn idle_instances_share_alike() {
    for strategy in ["random", "p2c_ewma", "health_based", "least_connections"] {
        let servers = [plain("a").await, plain("b").await];
        let urls = servers.each_ref().map(Upstream::url);
        let instances = [("a", &*urls[0]), ("b", &*urls[1])];
        let gateway = Registry::balanced(strategy, &instances).start().await;
        let sequence = sequence(&gateway, 500).await;
        let share = shares(&sequence).get("a").copied().unwrap_or_default();
        // Six times the standard deviation of a fair coin. By p2c_ewma all goes to the faster of
        // two that are never busy, and which that is nobody promises.
        if strategy != "p2c_ewma" {
            assert!((share - 50.0).abs() < 13.5, "{strategy}: {share}");
        }
        let answer = call(&gateway).await;
        assert_eq!(answer.header("x-load-balancer-strategy"), Some(strategy));
    }
}

#[tokio::test]
async fn least_connections_and_p2c_leave_a_slow_instance_alone() {
    for strategy in ["least_connections", "p2c_ewma"] {
        let slow = modern("slow", |request, method| {
            (method == "tools/call").then(|| {
                let result = r#"{"content":[{"type":"text","text":"slow"}]}"#;
                crate::server::answer(request, result).after(Duration::from_millis(60))
            })
        })
        .await;
        let fast = plain("fast").await;
        let instances = [("slow", &*slow.url()), ("fast", &*fast.url())];
        let gateway = Registry::balanced(strategy, &instances).start().await;
        let callers = (0..6).map(|_| sequence(&gateway, 40));
        join_all(callers).await;
        let (slow, fast) = (count(&slow, "tools/call"), count(&fast, "tools/call"));
        assert!(fast > 2 * slow, "{strategy}: {fast} {slow}");
    }
}

#[tokio::test]
async fn health_based_prefers_who_answers() {
    let failing = modern("failing", |_, method| {
        (method == "tools/call").then(|| Reply::status(500))
    })
    .await;
    let well = plain("well").await;
    let instances = [("failing", &*failing.url()), ("well", &*well.url())];
    let gateway = Registry::balanced("health_based", &instances).start().await;
    for _ in 0..60 {
        call(&gateway).await;
    }
    let (failing, well) = (count(&failing, "tools/call"), count(&well, "tools/call"));
    assert!(failing < 15 && well > 45, "{failing} {well}");
}

#[tokio::test]
async fn a_consistent_hash_keeps_agents_and_sessions_together() {
    let servers = [plain("a").await, plain("b").await, plain("c").await];
    let urls = servers.each_ref().map(Upstream::url);
    let instances = [("a", &*urls[0]), ("b", &*urls[1]), ("c", &*urls[2])];
    let gateway = Registry::balanced("consistent_hash", &instances)
        .start()
        .await;
    let at = async |headers: &[(&str, &str)]| {
        let answer = post_with(&gateway, "/mcp/t/tools/call", headers, r#"{"name":"x"}"#).await;
        text(&answer)
    };
    for header in ["x-agent-id", "mcp-session-id"] {
        let mut used = HashMap::new();
        for number in 0..30 {
            let id = format!("id-{number}");
            let first = at(&[(header, &id)]).await;
            for _ in 0..3 {
                assert_eq!(at(&[(header, &id)]).await, first, "{header} {id}");
            }
            *used.entry(first).or_insert(0) += 1;
        }
        assert_eq!(used.len(), 3, "{header}: {used:?}");
    }
    // The agent counts more than the session.
    let agent = at(&[("x-agent-id", "id-1")]).await;
    for number in 0..5 {
        let session = format!("s-{number}");
        let headers = [("x-agent-id", "id-1"), ("mcp-session-id", &*session)];
        assert_eq!(at(&headers).await, agent);
    }
}

/// Lesson 28: instances come and go, and the others notice nothing.
#[tokio::test]
async fn d28_instances_that_stay_keep_their_sessions() {
    let (one, other) = (legacy("one").await, legacy("other").await);
    let registry = Registry::of(&[("one", &one.url())]);
    let gateway = registry.start().await;
    sequence(&gateway, 3).await;
    assert_eq!(count(&one, "initialize"), 1);
    let both = json!([instance("one", &one.url()), instance("other", &other.url())]);
    registry.write(&json!({ "t": { "instances": both } }));
    until("the other instance", async || {
        let answer = call(&gateway).await;
        assert_eq!(answer.status, StatusCode::OK);
        text(&answer) == "other"
    })
    .await;
    sequence(&gateway, 10).await;
    registry.write(&json!({ "t": { "instances": [instance("one", &one.url())] } }));
    until("the instance to be gone", async || {
        let health = gateway.get("/mcp/t/health").await.json();
        health["total_instances"] == 1
    })
    .await;
    assert_eq!(shares(&sequence(&gateway, 4).await)["one"], 100.0);
    assert_eq!(count(&one, "initialize"), 1);
}
