//! Containers with a label, asked of a server that speaks as a Docker engine does.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bartizan_discovery::{
    CONTAINER, Discover, Docker, DockerBuilder, EngineSocket, InvalidDocker, Watch,
};
use bartizan_testkit::{Asked, Engine, Refusal, Script, ScriptServer, respond};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::checks::{fresh, soon, stale, until};

const ONE: &str = "http://172.17.0.1:8080";
const TWO: &str = "http://172.17.0.2:8080";

struct Socket {
    directory: tempfile::TempDir,
}

impl Socket {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    fn source(&self) -> DockerBuilder {
        let docker = Docker::builder("users", EngineSocket::new(self.path()));
        let (first, most) = (Duration::from_millis(10), Duration::from_millis(40));
        docker.unwrap().retry(first, most)
    }
}

async fn followed() -> (Arc<Engine>, Socket, ScriptServer, Docker, Watch) {
    let (engine, socket) = (
        Engine::with(&[Engine::container("one", "172.17.0.1")]),
        Socket::new(),
    );
    let server = ScriptServer::unix(&socket.path(), engine.clone());
    let source = socket.source().spawn().unwrap();
    let mut watch = source.watch();
    fresh(&mut watch, &[ONE]).await;
    engine.heard().await;
    (engine, socket, server, source, watch)
}

#[tokio::test]
async fn containers_are_listed_when_something_happens_to_one() {
    let (engine, _socket, _server, _source, mut watch) = followed().await;
    engine.run(Engine::container("two", "172.17.0.2"));
    fresh(&mut watch, &[ONE, TWO]).await;
    engine.stop("one");
    fresh(&mut watch, &[TWO]).await;
    engine.quietly(|all| all[0]["Status"] = json!("Up 2 hours (unhealthy)"));
    engine.quietly(|all| all.push(Engine::container("three", "172.17.0.1")));
    engine.tell("health_status: unhealthy");
    fresh(&mut watch, &[ONE]).await;
    let snapshot = watch.current();
    let name = snapshot.instances[0].metadata().get(CONTAINER);
    assert_eq!(name.map(|it| &**it), Some("three"));
}

#[tokio::test]
async fn many_events_are_one_list() {
    let (engine, _socket, _server, _source, mut watch) = followed().await;
    let before = engine.lists();
    for n in 1..=200 {
        engine.run(Engine::container(
            &format!("more-{n}"),
            &format!("172.17.1.{n}"),
        ));
    }
    until(&mut watch, |it| it.instances.len() == 201).await;
    assert!(engine.lists() - before <= 3, "{}", engine.lists() - before);
}

#[tokio::test]
async fn who_wants_a_look_has_the_containers_listed_now() {
    let (engine, _socket, server, source, watch) = followed().await;
    engine.quietly(|all| all.push(Engine::container("two", "172.17.0.2")));
    soon(source.look()).await;
    assert_eq!(watch.current().instances.len(), 2);
    server.kill().await;
    soon(source.look()).await;
    assert!(watch.current().stale);
}

#[tokio::test]
async fn what_no_event_tells_of_is_seen_at_the_interval() {
    let (engine, socket) = (
        Engine::with(&[Engine::container("one", "172.17.0.1")]),
        Socket::new(),
    );
    let _server = ScriptServer::unix(&socket.path(), engine.clone());
    let interval = Duration::from_millis(50);
    let source = socket.source().interval(interval).spawn().unwrap();
    let mut watch = source.watch();
    fresh(&mut watch, &[ONE]).await;
    engine.quietly(|all| all.push(Engine::container("two", "172.17.0.2")));
    fresh(&mut watch, &[ONE, TWO]).await;
}

#[tokio::test]
async fn events_that_are_cut_are_asked_for_again() {
    let (engine, _socket, _server, _source, mut watch) = followed().await;
    engine.quietly(|all| all.push(Engine::container("two", "172.17.0.2")));
    engine.cut_events();
    fresh(&mut watch, &[ONE, TWO]).await;
    engine.heard().await;
    engine.stop("one");
    fresh(&mut watch, &[TWO]).await;
}

#[tokio::test]
async fn an_engine_that_tells_of_nothing_is_asked_more_often() {
    let (engine, socket) = (
        Engine::with(&[Engine::container("one", "172.17.0.1")]),
        Socket::new(),
    );
    engine.refuse_events();
    let _server = ScriptServer::unix(&socket.path(), engine.clone());
    let source = socket.source().spawn().unwrap();
    let mut watch = source.watch();
    fresh(&mut watch, &[ONE]).await;
    engine.quietly(|all| all.push(Engine::container("two", "172.17.0.2")));
    fresh(&mut watch, &[ONE, TWO]).await;
}

#[tokio::test]
async fn an_engine_that_refuses_or_says_nothing_costs_no_instance() {
    for (refusal, words) in [
        (
            Refusal::Status(403, "it is broken"),
            "answered 403: it is broken",
        ),
        (
            Refusal::Status(500, "it is broken"),
            "answered 500: it is broken",
        ),
        (Refusal::Silence, "took too long"),
        (Refusal::HalfAList, ""),
    ] {
        let (engine, socket) = (
            Engine::with(&[Engine::container("one", "172.17.0.1")]),
            Socket::new(),
        );
        let _server = ScriptServer::unix(&socket.path(), engine.clone());
        let builder = socket.source().timeout(Duration::from_millis(200));
        let source = builder.spawn().unwrap();
        let mut watch = source.watch();
        fresh(&mut watch, &[ONE]).await;
        engine.heard().await;
        engine.refuse(refusal);
        engine.tell("start");
        assert_eq!(stale(&mut watch, words).await, [ONE]);
        engine.quietly(|all| all.push(Engine::container("two", "172.17.0.2")));
        engine.refuse(None);
        fresh(&mut watch, &[ONE, TWO]).await;
    }
}

#[tokio::test]
async fn an_engine_that_is_started_again_at_its_socket_is_found() {
    let (engine, socket, server, _source, mut watch) = followed().await;
    server.kill().await;
    assert_eq!(stale(&mut watch, "engine.sock: ").await, [ONE]);
    std::fs::remove_file(socket.path()).unwrap();
    stale(&mut watch, "No such file").await;
    engine.quietly(|all| all.push(Engine::container("two", "172.17.0.2")));
    let _server = ScriptServer::unix(&socket.path(), engine.clone());
    fresh(&mut watch, &[ONE, TWO]).await;
}

#[tokio::test]
async fn a_container_whose_labels_are_wrong_costs_no_other() {
    let (engine, _socket, _server, _source, mut watch) = followed().await;
    let mut wrong = Engine::container("two", "172.17.0.2");
    wrong["Labels"]["bartizan.weight"] = json!("heavy");
    engine.run(wrong);
    engine.run(Engine::container("three", "172.17.0.3"));
    fresh(&mut watch, &[ONE, "http://172.17.0.3:8080"]).await;
    engine.stop("one");
    engine.stop("three");
    let words = "container two: bartizan.weight is no number";
    let kept = stale(&mut watch, words).await;
    assert!(!kept.is_empty());
}

#[tokio::test]
async fn the_last_good_set_stays_while_no_container_is_well() {
    let (engine, _socket, _server, _source, mut watch) = followed().await;
    engine.quietly(|all| all[0]["Status"] = json!("Up 2 hours (unhealthy)"));
    engine.tell("health_status: unhealthy");
    assert_eq!(
        stale(&mut watch, "no container of the service is well").await,
        [ONE]
    );
    engine.stop("one");
    assert_eq!(stale(&mut watch, "no container has the label").await, [ONE]);
}

#[tokio::test]
async fn dropping_the_source_hangs_up() {
    let (engine, _socket, _server, source, mut watch) = followed().await;
    drop(source);
    tokio::time::timeout(Duration::from_secs(20), engine.unheard())
        .await
        .expect("nobody listens");
    assert_eq!(watch.changed().await, None);
    assert_eq!(watch.current().instances.len(), 1);
}

/// A source in the time of the test, without a socket in between.
fn paused(engine: &Arc<Engine>) -> Docker {
    let engine: Arc<dyn Script> = engine.clone();
    let client = tower::service_fn(move |mut request: Request<Full<Bytes>>| {
        let host = request.uri().host().unwrap().parse().unwrap();
        request.headers_mut().insert("host", host);
        let (engine, asked) = (Arc::clone(&engine), Asked::new(&request));
        async move { Ok::<_, io::Error>(respond(engine, asked).await) }
    });
    let builder = Docker::builder("users", client).unwrap();
    builder.clock(Clock::tokio()).spawn().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_engine_is_asked_as_often_as_it_should_be() {
    let engine = Engine::with(&[Engine::container("one", "172.17.0.1")]);
    let source = paused(&engine);
    let mut watch = source.watch();
    until(&mut watch, |it| !it.stale).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let well = engine.lists();
    assert!((9..=14).contains(&well), "{well}");
    engine.refuse(Refusal::Status(500, "it is broken"));
    engine.tell("die");
    tokio::time::sleep(Duration::from_secs(300)).await;
    let failing = engine.lists() - well;
    assert!((19..=50).contains(&failing), "{failing}");
}

#[tokio::test(start_paused = true)]
async fn events_that_end_at_once_are_not_asked_for_all_the_time() {
    let engine = Engine::with(&[Engine::container("one", "172.17.0.1")]);
    let source = paused(&engine);
    let mut watch = source.watch();
    until(&mut watch, |it| !it.stale).await;
    for _ in 0..600 {
        engine.cut_events();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let asked = engine.asked().len();
    assert!(asked < 200, "{asked}");
    assert!(!watch.current().stale);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let socket = || EngineSocket::new(PathBuf::from("/nowhere"));
    let name = Docker::builder("", socket()).unwrap_err();
    assert_eq!(name, InvalidDocker::NoService);
    let builder = || Docker::builder("users", socket()).unwrap();
    let interval = builder().interval(Duration::ZERO).spawn();
    assert_eq!(interval.unwrap_err(), InvalidDocker::ZeroInterval);
    let timeout = builder().timeout(Duration::ZERO).spawn();
    assert_eq!(timeout.unwrap_err(), InvalidDocker::ZeroTimeout);
    let second = Duration::from_secs(1);
    let retry = builder().retry(second, second / 2).spawn();
    assert_eq!(retry.unwrap_err(), InvalidDocker::Retry);
}
