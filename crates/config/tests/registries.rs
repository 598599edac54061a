//! Registries, and the services that they list.

mod common;

use std::{path::Path, time::Duration};

use bartizan_config::{
    AuthSettings, Configuration, Dialect, InstanceSource, McpTransport, Registered, RegisteredKind,
    RegistryFormat, ServiceSettings, Source, Strategy, variable_prefix,
};
use common::{notes, problems, warnings, with};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

fn parse(variables: &[(&str, &str)]) -> Configuration {
    let source = Source::from_iter(variables.iter().copied());
    Configuration::parse(&source).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A configuration of nothing but a registry, which need not exist, and these variables.
fn registry(variables: &[(&str, &str)]) -> Configuration {
    let registry = [("MCP_GATEWAY_REGISTRY_FILE", "/nowhere/registry.json")];
    parse(&[&registry, variables].concat())
}

fn rest(name: &str) -> Registered<'_> {
    Registered::new(name, RegisteredKind::Rest, Path::new("registry.yaml"))
}

fn mcp(name: &str) -> Registered<'_> {
    Registered::new(name, RegisteredKind::Mcp, Path::new("registry.json"))
}

fn settings(configuration: &Configuration, service: Registered<'_>) -> ServiceSettings {
    let (settings, warnings) = configuration.registered(&service).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    settings
}

fn errors(configuration: &Configuration, service: Registered<'_>) -> String {
    configuration.registered(&service).unwrap_err().to_string()
}

fn file(directory: &TempDir, name: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, "version: '1.0'\nservers: []\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_registry_is_enough() {
    let directory = TempDir::new().unwrap();
    let yaml = file(&directory, "registry.yaml");
    let configuration = parse(&[("REGISTRY_PATH", &yaml), ("POLL_INTERVAL", "5")]);
    let [registry] = &configuration.registries[..] else {
        panic!("{:?}", configuration.registries);
    };
    assert_eq!(registry.path.to_str(), Some(&*yaml));
    assert_eq!(registry.format, RegistryFormat::Yaml);
    assert_eq!(*registry.poll_interval, 5 * SECOND);
    assert!(!registry.may_be_missing);
    assert!(configuration.services.is_empty());
    assert!(configuration.warnings.is_empty());

    let json = directory.path().join("none/registry.json");
    let json = json.to_str().unwrap();
    let configuration = parse(&[
        ("REGISTRY_PATH", &yaml),
        ("MCP_GATEWAY_REGISTRY_FILE", json),
    ]);
    let [_, registry] = &configuration.registries[..] else {
        panic!("{:?}", configuration.registries);
    };
    assert_eq!(registry.format, RegistryFormat::Json);
    assert_eq!(*registry.poll_interval, 60 * SECOND);
    assert!(registry.may_be_missing);
    let summary = configuration.summary().to_string();
    assert!(
        summary.contains(&format!(
            "registry: {yaml} (registry.yaml), looked at every 60 s\nregistry: {json}"
        )),
        "{summary}"
    );
}

#[test]
fn a_registry_that_cannot_be_read_is_named() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("registry.yaml");
    let missing = missing.to_str().unwrap();
    assert_eq!(
        problems(&[("REGISTRY_PATH", missing)]),
        [format!("Registry file not found: {missing}")]
    );
    let there = directory.path().to_str().unwrap();
    for variable in ["REGISTRY_PATH", "MCP_GATEWAY_REGISTRY_FILE"] {
        assert_eq!(
            problems(&[(variable, there)]),
            [format!(
                "Registry file cannot be read: {there} (it is a directory)"
            )]
        );
    }
    let both = file(&directory, "both");
    let both = &both[..];
    assert_eq!(
        problems(&[("REGISTRY_PATH", both), ("MCP_GATEWAY_REGISTRY_FILE", both)]),
        ["REGISTRY_PATH and MCP_GATEWAY_REGISTRY_FILE name the same file"]
    );
    assert_eq!(
        warnings(&[("POLL_INTERVAL", "5")]),
        ["POLL_INTERVAL has no effect"]
    );
    assert_eq!(
        problems(&[
            ("HEALTH_CHECK_INTERVAL", "0"),
            ("MCP_GATEWAY_HEALTH_TIMEOUT", "1.5")
        ]),
        [
            "HEALTH_CHECK_INTERVAL must be at least 1 (HEALTH_CHECK_INTERVAL is \"0\")",
            "MCP_GATEWAY_HEALTH_TIMEOUT must be a whole number of seconds \
             (MCP_GATEWAY_HEALTH_TIMEOUT is \"1.5\")",
        ]
    );
}

#[test]
fn servers_of_registry_yaml_have_the_documented_defaults() {
    let configuration = registry(&[]);
    let service = settings(&configuration, rest("manifest"));
    assert_eq!(service.instances, InstanceSource::Registered);
    assert!(service.endpoints.is_empty());
    assert_eq!(
        service.endpoints.origin().to_string(),
        "registry registry.yaml"
    );
    assert_eq!(*service.kind.rest().unwrap().prefix, "/tools/");
    assert_eq!(*service.auth, AuthSettings::None);
    assert_eq!(*service.timeout, 5 * SECOND);
    assert_eq!(*service.retry.max_attempts, 3);
    assert!(service.rate_limit.is_unlimited());
    let health = service.health.unwrap();
    assert_eq!(health.path, None);
    assert_eq!(
        (*health.interval, *health.timeout),
        (60 * SECOND, 5 * SECOND)
    );
    let unprobed = Registered {
        probed: false,
        ..rest("manifest")
    };
    assert_eq!(settings(&configuration, unprobed).health, None);
}

#[test]
fn templates_of_registry_json_have_the_documented_defaults() {
    let configuration = registry(&[]);
    let service = settings(&configuration, mcp("filesystem"));
    let of_mcp = service.kind.mcp().unwrap();
    assert_eq!(*of_mcp.transport, McpTransport::StreamableHttp);
    assert_eq!(of_mcp.stdio, None);
    assert_eq!(*service.strategy, Strategy::RoundRobin);
    assert_eq!(*service.timeout, 60 * SECOND);
    assert_eq!(*service.retry.max_attempts, 3);
    let health = service.health.unwrap();
    assert_eq!(
        (*health.interval, *health.timeout),
        (30 * SECOND, 10 * SECOND)
    );

    let configuration = registry(&[
        ("MCP_GATEWAY_DEFAULT_STRATEGY", "health_based"),
        ("MCP_GATEWAY_REQUEST_TIMEOUT", "7"),
        ("MCP_GATEWAY_MAX_RETRIES", "0"),
        ("MCP_GATEWAY_HEALTH_INTERVAL", "8"),
        ("HEALTH_CHECK_INTERVAL", "9"),
        ("MCP_GATEWAY_HEALTH_TIMEOUT", "2"),
    ]);
    for (service, interval) in [(mcp("a"), 8), (rest("b"), 9)] {
        let service = settings(&configuration, service);
        assert_eq!(*service.strategy, Strategy::HealthBased);
        assert_eq!(*service.timeout, 7 * SECOND);
        assert_eq!(
            service.timeout.origin().to_string(),
            "MCP_GATEWAY_REQUEST_TIMEOUT"
        );
        assert_eq!(*service.retry.max_attempts, 0);
        let health = service.health.unwrap();
        assert_eq!(
            (*health.interval, *health.timeout),
            (interval * SECOND, 2 * SECOND)
        );
    }
}

#[test]
fn variables_win_over_the_registry_and_the_registry_over_defaults() {
    let configuration = registry(&[
        ("MCP_GATEWAY_DEFAULT_STRATEGY", "random"),
        ("MCP_SERVICE_MY_FILES_AUTH_TYPE", "bearer"),
        ("MCP_SERVICE_MY_FILES_TOKEN", "s3cr3t-token"),
        ("MCP_SERVICE_MY_FILES_RATE_LIMIT_RPM", "30"),
        ("MCP_SERVICE_MY_FILES_TIMEOUT", "1500"),
        ("MCP_SERVICE_MY_FILES_HEALTH_PATH", "/up"),
        ("MCP_SERVICE_MY_FILES_ENV_TOKEN", "hunter2"),
    ]);
    assert!(
        configuration
            .warnings
            .iter()
            .all(|it| it.severity() == bartizan_config::Severity::Note)
    );
    let said = Registered {
        strategy: Some("weighted"),
        health_check_interval: Some(15 * SECOND),
        max_retries: Some(2),
        timeout: Some(30 * SECOND),
        ..mcp("my-files")
    };
    let service = settings(&configuration, said);
    assert_eq!(*service.strategy, Strategy::Weighted);
    assert_eq!(
        service.strategy.origin().to_string(),
        "registry registry.json"
    );
    assert_eq!(service.timeout.as_millis(), 1500);
    assert_eq!(
        service.timeout.origin().to_string(),
        "MCP_SERVICE_MY_FILES_TIMEOUT"
    );
    assert_eq!(*service.retry.max_attempts, 2);
    assert_eq!(service.rate_limit.requests_per_minute.get(), 30);
    assert!(matches!(*service.auth, AuthSettings::Bearer { .. }));
    let health = service.health.as_ref().unwrap();
    assert_eq!(health.path.as_ref().map(|it| it.as_str()), Some("/up"));
    assert_eq!(*health.interval, 15 * SECOND);

    let programs = service.kind.mcp().unwrap().programs.as_ref().unwrap();
    let origin = service.strategy.origin();
    let env = [("TOKEN", "theirs"), ("MODE", "ro"), ("", "x"), ("A=B", "x")];
    let process = programs.process("server", ["--root", "/srv"], env, None, origin);
    let env: Vec<_> = process
        .env
        .iter()
        .map(|(name, value)| (&**name, value.expose()))
        .collect();
    assert_eq!(env, [("TOKEN", "hunter2"), ("MODE", "ro")]);
    assert_eq!(*process.args, ["--root", "/srv"]);
    for debug in [
        format!("{configuration:?}"),
        format!("{service:?}"),
        format!("{process:?}"),
    ] {
        assert!(
            !debug.contains("hunter2") && !debug.contains("s3cr3t"),
            "{debug}"
        );
    }
}

#[test]
fn a_kind_can_be_changed_by_a_variable() {
    let configuration = registry(&[
        ("MCP_SERVICE_A_TRANSPORT", "rest"),
        ("MCP_SERVICE_A_PATH_PREFIX", "/v1/"),
        ("MCP_SERVICE_B_TRANSPORT", "http"),
        ("MCP_SERVICE_C_COMMAND", "server"),
    ]);
    let service = settings(&configuration, mcp("a"));
    assert_eq!(*service.kind.rest().unwrap().prefix, "/v1/");
    assert!(settings(&configuration, rest("b")).kind.mcp().is_some());
    let errors = errors(&configuration, mcp("c"));
    assert!(
        errors.contains("Service c: a command is for the transport stdio"),
        "{errors}"
    );
}

#[test]
fn what_is_out_of_bounds_is_brought_within_and_said() {
    let configuration = registry(&[]);
    let said = Registered {
        strategy: Some("fastest"),
        health_check_interval: Some(SECOND),
        max_retries: Some(11),
        timeout: Some(301 * SECOND),
        ..mcp("files")
    };
    let (service, warnings) = configuration.registered(&said).unwrap();
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "Service files: the registry names the strategy \"fastest\", which is none; using \
             round-robin",
            "Service files: health_check_interval of the registry is 1, not from 5 to 300; using 5",
            "Service files: max_retries of the registry is 11, not from 1 to 10; using 10",
            "Service files: timeout of the registry is 301, not from 5 to 300; using 300",
        ]
    );
    assert_eq!(*service.strategy, Strategy::RoundRobin);
    assert_eq!(*service.health.unwrap().interval, 5 * SECOND);
    assert_eq!(*service.retry.max_attempts, 10);
    assert_eq!(*service.timeout, 300 * SECOND);
}

#[test]
fn whoever_registers_gets_no_credentials_of_others() {
    let configuration = with(&[
        ("MCP_GATEWAY_REGISTRY_FILE", "/nowhere/registry.json"),
        ("MCP_SERVICES", "user-service,git"),
        ("MCP_SERVICE_GIT_COMMAND", "git-server"),
        ("MCP_SERVICE_GIT_ENV_X_TOKEN", "hunter2"),
        ("MCP_SERVICE_GIT_ENV_X_AUTH_TYPE", "bearer"),
    ])
    .unwrap();
    let errors = |name| errors(&configuration, mcp(name));
    for name in ["user-service", "user_service", "User.Service"] {
        assert!(
            errors(name).contains("has the variables of service user-service"),
            "{name}"
        );
    }
    let text = errors("git-env-x");
    assert!(
        text.contains("MCP_SERVICE_GIT_ENV_X_TOKEN is a variable of a service"),
        "{text}"
    );
    assert!(!text.contains("hunter2"));
    for name in ["", "a,b", "a/b", " a", "a\u{7}"] {
        assert!(
            errors(name).contains("cannot be the name of a service"),
            "{name:?}"
        );
    }
    assert!(errors("tools").contains("an MCP service cannot have this name"));
    assert_eq!(variable_prefix("my-x"), variable_prefix("my_x"));
}

#[test]
fn services_of_a_registry_get_no_credentials_of_another_that_is_known() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bartizan.yaml");
    let text = "{services: {a-env: {auth: {token: hunter2}, instances: [{url: 'http://a'}]}}}";
    std::fs::write(&path, text).unwrap();
    let source = Source::from_iter([
        ("MCP_GATEWAY_REGISTRY_FILE", "/nowhere/registry.json"),
        ("MCP_SERVICES", "b-header"),
        ("MCP_SERVICE_B_HEADER_ENDPOINT", "http://b"),
        ("MCP_SERVICE_B_HEADER_AUTH_TYPE", "none"),
        ("MCP_SERVICE_B_HEADER_TOKEN", "hunter2"),
    ]);
    let source = source.with_config_file(&path);
    let configuration = Configuration::parse(&source).unwrap();
    assert!(
        configuration
            .registered(&Registered::new("a-env", RegisteredKind::Rest, &path))
            .is_ok()
    );
    let a = errors(&configuration, mcp("a"));
    assert!(
        a.contains("MCP_SERVICE_A_ENV_TOKEN is a variable of both service a-env and service a"),
        "{a}"
    );
    // It has no effect on the service that it is of, and would have one on the other.
    let b = errors(&configuration, mcp("b"));
    assert!(
        b.contains("MCP_SERVICE_B_HEADER_TOKEN is a variable of a service that is configured"),
        "{b}"
    );
    assert!(!format!("{a}{b}").contains("hunter2"));
}

#[test]
fn what_looks_like_the_credentials_of_another_service_is_refused() {
    let configuration = registry(&[
        ("MCP_SERVICE_A_ENV_AUTH_TYPE", "bearer"),
        ("MCP_SERVICE_A_ENV_TOKEN", "s3cr3t-token"),
        ("MCP_SERVICE_B_ENV_AUTH_TYPE", "none"),
        ("MCP_SERVICE_B_ENV_MY_AUTH_TYPE", "kerberos"),
        ("MCP_SERVICE_B_ENV_TOKEN", "s3cr3t-token"),
    ]);
    assert_eq!(
        errors(&configuration, mcp("a")),
        "Configuration errors:\n  - Service a: MCP_SERVICE_A_ENV_AUTH_TYPE may be of another \
         service, which MCP_SERVICE_A_ENV_* are for: rename one"
    );
    let other = settings(&configuration, mcp("a-env"));
    assert!(matches!(*other.auth, AuthSettings::Bearer { .. }));
    assert!(configuration.registered(&mcp("b")).is_ok());
}

#[test]
fn wrong_variables_are_found_when_the_service_is() {
    let configuration = registry(&[
        ("MCP_SERVICE_A_TIMEOUT", "soon"),
        ("MCP_SERVICE_B_TOKEN", "s3cr3t-token"),
        ("MCP_SERVICE_B_ENDPOINT", "http://b"),
    ]);
    assert_eq!(
        errors(&configuration, mcp("a")),
        "Configuration errors:\n  - MCP_SERVICE_A_TIMEOUT must be a whole number of milliseconds \
         (MCP_SERVICE_A_TIMEOUT is \"soon\")"
    );
    let (_, warnings) = configuration.registered(&mcp("b")).unwrap();
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "MCP_SERVICE_B_ENDPOINT has no effect beside the other settings of service b",
            "MCP_SERVICE_B_TOKEN has no effect beside the other settings of service b",
        ]
    );
}

#[test]
fn variables_of_services_to_come_are_no_more_than_noted() {
    let changes = [
        ("MCP_GATEWAY_REGISTRY_FILE", "/nowhere/registry.json"),
        ("MCP_SERVICE_USER_SERVICE2_TOKEN_FILE", "/run/secrets/token"),
        ("MCP_SERVICE_FILES_ENV_HOME", "/srv"),
    ];
    assert_eq!(warnings(&changes), [""; 0]);
    assert_eq!(
        notes(&changes),
        [
            "MCP_SERVICE_FILES_ENV_HOME belongs to no service of MCP_SERVICES, maybe to one of a \
             registry",
            "MCP_SERVICE_USER_SERVICE2_TOKEN_FILE belongs to no service of MCP_SERVICES, maybe to \
             one of a registry",
        ]
    );
    let changes = [changes[0], ("MCP_SERVICE_USER_SERVICE_TIMEUOT", "5")];
    assert_eq!(warnings(&changes).len(), 1);
}

#[test]
fn two_configurations_differ_in_what_services_to_come_get() {
    let one = registry(&[("MCP_SERVICE_A_TOKEN", "one")]);
    assert_eq!(one, registry(&[("MCP_SERVICE_A_TOKEN", "one")]));
    assert_ne!(one, registry(&[("MCP_SERVICE_A_TOKEN", "two")]));
}

#[test]
fn the_address_has_two_names() {
    let keys = ("MCP_GATEWAY_API_KEYS", "0123456789abcdef");
    let host = |changes: &[(&str, &str)]| {
        let configuration = with(&[&[keys], changes].concat()).unwrap();
        configuration.gateway.host.to_string()
    };
    assert_eq!(host(&[]), "127.0.0.1");
    assert_eq!(host(&[("HOST", "0.0.0.0")]), "0.0.0.0");
    let both = [("HOST", "0.0.0.0"), ("MCP_GATEWAY_HOST", "127.0.0.2")];
    assert_eq!(host(&both), "127.0.0.2");
    assert_eq!(
        warnings(&[keys, both[0], both[1]]),
        ["HOST is 0.0.0.0 and MCP_GATEWAY_HOST is 127.0.0.2: the latter counts"]
    );
    let name = ("HOST", "x86_64-conda-linux-gnu");
    assert_eq!(host(&[name]), "127.0.0.1");
    assert_eq!(
        warnings(&[name]),
        ["HOST is \"x86_64-conda-linux-gnu\", which is no address; passed over"]
    );
    let refused = problems(&[("HOST", "0.0.0.0")]);
    assert!(
        refused[0].starts_with("refusing to listen on 0.0.0.0"),
        "{refused:?}"
    );
}

#[test]
fn what_operators_may_do_over_http_is_said() {
    let configuration = with(&[
        (
            "MCP_GATEWAY_ADMIN_KEYS",
            "an-operator-s-key-1, an-operator-s-key-2",
        ),
        ("MCP_GATEWAY_ALLOWED_COMMANDS", "npx, /usr/bin/python3"),
        ("MCP_GATEWAY_MAX_CONCURRENT_CHECKS", "4"),
        ("DIALECT", "004"),
    ])
    .unwrap();
    let gateway = &configuration.gateway;
    assert_eq!(gateway.admin_keys.as_ref().unwrap().len(), 2);
    assert_eq!(
        *gateway.instances.allowed_commands,
        ["npx", "/usr/bin/python3"]
    );
    assert_eq!(*gateway.dialect, Dialect::App);
    let rows = configuration.explain_gateway().to_string();
    assert!(
        rows.contains("2 [redacted]") && !rows.contains("operator-s"),
        "{rows}"
    );
    // They count without a registry, too.
    for row in ["programs", "probes at once"] {
        assert!(rows.contains(row), "{rows}");
    }
    let none = with(&[]).unwrap().gateway;
    assert!(none.admin_keys.is_none() && none.instances.allowed_commands.is_empty());
    assert_eq!(*none.dialect, Dialect::Both);
    let relative = problems(&[("MCP_GATEWAY_ALLOWED_COMMANDS", "./server")]);
    assert_eq!(relative.len(), 1, "{relative:?}");
}

#[test]
fn a_prefix_is_for_plain_services() {
    let prefix = ("MCP_SERVICE_USER_SERVICE_PATH_PREFIX", "/tools/");
    let configuration = with(&[prefix]).unwrap();
    let rest = configuration.services[0].kind.rest().unwrap();
    assert_eq!(*rest.prefix, "/tools/");
    assert_eq!(
        *with(&[]).unwrap().services[0].kind.rest().unwrap().prefix,
        "/api/"
    );
    let of_mcp = [prefix, ("MCP_SERVICE_USER_SERVICE_TRANSPORT", "sse")];
    assert_eq!(warnings(&of_mcp).len(), 1);
    let wrong = problems(&[("MCP_SERVICE_USER_SERVICE_PATH_PREFIX", "/a/../b/")]);
    assert!(wrong[0].contains("must begin and end with /"), "{wrong:?}");
}
#[test]
fn whether_anything_is_said_of_a_service_is_known() {
    let variables = [
        ("MCP_SERVICE_NOTES_TIMEOUT", "3000"),
        ("MCP_SERVICE_NOTES_TRANSPORT", "rest"),
        ("MCP_GATEWAY_HEALTH_INTERVAL", "300"),
    ];
    let configuration = registry(&variables);
    let of = |name| settings(&configuration, mcp(name));
    assert!(of("notes").is_named);
    assert!(!of("late").is_named);
}
