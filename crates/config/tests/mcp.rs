//! Services that are MCP servers, and the gateway as one.

mod common;

use std::time::Duration;

use bartizan_config::{
    AllowedHosts, AuthSettings, Configuration, CorsOrigins, Errors, McpSettings, McpTransport,
    Origin, ServiceKind, ServiceSettings, Severity, Source, StdioSettings,
};
use common::{problems, with};

/// The service `kit` with these variables.
fn parse(variables: &[(&str, &str)]) -> Result<Configuration, Errors> {
    let names = variables.iter().map(|(name, _)| {
        if name.starts_with("MCP_") || ["PATH", "HOME", "LD_PRELOAD"].contains(name) {
            (*name).to_owned()
        } else {
            format!("MCP_SERVICE_KIT_{name}")
        }
    });
    let texts = variables.iter().map(|(_, text)| (*text).to_owned());
    let pairs = names.zip(texts);
    let services = ("MCP_SERVICES".to_owned(), "kit".to_owned());
    Configuration::parse(&Source::from_iter([services].into_iter().chain(pairs)))
}

fn service(variables: &[(&str, &str)]) -> ServiceSettings {
    let configuration = parse(variables).unwrap_or_else(|errors| panic!("{errors}"));
    configuration.services[0].clone()
}

fn mcp(variables: &[(&str, &str)]) -> McpSettings {
    service(variables).kind.mcp().unwrap().clone()
}

fn process(variables: &[(&str, &str)]) -> StdioSettings {
    mcp(variables).stdio.unwrap()
}

fn refused(variables: &[(&str, &str)]) -> Vec<String> {
    match parse(variables) {
        Ok(configuration) => panic!("{configuration:?}"),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

fn warned(variables: &[(&str, &str)]) -> Vec<String> {
    let configuration = parse(variables).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings = configuration.warnings.iter();
    warnings
        .filter(|it| it.severity() == Severity::Warning)
        .map(ToString::to_string)
        .collect()
}

const URL: (&str, &str) = ("ENDPOINT", "http://localhost:9000/mcp");
const HTTP: (&str, &str) = ("TRANSPORT", "streamable-http");
const COMMAND: (&str, &str) = ("COMMAND", "npx");

#[test]
fn a_plain_service_is_what_it_was() {
    let plain = [URL, ("AUTH_TYPE", "none")];
    assert!(matches!(service(&plain).kind, ServiceKind::Rest(_)));
    let said = [URL, ("AUTH_TYPE", "none"), ("TRANSPORT", "REST")];
    assert_eq!(service(&said), service(&plain));
    assert_eq!(
        refused(&[URL, ("TRANSPORT", "rest")]),
        [
            "Service kit: auth configuration is required (MCP_SERVICE_KIT_AUTH_TYPE is not \
             set)"
        ]
    );
}

#[test]
fn each_transport_by_each_of_its_words() {
    for (word, expected) in [
        ("streamable-http", McpTransport::StreamableHttp),
        ("STREAMABLE_HTTP", McpTransport::StreamableHttp),
        ("streamableHttp", McpTransport::StreamableHttp),
        ("http", McpTransport::StreamableHttp),
        ("sse", McpTransport::Sse),
    ] {
        let service = service(&[URL, ("TRANSPORT", word)]);
        let mcp = service.kind.mcp().unwrap();
        assert_eq!(*mcp.transport, expected, "{word}");
        assert_eq!(mcp.stdio, None);
        assert_eq!(*service.auth, AuthSettings::None);
        assert_eq!(service.endpoints.len(), 1);
    }
    for variables in [&[COMMAND][..], &[COMMAND, ("TRANSPORT", "stdio")]] {
        let service = service(variables);
        assert_eq!(*service.kind.mcp().unwrap().transport, McpTransport::Stdio);
        assert_eq!(service.kind.stdio().unwrap().command.as_str(), "npx");
        assert!(service.endpoints.is_empty());
    }
}

#[test]
fn who_speaks_mcp_has_no_limit_unless_one_is_set() {
    let limit = |more: &[(&str, &str)]| {
        let limit = service(&[&[URL, HTTP], more].concat()).rate_limit;
        let said = (limit.requests_per_minute.get(), limit.burst.get());
        (!limit.is_unlimited()).then_some(said)
    };
    assert_eq!(limit(&[]), None);
    assert_eq!(limit(&[("RATE_LIMIT_RPM", "6")]), Some((6, 20)));
    assert_eq!(limit(&[("RATE_LIMIT_BURST", "3")]), Some((100, 3)));
    assert!(service(&[COMMAND]).rate_limit.is_unlimited());
    let waits = "MCP_SERVICE_KIT_RATE_LIMIT_MAX_WAIT has no effect beside the other settings of \
                 service kit";
    assert_eq!(warned(&[COMMAND, ("RATE_LIMIT_MAX_WAIT", "0")]), [waits]);
}

#[test]
fn what_is_not_said_has_a_default() {
    let mcp = mcp(&[URL, HTTP]);
    assert!(!*mcp.trust_annotations);
    assert_eq!(*mcp.stream_idle_timeout, Duration::from_mins(5));
    assert_eq!(mcp.headers, []);
    let process = process(&[COMMAND]);
    assert!(process.args.is_empty());
    assert_eq!(process.env, []);
    assert_eq!(process.working_dir, None);
    assert_eq!(*process.idle_timeout, Duration::from_mins(10));
    assert_eq!(*process.max_lifetime, Duration::from_hours(24));

    let gateway = parse(&[COMMAND]).unwrap().gateway.mcp;
    assert_eq!(gateway.separator.as_str(), "__");
    assert_eq!(gateway.session_keys, None);
    assert_eq!(*gateway.session_idle_timeout, Duration::from_hours(1));
    assert_eq!(gateway.max_sessions.get(), 10_000);
    assert_eq!(gateway.max_sessions_per_caller.get(), 10_000);
    assert_eq!(gateway.allowed_hosts, None);
    assert_eq!(gateway.allowed_origins, None);
    assert_eq!(*gateway.keep_alive, Duration::from_secs(15));
    assert_eq!(*gateway.list_timeout, Duration::from_secs(5));
    assert_eq!(gateway.max_children.get(), 64);
    assert_eq!(*gateway.max_stream_bytes, 256 << 20);
}

#[test]
fn every_variable_of_a_process() {
    let service = service(&[
        COMMAND,
        ("ARGS", "-y 'server memory' --file=x"),
        ("ENV_GITHUB_TOKEN", "ghp_1"),
        ("ENV_lower_Case", " as it is "),
        ("ENV_BLANK", " "),
        ("WORKING_DIR", "/srv/tools"),
        ("IDLE_TIMEOUT", "1000"),
        ("MAX_LIFETIME", "2000"),
        ("TRUST_ANNOTATIONS", "true"),
        ("STREAM_IDLE_TIMEOUT", "3000"),
        ("RATE_LIMIT_RPM", "7"),
        ("TIMEOUT", "60000"),
        ("ATTEMPT_TIMEOUT", "5000"),
    ]);
    let mcp = service.kind.mcp().unwrap();
    let process = service.kind.stdio().unwrap();
    assert_eq!(*process.args, ["-y", "server memory", "--file=x"]);
    let env: Vec<_> = process
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        env,
        [("GITHUB_TOKEN", "ghp_1"), ("lower_Case", " as it is ")]
    );
    assert_eq!(
        process.env[0].1.origin(),
        &Origin::Variable("MCP_SERVICE_KIT_ENV_GITHUB_TOKEN".into())
    );
    assert_eq!(
        process.working_dir.as_deref().unwrap().to_str(),
        Some("/srv/tools")
    );
    assert_eq!(process.idle_timeout.as_millis(), 1000);
    assert_eq!(process.max_lifetime.as_millis(), 2000);
    assert!(*mcp.trust_annotations);
    assert_eq!(mcp.stream_idle_timeout.as_millis(), 3000);
    assert_eq!(service.rate_limit.requests_per_minute.get(), 7);
    assert_eq!(service.timeout.as_secs(), 60);
    assert_eq!(service.attempt_timeout.as_secs(), 5);

    let json = process_args(r#"["-e", "return 1", ""]"#);
    assert_eq!(json, ["-e", "return 1", ""]);
}

fn process_args(text: &str) -> Vec<String> {
    process(&[COMMAND, ("ARGS", text)]).args.value().clone()
}

#[test]
fn a_process_inherits_an_allow_list() {
    let environment = [
        COMMAND,
        ("PATH", "/bin"),
        ("HOME", "/srv/user"),
        ("LD_PRELOAD", "/evil.so"),
        ("MCP_GATEWAY_API_KEYS", "0123456789abcdef"),
    ];
    let inherited = process(&environment).inherited;
    let expected = [("PATH", "/bin"), ("HOME", "/srv/user")];
    assert_eq!(
        inherited,
        expected.map(|(name, text)| (name.into(), text.into()))
    );

    // Of the process environment, what the tests run with.
    let source = Source::environment().with_text("MCP_SERVICES=a\nMCP_SERVICE_A_COMMAND=x", "e");
    let configuration = Configuration::parse(&source).unwrap();
    let inherited = &configuration.services[0].kind.stdio().unwrap().inherited;
    assert!(inherited.iter().any(|(name, _)| name == "PATH"));
    assert!(
        !inherited
            .iter()
            .any(|(name, _)| name.to_string_lossy().starts_with("CARGO"))
    );
}

#[test]
fn headers_of_a_server() {
    let mcp = mcp(&[
        URL,
        HTTP,
        ("HEADER_X_TENANT_ID", " library "),
        ("HEADER_AUTHORIZATION", "Basic aHVudGVyMg=="),
        ("HEADER_BLANK", " "),
    ]);
    let headers: Vec<_> = mcp
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        headers,
        [
            ("authorization", "Basic aHVudGVyMg=="),
            ("x-tenant-id", "library")
        ]
    );
}

#[test]
fn a_query_of_a_server() {
    let query = |text| {
        let mcp = mcp(&[URL, HTTP, ("QUERY", text)]);
        mcp.query.map(|query| query.expose().to_owned())
    };
    assert_eq!(query("p=7&ro=true").as_deref(), Some("p=7&ro=true"));
    assert_eq!(query(" ?p=a%20b ").as_deref(), Some("p=a%20b"));
    assert_eq!(query("?"), None);
    for wrong in ["hunter2#", "hunter2 b", "hunter2\u{7f}"] {
        assert_eq!(
            refused(&[URL, HTTP, ("QUERY", wrong)]),
            [
                "Service kit: query holds characters that a URL cannot: encode them \
                 (MCP_SERVICE_KIT_QUERY)"
            ]
        );
    }
}

#[test]
fn headers_that_are_refused() {
    let refused = |name: &str, text: &str| {
        let mut problems = refused(&[URL, HTTP, (name, text)]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    };
    for name in [
        "HOST",
        "CONNECTION",
        "KEEP_ALIVE",
        "TE",
        "UPGRADE",
        "TRANSFER_ENCODING",
        "PROXY_AUTHORIZATION",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "MCP_SESSION_ID",
        "MCP_PROTOCOL_VERSION",
        "ACCEPT",
        "LAST_EVENT_ID",
    ] {
        let header = name.to_ascii_lowercase().replace('_', "-");
        assert_eq!(
            refused(&format!("HEADER_{name}"), "x"),
            format!(
                "Service kit: the gateway itself writes the header {header} \
                 (MCP_SERVICE_KIT_HEADER_{name})"
            )
        );
    }
    assert_eq!(
        refused("HEADER_A B", "x"),
        "Service kit: no header can have this name (MCP_SERVICE_KIT_HEADER_A B)"
    );
    assert_eq!(
        refused("HEADER_X", "hunter2\nhunter2"),
        "Service kit: header x holds characters that cannot be sent (MCP_SERVICE_KIT_HEADER_X)"
    );
    assert_eq!(
        refused("HEADER_X", "your-token"),
        "Service kit: header x is a placeholder (MCP_SERVICE_KIT_HEADER_X)"
    );
    assert_eq!(
        refused("HEADER_AUTHORIZATION", "Bearer your-token"),
        "Service kit: header authorization is a placeholder \
         (MCP_SERVICE_KIT_HEADER_AUTHORIZATION)"
    );
    let both = [
        URL,
        HTTP,
        ("AUTH_TYPE", "bearer"),
        ("TOKEN", "t"),
        ("HEADER_AUTHORIZATION", "x"),
    ];
    assert_eq!(
        self::refused(&both),
        [
            "Service kit: MCP_SERVICE_KIT_AUTH_TYPE writes the header authorization \
             (MCP_SERVICE_KIT_HEADER_AUTHORIZATION)"
        ]
    );
}

#[test]
fn what_a_service_cannot_be() {
    #[rustfmt::skip]
    let cases: [(&[(&str, &str)], &str); 18] = [
        (&[URL, ("TRANSPORT", "grpc")], "MCP_SERVICE_KIT_TRANSPORT must be one of rest, streamable-http, sse, stdio (MCP_SERVICE_KIT_TRANSPORT is \"grpc\")"),
        (&[("TRANSPORT", "stdio")], "Service kit: command is required (MCP_SERVICE_KIT_COMMAND is not set)"),
        (&[HTTP], "Service kit: endpoint is required (MCP_SERVICE_KIT_ENDPOINT is not set)"),
        (&[HTTP, ("ENDPOINT", "localhost:9000")], "Service kit: invalid endpoint URL (MCP_SERVICE_KIT_ENDPOINT is \"localhost:9000\": it must begin with http:// or https://)"),
        (&[COMMAND, URL], "Service kit: a service that is started by a command has no endpoint (MCP_SERVICE_KIT_ENDPOINT is \"http://localhost:9000/mcp\")"),
        (&[COMMAND, URL, HTTP], "Service kit: a command is for the transport stdio, not streamable-http (MCP_SERVICE_KIT_COMMAND is \"npx\")"),
        (&[COMMAND, URL, ("TRANSPORT", "rest"), ("AUTH_TYPE", "none")], "Service kit: a command is for the transport stdio, not rest (MCP_SERVICE_KIT_COMMAND is \"npx\")"),
        (&[COMMAND, ("AUTH_TYPE", "bearer"), ("TOKEN", "t")], "Service kit: a service that is started by a command has its credentials in its environment or arguments (MCP_SERVICE_KIT_AUTH_TYPE is \"bearer\")"),
        (&[COMMAND, ("ARGS", "'hunter2")], "MCP_SERVICE_KIT_ARGS must close every quote"),
        (&[COMMAND, ("ARGS", "[hunter2]")], "MCP_SERVICE_KIT_ARGS must be a JSON array of strings where it begins with ["),
        (&[COMMAND, ("IDLE_TIMEOUT", "0")], "MCP_SERVICE_KIT_IDLE_TIMEOUT must be at least 1 (MCP_SERVICE_KIT_IDLE_TIMEOUT is \"0\")"),
        (&[COMMAND, ("MAX_LIFETIME", "1d")], "MCP_SERVICE_KIT_MAX_LIFETIME must be a whole number of milliseconds (MCP_SERVICE_KIT_MAX_LIFETIME is \"1d\")"),
        (&[COMMAND, ("STREAM_IDLE_TIMEOUT", "x")], "MCP_SERVICE_KIT_STREAM_IDLE_TIMEOUT must be a whole number of milliseconds (MCP_SERVICE_KIT_STREAM_IDLE_TIMEOUT is \"x\")"),
        (&[COMMAND, ("TRUST_ANNOTATIONS", "yes")], "MCP_SERVICE_KIT_TRUST_ANNOTATIONS must be true or false (MCP_SERVICE_KIT_TRUST_ANNOTATIONS is \"yes\")"),
        (&[COMMAND, ("ENV_", "x")], "Service kit: no variable can have this name (MCP_SERVICE_KIT_ENV_)"),
        (&[COMMAND, ("ENV_A", "a\0")], "Service kit: variable A must not hold a zero byte (MCP_SERVICE_KIT_ENV_A)"),
        (&[COMMAND, ("ENV_API_KEY", "<your key>")], "Service kit: variable API_KEY is a placeholder (MCP_SERVICE_KIT_ENV_API_KEY)"),
        (&[("COMMAND", "a\0b")], "Service kit: command must not hold a zero byte (MCP_SERVICE_KIT_COMMAND is \"a\\0b\")"),
    ];
    for (variables, expected) in cases {
        assert_eq!(refused(variables), [expected]);
    }
    // What is no credential by its name may look like one that is missing.
    assert_eq!(process(&[COMMAND, ("ENV_GLOB", "*")]).env.len(), 1);
}

#[test]
fn names_that_are_taken() {
    let parse = |name: &str, more: &[(&str, &str)]| {
        let prefix = name.to_uppercase().replace('.', "_");
        let mut variables = vec![("MCP_SERVICES".to_owned(), name.to_owned())];
        for (suffix, text) in more {
            variables.push((format!("MCP_SERVICE_{prefix}_{suffix}"), (*text).to_owned()));
        }
        Configuration::parse(&Source::from_iter(variables))
    };
    for name in [
        "request", "services", "health", "jobs", "invoke", "tools", "sse",
    ] {
        assert_eq!(
            parse(name, &[COMMAND]).unwrap_err().problems()[0].to_string(),
            format!(
                "Service {name}: an MCP service cannot have this name: /mcp/{name} is a route of \
                 the gateway"
            )
        );
        assert!(parse(name, &[URL, ("AUTH_TYPE", "none")]).is_ok(), "{name}");
    }
    let dots = parse("..", &[COMMAND]).unwrap_err().to_string();
    assert!(dots.ends_with("no URL can hold it"), "{dots}");
}

#[test]
fn every_variable_of_the_gateway_as_a_server() {
    let key = "0123456789abcdef0123456789abcdef";
    let keys = format!("{key},{key}1");
    let gateway = with(&[
        ("MCP_TOOL_SEPARATOR", "."),
        ("MCP_SESSION_KEYS", &keys),
        ("MCP_SESSION_IDLE_TIMEOUT", "1000"),
        ("MCP_MAX_SESSIONS", "5"),
        ("MCP_MAX_SESSIONS_PER_CALLER", "2"),
        ("MCP_ALLOWED_HOSTS", "Gateway.example.com,localhost:8080"),
        ("MCP_ALLOWED_ORIGINS", "https://app.example.com"),
        ("MCP_KEEP_ALIVE_INTERVAL", "25000"),
        ("MCP_LIST_TIMEOUT", "100"),
        ("MCP_MAX_CHILDREN", "3"),
        ("MCP_MAX_STREAM_BYTES", "1024"),
    ])
    .unwrap()
    .gateway
    .mcp;
    assert_eq!(gateway.separator.as_str(), ".");
    let keys: Vec<_> = gateway.session_keys.as_deref().unwrap().iter().collect();
    assert_eq!(keys[0].expose(), key);
    assert_eq!(keys.len(), 2);
    assert_eq!(gateway.session_idle_timeout.as_secs(), 1);
    assert_eq!(gateway.max_sessions.get(), 5);
    assert_eq!(gateway.max_sessions_per_caller.get(), 2);
    let hosts = ["gateway.example.com", "localhost:8080"].map(str::to_owned);
    assert_eq!(
        gateway.allowed_hosts.as_deref(),
        Some(&AllowedHosts::Only(hosts.into()))
    );
    assert_eq!(
        gateway.allowed_origins.as_deref(),
        Some(&CorsOrigins::Only(vec!["https://app.example.com".into()]))
    );
    assert_eq!(gateway.keep_alive.as_secs(), 25);
    assert_eq!(gateway.list_timeout.as_millis(), 100);
    assert_eq!(gateway.max_children.get(), 3);
    assert_eq!(*gateway.max_stream_bytes, 1024);
    for separator in ["__", "-", "_", ".", "::"] {
        let sound = with(&[("MCP_TOOL_SEPARATOR", separator)]).is_ok();
        assert_eq!(sound, separator != "::", "{separator}");
    }
}

#[test]
fn what_the_gateway_as_a_server_cannot_be() {
    let separator = "MCP_TOOL_SEPARATOR must be 1 to 4 letters, digits, or any of _ . -";
    #[rustfmt::skip]
    let cases = [
        (("MCP_TOOL_SEPARATOR", "/"), format!("{separator} (MCP_TOOL_SEPARATOR is \"/\")")),
        (("MCP_TOOL_SEPARATOR", "_____"), format!("{separator} (MCP_TOOL_SEPARATOR is \"_____\")")),
        (("MCP_SESSION_KEYS", ","), "MCP_SESSION_KEYS must hold at least one key".to_owned()),
        (("MCP_SESSION_KEYS", "hunter2"), "MCP_SESSION_KEYS must hold keys of at least 32 characters".to_owned()),
        (("MCP_SESSION_KEYS", "0123456789abcdef0123456789abcdef,changeme"), "MCP_SESSION_KEYS holds a placeholder".to_owned()),
        (("MCP_KEEP_ALIVE_INTERVAL", "25001"), "MCP_KEEP_ALIVE_INTERVAL must be at most 25000 milliseconds (MCP_KEEP_ALIVE_INTERVAL is \"25001\")".to_owned()),
        (("MCP_MAX_SESSIONS", "0"), "MCP_MAX_SESSIONS must be at least 1 (MCP_MAX_SESSIONS is \"0\")".to_owned()),
        (("MCP_MAX_CHILDREN", "x"), "MCP_MAX_CHILDREN must be a whole number (MCP_MAX_CHILDREN is \"x\")".to_owned()),
        (("MCP_ALLOWED_HOSTS", "http://a"), "MCP_ALLOWED_HOSTS must be * or a list of hosts such as gateway.example.com or localhost:8080 (MCP_ALLOWED_HOSTS is \"http://a\")".to_owned()),
        (("MCP_ALLOWED_ORIGINS", "a"), "MCP_ALLOWED_ORIGINS must be *, none, or a list of origins such as https://app.example.com (MCP_ALLOWED_ORIGINS is \"a\")".to_owned()),
        (("MCP_MAX_STREAM_BYTES", "0"), "MCP_MAX_STREAM_BYTES must be at least 1 (MCP_MAX_STREAM_BYTES is \"0\")".to_owned()),
    ];
    for (change, expected) in cases {
        assert_eq!(problems(&[change]), [expected]);
    }
}

#[test]
fn what_means_nothing_is_said() {
    let idle = |suffix: &str| {
        format!("MCP_SERVICE_KIT_{suffix} has no effect beside the other settings of service kit")
    };
    let plain = [URL, ("AUTH_TYPE", "none")];
    for suffix in [
        "ARGS",
        "ENV_A",
        "HEADER_X",
        "TRUST_ANNOTATIONS",
        "WORKING_DIR",
    ] {
        let mut variables = plain.to_vec();
        variables.push((suffix, "true"));
        assert_eq!(warned(&variables), [idle(suffix)]);
    }
    assert_eq!(warned(&[COMMAND, ("HEADER_X", "1")]), [idle("HEADER_X")]);
    assert_eq!(
        warned(&[COMMAND, ("HEALTH_PATH", "/h")]),
        [idle("HEALTH_PATH")]
    );
    assert_eq!(warned(&[URL, HTTP, ("ENV_A", "1")]), [idle("ENV_A")]);
    assert_eq!(warned(&[COMMAND, ("ENV_A", "1"), ("ARGS", "x")]), [""; 0]);
    assert_eq!(
        warned(&[COMMAND, ("TRANSPROT", "stdio")]),
        ["unknown variable MCP_SERVICE_KIT_TRANSPROT, did you mean \
             MCP_SERVICE_KIT_TRANSPORT?"]
    );
    assert_eq!(
        warned(&[COMMAND, ("MCP_SESION_KEYS", "x")]),
        ["unknown variable MCP_SESION_KEYS, did you mean MCP_SESSION_KEYS?"]
    );
}

#[test]
fn a_variable_of_two_services_is_refused() {
    let variables = [
        ("MCP_SERVICES", "a,a-env"),
        ("MCP_SERVICE_A_COMMAND", "x"),
        ("MCP_SERVICE_A_ENV_COMMAND", "y"),
    ];
    let errors = Configuration::parse(&Source::from_iter(variables)).unwrap_err();
    assert_eq!(
        errors.problems()[0].to_string(),
        "MCP_SERVICE_A_ENV_COMMAND is a variable of both service a-env and service a: rename one"
    );
}

#[test]
fn a_process_explains_itself() {
    let configuration = parse(&[
        COMMAND,
        ("ARGS", "-y server --token hunter2 --url=http://u:hunter2@h"),
        ("ENV_GITHUB_TOKEN", "hunter2"),
        ("WORKING_DIR", "/srv"),
        ("PATH", "/bin"),
    ])
    .unwrap();
    let explanation = configuration.explain("kit").unwrap();
    let row = |setting: &str| {
        let mut rows = explanation.rows().iter();
        let row = rows.find(|row| row.setting == setting);
        let row = row.unwrap_or_else(|| panic!("no {setting} in {explanation}"));
        (row.layer, row.value.as_str())
    };
    assert_eq!(row("transport"), ("mcp", "stdio"));
    assert_eq!(row("stream silent for"), ("mcp", "5 min"));
    assert_eq!(row("trust annotations"), ("mcp", "no"));
    assert_eq!(row("command"), ("process", "npx"));
    assert_eq!(
        row("arguments"),
        (
            "process",
            "-y server --token [redacted] --url=http://[redacted]@h"
        )
    );
    assert_eq!(row("variable"), ("process", "GITHUB_TOKEN=[redacted]"));
    assert_eq!(row("inherits"), ("process", "PATH"));
    assert_eq!(row("directory"), ("process", "/srv"));
    assert_eq!(row("unused for"), ("process", "10 min"));
    assert_eq!(row("lives at most"), ("process", "1440 min"));
    assert_eq!(row("first byte within"), ("attempt", "30 s"));
    let layers: Vec<_> = explanation.rows().iter().map(|row| row.layer).collect();
    assert!(!layers.contains(&"balance") && !layers.contains(&"connection"));
    let summary = configuration.summary().to_string();
    assert!(
        summary.contains(
            "\n  kit: npx -y server --token [redacted] --url=http://[redacted]@h (stdio), auth \
             none, no rate limit"
        ),
        "{summary}"
    );
    let gateway = configuration.explain_gateway();
    let rows = gateway.rows().iter().filter(|row| row.layer == "mcp");
    assert_eq!(rows.count(), 8);
    for text in [
        format!("{configuration:?}"),
        format!("{explanation} {summary}"),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_server_explains_itself() {
    let configuration = parse(&[URL, HTTP, ("HEADER_X_KEY", "hunter2")]).unwrap();
    let explanation = configuration.explain("kit").unwrap().to_string();
    assert!(explanation.contains("x-key: [redacted]"), "{explanation}");
    let summary = configuration.summary().to_string();
    assert!(
        summary.contains("\n  kit: http://localhost:9000/mcp (streamable-http), auth none, "),
        "{summary}"
    );
    for text in [format!("{configuration:?}"), explanation, summary] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
