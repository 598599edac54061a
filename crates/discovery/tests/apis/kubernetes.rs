//! Endpoints of a Service, asked of a server that speaks as an API server does.

use std::{fs, io, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_client::{Client, ClientConfig};
use bartizan_clock::Clock;
use bartizan_discovery::{
    Discover, EndpointPort, InvalidKubernetes, Kubernetes, KubernetesBuilder, ServiceAccount, Watch,
};
use bartizan_testkit::{Asked, Cluster, Refusal, Script, ScriptServer, respond};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use serde_json::json;

use crate::checks::{fresh, soon, stale, until};

/// A source that asks a real server at `address`, and tests are short enough for.
fn source(address: SocketAddr) -> KubernetesBuilder {
    let client = Client::new(&ClientConfig::default()).unwrap();
    // The server speaks plain HTTP, so that it needs no certificate; the source does not know.
    let client = tower::service_fn(move |mut request: Request<Full<Bytes>>| {
        let uri = format!(
            "http://{address}{}",
            request.uri().path_and_query().unwrap()
        );
        *request.uri_mut() = uri.parse().unwrap();
        client.send(request)
    });
    quick(Kubernetes::builder("users", client).unwrap())
}

fn quick(builder: KubernetesBuilder) -> KubernetesBuilder {
    builder
        .namespace("shop")
        .retry(Duration::from_millis(10), Duration::from_millis(40))
}

/// Asks without a token.
fn plain(address: SocketAddr) -> KubernetesBuilder {
    source(address).api_server(format!("http://{address}").parse().unwrap())
}

async fn followed() -> (Arc<Cluster>, ScriptServer, Kubernetes, Watch) {
    let cluster = Cluster::new();
    cluster.put("users-a", &["10.0.0.1", "10.0.0.2"]);
    let (server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let source = plain(address).spawn().unwrap();
    let mut watch = source.watch();
    fresh(&mut watch, &[ONE, TWO]).await;
    cluster.watched().await;
    (cluster, server, source, watch)
}

const ONE: &str = "http://10.0.0.1:8080";
const TWO: &str = "http://10.0.0.2:8080";
const THREE: &str = "http://10.0.0.3:8080";

#[tokio::test]
async fn slices_are_listed_and_then_watched() {
    let (cluster, _server, _source, mut watch) = followed().await;
    cluster.put("users-b", &["10.0.0.3"]);
    fresh(&mut watch, &[ONE, TWO, THREE]).await;
    cluster.put("users-a", &["10.0.0.2"]);
    fresh(&mut watch, &[TWO, THREE]).await;
    cluster.delete("users-a");
    fresh(&mut watch, &[THREE]).await;
    assert_eq!((cluster.lists().len(), cluster.watches().len()), (1, 1));
    let asked = &cluster.watches()[0];
    assert_eq!(asked.value("allowWatchBookmarks").unwrap(), "true");
    assert_eq!(asked.value("resourceVersion").unwrap(), "101");
    let seconds: u64 = asked.value("timeoutSeconds").unwrap().parse().unwrap();
    assert!((210..=390).contains(&seconds), "{seconds}");
    assert_eq!(asked.headers.get("authorization"), None);
}

#[tokio::test]
async fn who_wants_a_look_has_the_slices_listed_anew() {
    let (cluster, server, source, watch) = followed().await;
    soon(source.look()).await;
    cluster.put("users-b", &["10.0.0.3"]);
    soon(source.look()).await;
    assert_eq!(watch.current().instances.len(), 3);
    assert_eq!(cluster.lists().len(), 3);
    server.kill().await;
    soon(source.look()).await;
    assert!(watch.current().stale);
    assert_eq!(watch.current().instances.len(), 3);
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let cluster = Cluster::new();
    for n in 0..250 {
        cluster.put(&format!("users-{n:03}"), &[&format!("10.0.1.{n}")]);
    }
    let (_server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let source = plain(address).spawn().unwrap();
    until(&mut source.watch(), |it| it.instances.len() == 250).await;
    assert_eq!(cluster.lists().len(), 3);
}

#[tokio::test]
async fn a_watch_goes_on_where_the_last_one_ended() {
    let (cluster, _server, _source, mut watch) = followed().await;
    cluster.put("users-a", &["10.0.0.1"]);
    fresh(&mut watch, &[ONE]).await;
    let version = cluster.bookmark();
    cluster.end_watches();
    cluster.put("users-b", &["10.0.0.3"]);
    fresh(&mut watch, &[ONE, THREE]).await;
    assert_eq!(cluster.lists().len(), 1);
    let last = cluster.watches().pop().unwrap();
    assert_eq!(last.value("resourceVersion").unwrap(), version);
}

#[tokio::test]
async fn a_watch_that_is_cut_in_the_middle_of_a_line_loses_nothing() {
    let (cluster, _server, _source, mut watch) = followed().await;
    let cut = watch.current().version;
    cluster.cut_watches();
    cluster.put("users-b", &["10.0.0.3"]);
    fresh(&mut watch, &[ONE, TWO, THREE]).await;
    // It was stale in between, which the versions of the snapshots tell.
    assert!(watch.current().version >= cut + 2);
    assert_eq!(cluster.lists().len(), 1);
}

#[tokio::test]
async fn what_the_server_has_forgotten_is_listed_again() {
    for gone_by_status in [false, true] {
        let (cluster, _server, _source, mut watch) = followed().await;
        if gone_by_status {
            cluster.gone_by_status();
        }
        cluster.put("users-b", &["10.0.0.3"]);
        cluster.forget();
        fresh(&mut watch, &[ONE, TWO, THREE]).await;
        cluster.delete("users-a");
        fresh(&mut watch, &[THREE]).await;
        // Nobody would have told of this one.
        cluster.clear();
        cluster.put("users-c", &["10.0.0.1"]);
        cluster.forget();
        fresh(&mut watch, &[ONE]).await;
        assert!(cluster.lists().len() >= 2);
    }
}

#[tokio::test]
async fn an_event_that_is_not_understood_has_everything_listed_again() {
    let (cluster, _server, _source, mut watch) = followed().await;
    cluster.raw("{\"type\":\"MODIFIED\",\"object\":{}}\n");
    cluster.put("users-b", &["10.0.0.3"]);
    fresh(&mut watch, &[ONE, TWO, THREE]).await;
    assert_eq!(cluster.lists().len(), 2);
    cluster.watched().await;
    let wrong = json!({
        "type": "ERROR",
        "object": {"kind": "Status", "message": "etcd is unwell", "code": 500},
    });
    cluster.refuse(Refusal::Status(503, "etcd is unwell"));
    cluster.raw(&format!("{wrong}\n"));
    let kept = stale(&mut watch, "etcd is unwell").await;
    assert_eq!(kept, [ONE, TWO, THREE]);
    cluster.refuse(None);
    fresh(&mut watch, &[ONE, TWO, THREE]).await;
}

#[tokio::test]
async fn a_server_that_refuses_or_says_nothing_costs_no_instance() {
    let forbidden = "endpointslices.discovery.k8s.io is forbidden: User \"gateway\" cannot list";
    for (refusal, words) in [
        (
            Refusal::Status(401, "Unauthorized"),
            "answered 401: Unauthorized",
        ),
        (
            Refusal::Status(403, forbidden),
            "is forbidden: User \"gateway\" cannot list",
        ),
        (
            Refusal::Status(500, "no\nleader"),
            "answered 500: no leader",
        ),
        (Refusal::Silence, "took too long"),
    ] {
        let cluster = Cluster::new();
        cluster.put("users-a", &["10.0.0.1"]);
        let (_server, address) = ScriptServer::tcp(0, cluster.clone()).await;
        let source = plain(address)
            .timeout(Duration::from_millis(200))
            .spawn()
            .unwrap();
        let mut watch = source.watch();
        fresh(&mut watch, &[ONE]).await;
        cluster.watched().await;
        cluster.refuse(refusal);
        cluster.end_watches();
        assert_eq!(stale(&mut watch, words).await, [ONE]);
        cluster.put("users-b", &["10.0.0.3"]);
        cluster.refuse(None);
        fresh(&mut watch, &[ONE, THREE]).await;
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let (cluster, server, _source, mut watch) = followed().await;
    server.kill().await;
    assert_eq!(stale(&mut watch, "").await, [ONE, TWO]);
    let port = cluster.asked()[0].headers["host"]
        .to_str()
        .unwrap()
        .to_owned();
    let port = port.rsplit(':').next().unwrap().parse().unwrap();
    stale(&mut watch, "refused").await;
    cluster.end_watches();
    cluster.put("users-a", &["10.0.0.3"]);
    let (_server, _) = ScriptServer::tcp(port, cluster.clone()).await;
    fresh(&mut watch, &[THREE]).await;
}

#[tokio::test]
async fn while_nothing_is_ready_the_last_good_set_stays() {
    let (cluster, _server, _source, mut watch) = followed().await;
    cluster.put_endpoints(
        "users-a",
        json!([
            {"addresses": ["10.0.0.1"], "conditions": {"ready": false}},
        ]),
        8080,
    );
    assert_eq!(stale(&mut watch, "no ready endpoints").await, [ONE, TWO]);
    cluster.put("users-a", &["10.0.0.3"]);
    fresh(&mut watch, &[THREE]).await;
}

#[tokio::test]
async fn a_service_that_nobody_made_has_no_instances() {
    let cluster = Cluster::new();
    let (_server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let source = plain(address).spawn().unwrap();
    assert!(
        stale(&mut source.watch(), "no ready endpoints")
            .await
            .is_empty()
    );
    let source = plain(address).namespace("other").spawn().unwrap();
    assert!(
        stale(&mut source.watch(), "answered 404: not found")
            .await
            .is_empty()
    );
    let port = EndpointPort::Name("grpc".into());
    let source = plain(address).port(port).spawn().unwrap();
    let mut watch = source.watch();
    cluster.put("users-a", &["10.0.0.1"]);
    stale(
        &mut watch,
        "no endpoint has the port grpc, only http (8080)",
    )
    .await;
}

#[tokio::test]
async fn the_token_is_read_again_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let account = ServiceAccount::new(directory.path());
    let cluster = Cluster::new();
    cluster.put("users-a", &["10.0.0.1"]);
    cluster.require_token("first");
    let (_server, address) = ScriptServer::tcp(0, cluster.clone()).await;
    let source = quick(source(address).account(account)).spawn().unwrap();
    let mut watch = source.watch();
    stale(&mut watch, "token: No such file").await;
    fs::write(directory.path().join("token"), "first\n").unwrap();
    fresh(&mut watch, &[ONE]).await;
    cluster.watched().await;
    cluster.require_token("second");
    cluster.end_watches();
    let kept = stale(&mut watch, "answered 401").await;
    assert_eq!(kept, [ONE]);
    assert!(!format!("{:?}{source:?}", watch.current()).contains("first"));
    fs::write(directory.path().join("token"), "second\n").unwrap();
    fresh(&mut watch, &[ONE]).await;
    for wrong in ["", "two\nlines"] {
        cluster.watched().await;
        fs::write(directory.path().join("token"), wrong).unwrap();
        cluster.end_watches();
        stale(&mut watch, "token").await;
        fs::write(directory.path().join("token"), "second").unwrap();
        fresh(&mut watch, &[ONE]).await;
    }
}

#[tokio::test]
async fn the_namespace_is_that_of_the_account() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::new();
    cluster.put("users-a", &["10.0.0.1"]);
    let (_server, address) = ScriptServer::tcp(0, cluster).await;
    let client = Client::new(&ClientConfig::default()).unwrap();
    let source = Kubernetes::builder("users", client).unwrap();
    let source = source
        .api_server(format!("http://{address}/").parse().unwrap())
        .account(ServiceAccount::new(directory.path()))
        .retry(Duration::from_millis(10), Duration::from_millis(40))
        .spawn()
        .unwrap();
    let mut watch = source.watch();
    stale(&mut watch, "namespace: No such file").await;
    fs::write(directory.path().join("namespace"), "shop").unwrap();
    fresh(&mut watch, &[ONE]).await;
}

#[tokio::test]
async fn dropping_the_source_ends_its_watch() {
    let (cluster, _server, source, mut watch) = followed().await;
    drop(source);
    tokio::time::timeout(Duration::from_secs(20), cluster.unwatched())
        .await
        .expect("the watch is closed");
    assert_eq!(watch.changed().await, None);
    assert_eq!(watch.current().instances.len(), 2);
}

/// A source in the time of the test, without a socket in between.
fn paused(cluster: &Arc<Cluster>) -> KubernetesBuilder {
    let cluster: Arc<dyn Script> = cluster.clone();
    let client = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (cluster, asked) = (Arc::clone(&cluster), Asked::new(&request));
        async move { Ok::<_, io::Error>(respond(cluster, asked).await) }
    });
    let builder = Kubernetes::builder("users", client).unwrap();
    let builder = builder.api_server(Uri::from_static("http://cluster"));
    builder.namespace("shop").clock(Clock::tokio())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_asked_again_less_and_less_often() {
    let cluster = Cluster::new();
    cluster.refuse(Refusal::Status(500, "no leader"));
    let _source = paused(&cluster).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let early = cluster.asked().len();
    assert!((4..=6).contains(&early), "{early}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let later = cluster.asked().len() - early;
    assert!((19..=44).contains(&later), "{later}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_to_be_left_alone_is() {
    let cluster = Cluster::new();
    cluster.refuse(Refusal::Later(429, 45));
    let _source = paused(&cluster).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(44)).await;
    assert_eq!(cluster.asked().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cluster.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_does_not_end_in_time_is_given_up() {
    let cluster = Cluster::new();
    cluster.put("users-a", &["10.0.0.1"]);
    let source = paused(&cluster).spawn().unwrap();
    let mut watch = source.watch();
    until(&mut watch, |it| !it.stale).await;
    // It is silent: the connection is dead, and nobody has noticed.
    let begun = Clock::tokio().now();
    while !watch.current().stale {
        watch.changed().await.unwrap();
    }
    let waited = Clock::tokio().now() - begun;
    assert!((200..=410).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(watch.current().instances.len(), 1);
    assert_eq!(cluster.lists().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_not_begun_all_the_time() {
    let cluster = Cluster::new();
    cluster.put("users-a", &["10.0.0.1"]);
    let source = paused(&cluster).spawn().unwrap();
    let mut watch = source.watch();
    until(&mut watch, |it| !it.stale).await;
    for _ in 0..600 {
        cluster.end_watches();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let watches = cluster.watches().len();
    assert!(watches < 60, "{watches}");
    // It was the server's right, so nothing is wrong.
    assert!(!watch.current().stale);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let builder = |name: &str| {
        let client = Client::new(&ClientConfig::default()).unwrap();
        Kubernetes::builder(name, client)
    };
    for name in ["", "Users", "-users", "users.shop", "a/b"] {
        assert_eq!(
            builder(name).unwrap_err(),
            InvalidKubernetes::Service,
            "{name}"
        );
    }
    let builder = || builder("users").unwrap();
    let namespace = builder().namespace("../x").spawn();
    assert_eq!(namespace.unwrap_err(), InvalidKubernetes::Namespace);
    for server in ["/path", "ftp://a", "https://a/?b=c"] {
        let server = builder().api_server(server.parse().unwrap()).spawn();
        assert_eq!(server.unwrap_err(), InvalidKubernetes::Server);
    }
    let timeout = builder().timeout(Duration::ZERO).spawn();
    assert_eq!(timeout.unwrap_err(), InvalidKubernetes::ZeroTimeout);
    let retry = builder().retry(Duration::ZERO, Duration::ZERO).spawn();
    assert_eq!(retry.unwrap_err(), InvalidKubernetes::Retry);
    let template = builder().template("http://a?b").unwrap_err();
    assert!(matches!(template, InvalidKubernetes::Instance(_)));
}
