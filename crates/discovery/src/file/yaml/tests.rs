use crate::Registry;

/// The registry of the document, word for word.
const DOCUMENTED: &str = r#"version: "1.0"

servers:
  - namespace: manifest
    name: chora-mcp-manifest
    docker_image: chora-mcp-manifest:latest
    port: 8081
    health_url: http://chora-mcp-manifest:8081/health
    tools:
      - name: list_servers
        description: List all registered MCP servers
      - name: get_server
        description: Get details of a specific server
"#;

fn error(text: &str) -> String {
    Registry::from_yaml(text).unwrap_err().to_string()
}

#[test]
fn the_documented_registry_is_read() {
    let registry = Registry::from_yaml(DOCUMENTED).unwrap();
    assert_eq!(registry.warnings, []);
    assert_eq!(registry.instance_count(), 1);
    let service = registry.service("manifest").unwrap();
    let entry = &service.entries[0];
    assert_eq!(entry.instance.uri(), "http://chora-mcp-manifest:8081/");
    assert_eq!(&**entry.instance.id(), "http://chora-mcp-manifest:8081");
    let health = entry.health_url.as_ref().unwrap();
    assert_eq!(health, "http://chora-mcp-manifest:8081/health");
    let image = entry.instance.metadata().get("docker_image").unwrap();
    assert_eq!(&**image, "chora-mcp-manifest:latest");
    let tools: Vec<_> = entry.tools().iter().map(|tool| &*tool.name).collect();
    assert_eq!(tools, ["list_servers", "get_server"]);
    let description = entry.tools()[0].description.as_deref();
    assert_eq!(description, Some("List all registered MCP servers"));
}

#[test]
fn servers_of_one_namespace_are_instances_of_one_service() {
    let registry = Registry::from_yaml(
        "servers:
- {namespace: a, name: one, port: 80, weight: 3}
- {namespace: b, name: two, port: '81'}
- {namespace: a, name: '::1', port: 82, id: blue}
- {namespace: a, url: 'https://four.example/base'}
",
    )
    .unwrap();
    let names: Vec<_> = registry.services.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["a", "b"]);
    let read = |name: &str| -> Vec<_> {
        let instances = &registry.service(name).unwrap().instances;
        instances
            .iter()
            .map(|it| (it.id().to_string(), it.uri().to_string(), it.weight()))
            .collect()
    };
    let own = |id: &str, uri: &str, weight| (id.to_owned(), uri.to_owned(), weight);
    assert_eq!(
        read("a"),
        [
            own("http://one:80", "http://one:80/", 3),
            own("blue", "http://[::1]:82/", 1),
            own("https://four.example/base", "https://four.example/base", 1),
        ]
    );
    assert_eq!(read("b"), [own("http://two:81", "http://two:81/", 1)]);
}

#[test]
fn an_unquoted_version_is_no_error() {
    let registry = Registry::from_yaml("version: 1.0\nservers: []\n").unwrap();
    assert_eq!(registry.instance_count(), 0);
    assert_eq!(registry.warnings, []);
}

#[test]
fn unknown_fields_are_kept_and_warned_about_once() {
    let registry = Registry::from_yaml(
        "owner: me
x-anything: {}
servers:
- {namespace: a, name: one, port: 80, zone: eu, limits: {calls: 5}, tools: [{name: t, inputSchema: {type: object}}]}
- {namespace: a, name: two, port: 80, zone: us}
",
    )
    .unwrap();
    let warnings: Vec<_> = registry.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 1, column 1: unknown field `owner` of the registry is kept and not used",
            "line 4, column 39: unknown field `zone` of a server is kept and not used",
            "line 4, column 49: unknown field `limits` of a server is kept and not used",
        ]
    );
    let entry = &registry.service("a").unwrap().entries[0];
    let metadata = |key: &str| entry.instance.metadata().get(key).map(|it| &**it);
    assert_eq!(metadata("zone"), Some("eu"));
    assert_eq!(metadata("limits"), Some(r#"{"calls":5}"#));
    let schema = entry.tools()[0].metadata.get("inputSchema").map(|it| &**it);
    assert_eq!(schema, Some(r#"{"type":"object"}"#));
}

#[test]
fn everything_that_is_wrong_is_said_with_its_place() {
    for (text, message) in [
        (
            "[]",
            "line 1, column 1: a registry must be a mapping of names to values",
        ),
        (
            "version: '1'",
            "line 1, column 1: the registry has no `servers`",
        ),
        ("servers: 5", "line 1, column 10: `servers` must be a list"),
        (
            "servers:\n- a",
            "line 2, column 3: a server must be a mapping of names to values",
        ),
        (
            "servers:\n- name: one\n  port: 80",
            "line 2, column 3: the server has no `namespace`",
        ),
        (
            "servers:\n- namespace: a\n  port: 80",
            "line 2, column 3: the server has no `name`",
        ),
        (
            "servers:\n- {namespace: a, name: one}",
            "line 2, column 3: the server has no `port`",
        ),
        (
            "servers:\n- {namespace: a, name: one, port: 70000}",
            "line 2, column 35: `port` must be a whole number from 1 to 65535",
        ),
        (
            "servers:\n- {namespace: 5, name: one, port: 80}",
            "line 2, column 15: `namespace` must be a text, in quotes if need be",
        ),
        (
            "servers:\n- {namespace: a, name: me@one, port: 80}",
            "line 2, column 3: `name` must be the name or address of a host, `scheme` http or https",
        ),
        (
            "servers:\n- {namespace: a, name: one/two, port: 80}",
            "line 2, column 3: `name` must be the name or address of a host, `scheme` http or https",
        ),
        (
            "servers:\n- {namespace: a, name: one, port: 80, scheme: ftp}",
            "line 2, column 3: `name` must be the name or address of a host, `scheme` http or https",
        ),
        (
            "servers:\n- {namespace: a, name: one, port: 80, health_url: /health}",
            "line 2, column 51: health_url must be an http or https address without a password, its port from 1 to 65535",
        ),
        (
            "servers:\n- {namespace: a, name: one, port: 80}\n- {namespace: a, name: one, port: 80}",
            "line 3, column 3: instance `http://one:80` of `a` is there already, in line 2",
        ),
        (
            "servers:\n- {namespace: a, name: one, name: two, port: 80}",
            "line 2, column 29: `name` of a server is given twice",
        ),
        (
            "servers:\n- {namespace: a, name: one, port: 80, tools: [{description: x}]}",
            "line 2, column 47: the tool has no `name`",
        ),
    ] {
        assert_eq!(error(text), message, "{text:?}");
    }
    let all = error("servers:\n- {name: one, port: 0}\n- {namespace: b}\n");
    assert_eq!(all.matches("line ").count(), 2, "{all}");
    let many = format!("servers:\n{}", "- 1\n".repeat(100));
    assert!(error(&many).ends_with("; and 84 more"), "{}", error(&many));
}

#[test]
fn odd_tools_are_passed_over_and_said() {
    let registry = Registry::from_yaml(
        "servers:\n- {namespace: a, name: one, port: 80, tools: [t, {name: u}, {name: u}]}",
    )
    .unwrap();
    assert_eq!(registry.service("a").unwrap().entries[0].tools().len(), 1);
    assert_eq!(registry.warnings.len(), 2);
}

#[test]
fn a_password_never_reaches_the_message() {
    let text = "servers:\n- {namespace: a, url: 'http://me:hunter2@one'}";
    assert!(!error(text).contains("hunter2"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in "[-{}\\[\\]:,&*<!|>'\"a-c \n]{0,80}") {
        let _ = Registry::from_yaml(&text);
    }
}
