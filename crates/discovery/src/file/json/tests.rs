use std::time::Duration;

use crate::{Entry, Registry, Transport};

fn error(text: &str) -> String {
    Registry::from_json(text).unwrap_err().to_string()
}

fn ids(registry: &Registry, name: &str) -> Vec<String> {
    let instances = &registry.service(name).unwrap().instances;
    instances.iter().map(|it| it.id().to_string()).collect()
}

#[test]
fn both_documented_roots_are_read() {
    for root in ["templates", "servers"] {
        let text = format!(
            r#"{{"{root}": {{"fs": {{"instances": [{{"id": "fs-1", "template_name": "fs",
            "endpoint": "http://localhost:7071"}}]}}}}, "last_updated": "2025-01-01T00:00:00"}}"#
        );
        let registry = Registry::from_json(&text).unwrap();
        assert_eq!(ids(&registry, "fs"), ["fs-1"]);
        assert_eq!(registry.warnings, []);
    }
}

#[test]
fn both_roots_at_once_are_read_together() {
    let registry = Registry::from_json(
        r#"{"servers": {"a": {"instances": [{"id": "1", "endpoint": "http://old"}, {"id": "2", "endpoint": "http://two"}]}},
            "templates": {"a": {"instances": [{"id": "1", "endpoint": "http://new"}]}, "b": {}}}"#,
    )
    .unwrap();
    assert_eq!(ids(&registry, "a"), ["1", "2"]);
    assert_eq!(
        registry.service("a").unwrap().instances[0].uri(),
        "http://new/"
    );
    assert!(registry.service("b").unwrap().instances.is_empty());
    assert_eq!(registry.warnings.len(), 1);
}

#[test]
fn all_that_programs_have_written_is_read() {
    let registry = Registry::from_json(
        r#"{"servers": {"demo": {"instances": [
            {"id": "demo-1", "template_name": "demo", "endpoint": "http://localhost:7071", "command": null,
             "transport": "http", "status": "healthy", "backend": "docker", "container_id": "abc",
             "deployment_id": null, "namespace": null, "working_dir": null, "env_vars": null,
             "last_health_check": "2025-01-01T00:00:00", "consecutive_failures": 2,
             "metadata": {"weight": 3, "zone": "eu", "n": 1.50}},
            {"id": "demo-2", "template_name": "demo", "endpoint": null, "command": ["python", "server.py"],
             "transport": "stdio", "working_dir": "/app", "env_vars": {"A": "1", "N": 5}}
          ], "load_balancer": {"strategy": "weighted", "health_check_interval": 15, "max_retries": 2,
             "pool_size": 3, "timeout": 30}}}, "last_updated": "2025-01-01T00:00:00"}"#,
    )
    .unwrap();
    assert_eq!(registry.warnings, []);
    let service = registry.service("demo").unwrap();
    let balancing = service.balancing.as_ref().unwrap();
    assert_eq!(balancing.strategy.as_deref(), Some("weighted"));
    assert_eq!(
        balancing.health_check_interval,
        Some(Duration::from_secs(15))
    );
    assert_eq!(balancing.timeout, Some(Duration::from_secs(30)));
    assert_eq!(
        (balancing.max_retries, balancing.pool_size),
        (Some(2), Some(3))
    );

    let http = service.entry("demo-1").unwrap();
    assert_eq!(http.instance.weight(), 3);
    let metadata: Vec<_> = http
        .instance
        .metadata()
        .iter()
        .map(|(k, v)| (&**k, &**v))
        .collect();
    let expected = [
        ("backend", "docker"),
        ("container_id", "abc"),
        ("n", "1.50"),
        ("zone", "eu"),
    ];
    assert_eq!(metadata, expected);
    assert_eq!(http.recorded.status.as_deref(), Some("healthy"));
    assert_eq!(http.recorded.consecutive_failures, 2);

    let stdio = service.entry("demo-2").unwrap();
    assert_eq!(stdio.transport, Transport::Stdio);
    let launch = stdio.launch.as_ref().unwrap();
    assert_eq!(launch.command, ["python", "server.py"]);
    assert_eq!(launch.working_dir.as_deref(), Some("/app".as_ref()));
    assert_eq!(launch.env.get("N").map(String::as_str), Some("5"));
    assert!(!format!("{:?}", stdio.instance).contains("server.py"));
}

#[test]
fn the_transport_follows_from_what_is_there() {
    let read = |text: &str| Entry::from_json(text, Some("x")).unwrap().0.transport;
    assert_eq!(read(r#"{"command": "python server.py"}"#), Transport::Stdio);
    // What the original's own command line wrote for a command.
    assert_eq!(
        read(r#"{"command": ["a"], "transport": "http"}"#),
        Transport::Stdio
    );
    assert_eq!(
        read(r#"{"endpoint": "http://a", "command": ["a"]}"#),
        Transport::Http
    );
    assert_eq!(
        read(r#"{"endpoint": "http://a", "transport": "sse"}"#),
        Transport::Sse
    );
    let stdio = r#"{"endpoint": "http://a", "command": ["a"], "transport": "stdio"}"#;
    assert_eq!(read(stdio), Transport::Stdio);
}

#[test]
fn numbers_beyond_their_limits_are_brought_back_and_said() {
    let registry = Registry::from_json(
        r#"{"templates": {"a": {"load_balancer": {"timeout": 1, "max_retries": 99}}}}"#,
    )
    .unwrap();
    let balancing = registry.service("a").unwrap().balancing.clone().unwrap();
    assert_eq!(balancing.timeout, Some(Duration::from_secs(5)));
    assert_eq!(balancing.max_retries, Some(10));
    assert_eq!(registry.warnings.len(), 2);
}

#[test]
fn everything_that_is_wrong_is_said_with_its_place() {
    let instance = |text: &str| {
        error(&format!(
            "{{\"templates\": {{\"a\": {{\"instances\": [\n{text}]}}}}}}"
        ))
    };
    for (text, message) in [
        (
            "5",
            "line 2, column 1: an instance must be a mapping of names to values",
        ),
        (
            "{\"endpoint\": \"http://a\"}",
            "line 2, column 1: the instance has no `id`",
        ),
        (
            "{\"id\": \"1\", \"endpoint\": \"http://a:70000\"}",
            "line 2, column 25: `endpoint`: the port must be between 1 and 65535",
        ),
        (
            "{\"id\": \"1\", \"endpoint\": \"ftp://a\"}",
            "line 2, column 25: `endpoint` must begin with http:// or https://",
        ),
        (
            "{\"id\": \"1\"}",
            "line 2, column 1: the instance has no `endpoint` and no `command`",
        ),
        (
            "{\"id\": \"1\", \"transport\": \"stdio\", \"endpoint\": \"http://a\"}",
            "line 2, column 1: the instance has no `command`",
        ),
        (
            "{\"id\": \"1\", \"endpoint\": \"a:80\"}",
            "line 2, column 25: `endpoint`: the URI needs a scheme and a host, as in http://10.0.0.1:8080",
        ),
        (
            "{\"id\": \"1\", \"endpoint\": \"http://a\", \"transport\": \"pigeon\"}",
            "line 2, column 50: `transport` must be one of http, sse, stdio",
        ),
        (
            "{\"id\": \"1\", \"command\": []}",
            "line 2, column 24: `command` must be a list of texts: a program and its arguments",
        ),
        (
            "{\"id\": \"1\", \"endpoint\": \"http://a\", \"metadata\": {\"weight\": 0}}",
            "line 2, column 60: `weight` must be a whole number from 1 to 1000000",
        ),
        (
            "{\"id\": \"1\", \"endpoint\": \"http://a\"},\n{\"id\": \"1\", \"endpoint\": \"http://b\"}",
            "line 3, column 1: instance `1` of `a` is there already, in line 2",
        ),
    ] {
        assert_eq!(instance(text), message, "{text:?}");
    }
    for (text, message) in [
        (
            "{}",
            "line 1, column 1: the registry has neither `templates` nor `servers`",
        ),
        (
            "[]",
            "line 1, column 1: a registry must be a mapping of names to values",
        ),
        (
            "{\"templates\": []}",
            "line 1, column 15: `templates` must be a mapping of names to values",
        ),
        (
            "{\"templates\": {\"\": {}}}",
            "line 1, column 16: the name of a template must not be empty",
        ),
        (
            "{\"templates\": {\"a\": {\"load_balancer\": {\"strategy\": \"best\"}}}}",
            "line 1, column 52: `strategy` must be one of round_robin, least_connections, weighted, \
             health_based, random, p2c, p2c_ewma, consistent_hash",
        ),
    ] {
        assert_eq!(error(text), message, "{text:?}");
    }
}

#[test]
fn a_name_from_the_network_is_one_line_of_a_log() {
    let registry = Registry::from_json(r#"{"templates": {}, "x\ny": 1}"#).unwrap();
    let warning = registry.warnings[0].to_string();
    assert!(warning.contains(r"`x\ny`"), "{warning}");
    assert_eq!(warning.lines().count(), 1);
}

#[test]
fn a_password_never_reaches_the_message() {
    let text =
        r#"{"templates": {"a": {"instances": [{"id": "1", "endpoint": "http://me:hunter2@a"}]}}}"#;
    assert!(!error(text).contains("hunter2"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in "[{}\\[\\]:,\"a0 \n]{0,80}") {
        let _ = Registry::from_json(&text);
    }
}
