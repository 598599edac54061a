use std::{fs, path::Path};

use bartizan_config::{
    Configuration, McpTransport, Origin, Registered, RegisteredKind, RegistryFormat,
    ServiceSettings, Source, Strategy,
};
use bartizan_discovery::{Entry, RegisteredService, Registry, Transport};

use crate::{SECOND, directory, sound, source, warnings};

/// The documented registries, word for word but for the instances that one leaves out.
const YAML: &str = r#"version: "1.0"

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
const JSON: &str = r#"{
  "templates": {
    "high-performance": {
      "instances": [
        {"id": "fs-1", "endpoint": "http://localhost:7071", "transport": "http",
         "metadata": {"weight": 3, "zone": "eu"}},
        {"id": "fs-2", "command": ["python", "server.py"], "transport": "stdio",
         "working_dir": "/app", "env_vars": {"MODE": "ro"}}
      ],
      "load_balancer": {
        "strategy": "weighted",
        "health_check_interval": 15,
        "max_retries": 2,
        "timeout": 30
      }
    }
  }
}"#;

/// The same in the native format.
const NATIVE: &str = "
services:
  manifest:
    path_prefix: /tools/
    instances:
      - url: http://chora-mcp-manifest:8081
        health_url: http://chora-mcp-manifest:8081/health
        metadata: {name: chora-mcp-manifest, docker_image: 'chora-mcp-manifest:latest'}
    tools:
      - name: list_servers
        description: List all registered MCP servers
      - name: get_server
        description: Get details of a specific server
  high-performance:
    instances:
      - {id: fs-1, url: 'http://localhost:7071', transport: http, weight: 3, metadata: {zone: eu}}
      - {id: fs-2, command: python, args: [server.py], working_dir: /app, env: {MODE: ro}}
    load_balancer: {strategy: weighted, health_check_interval: 15s, max_retries: 2, timeout: 30}
";

/// The service without the text that only a `registry.json` has of its instances.
fn untold(service: &RegisteredService) -> (String, Vec<Entry>, RegisteredService) {
    let entries = service.entries.iter().cloned().map(|mut entry| {
        entry.raw = None;
        entry
    });
    let entries: Vec<_> = entries.collect();
    let mut service = service.clone();
    service.entries = entries.clone().into();
    (service.name.to_string(), entries, service)
}

/// What the gateway asks of a service that a registry lists.
fn registered<'a>(
    service: &'a RegisteredService,
    kind: RegisteredKind,
    path: &'a Path,
) -> Registered<'a> {
    let balancing = service.balancing.as_ref();
    Registered {
        strategy: balancing.and_then(|it| it.strategy.as_deref()),
        health_check_interval: balancing.and_then(|it| it.health_check_interval),
        max_retries: balancing.and_then(|it| it.max_retries),
        timeout: balancing.and_then(|it| it.timeout),
        ..Registered::new(&service.name, kind, path)
    }
}

fn settings(configuration: &Configuration, service: &str) -> ServiceSettings {
    let native = &configuration.registries[0];
    let registry = native.listed.as_ref().unwrap().registry();
    let service = registry.service(service).unwrap();
    let kind = native.kind(&service.name);
    let (settings, warnings) = configuration
        .registered(&registered(service, kind, &native.path))
        .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    settings
}

#[test]
fn the_documented_registries_can_be_said() {
    let directory = directory(NATIVE);
    let (yaml, json) = (
        directory.path().join("registry.yaml"),
        directory.path().join("registry.json"),
    );
    fs::write(&yaml, YAML).unwrap();
    fs::write(&json, JSON).unwrap();
    let of_files = Configuration::parse(&Source::from_iter([
        ("REGISTRY_PATH", yaml.to_str().unwrap()),
        ("MCP_GATEWAY_REGISTRY_FILE", json.to_str().unwrap()),
    ]))
    .unwrap();
    let native = Configuration::parse(&source(&directory, &[])).unwrap();
    assert_eq!(warnings(&native), [""; 0]);
    let [registry] = &native.registries[..] else {
        panic!("{:?}", native.registries);
    };
    assert_eq!(registry.format, RegistryFormat::Native);
    assert!(matches!(
        registry.path.origin(),
        Origin::Native {
            line: 2,
            column: 1,
            ..
        }
    ));
    let listed = registry.listed.as_ref().unwrap().registry();

    let (of_yaml, of_json) = (
        Registry::from_yaml(YAML).unwrap(),
        Registry::from_json(JSON).unwrap(),
    );
    assert_eq!(listed.warnings, of_yaml.warnings);
    let theirs: Vec<_> = [&of_yaml.services[..], &of_json.services].concat();
    assert_eq!(listed.services.len(), theirs.len());
    for (ours, theirs) in listed.services.iter().zip(&theirs) {
        assert_eq!(untold(ours), untold(theirs));
    }

    for (service, kind, path) in [
        (&of_yaml.services[0], RegisteredKind::Rest, &yaml),
        (&of_json.services[0], RegisteredKind::Mcp, &json),
    ] {
        assert_eq!(registry.kind(&service.name), kind);
        let registered = registered(service, kind, path);
        let theirs = ServiceSettings {
            // A file of services says something of each.
            is_named: true,
            ..of_files.registered(&registered).unwrap().0
        };
        assert_eq!(settings(&native, &service.name), theirs);
    }
}

#[test]
fn keys_of_a_service_win_over_what_its_registry_says() {
    let text = "
services:
  files:
    auth: {type: bearer, token: s3cr3t}
    timeout: 1500
    strategy: random
    rate_limit: {rpm: 30}
    health: {path: /up}
    env: {TOKEN: ours}
    load_balancer: {strategy: weighted, timeout: 30s}
    instances:
      - {id: one, command: [server], env: {TOKEN: theirs, MODE: ro}, working_dir: work}
      - {id: two, url: 'http://a:1', transport: sse}
";
    let directory = directory(text);
    let variables = [("MCP_SERVICE_FILES_RATE_LIMIT_RPM", "40")];
    let configuration = Configuration::parse(&source(&directory, &variables)).unwrap();
    assert!(
        configuration.warnings.is_empty(),
        "{:?}",
        configuration.warnings
    );
    let service = settings(&configuration, "files");
    assert_eq!(service.timeout.as_millis(), 1500);
    assert_eq!(*service.strategy, Strategy::Random);
    assert_eq!(service.rate_limit.requests_per_minute.get(), 40);
    assert_eq!(service.rate_limit.burst.get(), 20);
    assert_eq!(
        *service.kind.mcp().unwrap().transport,
        McpTransport::StreamableHttp
    );
    let programs = service.kind.mcp().unwrap().programs.as_ref().unwrap();
    let env: Vec<_> = programs
        .env
        .iter()
        .map(|(name, it)| (&**name, it.expose()))
        .collect();
    assert_eq!(env, [("TOKEN", "ours")]);
    let registry = configuration.registries[0]
        .listed
        .as_ref()
        .unwrap()
        .registry();
    let entry = registry.service("files").unwrap().entry("one").unwrap();
    let launch = entry.launch.as_ref().unwrap();
    assert_eq!(
        launch.working_dir.as_deref(),
        Some(&*directory.path().join("work"))
    );

    let explained = configuration.explain("files").unwrap().to_string();
    assert!(
        explained.contains("services.files.timeout ("),
        "{explained}"
    );
    assert!(
        explained.contains("MCP_SERVICE_FILES_RATE_LIMIT_RPM"),
        "{explained}"
    );
    let error = configuration.explain("fils").unwrap_err().to_string();
    assert!(error.contains("did you mean files?"), "{error}");
}

#[test]
fn what_instances_speak_follows_from_what_is_there() {
    let kind = |said: &str, instance: &str| {
        let text = format!("services: {{a: {{{said}instances: [{{{instance}}}]}}}}");
        let configuration = sound(&[], &text);
        let kind = configuration.registries[0].kind("a");
        let service = settings(&configuration, "a");
        assert_eq!(
            service.kind.mcp().is_some(),
            kind == RegisteredKind::Mcp,
            "{text}"
        );
        kind
    };
    let url = "url: 'http://a:1'";
    assert_eq!(kind("", url), RegisteredKind::Rest);
    assert_eq!(kind("kind: mcp, ", url), RegisteredKind::Mcp);
    assert_eq!(kind("transport: sse, ", url), RegisteredKind::Mcp);
    assert_eq!(kind("transport: rest, ", url), RegisteredKind::Rest);
    assert_eq!(kind("", "id: a, command: x"), RegisteredKind::Mcp);
    let sse = "url: 'http://a:1', transport: sse";
    assert_eq!(kind("", sse), RegisteredKind::Mcp);

    // The environment says what the text stands for, or something else.
    let text = "services: {a: {transport: '${T}', instances: [{url: 'http://a:1'}]}}";
    for variable in ["T", "MCP_SERVICE_A_TRANSPORT"] {
        let configuration = sound(&[(variable, "sse")], text);
        assert_eq!(configuration.registries[0].kind("a"), RegisteredKind::Mcp);
        assert_eq!(*settings(&configuration, "a").timeout, 60 * SECOND);
    }

    let rest = sound(&[], "services: {a: {instances: [{url: 'http://a:1'}]}}");
    let settings = settings(&rest, "a");
    assert_eq!(*settings.kind.rest().unwrap().prefix, "/api/");
    assert_eq!(*settings.timeout, 5 * SECOND);
    assert!(settings.rate_limit.is_unlimited());
    let of_service = sound(&[], "services: {a: {kind: mcp, endpoint: 'http://a:1'}}");
    assert!(of_service.services[0].kind.mcp().is_some());
}

#[test]
fn instances_name_variables_and_tools_do_not() {
    let text = "
services:
  a:
    instances: [{url: 'http://${A_HOST}:1', weight: '${A_WEIGHT:-2}', transport: '${T:-sse}'}]
    tools: [{name: t, description: 'fills in ${placeholders}'}]
";
    let configuration = sound(&[("A_HOST", "ada")], text);
    let registry = configuration.registries[0]
        .listed
        .as_ref()
        .unwrap()
        .registry();
    let entry = &registry.service("a").unwrap().entries[0];
    assert_eq!(entry.instance.uri(), "http://ada:1/");
    assert_eq!(
        (entry.instance.weight(), entry.transport),
        (2, Transport::Sse)
    );
    let description = entry.tools()[0].description.as_deref();
    assert_eq!(description, Some("fills in ${placeholders}"));
}
