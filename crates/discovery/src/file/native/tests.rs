use bartizan_document::parse_yaml;

use crate::{Entry, Registry, Transport};

fn read(text: &str) -> Registry {
    Registry::from_native(&parse_yaml(text).unwrap()).unwrap()
}

fn error(text: &str) -> String {
    let services = parse_yaml(text).unwrap();
    Registry::from_native(&services).unwrap_err().to_string()
}

#[test]
fn what_registries_can_say_can_be_said() {
    let registry = read(
        "
elsewhere: {endpoint: http://x}
files:
  timeout: 5s
  description: all files
  metadata: {team: a}
  load_balancer: {strategy: weighted, health_check_interval: 15, max_retries: 2, timeout: 30}
  tools:
    - {name: read, description: reads, inputSchema: {type: object}}
  instances:
    - url: http://a:7071
      health_url: http://a:7071/up?deep=1
      metadata: {zone: eu, n: 1.50}
    - {id: two, endpoint: http://b:7071, transport: sse, weight: 3, tools: [{name: other}]}
    - id: three
      command: /opt/my server
      args: [--root, 5]
      working_dir: /srv
      env: {MODE: ro, DEBUG: true}
    - {id: four, command: python server.py}
    - {id: five, command: [python, server.py], status: healthy, env_vars: {A: 1}}
",
    );
    assert_eq!(registry.warnings, []);
    assert_eq!(registry.services.len(), 1);
    let service = registry.service("files").unwrap();
    let balancing = service.balancing.as_ref().unwrap();
    assert_eq!(balancing.strategy.as_deref(), Some("weighted"));
    assert_eq!(balancing.max_retries, Some(2));
    let metadata: Vec<_> = service.metadata.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        metadata,
        [
            ("description", "all files"),
            ("metadata", r#"{"team":"a"}"#)
        ]
    );
    let [one, two, three, four, five] = &service.entries[..] else {
        panic!("{service:?}");
    };
    assert_eq!(&**one.instance.id(), "http://a:7071");
    assert_eq!(one.transport, Transport::Http);
    assert_eq!(one.health_url.as_ref().unwrap(), "http://a:7071/up?deep=1");
    assert_eq!(&*one.instance.metadata()["n"], "1.50");
    let tools = |entry: &Entry| -> Vec<_> {
        let tools = entry.tools().iter();
        tools.map(|tool| tool.name.to_string()).collect()
    };
    assert_eq!(tools(one), ["read"]);
    assert_eq!(
        &*one.tools()[0].metadata["inputSchema"],
        r#"{"type":"object"}"#
    );
    assert_eq!(tools(two), ["other"]);
    assert_eq!((two.transport, two.instance.weight()), (Transport::Sse, 3));
    let launch = three.launch.as_ref().unwrap();
    assert_eq!(launch.command, ["/opt/my server", "--root", "5"]);
    assert_eq!(launch.working_dir.as_deref(), Some("/srv".as_ref()));
    assert_eq!(launch.env["DEBUG"], "true");
    for entry in [four, five] {
        assert_eq!(entry.transport, Transport::Stdio);
        assert_eq!(
            entry.launch.as_ref().unwrap().command,
            ["python", "server.py"]
        );
    }
    assert_eq!(five.recorded.status.as_deref(), Some("healthy"));
}

#[test]
fn everything_that_is_wrong_is_said_with_its_place_and_without_values() {
    for (instance, message) in [
        (
            "{url: 'http://a', colour: hunter2}",
            "line 2, column 21: `colour` of an instance is none of args, command,",
        ),
        (
            "{url: 'http://u:hunter2@a'}",
            "line 2, column 9: `url`: the URI must not contain a user name or password",
        ),
        ("{weight: 3}", "line 2, column 3: the instance has no `id`"),
        (
            "{id: a}",
            "line 2, column 3: the instance has no `url` and no `command`",
        ),
        (
            "{command: [hunter2]}",
            "line 2, column 3: the instance has no `id`",
        ),
        (
            "{id: a, args: [hunter2], url: 'http://a'}",
            "line 2, column 3: the instance has `args` and no `command`",
        ),
        (
            "{id: a, url: 'http://a', command: hunter2}",
            "line 2, column 3: the instance has an address and a `command`",
        ),
        (
            "{url: 'http://a', endpoint: 'http://b'}",
            "line 2, column 4: `url` and `endpoint` are the same field",
        ),
        (
            "{id: a, command: x, args: [[hunter2]]}",
            "line 2, column 29: `args` must be a list of texts",
        ),
        (
            "{id: a, command: x, env: {A: [hunter2]}}",
            "line 2, column 29: a variable must be a text",
        ),
        (
            "{url: 'http://a', weight: 0}",
            "line 2, column 29: `weight` must be a whole number from 1 to 1000000",
        ),
    ] {
        let text = error(&format!("a: {{instances: [\n  {instance}]}}"));
        assert!(text.starts_with(message), "{instance}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let text = error("a: {instances: [{url: 'http://a'}, {url: 'http://a'}]}\nb: {instances: 5}");
    assert_eq!(
        text,
        "line 1, column 36: instance `http://a` of `a` is there already, in line 1; \
         line 2, column 16: `instances` must be a list"
    );
}
