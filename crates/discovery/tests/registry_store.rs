//! The registry file under writers that are killed, and under two at once.
#![cfg(feature = "registry")]
#![expect(
    clippy::disallowed_methods,
    reason = "this binary starts itself as the writer, and tells it so by the environment"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use bartizan_discovery::{Instance, Registry, RegistryStore};

const PATH: &str = "BARTIZAN_TEST_REGISTRY";
const WORK: &str = "BARTIZAN_TEST_WORK";

fn instance(id: &str, weight: u32) -> Instance {
    let instance = Instance::new("http://10.0.0.1:8080").unwrap();
    instance.with_id(id).unwrap().with_weight(weight).unwrap()
}

/// The writer: does nothing unless another test of this file has started it.
#[test]
fn writer() {
    let (Ok(path), Ok(work)) = (std::env::var(PATH), std::env::var(WORK)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = RegistryStore::new(path);
    runtime.block_on(async {
        if work == "count" {
            let before = store.list().await.unwrap();
            let weight = |it: &bartizan_discovery::Listed| it.entry.instance.weight();
            let start = before.iter().map(weight).max().unwrap_or(1);
            for number in start + 1.. {
                store
                    .register("a", instance("counter", number))
                    .await
                    .unwrap();
                println!("wrote {number}");
            }
        } else {
            for number in 0..100 {
                let id = format!("{work}-{number}");
                store.register("a", instance(&id, 1)).await.unwrap();
            }
        }
    });
}

fn start(path: &Path, work: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn counter(text: &str) -> u32 {
    let registry = Registry::from_json(text).unwrap();
    registry
        .service("a")
        .map_or(1, |service| service.instances[0].weight())
}

/// The last write that the writer has said to be done.
fn acknowledged(lines: &mut BufReader<ChildStdout>, line: &mut String) -> Option<u32> {
    line.clear();
    if lines.read_line(line).unwrap() == 0 {
        return None;
    }
    Some(
        line.trim()
            .rsplit_once("wrote ")
            .map_or(0, |(_, number)| number.parse().unwrap()),
    )
}

#[test]
fn the_file_survives_a_kill_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    let unfinished = path.with_file_name("registry.json.new");
    // Long enough that half of it could be written, and with something to lose.
    let kept = format!("\"kept\": [1.50, \"{}\"]", "x".repeat(1 << 20));
    std::fs::write(&path, format!("{{\"templates\": {{}}, {kept}}}")).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut line = String::new();
    let mut interrupted = 0;
    // How often a blind kill falls into a write depends on the disk, so every second one looks.
    for kill in 0.. {
        if kill >= 200 && interrupted >= 10 {
            break;
        }
        assert!(
            kill < 2_000,
            "only {interrupted} writers were killed while they wrote"
        );
        let mut child = start(&path, "count");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut last = 0;
        while last == 0 {
            last = acknowledged(&mut lines, &mut line).expect("the writer has failed");
        }
        if kill % 2 == 0 {
            for _ in 0..random.u32(0..60_000) {
                std::hint::spin_loop();
            }
        } else {
            while !unfinished.exists() {
                std::hint::spin_loop();
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(number) = acknowledged(&mut lines, &mut line) {
            last = last.max(number);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let found = counter(&text);
        // The writer may have been killed between a write and its line.
        assert!(
            found == last || found == last + 1,
            "{last} were written, {found} is there"
        );
        assert!(text.contains(&kept));
        interrupted += u32::from(unfinished.exists());
    }
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.len() <= 3, "{left:?}");
}

#[test]
fn two_processes_lose_no_update() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    let writers = [start(&path, "one"), start(&path, "two")];
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let registry = Registry::from_json(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let service = registry.service("a").unwrap();
    assert_eq!(service.instances.len(), 200);
    for writer in ["one", "two"] {
        for number in 0..100 {
            assert!(service.entry(&format!("{writer}-{number}")).is_some());
        }
    }
}
