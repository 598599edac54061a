#![allow(clippy::print_stdout, reason = "what was measured is worth reading")]

use std::{fmt::Write as _, path::Path, time::Duration};

use bartizan_config::Source;
use bartizan_discovery::Registry;
use rustix::time::{ClockId, clock_gettime};

use super::*;

/// What a poll may cost that finds a registry changed, the reading of it included. An unoptimized
/// build is a dozen times slower, and a busy machine half as fast.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2_000 } else { 100 });

/// The gateway's, so that what is measured is what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Yaml,
    Json,
}

/// The time that this thread has had a processor for, which others do not add to.
fn cpu() -> Duration {
    let clock = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(clock.tv_sec as u64, clock.tv_nsec as u32)
}

/// So many services of so many instances each; `turn` changes one instance of each.
fn registry(format: Format, services: usize, instances: usize, turn: usize) -> String {
    let mut text = String::new();
    if format == Format::Yaml {
        text.push_str("servers:\n");
    } else {
        text.push_str("{\"templates\": {");
    }
    for service in 0..services {
        if format == Format::Json {
            let comma = if service == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\n\"service-{service}\": {{\"instances\": [");
        }
        for n in 0..instances {
            let id = if n == 0 { turn * instances } else { n };
            let port = 1 + n;
            let _ = if format == Format::Yaml {
                write!(
                    text,
                    "- namespace: service-{service}\n  name: 127.0.0.1\n  port: {port}\n  \
                     id: i-{id}\n  weight: 2\n"
                )
            } else {
                let comma = if n == 0 { "" } else { "," };
                write!(
                    text,
                    "{comma}\n{{\"id\": \"i-{id}\", \"endpoint\": \"http://127.0.0.1:{port}\", \
                     \"transport\": \"http\", \"metadata\": {{\"weight\": 2}}}}"
                )
            };
        }
        if format == Format::Json {
            text.push_str("]}");
        }
    }
    if format == Format::Json {
        text.push_str("}}\n");
    }
    text
}

/// What reading a registry costs, which the gateway does on another thread.
fn reading(format: Format, text: &str) -> Duration {
    let start = cpu();
    let read = match format {
        Format::Yaml => Registry::from_yaml(text),
        Format::Json => Registry::from_json(text),
    };
    let cost = cpu() - start;
    drop(read.unwrap());
    cost
}

fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn start(format: Format, path: &Path) -> Arc<Works> {
    let variable = match format {
        Format::Yaml => "REGISTRY_PATH",
        Format::Json => "MCP_GATEWAY_REGISTRY_FILE",
    };
    let source = Source::from_iter([
        (variable, path.to_str().unwrap()),
        // Nobody is probed while it is measured.
        ("MCP_GATEWAY_HEALTH_INTERVAL", "86400"),
        ("POLL_INTERVAL", "86400"),
    ]);
    let configuration = Configuration::parse(&source).unwrap();
    Works::start(&configuration, Clock::counter()).unwrap()
}

/// What it costs to have the services be what the registries say.
fn refreshed(works: &Works) -> Duration {
    let start = cpu();
    works.apply_registries();
    cpu() - start
}

/// One test, so that neither measures the other.
#[tokio::test]
async fn ten_thousand_instances_are_taken_over_within_the_budget() {
    for format in [Format::Yaml, Format::Json] {
        for (services, instances) in [(1, 10_000), (1_000, 10)] {
            taking_over(format, services, instances).await;
        }
    }
    #[cfg(target_os = "linux")]
    leaving_nothing_behind().await;
}

async fn taking_over(format: Format, services: usize, instances: usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry");
    write(&path, &registry(format, services, instances, 0));
    let works = start(format, &path);
    let count = || {
        let shared = works.current().load();
        let services = shared.catalog().services().iter();
        services.map(|it| it.instances().len()).sum::<usize>()
    };
    assert_eq!(count(), 10_000);
    let unchanged = refreshed(&works);
    let text = registry(format, services, instances, 1);
    write(&path, &text);
    let read = reading(format, &text);
    // The file is read on another thread; what is made of it on this one, whoever comes first.
    let registries = works.registries();
    let start = cpu();
    registries.look().await.unwrap();
    works.apply_registries();
    let applied = cpu() - start;
    println!(
        "{format:?}, {services} x {instances}: {unchanged:?} unchanged; changed, {read:?} to read \
         and {applied:?} to apply"
    );
    assert_eq!(count(), 10_000);
    let shared = works.current().load();
    let ids = shared.catalog().services()[0].instances();
    assert!(ids.iter().any(|it| *it.id == *format!("i-{instances}")));
    assert!(unchanged < LIMIT, "{unchanged:?}");
    assert!(applied < LIMIT, "{applied:?}");
    // A thousand services that change all at once are no poll that anybody has.
    if services == 1 {
        assert!(read + applied < LIMIT, "{read:?} and {applied:?}");
    }
}

/// The memory that this process has, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[cfg(target_os = "linux")]
async fn leaving_nothing_behind() {
    const INSTANCES: usize = 1_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    write(&path, &registry(Format::Json, 1, INSTANCES, 0));
    let works = start(Format::Json, &path);
    let registries = works.registries();
    let mut after = Vec::new();
    for turn in 1..=50 {
        write(&path, &registry(Format::Json, 1, INSTANCES, turn));
        registries.look().await.unwrap();
        works.apply_registries();
        after.push(resident());
    }
    let shared = works.current().load();
    assert_eq!(shared.catalog().services()[0].instances().len(), INSTANCES);
    // The first ten fill what is kept for reuse. Sets that stayed behind would be megabytes each;
    // other tests of this process are small.
    let grown = after[49].saturating_sub(after[9]);
    println!("{grown} bytes more after forty changes");
    assert!(grown < 24 << 20, "{grown} bytes");
}

/// A thread that serves connections must not be the one that applies a registry, nor the one on
/// which new services are probed from then on.
#[tokio::test]
async fn what_changes_the_gateway_runs_where_it_was_started() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    write(&path, &registry(Format::Json, 1, 1, 0));
    let works = start(Format::Json, &path);
    let here = std::thread::current().id();
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let place = |_: &Arc<Works>| (std::thread::current().id(), Handle::current().id());
        runtime.unwrap().block_on(works.at_home(place)).unwrap()
    });
    // This thread is the runtime, and must be left to it.
    let place = tokio::task::spawn_blocking(move || elsewhere.join().unwrap());
    assert_eq!(place.await.unwrap(), (here, Handle::current().id()));
}
