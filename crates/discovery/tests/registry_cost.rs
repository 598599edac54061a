//! What ten thousand instances in one registry cost.
#![cfg(feature = "registry")]
#![allow(clippy::print_stdout, reason = "what was measured is worth reading")]

use std::{fmt::Write as _, time::Duration};

use bartizan_discovery::{Format, Registry, RegistryFile};

const INSTANCES: usize = 10_000;

const RUNS: usize = if cfg!(debug_assertions) { 1 } else { 5 };

/// An unoptimized build is a dozen times slower, and a machine that runs all tests at once half
/// as fast again.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 100 });

fn yaml() -> String {
    let mut text = String::from("version: \"1.0\"\nservers:\n");
    for n in 0..INSTANCES {
        let _ = write!(
            text,
            "  - namespace: service-{}\n    name: host-{n}.internal\n    port: 8080\n    \
             docker_image: image:latest\n    health_url: http://host-{n}.internal:8080/health\n    \
             tools:\n      - name: list\n        description: Lists all there is\n",
            n % 100,
        );
    }
    text
}

fn json() -> String {
    let mut text = String::from("{\"templates\": {\n  \"a\": {\"instances\": [");
    for n in 0..INSTANCES {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}\n      {{\"id\": \"a-{n}\", \"template_name\": \"a\", \"endpoint\": \"http://10.0.0.1:{}\",\n       \
             \"transport\": \"http\", \"status\": \"healthy\", \"backend\": \"docker\", \
             \"consecutive_failures\": 0, \"metadata\": {{\"weight\": 2, \"zone\": \"eu\"}}}}",
            n + 1,
        );
    }
    text.push_str("]}}}\n");
    text
}

/// The time that this process has had a processor for, which others on the machine do not add to.
/// There is one test in this file, so that no other adds to it either.
fn cpu() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(clock.tv_sec as u64, clock.tv_nsec as u32)
}

/// The least of several, because whatever comes in between makes a run dearer.
fn cheapest(mut work: impl FnMut()) -> Duration {
    let mut once = || {
        let start = cpu();
        work();
        cpu() - start
    };
    (0..RUNS).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn ten_thousand_instances_are_polled_within_the_budget() {
    reading();
    polling();
}

fn reading() {
    let (yaml, json) = (yaml(), json());
    let of_yaml = cheapest(|| {
        assert_eq!(
            Registry::from_yaml(&yaml).unwrap().instance_count(),
            INSTANCES
        );
    });
    let of_json = cheapest(|| {
        assert_eq!(
            Registry::from_json(&json).unwrap().instance_count(),
            INSTANCES
        );
    });
    println!(
        "yaml {of_yaml:?} for {} bytes, json {of_json:?} for {} bytes",
        yaml.len(),
        json.len()
    );
    assert!(of_yaml < LIMIT, "{of_yaml:?}");
    assert!(of_json < LIMIT, "{of_json:?}");
}

fn polling() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.yaml");
    std::fs::write(&path, yaml()).unwrap();
    runtime.block_on(async {
        let builder = RegistryFile::builder(&path, Format::Yaml).watched(false);
        let file = builder.spawn().unwrap();
        let service = file.service("service-1");
        file.reload().await.unwrap();
        let (version, seen) = (file.current().version, service.current().version);
        let mut unchanged = Duration::MAX;
        let mut changed = Duration::MAX;
        for n in 0..RUNS {
            let start = cpu();
            assert_eq!(file.reload().await.unwrap().version, version);
            unchanged = unchanged.min(cpu() - start);
            // The same servers in other words: read, compared, and nobody is woken.
            std::fs::write(&path, format!("# changed {n}\n{}", yaml())).unwrap();
            let start = cpu();
            file.reload().await.unwrap();
            changed = changed.min(cpu() - start);
            assert_eq!(service.current().version, seen);
        }
        println!("a poll: {unchanged:?} if nothing has changed, {changed:?} if the file has");
        assert!(changed < LIMIT, "{changed:?}");
        assert!(unchanged < changed / 20, "{unchanged:?}");
    });
}
