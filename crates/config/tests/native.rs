//! `bartizan.yaml`: what it says, what wins over it, and what is wrong with it.

mod native {
    pub(crate) mod faults;
    pub(crate) mod hostile;
    pub(crate) mod registries;
    pub(crate) mod table;
}

use std::{fs, path::Path, time::Duration};

use bartizan_config::{
    AuthSettings, Configuration, Dialect, LogFormat, McpTransport, Origin, Severity, Source,
    Strategy,
};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A directory with a `bartizan.yaml` of this text.
fn directory(text: impl AsRef<[u8]>) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("bartizan.yaml"), text).unwrap();
    directory
}

fn source(directory: &TempDir, variables: &[(&str, &str)]) -> Source {
    let source = Source::from_iter(variables.iter().copied());
    source.with_config_file(directory.path().join("bartizan.yaml"))
}

/// The text with the file called `bartizan.yaml`, wherever it is.
fn short(directory: &TempDir, text: &str) -> String {
    text.replace(&format!("{}/", directory.path().display()), "")
}

/// The configuration of these variables and a file with this text.
fn read(variables: &[(&str, &str)], text: &str) -> Result<Configuration, Vec<String>> {
    let directory = directory(text);
    Configuration::parse(&source(&directory, variables)).map_err(|errors| {
        let problems = errors.problems().iter();
        problems
            .map(|it| short(&directory, &it.to_string()))
            .collect()
    })
}

fn sound(variables: &[(&str, &str)], text: &str) -> Configuration {
    let read = read(variables, text);
    read.unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

fn problems(text: &str) -> Vec<String> {
    read(&[], text).map_or_else(|problems| problems, |_| Vec::new())
}

fn warnings(configuration: &Configuration) -> Vec<String> {
    let warnings = configuration.warnings.iter();
    let worth_a_look = warnings.filter(|it| it.severity() == Severity::Warning);
    worth_a_look.map(ToString::to_string).collect()
}

/// A sound service, for texts that are about the gateway.
const SERVICE: &str = "services: {a: {endpoint: 'http://a:1', auth: {type: none}}}\n";

fn gateway(variables: &[(&str, &str)], text: &str) -> Configuration {
    sound(variables, &format!("{SERVICE}gateway:\n{text}"))
}

#[test]
fn the_example_of_the_reference_is_sound() {
    let reference = bartizan_config::reference_markdown();
    let (_, example) = reference.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let secrets = [
        ("GATEWAY_KEY", "0123456789abcdef"),
        ("USER_SERVICE_TOKEN", "hunter2"),
        ("GITHUB_TOKEN", "ghp_hunter2"),
    ];
    let configuration = sound(&secrets, example);
    assert_eq!(warnings(&configuration), [""; 0]);
    let settings = &configuration.gateway;
    assert_eq!(*settings.port, 8080);
    assert_eq!(
        settings.api_keys.as_ref().unwrap()[0].expose(),
        "0123456789abcdef"
    );
    assert_eq!(*settings.log_format, LogFormat::Json);
    assert_eq!(*settings.max_body_bytes, 10 << 20);
    assert_eq!(*settings.drain_timeout, 25 * SECOND);
    assert_eq!(configuration.retry.initial_delay.as_millis(), 500);
    assert!(*configuration.retry.jitter);

    let names: Vec<_> = configuration.services.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["user-service", "linear", "github"]);
    let user = configuration.service("user-service").unwrap();
    let endpoints: Vec<_> = user.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(
        endpoints,
        ["http://10.0.0.1:8081", "http://10.0.0.2:8081;weight=2"]
    );
    let AuthSettings::Bearer { token } = user.auth.value() else {
        panic!("{:?}", user.auth);
    };
    assert_eq!(token.expose(), "hunter2");
    assert_eq!(*user.timeout, 10 * SECOND);
    assert_eq!(user.rate_limit.requests_per_minute.get(), 600);
    assert_eq!(*user.health.as_ref().unwrap().interval, 10 * SECOND);
    assert_eq!(*user.idempotent_operations, ["get*", "list*"]);
    let linear = configuration.service("linear").unwrap().kind.mcp().unwrap();
    assert_eq!(*linear.transport, McpTransport::StreamableHttp);
    assert_eq!(linear.headers[0].0, "x-tenant");
    let github = configuration
        .service("github")
        .unwrap()
        .kind
        .stdio()
        .unwrap();
    assert_eq!(github.command.as_str(), "npx");
    assert_eq!(*github.args, ["-y", "@modelcontextprotocol/server-github"]);
    assert_eq!(github.env[0].1.expose(), "ghp_hunter2");

    let [native, json] = &configuration.registries[..] else {
        panic!("{:?}", configuration.registries);
    };
    assert!(json.path.is_absolute() && json.path.ends_with("registry.json"));
    let registry = native.listed.as_ref().unwrap().registry();
    let names: Vec<_> = registry.services.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["filesystem", "manifest"]);
    let shown = format!("{configuration:?} {}", configuration.summary());
    assert!(
        !shown.contains("hunter2") && !shown.contains("0123456789"),
        "{shown}"
    );
    assert!(
        shown.contains("(bartizan.yaml), services: 2, instances: 3"),
        "{shown}"
    );
}

#[test]
fn keys_may_be_nested_or_in_one_word() {
    for text in [
        "  retry: {max_attempts: 7, budget: {ratio: 0.5}}\n  log: {format: json}\n  dialect: '004'",
        "  retry_max_attempts: 7\n  retry_budget_ratio: 0.5\n  log_format: json\n  dialect: \"004\"",
        "  retry: {max: {attempts: 7}, budget_ratio: 0.5}\n  log: {format: JSON}\n  dialect: 004",
    ] {
        let configuration = gateway(&[], text);
        assert_eq!(*configuration.retry.max_attempts, 7);
        assert!((configuration.retry.budget_ratio.as_f64() - 0.5).abs() < 1e-9);
        assert_eq!(*configuration.gateway.log_format, LogFormat::Json);
        assert_eq!(*configuration.gateway.dialect, Dialect::App);
    }
    for text in [
        "auth: {type: api-key, api_key: k, api_key_in: query}\n    health: {path: /up, healthy_threshold: 4}",
        "auth_type: api-key\n    api_key: k\n    api_key_in: query\n    health_path: /up\n    healthy_threshold: 4",
        "auth: {type: api-key, api_key: k, api_key_in: query}\n    health: {path: /up}\n    healthy_threshold: 4",
    ] {
        let text = format!("services:\n  a:\n    endpoint: http://a:1\n    {text}");
        let service = &sound(&[], &text).services[0];
        assert!(matches!(*service.auth, AuthSettings::ApiKey { .. }));
        assert_eq!(service.health.as_ref().unwrap().healthy_threshold.get(), 4);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_files_of_servers() {
    let text = "
gateway: {port: 1, host: 127.0.0.9, default_timeout: 5s, api_keys: [a-key-of-the-file-0001]}
services:
  a: {endpoint: 'http://a:1', auth: {type: bearer, token: theirs}, timeout: 7s, strategy: random}
  tools: {timeout: 9s, env: {ONE: native, TWO: native}}
";
    // The name of a route cannot be that of an MCP service.
    let text = text.replace("tools:", "my-tools:");
    let directory = directory(&text);
    let secret = directory.path().join("secret");
    fs::write(&secret, "ours").unwrap();
    let servers = directory.path().join("mcp.json");
    let json = r#"{"mcpServers": {
        "my-tools": {"command": "server", "env": {"TWO": "theirs", "THREE": "theirs"}},
        "more": {"command": "more"}}}"#;
    fs::write(&servers, json).unwrap();
    let variables = [
        ("MCP_GATEWAY_PORT", "2"),
        ("HOST", "127.0.0.3"),
        ("MCP_SERVICE_A_TIMEOUT", "1500"),
        ("MCP_SERVICE_A_TOKEN_FILE", secret.to_str().unwrap()),
        ("MCP_SERVICE_MY_TOOLS_ENV_ONE", "environment"),
    ];
    let source = Source::from_iter(variables)
        .with_text(
            "MCP_SERVICE_A_TIMEOUT=1\nMCP_SERVICE_A_STRATEGY=p2c\n",
            ".env",
        )
        .with_config_file(directory.path().join("bartizan.yaml"))
        .with_mcp_config(&servers);
    let configuration = Configuration::parse(&source).unwrap();
    assert_eq!(warnings(&configuration), [""; 0]);
    assert_eq!(*configuration.gateway.port, 2);
    assert_eq!(configuration.gateway.host.to_string(), "127.0.0.3");
    let [a, tools, _] = &configuration.services[..] else {
        panic!("{:?}", configuration.services);
    };
    assert_eq!(a.timeout.as_millis(), 1500);
    assert_eq!(*a.strategy, Strategy::P2c);
    let AuthSettings::Bearer { token } = a.auth.value() else {
        panic!("{:?}", a.auth);
    };
    assert_eq!(token.expose(), "ours");
    assert_eq!(*tools.timeout, 9 * SECOND);
    let env = tools.kind.stdio().unwrap().env.iter();
    let env: Vec<_> = env.map(|(name, it)| (&**name, it.expose())).collect();
    assert_eq!(
        env,
        [
            ("ONE", "environment"),
            ("THREE", "theirs"),
            ("TWO", "native")
        ]
    );
    assert_eq!(*configuration.services[2].timeout, 5 * SECOND);
}

#[test]
fn origins_have_line_and_column() {
    let text = "services:\n  a:\n    endpoint: http://a:1\n    auth:\n      type: bearer\n      token: \
                hunter2\n    timeout: 3s\n";
    let directory = directory(text);
    let configuration = Configuration::parse(&source(&directory, &[])).unwrap();
    let service = &configuration.services[0];
    assert_eq!(
        service.timeout.origin(),
        &Origin::Native {
            key: "services.a.timeout".into(),
            path: directory.path().join("bartizan.yaml"),
            line: 7,
            column: 5,
        }
    );
    let explained = short(&directory, &configuration.explain("a").unwrap().to_string());
    for row in [
        "services.a.timeout (bartizan.yaml, line 7, column 5)",
        "services.a.auth.token (bartizan.yaml, line 6, column 7)",
        "services.a.endpoint (bartizan.yaml, line 3, column 5)",
    ] {
        assert!(explained.contains(row), "{row}: {explained}");
    }
    assert!(!explained.contains("hunter2"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "
services:
  a: {endpoint: 'http://a:1', auth: {type: bearer, token_file: secrets/a}}
  b: {command: server, working_dir: work}
";
    let directory = directory(text);
    fs::create_dir(directory.path().join("secrets")).unwrap();
    fs::write(directory.path().join("secrets/a"), "s3cr3t\n").unwrap();
    let configuration = Configuration::parse(&source(&directory, &[])).unwrap();
    let AuthSettings::Bearer { token } = configuration.services[0].auth.value() else {
        panic!();
    };
    assert_eq!(token.expose(), "s3cr3t");
    let origin = short(&directory, &token.origin().to_string());
    assert_eq!(origin, "services.a.auth.token_file (secrets/a)");
    let process = configuration.services[1].kind.stdio().unwrap();
    let work = process.working_dir.as_ref().unwrap();
    assert_eq!(**work, directory.path().join("work"));

    fs::remove_file(directory.path().join("secrets/a")).unwrap();
    let errors = Configuration::parse(&source(&directory, &[])).unwrap_err();
    let text = short(&directory, &errors.to_string());
    assert!(
        text.contains(
            "services.a.auth.token_file (bartizan.yaml, line 3, column 52) must name a readable file"
        ),
        "{text}"
    );
}

#[test]
fn texts_name_variables() {
    let text = "
gateway: {port: \"${MY_PORT}\", cors_origins: \"${MY_ORIGINS:-https://a.example}\"}
services:
  a:
    endpoint: ${SCHEME:-http}://${A_HOST}:1
    auth: {type: basic, username: \"${env:A_USER}\", password: \"a$b${1}\"}
";
    let variables = [("MY_PORT", "9000"), ("A_HOST", "ada"), ("A_USER", "ada")];
    let configuration = sound(&variables, text);
    assert_eq!(*configuration.gateway.port, 9000);
    assert_eq!(
        configuration.services[0].endpoints[0].as_str(),
        "http://ada:1"
    );
    let AuthSettings::Basic { username, password } = configuration.services[0].auth.value() else {
        panic!();
    };
    assert_eq!((username.as_str(), password.expose()), ("ada", "a$b${1}"));
    assert_eq!(
        read(&variables[1..], text).unwrap_err(),
        [
            "gateway.port (bartizan.yaml, line 2, column 11) names the variable MY_PORT, which is \
             not set: set it, or set PORT"
        ]
    );
    let by_variable = [("MCP_GATEWAY_PORT", "7"), variables[1], variables[2]];
    assert_eq!(*sound(&by_variable, text).gateway.port, 7);
}

#[test]
fn either_variable_wins_and_what_is_none_of_ours_does_not() {
    for (variables, expected) in [
        (&[][..], "127.0.0.9:9"),
        (&[("HOST", "127.0.0.2"), ("PORT", "2")], "127.0.0.2:2"),
        (
            &[("MCP_GATEWAY_HOST", "127.0.0.3"), ("MCP_GATEWAY_PORT", "3")],
            "127.0.0.3:3",
        ),
        // What shells and Kubernetes set.
        (
            &[
                ("HOST", "x86_64-linux-gnu"),
                ("MCP_GATEWAY_PORT", "tcp://10.0.0.1:80"),
            ],
            "127.0.0.9:9",
        ),
    ] {
        let configuration = gateway(variables, "  {host: 127.0.0.9, port: 9}");
        assert_eq!(warnings(&configuration), [""; 0], "{variables:?}");
        let address = configuration.gateway.address().to_string();
        assert_eq!(address, expected, "{variables:?}");
    }
}

#[test]
fn services_of_variables_and_of_the_file_are_one() {
    let variables = [
        ("MCP_SERVICES", "b,a"),
        ("MCP_SERVICE_A_ENDPOINT", "http://a:1"),
        ("MCP_SERVICE_B_COMMAND", "server"),
    ];
    let text = "services: {c: {command: c}, a: {auth: {type: none}, timeout: 2s}}";
    let configuration = sound(&variables, text);
    let names: Vec<_> = configuration.services.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["b", "a", "c"]);
    assert_eq!(*configuration.services[1].timeout, 2 * SECOND);
}

#[test]
fn what_is_not_there_is_no_error_unless_it_was_asked_for() {
    let nowhere = Path::new("/nowhere/bartizan.yaml");
    let problems = |source: Source| {
        let errors = Configuration::parse(&source).unwrap_err();
        errors.problems()[0].to_string()
    };
    let passed = problems(Source::default().with_config_file_if_present(nowhere));
    assert!(passed.contains("At least one service"), "{passed}");
    let missed = problems(Source::default().with_config_file(nowhere));
    assert!(
        missed.contains("/nowhere/bartizan.yaml cannot be read"),
        "{missed}"
    );
}

#[test]
fn nothing_is_not_set_and_a_colour_that_is_wanted_is() {
    let configuration = gateway(&[], "  api_keys:\n  no_color: false\n  retry:\n  tls: ~\n");
    assert!(configuration.gateway.api_keys.is_none());
    assert!(*configuration.gateway.log_color);
    assert!(!*gateway(&[], "  no_color: true").gateway.log_color);
    assert_eq!(
        *sound(&[], &format!("{SERVICE}registries:\ngateway:\nx-mine: [1]"))
            .gateway
            .port,
        8080
    );
}

#[test]
fn anchors_and_merges_spare_repetition() {
    let text = "
x-usual: &usual {auth: {type: none}, timeout: 4s}
services:
  a: {<<: *usual, endpoint: 'http://a:1'}
  b: {<<: *usual, endpoint: 'http://b:1', timeout: 5s}
";
    let configuration = sound(&[], text);
    assert_eq!(*configuration.services[0].timeout, 4 * SECOND);
    assert_eq!(*configuration.services[1].timeout, 5 * SECOND);
}

#[test]
fn two_readings_of_one_file_are_equal_and_of_another_are_not() {
    let text = "services: {a: {instances: [{url: 'http://a:1'}], timeout: 2s}}";
    let directory = directory(text);
    let parse = || Configuration::parse(&source(&directory, &[])).unwrap();
    let before = parse();
    assert_eq!(before, parse());
    let path = directory.path().join("bartizan.yaml");
    fs::write(&path, text.replace("http://a:1", "http://a:2")).unwrap();
    let moved = parse();
    assert_ne!(before.registries, moved.registries);
    fs::write(&path, text.replace("2s", "3s")).unwrap();
    let slower = parse();
    assert_eq!(before.registries, slower.registries);
    assert_ne!(before, slower);
}

#[test]
fn a_service_with_instances_is_explained() {
    let text = "services: {a: {instances: [{url: 'http://a:1'}]}}";
    let directory = directory(text);
    let configuration = Configuration::parse(&source(&directory, &[])).unwrap();
    let explained = short(&directory, &configuration.explain("a").unwrap().to_string());
    for row in [
        "service a, from the outside in",
        "endpoints              those of the registry",
        "rate                   none",
    ] {
        assert!(explained.contains(row), "{row}: {explained}");
    }
}
