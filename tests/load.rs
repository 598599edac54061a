//! Load over real sockets while backends die, come back, and misbehave: everybody is answered,
//! and nothing that must happen once happens twice.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bartizan_testkit::{Recorded, Reply, Upstream};
use bartizan_tests::{Answer, Running, Variables};
use futures_util::future::{join, join_all};
use http::StatusCode;

/// Far more than any call may take; a call without an answer by then has none.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often each request arrived at any backend, by the id in its parameters. The backends of
/// all lives share it, so that nothing is forgotten when one is killed.
#[derive(Clone)]
struct Arrivals(Arc<[AtomicUsize]>);

impl Arrivals {
    fn of(requests: usize) -> Self {
        Self((0..requests).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Counts a request; its id, and how many times it has been here by now.
    fn count(&self, request: &Recorded) -> (usize, usize) {
        let id = request.json()["id"].as_u64().expect("an id") as usize;
        (id, self.0[id].fetch_add(1, SeqCst) + 1)
    }

    fn at(&self, id: usize) -> usize {
        self.0[id].load(SeqCst)
    }

    /// Arrivals beyond the first of each request.
    fn repetitions(&self) -> usize {
        let all = (0..self.0.len()).map(|id| self.at(id));
        all.map(|arrivals| arrivals.saturating_sub(1)).sum()
    }
}

/// Half of the operations may be repeated, and the configuration says so.
fn is_idempotent(id: usize) -> bool {
    id.is_multiple_of(2)
}

fn operation(id: usize) -> &'static str {
    ["getUser", "createOrder", "listOrders", "deleteUser"][id % 4]
}

fn variables(endpoints: &str) -> Variables {
    Variables::user_service(endpoints)
        .user("IDEMPOTENT_OPERATIONS", "get*, list*")
        .user("RATE_LIMIT_RPM", 60_000_000)
        .user("RATE_LIMIT_BURST", 1_000_000)
        .user("TIMEOUT", 5_000)
        // More than the budget of production, so that it is not what hides a wrong repetition.
        .set("MCP_RETRY_BUDGET_MIN_PER_SECOND", 10_000)
}

/// What became of a request, after everything about its answer was found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Success,
    /// The backend, or the way to it, failed.
    Failure,
    /// The gateway asked nobody.
    Refused,
}

fn judge(id: usize, answer: &Answer) -> Outcome {
    let json = answer.json();
    if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
        assert_eq!(json["success"], false, "{json}");
        assert_eq!(
            json["error"]["message"],
            "Circuit breaker open for service user-service"
        );
        assert!(answer.header("retry-after").is_some(), "{json}");
        return Outcome::Refused;
    }
    assert_eq!(answer.status, StatusCode::OK, "{json}");
    assert_eq!(json["requestId"], id, "an answer to somebody else");
    assert!(json["metadata"]["retryCount"].is_u64(), "{json}");
    if json["success"] == true {
        assert_eq!(json["data"]["id"], id, "data of somebody else");
        return Outcome::Success;
    }
    assert_eq!(json["success"], false, "{json}");
    assert_eq!(json["error"]["code"], "MCP_ERROR");
    assert_ne!(json["error"]["message"].as_str(), None, "{json}");
    assert_eq!(json.get("data"), None);
    Outcome::Failure
}

/// Sends a request for every id of `0..requests` and judges its answer.
struct Load<'a> {
    gateway: &'a Running,
    requests: usize,
    next: AtomicUsize,
    answered: AtomicUsize,
}

impl<'a> Load<'a> {
    fn new(gateway: &'a Running, requests: usize) -> Self {
        Self {
            gateway,
            requests,
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
        }
    }

    /// All outcomes, by id.
    async fn run(&self, callers: usize) -> Vec<Outcome> {
        let mut outcomes = join_all((0..callers).map(|_| self.caller())).await.concat();
        outcomes.sort_unstable_by_key(|(id, _)| *id);
        let ids: Vec<_> = outcomes.iter().map(|(id, _)| *id).collect();
        assert!(ids.into_iter().eq(0..self.requests), "each id once");
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn caller(&self) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::new();
        loop {
            let id = self.next.fetch_add(1, SeqCst);
            if id >= self.requests {
                return outcomes;
            }
            let outcome = self.call(id).await;
            outcomes.push((id, outcome));
            self.answered.fetch_add(1, SeqCst);
            if outcome == Outcome::Refused {
                // It was told to come back later. Without a pause the refused calls, which cost
                // next to nothing, would be most of the load.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn call(&self, id: usize) -> Outcome {
        let operation = operation(id);
        let body = format!(
            r#"{{"id":{id},"service":"user-service","operation":"{operation}","parameters":{{"id":{id}}}}}"#
        );
        let answer = tokio::time::timeout(PATIENCE, self.gateway.post(body)).await;
        judge(
            id,
            &answer.unwrap_or_else(|_| panic!("{id} was not answered")),
        )
    }

    /// Waits until so many requests were answered.
    async fn until(&self, answered: usize) {
        while self.answered.load(SeqCst) < answered {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What holds after any load: a success was somewhere, and what may not be repeated was not.
fn check_arrivals(outcomes: &[Outcome], arrivals: &Arrivals) {
    for (id, outcome) in outcomes.iter().enumerate() {
        let count = arrivals.at(id);
        let operation = operation(id);
        if *outcome == Outcome::Success {
            assert_ne!(count, 0, "{operation} {id} was answered by nobody");
        }
        let most = if is_idempotent(id) { 4 } else { 1 };
        assert!(count <= most, "{operation} {id} arrived {count} times");
    }
}

/// A page of `/metrics`.
struct Metrics(String);

impl Metrics {
    async fn of(gateway: &Running) -> Self {
        let page = gateway.get("/metrics").await;
        Self(String::from_utf8(page.body.to_vec()).expect("text"))
    }

    /// The value of the metric, which may have labels after that of the service.
    fn value(&self, name: &str, labels: &str) -> u64 {
        let metric = format!("{name}{{service=\"user-service\"{labels}}} ");
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(&metric)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {metric} in\n{}", self.0))
    }

    fn transitions(&self, to: &str) -> u64 {
        let labels = format!(",to=\"{to}\"");
        self.value("bartizan_circuit_breaker_transitions_total", &labels)
    }
}

/// An instance of the service that can be killed and comes back at the same address.
struct Instance {
    address: SocketAddr,
    arrivals: Arrivals,
    alive: Option<Upstream>,
}

impl Instance {
    async fn start(number: u8, arrivals: &Arrivals) -> Self {
        // On an address of its own where the system has more than one loopback address: nobody
        // connects from there, so nobody takes the port while it is free.
        let host = if cfg!(target_os = "linux") {
            Ipv4Addr::new(127, 0, 1, number)
        } else {
            Ipv4Addr::LOCALHOST
        };
        let mut instance = Self {
            address: SocketAddr::from((host, 0)),
            arrivals: arrivals.clone(),
            alive: None,
        };
        instance.rise().await;
        instance
    }

    async fn rise(&mut self) {
        let arrivals = self.arrivals.clone();
        let answer = move |request: &Recorded| {
            if request.uri.path() == "/api/definition" {
                return Reply::status(404);
            }
            let (id, _) = arrivals.count(request);
            // Long enough that a kill finds calls under way.
            Reply::json(format!(r#"{{"id":{id}}}"#)).after(Duration::from_millis(5))
        };
        let upstream = Upstream::start_at(self.address, answer).await;
        self.address = upstream.address();
        self.alive = Some(upstream);
    }

    async fn die(&mut self) {
        let upstream = self.alive.take().expect("an instance that is alive");
        upstream.kill().await;
    }
}

fn all_in(outcomes: &[Outcome], ids: Range<usize>, expected: Outcome) {
    for id in ids {
        assert_eq!(outcomes[id], expected, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_requests_survive_the_death_of_every_backend() {
    const REQUESTS: usize = 5_000;
    const CALLERS: usize = 32;

    let arrivals = Arrivals::of(REQUESTS);
    let mut instances = [
        Instance::start(1, &arrivals).await,
        Instance::start(2, &arrivals).await,
        Instance::start(3, &arrivals).await,
    ];
    let endpoints = instances
        .each_ref()
        .map(|instance| format!("http://{}", instance.address));
    let gateway = variables(&endpoints.join(","))
        // One instance is not the service: what it has under way when it dies is no reason to
        // think that the others are gone as well.
        .user("CB_FAILURE_THRESHOLD", 5)
        .user("CB_RECOVERY_TIMEOUT", 200)
        .start()
        .await;

    let load = Load::new(&gateway, REQUESTS);
    let deaths = async {
        load.until(700).await;
        instances[0].die().await;
        load.until(1_400).await;
        instances[1].die().await;
        load.until(2_000).await;
        instances[2].die().await;
        load.until(2_300).await;
        for instance in &mut instances {
            instance.rise().await;
        }
        // And once more one of them, without a pause in between.
        load.until(3_500).await;
        instances[2].die().await;
        instances[2].rise().await;
    };
    let (outcomes, ()) = join(load.run(CALLERS), deaths).await;

    check_arrivals(&outcomes, &arrivals);
    all_in(&outcomes, 0..500, Outcome::Success);
    all_in(&outcomes, REQUESTS - 500..REQUESTS, Outcome::Success);
    let ended = |as_: Outcome| outcomes.iter().filter(|it| **it == as_).count();
    // Nobody listens: calls fail, and the breaker spares them the attempt.
    assert_ne!(ended(Outcome::Failure), 0);
    assert_ne!(ended(Outcome::Refused), 0);
    assert!(ended(Outcome::Success) > REQUESTS / 2);

    let metrics = Metrics::of(&gateway).await;
    let calls = |outcome: &str| {
        let labels = format!(",outcome=\"{outcome}\"");
        metrics.value("bartizan_service_calls_total", &labels) as usize
    };
    assert_eq!(calls("success"), ended(Outcome::Success));
    assert_eq!(calls("circuit_open"), ended(Outcome::Refused));
    assert_eq!(metrics.value("bartizan_service_in_flight", ""), 0);
    let retries = metrics.value("bartizan_retries_total", "") as usize;
    assert_ne!(retries, 0);
    assert!(arrivals.repetitions() <= retries);
    assert_ne!(metrics.transitions("open"), 0);
    assert_ne!(metrics.transitions("closed"), 0);
    assert_eq!(metrics.value("bartizan_circuit_breaker_state", ""), 0);
    assert_ne!(metrics.value("bartizan_ejections_total", ""), 0);
    assert_eq!(metrics.value("bartizan_instances", ""), 3);
}

/// A backend that answers, breaks off, and hangs, by turns that depend on the request alone.
fn fickle(arrivals: &Arrivals, request: &Recorded) -> Reply {
    if request.uri.path() == "/api/definition" {
        return Reply::status(404);
    }
    let (id, times) = arrivals.count(request);
    let brief = Duration::from_millis(5);
    match (id / 4 + times) % 8 {
        0 => Reply::close(),
        1 => Reply::close().after(brief),
        2 => Reply::truncated(),
        3 => Reply::truncated().after(brief),
        4 if id.is_multiple_of(50) => Reply::hang(),
        _ => Reply::json(format!(r#"{{"id":{id}}}"#)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_cut_short_are_told_apart_from_answers() {
    const REQUESTS: usize = 1_000;

    let arrivals = Arrivals::of(REQUESTS);
    let counted = arrivals.clone();
    let backend = Upstream::start_with(move |request| fickle(&counted, request)).await;
    let gateway = variables(&backend.url())
        .user("CB_FAILURE_THRESHOLD", 1_000_000)
        .user("ATTEMPT_TIMEOUT", 500)
        .start()
        .await;
    let outcomes = Load::new(&gateway, REQUESTS).run(16).await;

    check_arrivals(&outcomes, &arrivals);
    for (id, outcome) in outcomes.iter().enumerate() {
        // Every request arrives; the turns of the backend say what comes of it.
        let turns = |times: usize| (id / 4 + times) % 8;
        let hangs = |turn| turn == 4 && id.is_multiple_of(50);
        let answered = |times| turns(times) >= 4 && !hangs(turns(times));
        let attempts = if is_idempotent(id) { 4 } else { 1 };
        let expected = match (1..=attempts).find(|times| answered(*times)) {
            Some(times) => (Outcome::Success, times),
            None => (Outcome::Failure, attempts),
        };
        assert_eq!((*outcome, arrivals.at(id)), expected, "{id}");
    }
    let metrics = Metrics::of(&gateway).await;
    let retries = metrics.value("bartizan_retries_total", "") as usize;
    assert_eq!(retries, arrivals.repetitions());
    assert_eq!(metrics.value("bartizan_service_in_flight", ""), 0);
    assert_eq!(metrics.transitions("open"), 0);
}
