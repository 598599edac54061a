use std::net::IpAddr;

use bartizan_client::ClientConfig;
use bartizan_config::{Configuration, Source as Variables};
use bartizan_discovery::SrvRecord;
use bartizan_testkit::{Reply, Upstream};
use http::Request;
use http_body_util::Full;

use super::*;
use crate::{
    plan::Plan,
    service::{Hosting, Service, assembly::assemble_found, outbound::tests::outbound},
    shared::Lasting,
};

/// A name server that says what it is told to say.
#[derive(Clone)]
struct Names<T>(Arc<Mutex<Option<Vec<T>>>>);

impl<T: Clone> Names<T> {
    /// Knows no name.
    fn new() -> Self {
        Self(Arc::default())
    }

    fn say(&self, found: impl Into<Option<Vec<T>>>) {
        *self.0.lock() = found.into();
    }

    fn look_up(&self) -> io::Result<Vec<T>> {
        let found = self.0.lock().clone();
        found.ok_or_else(|| io::Error::other("no such name"))
    }
}

impl Resolve for Names<IpAddr> {
    async fn resolve(&self, host: &str, _: u16) -> io::Result<Vec<IpAddr>> {
        assert_eq!(host, "users.internal");
        self.look_up()
    }
}

impl ResolveSrv for Names<SrvRecord> {
    async fn resolve_srv(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        assert_eq!(name, "_http._tcp.users.internal");
        self.look_up()
    }
}

fn client() -> Client {
    Client::new(&ClientConfig::default()).unwrap()
}

fn clock() -> Clock {
    Clock::counter()
}

const INTERVAL: Duration = Duration::from_millis(20);

/// A service at `endpoint`, whose instances `found` says.
fn service(discovery: &str, endpoint: &str, found: Found) -> Service {
    let variables = Variables::from_iter([
        ("MCP_SERVICES", "users"),
        ("MCP_SERVICE_USERS_AUTH_TYPE", "none"),
        ("MCP_SERVICE_USERS_ENDPOINT", endpoint),
        ("MCP_SERVICE_USERS_DISCOVERY", discovery),
        ("MCP_SERVICE_USERS_CB_FAILURE_THRESHOLD", "1000"),
    ]);
    let configuration = Configuration::parse(&variables).unwrap_or_else(|it| panic!("{it}"));
    let plan = Plan {
        settings: Arc::new(configuration.services[0].clone()),
        listing: None,
    };
    let hosting = Hosting::new(&configuration.gateway);
    let service = assemble_found(
        &plan,
        None,
        Some(found),
        &client(),
        &hosting,
        &Lasting::new(clock()),
    );
    service.unwrap_or_else(|it| panic!("{it}"))
}

async fn call(service: &Service) -> Result<Arc<str>, String> {
    let deadline = clock().now() + Duration::from_secs(10);
    let answer = service.call(outbound(deadline)).await;
    answer
        .map(|answer| answer.into_body().endpoint)
        .map_err(|failure| failure.to_string())
}

async fn until(service: &Service, wanted: impl Fn(&Service) -> bool) {
    let patience = Duration::from_secs(20);
    let change = async {
        while !wanted(service) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let changed = tokio::time::timeout(patience, change).await;
    changed.unwrap_or_else(|_| panic!("still {:?}", service.instances()));
}

fn ids(service: &Service) -> Vec<String> {
    let instances = service.instances().into_iter();
    instances.map(|it| it.id.to_string()).collect()
}

fn is_stale(service: &Service) -> bool {
    service.source.as_ref().unwrap().is_stale()
}

async fn two_at_one_port() -> (Upstream, Upstream, u16) {
    let one = Upstream::start().await;
    let port = one.address().port();
    let two = Upstream::start_at(([127, 0, 0, 2], port).into(), |_| Reply::json("{}")).await;
    for upstream in [&one, &two] {
        upstream.aside("/base/api/definition", Reply::status(404));
    }
    (one, two, port)
}

#[tokio::test]
async fn addresses_of_a_name_are_followed_and_called_by_the_name() {
    let (one, two, port) = two_at_one_port().await;
    let endpoint = format!("http://users.internal:{port}/base");
    let names = Names::new();
    let found = dns(&endpoint, INTERVAL, names.clone(), clock()).unwrap();
    let service = service("dns", &endpoint, found);

    // Nobody knows where it is.
    let error = call(&service).await.unwrap_err();
    assert!(error.contains("no"), "{error}");
    assert!(is_stale(&service));

    names.say(vec![IpAddr::from([127, 0, 0, 1])]);
    until(&service, |it| it.instances().len() == 1).await;
    let called = call(&service).await.unwrap();
    assert_eq!(&*called, format!("http://127.0.0.1:{port}/base"));
    let asked = one.requests().pop().unwrap();
    assert_eq!(asked.uri.path(), "/base/api/getUser");
    assert_eq!(
        asked.header("host"),
        Some(&*format!("users.internal:{port}"))
    );

    names.say(vec![IpAddr::from([127, 0, 0, 2])]);
    let second = format!("http://127.0.0.2:{port}/base");
    until(&service, |it| ids(it) == [&*second]).await;
    assert_eq!(*call(&service).await.unwrap(), *second);
    assert_eq!((one.hits(), two.hits()), (1, 1));

    names.say(None);
    until(&service, is_stale).await;
    assert_eq!(*call(&service).await.unwrap(), *second);
}

#[tokio::test]
async fn records_of_a_name_are_followed() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let names = Names::new();
    let record = |upstream: &Upstream| SrvRecord {
        target: "localhost.".to_owned(),
        port: upstream.address().port(),
        priority: 1,
        weight: 3,
    };
    let endpoint = "http://_http._tcp.users.internal/base";
    names.say(vec![record(&one)]);
    let found = srv(endpoint, INTERVAL, names.clone(), clock()).unwrap();
    let service = service("srv", endpoint, found);
    let called = call(&service).await.unwrap();
    assert_eq!(
        &*called,
        format!("http://localhost:{}/base", one.address().port())
    );
    names.say(vec![record(&two)]);
    let second = format!("http://localhost:{}/base", two.address().port());
    until(&service, |it| ids(it) == [&*second]).await;
    assert_eq!(*call(&service).await.unwrap(), *second);
    let asked = two.requests().pop().unwrap();
    assert_eq!(asked.uri.path(), "/base/api/getUser");
    let host = format!("localhost:{}", two.address().port());
    assert_eq!(asked.header("host"), Some(&*host));
    names.say(None);
    until(&service, is_stale).await;
    assert_eq!(*call(&service).await.unwrap(), *second);
}

#[tokio::test]
async fn targets_of_records_are_looked_up_as_they_are() {
    let upstream = Upstream::start().await;
    let endpoint = "http://_http._tcp.users.internal";
    let found = srv(endpoint, INTERVAL, Names::new(), clock()).unwrap();
    let config = ClientConfig {
        connect_timeout: Duration::from_millis(500),
        ..ClientConfig::default()
    };
    let usual = Client::new(&config).unwrap();
    let client = found.client(&usual);
    let get = |host: &str| {
        let uri = format!("http://{host}:{}/", upstream.address().port());
        Request::get(uri).body(Full::default()).unwrap()
    };
    // As a name it leads nowhere; to who may complete it, it is this machine in short.
    client.send(get("127.1")).await.unwrap_err();
    usual.send(get("127.1")).await.unwrap();
    client.send(get("127.0.0.1")).await.unwrap();
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test]
async fn who_calls_before_the_first_answer_waits_for_it_and_no_longer() {
    /// Answers once it is let.
    struct Slow(Arc<Notify>, Result<IpAddr, ()>);

    impl Resolve for Slow {
        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<IpAddr>> {
            self.0.notified().await;
            let found = self.1.map(|address| vec![address]);
            found.map_err(|()| io::Error::other("no such name"))
        }
    }

    let upstream = Upstream::start().await;
    let endpoint = format!("http://users.internal:{}", upstream.address().port());
    for (answer, is_good) in [(Ok(IpAddr::from([127, 0, 0, 1])), true), (Err(()), false)] {
        let gate = Arc::new(Notify::new());
        let names = Slow(Arc::clone(&gate), answer);
        let found = dns(&endpoint, Duration::from_secs(60), names, clock()).unwrap();
        let service = service("dns", &endpoint, found);
        let mut early = pin!(call(&service));
        let soon = tokio::time::timeout(Duration::from_millis(50), early.as_mut()).await;
        assert!(soon.is_err(), "{soon:?}");
        gate.notify_one();
        assert_eq!(early.await.is_ok(), is_good);
    }
    // A deadline is a deadline.
    let names = Slow(Arc::new(Notify::new()), Err(()));
    let found = dns(&endpoint, Duration::from_secs(60), names, clock()).unwrap();
    let service = service("dns", &endpoint, found);
    let deadline = clock().now() + Duration::from_millis(50);
    assert!(service.call(outbound(deadline)).await.is_err());
}

#[test]
fn the_log_names_some_of_many() {
    let instance = |n: usize| {
        let uri = format!("http://10.0.0.{n}");
        Instance::new(uri).unwrap()
    };
    let all: Vec<_> = (1..=8).map(instance).collect();
    assert_eq!(difference(&all[..2], &all[1..]), "http://10.0.0.1");
    let text = difference(&all, &[]);
    assert!(
        text.starts_with("http://10.0.0.1 ") && text.ends_with(" and 3 more"),
        "{text}"
    );
    assert_eq!(difference(&[], &all), "");
}
