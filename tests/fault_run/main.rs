//! Three instances of one service under load: one is killed, one becomes a hundred times slower,
//! one answers with 500s, and then all are back. Nobody loses a call but those whose call was
//! under way on the socket that died, and those to whom an instance answered that it failed.
//!
//! What happened when is written down for `plot.py`, which makes the figure in `docs/faults.md`.

mod instance;
mod record;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bartizan_tests::{Files, Running, Variables, paced};
use futures_util::future::{join, join_all};
use http::StatusCode;

use self::{
    instance::{Instance, State},
    record::{Outcome, Record},
};

/// From one call to the next.
const PACE: Duration = Duration::from_millis(10);
/// Calls at once when an instance is killed.
const BURST: usize = 18;
const BURST_IDS: usize = 1_000_000;
/// From one probe to the next.
const PROBES: Duration = Duration::from_millis(800);
/// When what happens.
const KILLED: Duration = Duration::from_millis(800);
const SLOWED: Duration = Duration::from_millis(1_600);
const FAILING: Duration = Duration::from_millis(2_400);
const BACK: Duration = Duration::from_millis(4_000);
const END: Duration = Duration::from_millis(6_400);

/// Far more than any call may take; a call without an answer by then has none.
const PATIENCE: Duration = Duration::from_secs(20);

fn variables(files: &Files, instances: &[Instance; 3], strategy: &str) -> Variables {
    let listed = instances.each_ref().map(|it| {
        format!(
            r#"{{"id":"{}","endpoint":"{}","transport":"http"}}"#,
            it.name(),
            it.url()
        )
    });
    let listed = listed.join(",");
    let registry = files.write(
        "registry.json",
        format!(
            r#"{{"templates":{{"orders":{{"instances":[{listed}],"load_balancer":{{"strategy":"{strategy}"}}}}}}}}"#
        ),
    );
    Variables::default()
        .set("MCP_GATEWAY_REGISTRY_FILE", registry.display())
        .set("MCP_RETRY_INITIAL_DELAY", 10)
        .set("MCP_SERVICE_ORDERS_TRANSPORT", "rest")
        .set("MCP_SERVICE_ORDERS_IDEMPOTENT_OPERATIONS", "get*")
        .set("MCP_SERVICE_ORDERS_HEALTH_PATH", "/health")
        .set("MCP_SERVICE_ORDERS_HEALTH_INTERVAL", PROBES.as_millis())
        .set("MCP_SERVICE_ORDERS_HEALTH_TIMEOUT", 400)
}

/// Every second call may be repeated, and the configuration says so.
fn operation(id: usize) -> &'static str {
    ["getOrder", "createOrder"][id % 2]
}

fn is_idempotent(id: usize) -> bool {
    operation(id).starts_with("get")
}

async fn call(gateway: &Running, id: usize) -> Outcome {
    let answer = gateway.call_of("orders", operation(id), id);
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let answer = answer.unwrap_or_else(|_| panic!("{id} was not answered"));
    let json = answer.json();
    if answer.status != StatusCode::OK {
        return Outcome::Refused(json.to_string());
    }
    assert_eq!(json["requestId"], id, "an answer to somebody else");
    if json["success"] == true {
        assert_eq!(json["data"]["id"], id, "data of somebody else");
        return Outcome::Success;
    }
    match json["error"]["details"]["status"].as_u64() {
        Some(status) => Outcome::Answered(status),
        None => Outcome::Lost(json["error"]["message"].to_string()),
    }
}

/// Runs the whole of it, and checks what holds for every strategy.
async fn run(strategy: &str) -> Record {
    let record = Record::begin();
    let mut instances = [
        Instance::start(1, &record).await,
        Instance::start(2, &record).await,
        Instance::start(3, &record).await,
    ];
    let files = Files::new();
    let gateway = variables(&files, &instances, strategy).start().await;
    // They are known to be well before anything happens to them.
    let healthy = async {
        let name = "bartizan_health_transitions_total";
        while gateway.metric(name, "orders", ",to=\"healthy\"").await < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, healthy)
        .await
        .expect("healthy instances");

    record.start_over();
    let stop = AtomicBool::new(false);
    let timed = async |id| {
        let begun = record.now();
        let outcome = call(&gateway, id).await;
        record.answered(id, begun, outcome);
    };
    let script = async {
        let [a, b, c] = &mut instances;
        record.until(KILLED).await;
        // Some come at once, so that it dies in the middle of calls.
        let burst = join_all((BURST_IDS..BURST_IDS + BURST).map(timed));
        let begun = record.now();
        let kill = async {
            while record.arrivals("a", begun) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            a.kill().await
        };
        let (_, death) = join(burst, kill).await;
        record.until(SLOWED).await;
        b.become_(State::Slow);
        record.until(FAILING).await;
        c.become_(State::Failing);
        record.until(BACK).await;
        b.become_(State::Well);
        c.become_(State::Well);
        a.rise().await;
        record.until(END).await;
        stop.store(true, Ordering::Relaxed);
        death
    };
    let load = paced(PACE, &stop, timed);
    let (death, calls) = join(script, load).await;
    record.save(strategy);

    // Slow machines make fewer calls, and never so few that nothing was tried.
    assert!(calls.len() > 200, "{}", calls.len());
    let answers = record.answers();
    for (answer, outcome) in &answers {
        let id = answer.id;
        let at = answer.begun;
        match outcome {
            Outcome::Success => {}
            // Its breaker is the service's, which always had somebody to turn to.
            Outcome::Refused(why) => panic!("{id} was refused at {at:?}: {why}"),
            other => assert!(
                !is_idempotent(id),
                "{id}, which may be repeated, at {at:?}: {other:?}"
            ),
        }
    }
    // Lost is what was under way when the sockets closed, and nothing that began after that.
    for (answer, outcome) in &answers {
        if let Outcome::Lost(why) = outcome {
            let spans = answer.begun <= *death.end() && answer.ended >= *death.start();
            assert!(spans, "{answer:?} was lost, the death was {death:?}: {why}");
        }
    }
    // What an instance answers is no loss, but it is asked no more than it takes to see that it
    // fails: five failures in a row, and what was under way by then.
    let failed = answers
        .iter()
        .filter(|(_, it)| matches!(it, Outcome::Answered(_)));
    let failed = failed.count();
    assert!(failed <= 12, "{failed} answered with 500");
    for (answer, outcome) in &answers {
        if answer.begun > BACK {
            assert_eq!(*outcome, Outcome::Success, "{answer:?}");
        }
    }
    // Everybody is back within two probes.
    for instance in ["a", "b", "c"] {
        let back = record.first_arrival(instance, BACK);
        let back = back.unwrap_or_else(|| panic!("no call of {strategy} came to {instance}"));
        assert!(back - BACK <= 2 * PROBES, "{instance}: {:?}", back - BACK);
    }
    record
}

async fn round_robin() {
    let record = run("round_robin").await;
    for instance in ["a", "b", "c"] {
        let share = record.share(instance, BACK + 2 * PROBES, END);
        assert!((0.25..=0.42).contains(&share), "{instance}: {share}");
    }
}

async fn least_connections() {
    let record = run("least_connections").await;
    let share = record.share("b", SLOWED, FAILING);
    assert!(share < 0.15, "the slow one gets few calls: {share}");
}

async fn health_based() {
    run("health_based").await;
}

async fn p2c_ewma() {
    let record = run("p2c_ewma").await;
    let share = record.share("b", SLOWED, FAILING);
    // It takes until the first slow answer to learn of it.
    assert!(share < 0.3, "the slow one gets few calls: {share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_one_slow_and_one_failing_cost_nobody_a_call() {
    tokio::join!(
        round_robin(),
        least_connections(),
        health_based(),
        p2c_ewma()
    );
}
