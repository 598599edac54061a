//! Services that registries list: what is known of their instances outlives every look at the
//! file, a file that cannot be read changes nothing, two gateways share one, and calls are shared
//! as each strategy promises.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_config::{Configuration, Source};
use bartizan_gateway::Gateway;
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Files, Running, Variables, until};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

/// What the gateway asks for beside the first call.
const DEFINITION: &str = "/api/definition";

/// A backend that answers with its name, after a while.
async fn backend(name: &'static str, takes: Duration) -> Upstream {
    let answer = move |request: &Recorded| match request.uri.path() {
        DEFINITION => Reply::status(404),
        _ => Reply::json(format!(r#"{{"at":"{name}"}}"#)).after(takes),
    };
    let backend = Upstream::start_with(answer).await;
    backend.aside("/health", Reply::status(200));
    backend
}

fn registry(instances: &[(&str, &str, u32)], balancer: &Value) -> String {
    let instances: Vec<_> = instances
        .iter()
        .map(|(id, endpoint, weight)| {
            json!({ "id": id, "endpoint": endpoint, "transport": "http",
                    "metadata": { "weight": weight } })
        })
        .collect();
    let template = json!({ "instances": instances, "load_balancer": balancer });
    json!({ "templates": { "orders": template } }).to_string()
}

fn variables(files: &Files) -> Variables {
    Variables::default()
        .set(
            "MCP_GATEWAY_REGISTRY_FILE",
            files.path("registry.json").display(),
        )
        .set("POLL_INTERVAL", 1)
        .set("MCP_SERVICE_ORDERS_TRANSPORT", "rest")
        .set("MCP_SERVICE_ORDERS_HEALTH_PATH", "/health")
        .set("MCP_SERVICE_ORDERS_HEALTH_INTERVAL", 500)
}

/// Calls and says where each went.
async fn call(gateway: &Running, agent: usize) -> String {
    let body = format!(
        r#"{{"service":"orders","operation":"createOrder","metadata":{{"agentId":"agent-{agent}"}}}}"#
    );
    let json = gateway.post(body).await.json();
    json["data"]["at"]
        .as_str()
        .unwrap_or_else(|| panic!("{json}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_12_a_sick_instance_stays_out_however_often_the_registry_is_read() {
    let (well, sick) = (
        backend("well", Duration::ZERO).await,
        Upstream::start_with(|_| Reply::status(500)).await,
    );
    let later = backend("later", Duration::ZERO).await;
    let files = Files::new();
    let list = |weight, more: bool| {
        let (well, sick, later) = (well.url(), sick.url(), later.url());
        let all = [
            ("well", &*well, weight),
            ("sick", &*sick, weight),
            ("later", &*later, 1),
        ];
        let listed = if more { &all[..] } else { &all[..2] };
        files.write("registry.json", registry(listed, &json!({})));
    };
    list(1, false);
    let gateway = variables(&files).start().await;
    gateway
        .until_metric("bartizan_instances_usable", "orders", 1)
        .await;
    assert_ne!(sick.hits(), 0);

    for change in 0..5 {
        let is_more = change % 2 == 0;
        list(2 + change, is_more);
        let count = if is_more { 3 } else { 2 };
        gateway
            .until_metric("bartizan_instances", "orders", count)
            .await;
        let reloaded = gateway.reload(&variables(&files));
        assert_eq!(reloaded.unchanged, ["orders"]);
        for agent in 0..20 {
            assert_ne!(call(&gateway, agent).await, "sick");
        }
        let usable = gateway
            .metric("bartizan_instances_usable", "orders", "")
            .await;
        assert_eq!(usable, count - 1, "{change}");
    }
    let asked = sick.requests();
    assert!(
        asked.iter().all(|it| it.uri.path() == "/health"),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_cannot_be_used_keeps_the_last_good_set_and_is_stale() {
    let one = backend("one", Duration::ZERO).await;
    let files = Files::new();
    let sound = registry(&[("one", &one.url(), 1)], &json!({}));
    files.write("registry.json", &sound);
    let gateway = variables(&files).start().await;
    let is_stale = async || {
        let json = gateway.get("/gateway/registry").await.json();
        json["stats"]["sources"][0]["stale"]
            .as_bool()
            .unwrap_or_else(|| panic!("{json}"))
    };
    for broken in [Some(""), Some("{\"templates\": {"), Some("[]"), None] {
        assert!(!is_stale().await);
        match broken {
            Some(text) => drop(files.write("registry.json", text)),
            None => files.remove("registry.json"),
        }
        until("stale", async || is_stale().await).await;
        assert_eq!(call(&gateway, 0).await, "one", "{broken:?}");
        let health = gateway.get("/gateway/health").await;
        assert_eq!(health.status, StatusCode::OK);
        assert_eq!(health.json()["status"], "degraded");
        let shown = async || {
            gateway
                .metric("bartizan_instances_stale", "orders", "")
                .await
        };
        assert_eq!(shown().await, 1, "{broken:?}");
        files.write("registry.json", &sound);
        until("read again", async || !is_stale().await).await;
        assert_eq!(shown().await, 0, "{broken:?}");
    }
    assert_eq!(call(&gateway, 0).await, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_that_write_one_registry_lose_nothing() {
    const EACH: usize = 20;
    let files = Files::new();
    let gateways = [
        variables(&files).start().await,
        variables(&files).start().await,
    ];
    let register = async |number: usize| {
        let gateway = &gateways[number % 2];
        let body = json!({ "template_name": "orders", "instance": {
            "id": format!("i-{number}"), "endpoint": format!("http://127.0.0.1:{}", 1 + number) } });
        let answer = gateway.post_to("/gateway/register", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    };
    join_all((0..2 * EACH).map(register)).await;
    let text = std::fs::read_to_string(files.path("registry.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let written = written["templates"]["orders"]["instances"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(written, 2 * EACH, "{text}");
    for gateway in &gateways {
        gateway
            .until_metric("bartizan_instances", "orders", 2 * EACH as u64)
            .await;
    }
}

/// The calls of so many, each after the other, by where they went.
async fn shares(gateway: &Running, calls: usize) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut order = Vec::new();
    for agent in 0..calls {
        order.push(call(gateway, agent).await);
    }
    let mut shares = BTreeMap::new();
    for at in &order {
        *shares.entry(at.clone()).or_default() += 1;
    }
    (shares, order)
}

/// A gateway before these instances, all known to be well.
async fn balanced(files: &Files, instances: &[(&str, &str, u32)], strategy: &str) -> Running {
    files.write(
        "registry.json",
        registry(instances, &json!({ "strategy": strategy })),
    );
    let gateway = variables(files).start().await;
    let count = instances.len() as u64;
    gateway
        .until_metric("bartizan_instances_usable", "orders", count)
        .await;
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_are_exact_and_weights_smooth() {
    let (a, b, c) = (
        backend("a", Duration::ZERO).await,
        backend("b", Duration::ZERO).await,
        backend("c", Duration::ZERO).await,
    );
    let all = [&a, &b, &c];
    let files = Files::new();
    let urls = all.map(Upstream::url);
    let [a, b, c] = urls.each_ref().map(|url| &**url);
    // The look at the definition beside the first call takes a turn, too.
    let definitions = || {
        let requests = all.iter().flat_map(|it| it.requests());
        requests.filter(|it| it.uri.path() == DEFINITION).count()
    };
    let equal = [("a", a, 1), ("b", b, 1), ("c", c, 1)];
    let gateway = balanced(&files, &equal, "round_robin").await;
    call(&gateway, 0).await;
    until("a look", async || definitions() == 1).await;
    let (equal, _) = shares(&gateway, 300).await;
    assert!(equal.values().all(|calls| *calls == 100), "{equal:?}");

    let gateway = balanced(&files, &[("a", a, 3), ("b", b, 1)], "weighted").await;
    call(&gateway, 0).await;
    until("a look", async || definitions() == 2).await;
    let (weighted, order) = shares(&gateway, 400).await;
    assert_eq!(weighted["a"], 300, "{weighted:?}");
    let runs = order.chunk_by(|one, next| one == next).map(<[_]>::len);
    assert!(runs.max().unwrap() <= 3, "{order:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_connections_evens_out_what_is_under_way_not_what_was() {
    let (quick, slow) = (
        backend("quick", Duration::from_millis(4)).await,
        backend("slow", Duration::from_millis(80)).await,
    );
    let files = Files::new();
    let instances = [("quick", &*quick.url(), 1), ("slow", &*slow.url(), 1)];
    let gateway = balanced(&files, &instances, "least_connections").await;
    let (left, seen) = (AtomicUsize::new(600), Arc::new(AtomicUsize::new(0)));
    // Eight callers: four at each, of which the quick one serves many more.
    let caller = async |agent: usize| {
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
        {
            if call(&gateway, agent).await == "slow" {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    join_all((0..8).map(caller)).await;
    // In proportion to their speed it would be 1 in 21; the gateway itself takes its time, too.
    let share = seen.load(Ordering::Relaxed) as f64 / 600.0;
    assert!(share < 0.25, "{share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_agents_move_when_an_instance_leaves() {
    const AGENTS: usize = 200;
    let (a, b, c, d) = (
        backend("a", Duration::ZERO).await,
        backend("b", Duration::ZERO).await,
        backend("c", Duration::ZERO).await,
        backend("d", Duration::ZERO).await,
    );
    let urls = [a.url(), b.url(), c.url(), d.url()];
    let all = [
        ("a", &*urls[0], 1),
        ("b", &*urls[1], 1),
        ("c", &*urls[2], 1),
        ("d", &*urls[3], 1),
    ];
    let files = Files::new();
    let gateway = balanced(&files, &all, "consistent_hash").await;
    let (before, order) = shares(&gateway, AGENTS).await;
    let (_, again) = shares(&gateway, AGENTS).await;
    assert_eq!(order, again, "each has its own");
    files.write(
        "registry.json",
        registry(&all[..3], &json!({ "strategy": "consistent_hash" })),
    );
    gateway
        .until_metric("bartizan_instances", "orders", 3)
        .await;
    let (_, after) = shares(&gateway, AGENTS).await;
    let moved = order
        .iter()
        .zip(&after)
        .filter(|(one, other)| one != other)
        .count();
    assert_eq!(moved, before["d"], "only those of the one that left");
    assert!(moved as f64 <= AGENTS as f64 * (0.25 + 0.05), "{moved}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_while_the_gateway_starts_is_not_lost() {
    let registry = |count: usize| {
        let server = |n| format!("- {{namespace: service-{n}, name: 127.0.0.1, port: 9}}\n");
        "servers:\n".to_owned() + &(0..count).map(server).collect::<String>()
    };
    const COUNT: usize = 1_000;
    let files = Files::new();
    let path = files.write("registry.yaml", registry(COUNT));
    let variables = Variables::default()
        .set("REGISTRY_PATH", path.display())
        .set("HEALTH_CHECK_INTERVAL", 86_400)
        .set("POLL_INTERVAL", 1);
    let configuration = variables.configuration();
    let clock = bartizan_clock::Clock::default();
    let begun = clock.now();
    drop(Gateway::new(&configuration).unwrap());
    let takes = clock.now() - begun;
    let writer = tokio::spawn(async move {
        clock.sleep(takes / 4).await;
        files.write("registry.yaml", registry(COUNT + 1));
        files
    });
    let gateway = Gateway::new(&configuration).unwrap();
    let _files = writer.await.unwrap();
    until("the change is applied", async || {
        gateway.services().len() == COUNT + 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_gone_stays_what_it_was_over_a_reload() {
    let files = Files::new();
    let instances = [("one", "http://127.0.0.1:9", 1)];
    files.write("registry.json", registry(&instances, &json!({})));
    let variables = variables(&files);
    let gateway = variables.start().await;
    files.remove("registry.json");
    gateway.post_to("/gateway/sync", "").await;
    let listed = async || {
        let registry = gateway.get("/gateway/registry").await.json();
        let instances = registry["templates"]["orders"]["instances"]
            .as_array()
            .cloned();
        instances.unwrap_or_default().len()
    };
    assert_eq!(listed().await, 1);
    gateway.reload(&variables.clone().set("POLL_INTERVAL", 2));
    assert_eq!(listed().await, 1);
    let more = [instances[0], ("two", "http://127.0.0.1:10", 1)];
    files.write("registry.json", registry(&more, &json!({})));
    until("it is read again", async || listed().await == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_broken_now_is_no_reason_to_refuse_a_reload() {
    let files = Files::new();
    let broken = files.write("registry.yaml", "servers: []");
    let configured = |port: u16| {
        let own = format!(
            "services: {{own: {{auth: {{type: none}}, instances: [{{url: 'http://127.0.0.1:{port}'}}]}}}}"
        );
        let native = files.write("bartizan.yaml", own);
        let source = Source::from_iter([("REGISTRY_PATH", broken.to_str().unwrap())]);
        let source = source.with_config_file(native);
        Configuration::parse(&source).unwrap()
    };
    let gateway = Gateway::new(&configured(9)).unwrap();
    files.write("registry.yaml", "servers: [");
    gateway.reload(&configured(10)).unwrap();
    assert_eq!(gateway.services(), ["own"]);
}
