//! Changes of the configuration under load: nobody notices, and what did not change goes on with
//! all that was known of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use bartizan_gateway::Gateway;
use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Files, Running, Variables, paced, until};
use futures_util::future::join;
use parking_lot::Mutex;
use tokio::sync::oneshot;

const RELOADS: usize = 100;
/// Calls that are answered between one reload and the next.
const CALLS: usize = 10;
/// Those that are under load.
const SERVICES: [&str; 6] = [
    "steady",
    "moving",
    "tuned",
    "sick",
    "templates",
    "namespace",
];

/// A backend that answers with the id that it was sent.
async fn backend() -> Upstream {
    let backend = Upstream::start_with(echo).await;
    backend.aside("/api/definition", Reply::status(404));
    backend.aside("/health", Reply::status(200));
    backend
}

fn echo(request: &Recorded) -> Reply {
    Reply::json(format!(r#"{{"id":{}}}"#, request.json()["id"]))
}

/// A backend that is not well, whoever asks.
async fn broken() -> Upstream {
    let backend = Upstream::start_with(|_| Reply::status(500)).await;
    backend.aside("/api/definition", Reply::status(404));
    backend.aside("/health", Reply::status(503));
    backend
}

/// A service without a limit that a test could meet.
fn service(variables: Variables, name: &str, endpoints: &[&Upstream]) -> Variables {
    let urls: Vec<_> = endpoints.iter().map(|it| it.url()).collect();
    let name = name.to_uppercase();
    let set = |variables: Variables, setting: &str, value: &str| {
        variables.set(&format!("MCP_SERVICE_{name}_{setting}"), value)
    };
    [
        ("ENDPOINT", &*urls.join(",")),
        ("AUTH_TYPE", "none"),
        ("RATE_LIMIT_RPM", "60000000"),
        ("RATE_LIMIT_BURST", "1000000"),
    ]
    .into_iter()
    .fold(variables, |variables, (setting, value)| {
        set(variables, setting, value)
    })
}

/// Everything that the gateway stands before.
struct World {
    files: Files,
    /// Under load.
    well: Upstream,
    /// Joins and leaves a service.
    guest: Upstream,
    /// Called by one caller at a time.
    quiet: Upstream,
    broken: Upstream,
}

impl World {
    async fn new() -> Self {
        let world = Self {
            files: Files::new(),
            well: backend().await,
            guest: backend().await,
            quiet: backend().await,
            broken: broken().await,
        };
        let port = world.well.address().port();
        world.files.write(
            "registry.yaml",
            format!("version: '1.0'\nservers:\n- {{namespace: namespace, name: 127.0.0.1, port: {port}}}\n"),
        );
        world.list_instances(1);
        world
    }

    /// Has `registry.json` list so many instances of the template.
    fn list_instances(&self, count: usize) {
        let all = [("one", &self.well), ("two", &self.guest)];
        let instances = all[..count].iter().map(|(id, backend)| {
            format!(
                r#"{{"id":"{id}","endpoint":"{}","transport":"http"}}"#,
                backend.url()
            )
        });
        let instances = instances.collect::<Vec<_>>().join(",");
        self.files.write(
            "registry.json",
            format!(r#"{{"templates":{{"templates":{{"instances":[{instances}]}}}}}}"#),
        );
    }

    /// The configuration as it is after so many changes.
    fn variables(&self, changes: usize) -> Variables {
        let mut names = "steady,moving,tuned,sick,quiet,limited,broken".to_owned();
        if self.has_newcomer(changes) {
            names += ",newcomer";
        }
        let path = |name: &str| self.files.path(name).display().to_string();
        let mut variables = Variables::default()
            .set("MCP_SERVICES", names)
            .set("REGISTRY_PATH", path("registry.yaml"))
            .set("MCP_GATEWAY_REGISTRY_FILE", path("registry.json"))
            .set("MCP_SERVICE_TEMPLATES_TRANSPORT", "rest");
        let mut moving = vec![&self.well];
        if (changes + 2) / 4 % 2 == 1 {
            moving.push(&self.guest);
        }
        for (name, endpoints) in [
            ("steady", &[&self.well][..]),
            ("moving", &moving),
            ("tuned", &[&self.well]),
            ("sick", &[&self.well, &self.broken]),
            ("quiet", &[&self.quiet]),
            ("limited", &[&self.well]),
            ("broken", &[&self.broken]),
        ] {
            variables = service(variables, name, endpoints);
        }
        if self.has_newcomer(changes) {
            variables = service(variables, "newcomer", &[&self.guest]);
        }
        variables
            // Another with every second change.
            .set(
                "MCP_SERVICE_TUNED_RATE_LIMIT_RPM",
                50_000_000 + changes.div_ceil(2),
            )
            .set("MCP_SERVICE_SICK_HEALTH_PATH", "/health")
            .set("MCP_SERVICE_SICK_HEALTH_INTERVAL", 500)
            .set("MCP_SERVICE_LIMITED_RATE_LIMIT_RPM", 1)
            .set("MCP_SERVICE_LIMITED_RATE_LIMIT_BURST", 5)
            .set("MCP_SERVICE_LIMITED_RATE_LIMIT_MAX_WAIT", 1)
            .set("MCP_SERVICE_BROKEN_CB_FAILURE_THRESHOLD", 1)
            .set("MCP_SERVICE_BROKEN_CB_RECOVERY_TIMEOUT", 3_600_000)
    }

    fn has_newcomer(&self, changes: usize) -> bool {
        changes / 4 % 2 == 1
    }
}

/// What must outlive every reload.
async fn check_state(gateway: &Running, world: &World) {
    let breaker = "bartizan_circuit_breaker_state";
    assert_eq!(gateway.metric(breaker, "broken", "").await, 2, "still open");
    assert_eq!(gateway.metric(breaker, "steady", "").await, 0);
    // A minute brings one token; this takes seconds.
    let tokens = gateway.metric("bartizan_rate_limit_tokens", "limited", "");
    assert_eq!(tokens.await, 2, "three of five are spent");
    let usable = "bartizan_instances_usable";
    assert_eq!(gateway.metric(usable, "sick", "").await, 1, "one is out");
    assert_eq!(world.broken.hits(), 1, "the call that opened the circuit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_cost_nobody_anything() {
    let world = World::new().await;
    let gateway = world.variables(0).start().await;

    let refused = gateway.call_of("broken", "createOrder", 0).await;
    assert_eq!(refused.json()["success"], false);
    for id in 0..3 {
        let answer = gateway.call_of("limited", "createOrder", id).await;
        assert_eq!(answer.json()["success"], true);
    }
    gateway
        .until_metric("bartizan_instances_usable", "sick", 1)
        .await;
    check_state(&gateway, &world).await;

    let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let load = paced(Duration::from_millis(1), &stop, async |id| {
        let service = SERVICES[id % SERVICES.len()];
        let json = gateway.call_of(service, "createOrder", id).await.json();
        // Nothing that may be repeated, so that no failure hides behind a second attempt.
        assert_eq!(json["success"], true, "{service}: {json}");
        assert_eq!(json["data"]["id"], id, "{service}: {json}");
        assert_eq!(json["metadata"]["retryCount"], 0, "{service}: {json}");
        answered.fetch_add(1, Ordering::Relaxed);
    });
    let reloads = async {
        for reload in 1..=RELOADS {
            // Every other one changes something.
            let changes = reload / 2;
            let reloaded = gateway.reload(&world.variables(changes));
            let changed = match changes {
                _ if reload % 2 == 1 => &[][..],
                odd if odd % 2 == 1 => &["tuned".to_owned()],
                _ => &[],
            };
            assert_eq!(reloaded.changed, changed, "{reload}");
            let comes_or_goes = reload % 2 == 0 && changes % 4 == 0;
            let (came, went) = (reloaded.added.len(), reloaded.removed.len());
            assert_eq!(came + went, usize::from(comes_or_goes), "{reload}");
            assert_eq!(reloaded.needs_restart, [""; 0]);

            let newcomer = gateway.call_of("newcomer", "createOrder", reload).await;
            let is_there = newcomer.json()["success"] == true;
            assert_eq!(is_there, world.has_newcomer(changes), "{reload}");
            let quiet = gateway.call_of("quiet", "createOrder", reload).await;
            assert_eq!(quiet.json()["success"], true);
            if reload % 10 == 0 {
                world.list_instances(1 + reload / 10 % 2);
                check_state(&gateway, &world).await;
            }
            let target = answered.load(Ordering::Relaxed) + CALLS;
            while answered.load(Ordering::Relaxed) < target {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    // In this order: whoever is polled first is never kept waiting by the other.
    let ((), calls) = join(reloads, load).await;
    assert!(calls.len() >= RELOADS * CALLS, "{}", calls.len());

    check_state(&gateway, &world).await;
    assert_ne!(world.guest.hits(), 0, "endpoints and services came");
    // One connection for its calls, and one for the look at its definition beside the first.
    assert!(world.quiet.connections() <= 2, "{:?}", world.quiet);
    // What was spent stays spent.
    for id in 0..2 {
        let answer = gateway.call_of("limited", "createOrder", id).await;
        assert_eq!(answer.json()["success"], true);
    }
    let refused = gateway.call_of("limited", "createOrder", 2).await;
    assert_eq!(refused.message(), "Rate limit queue timeout");
}

/// Services that are there and nothing more.
fn named(names: &[&str]) -> Variables {
    let all = Variables::default().set("MCP_SERVICES", names.join(","));
    names.iter().fold(all, |all, name| {
        let name = name.to_uppercase();
        all.set(
            &format!("MCP_SERVICE_{name}_ENDPOINT"),
            "http://127.0.0.1:9",
        )
        .set(&format!("MCP_SERVICE_{name}_AUTH_TYPE"), "none")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_first_is_not_applied_last() {
    let file = Arc::new(Mutex::new(named(&["one"])));
    let (go_on, wait) = mpsc::channel::<()>();
    let (began, has_begun) = oneshot::channel::<()>();
    let first = Mutex::new(Some((began, wait)));
    let from = Arc::clone(&file);
    let gateway = Gateway::new(&named(&["one"]).configuration()).unwrap();
    let gateway = gateway.configured_by(move || {
        let read = from.lock().clone();
        if let Some((began, wait)) = first.lock().take() {
            // One file is read, others are still to come.
            began.send(()).unwrap();
            wait.recv().unwrap();
        }
        read.parse()
    });
    let reload = |gateway: Gateway| tokio::spawn(async move { gateway.reload_from_source().await });
    let slow = reload(gateway.clone());
    has_begun.await.unwrap();
    *file.lock() = named(&["one", "two"]);
    let quick = reload(gateway.clone());
    tokio::time::sleep(Duration::from_millis(200)).await;
    go_on.send(()).unwrap();
    slow.await.unwrap().unwrap();
    quick.await.unwrap().unwrap();
    assert_eq!(gateway.services(), ["one", "two"]);
}

#[tokio::test]
async fn what_needs_a_restart_is_what_differs_from_the_start() {
    let at = |port: u16| {
        named(&["one"])
            .set("MCP_GATEWAY_PORT", port)
            .configuration()
    };
    let gateway = Gateway::new(&at(9_001)).unwrap();
    let needed = |port| gateway.reload(&at(port)).unwrap().needs_restart;
    assert_eq!(needed(9_002), ["address"]);
    assert_eq!(needed(9_002), ["address"]);
    assert!(needed(9_001).is_empty());
}

#[tokio::test]
async fn what_concerns_programs_or_waits_for_a_restart_leaves_other_services_alone() {
    let variables = named(&["rest"])
        .set("MCP_SERVICES", "rest,program")
        .set("MCP_SERVICE_PROGRAM_TRANSPORT", "stdio")
        .set("MCP_SERVICE_PROGRAM_COMMAND", "true")
        .set("MCP_SERVICE_PROGRAM_HEALTH_CHECK", "false");
    let gateway = Gateway::new(&variables.configuration()).unwrap();
    let variables = variables.set("MCP_MAX_SESSIONS", 7);
    let reloaded = gateway.reload(&variables.configuration()).unwrap();
    assert_eq!(reloaded.needs_restart, ["limits of sessions"]);
    assert!(reloaded.changed.is_empty(), "{reloaded:?}");
    let variables = variables.set("MCP_MAX_CHILDREN", 7);
    let reloaded = gateway.reload(&variables.configuration()).unwrap();
    assert_eq!(reloaded.changed, ["program"]);
    assert_eq!(reloaded.unchanged, ["rest"]);
    let variables = variables.set("MCP_GATEWAY_CONNECT_TIMEOUT", 777);
    let reloaded = gateway.reload(&variables.configuration()).unwrap();
    assert_eq!(reloaded.changed.len(), 2);
}

#[tokio::test]
async fn authorities_are_read_again() {
    let authority = || {
        let names = ["localhost".to_owned()];
        rcgen::generate_simple_self_signed(names)
            .unwrap()
            .cert
            .pem()
    };
    let files = Files::new();
    let first = authority();
    let path = files.write("ca.pem", &first);
    let variables = named(&["one"]).set("MCP_GATEWAY_UPSTREAM_CA_FILE", path.display());
    let gateway = Gateway::new(&variables.configuration()).unwrap();
    let reload = || gateway.reload(&variables.configuration());
    assert_eq!(reload().unwrap().unchanged, ["one"]);
    files.write("ca.pem", authority());
    assert_eq!(reload().unwrap().changed, ["one"]);
    assert_eq!(reload().unwrap().unchanged, ["one"]);
    // A file that is none changes nothing, and is looked at again.
    files.write("ca.pem", "-----BEGIN CERTIFICATE-----\nno\n");
    reload().unwrap_err();
    files.write("ca.pem", first);
    assert_eq!(reload().unwrap().changed, ["one"]);
}

#[tokio::test]
async fn the_metrics_do_not_tell_how_a_service_is_that_is_gone() {
    let gateway = named(&["one", "two"]).start().await;
    let instances = |service| gateway.metric("bartizan_instances", service, "");
    assert_eq!((instances("one").await, instances("two").await), (1, 1));
    gateway.reload(&named(&["one"]));
    assert_eq!((instances("one").await, instances("two").await), (1, 0));
    gateway.reload(&named(&["one", "two"]));
    assert_eq!(instances("two").await, 1);
}

/// A page without them ends what alerts look at; one that kept them would for ever be longer.
#[tokio::test]
async fn the_series_of_a_service_end_with_what_it_had_under_way() {
    let (stays, goes) = (
        backend().await,
        Upstream::start_with(|_| Reply::hang()).await,
    );
    let all = |names: &str| {
        let variables = Variables::default()
            .set("MCP_SERVICES", names)
            .set("MCP_GATEWAY_DRAIN_TIMEOUT", 0);
        service(service(variables, "stays", &[&stays]), "goes", &[&goes])
    };
    let gateway = all("stays,goes").start().await;
    let success = ",outcome=\"success\"";
    let calls = || gateway.metric("bartizan_service_calls_total", "stays", success);
    let tells = async || {
        let page = gateway.get("/metrics").await;
        String::from_utf8_lossy(&page.body).contains("service=\"goes\"")
    };
    assert_eq!(gateway.call_of("stays", "a", 1).await.status, 200);
    let under_way = async {
        gateway
            .until_metric("bartizan_service_in_flight", "goes", 1)
            .await;
        assert_eq!(gateway.reload(&all("stays")).removed, ["goes"]);
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway
            .metric("bartizan_service_in_flight", "goes", "")
            .await
    };
    tokio::select! {
        answer = gateway.call_of("goes", "a", 1) => panic!("{answer:?}"),
        number = under_way => assert_eq!(number, 1),
    }
    until("no series of the service", async || !tells().await).await;
    assert_eq!(calls().await, 1);
    // What comes back begins anew, and what stays goes on.
    gateway.reload(&all("stays,goes"));
    assert_eq!(
        gateway.metric("bartizan_retries_total", "goes", "").await,
        0
    );
    assert_eq!(gateway.call_of("stays", "a", 2).await.status, 200);
    assert_eq!(calls().await, 2);
}
