//! Files of MCP servers, as desktop clients and editors have them.

use std::path::{Path, PathBuf};

use bartizan_config::{
    AuthSettings, Configuration, McpTransport, Origin, ServiceSettings, Severity, Source, Warning,
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name)
}

/// The configuration of these variables and the file.
fn load(variables: &[(&str, &str)], path: &Path) -> Result<Configuration, Vec<String>> {
    let source = Source::from_iter(variables.iter().copied()).with_mcp_config(path);
    Configuration::parse(&source).map_err(|errors| {
        let text = errors.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        errors.problems().iter().map(ToString::to_string).collect()
    })
}

/// The same, of a file with this text, which is called `mcp.json` in messages.
fn read(variables: &[(&str, &str)], text: &str) -> Result<Configuration, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mcp.json");
    std::fs::write(&path, text).unwrap();
    let shown = path.display().to_string();
    let short = |texts: Vec<String>| {
        let texts = texts.into_iter();
        texts.map(|text| text.replace(&shown, "mcp.json")).collect()
    };
    load(variables, &path).map_err(short)
}

fn warnings(configuration: &Configuration, severity: Severity) -> Vec<String> {
    let warnings = configuration.warnings.iter();
    warnings
        .filter(|it| it.severity() == severity)
        .map(ToString::to_string)
        .collect()
}

fn names(configuration: &Configuration) -> Vec<&str> {
    let services = configuration.services.iter();
    services.map(|service| service.name.as_str()).collect()
}

fn environment(service: &ServiceSettings) -> Vec<(&str, &str)> {
    let process = service.kind.stdio().unwrap();
    let env = process.env.iter();
    env.map(|(name, value)| (name.as_str(), value.expose()))
        .collect()
}

#[test]
fn a_url_may_hold_a_query() {
    let text = r#"{ "mcpServers": { "db": {
        "url": "https://mcp.example.com/mcp?project=a,b;c&read_only=true" } } }"#;
    let configuration = read(&[], text).unwrap();
    let service = &configuration.services[0];
    assert_eq!(service.endpoints[0].as_str(), "https://mcp.example.com/mcp");
    let query = service.kind.mcp().unwrap().query.as_ref().unwrap();
    assert_eq!(query.expose(), "project=a,b;c&read_only=true");
    let refused = read(
        &[],
        r#"{ "mcpServers": { "db": { "url": "http://a/mcp?hunter2 b" } } }"#,
    );
    let refused = refused.unwrap_err();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("query holds characters"), "{refused:?}");
}

#[test]
fn claude_desktop() {
    let path = file("claude_desktop_config.json");
    let configuration = load(&[], &path).unwrap();
    assert_eq!(names(&configuration), ["filesystem", "github"]);

    let filesystem = configuration.services[0].kind.stdio().unwrap();
    assert_eq!(filesystem.command.as_str(), "npx");
    assert_eq!(
        *filesystem.args,
        [
            "-y",
            "@modelcontextprotocol/server-filesystem",
            "/srv/user/Desktop",
            "/srv/user/My Documents"
        ]
    );
    assert_eq!(
        filesystem.command.origin(),
        &Origin::McpServers {
            member: "filesystem.command".into(),
            path: path.clone(),
            line: 5,
            column: 7,
        }
    );
    let token = ("GITHUB_PERSONAL_ACCESS_TOKEN", "ghp_hunter2hunter2hunter2");
    assert_eq!(environment(&configuration.services[1]), [token]);
    assert_eq!(warnings(&configuration, Severity::Warning), [""; 0]);
    let path = path.display();
    assert_eq!(
        warnings(&configuration, Severity::Note),
        [
            format!(
                "{path}, line 2, column 3: \"globalShortcut\" is not about MCP servers; passed over"
            ),
            format!("postgres ({path}, line 20, column 5) is disabled"),
        ]
    );
    let explanation = configuration.explain("github").unwrap();
    let shown = format!(
        "{explanation} {} {configuration:?}",
        configuration.summary()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        explanation
            .to_string()
            .contains("github.env.GITHUB_PERSONAL_ACCESS_TOKEN ("),
        "{explanation}"
    );
}

#[test]
fn cursor() {
    let path = file("cursor.json");
    let variables = [("LINEAR_API_KEY", "lin_hunter2"), ("HOME", "/srv/user")];
    let configuration = load(&variables, &path).unwrap();
    assert_eq!(
        names(&configuration),
        ["sequential-thinking", "linear", "legacy", "python tools"]
    );
    let [thinking, linear, legacy, python] = &configuration.services[..] else {
        panic!();
    };
    assert_eq!(
        environment(thinking),
        [
            ("DISABLE_THOUGHT_LOGGING", "true"),
            ("EMPTY", ""),
            ("PORT", "3001")
        ]
    );

    let mcp = linear.kind.mcp().unwrap();
    assert_eq!(*mcp.transport, McpTransport::StreamableHttp);
    assert_eq!(linear.endpoints[0].as_str(), "https://mcp.linear.app/mcp");
    let AuthSettings::Bearer { token } = linear.auth.value() else {
        panic!("{:?}", linear.auth);
    };
    assert_eq!(token.expose(), "lin_hunter2");
    let headers: Vec<_> = mcp
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(headers, [("x-workspace_id", "library")]);

    assert_eq!(*legacy.kind.mcp().unwrap().transport, McpTransport::Sse);
    assert_eq!(*legacy.auth, AuthSettings::None);

    let process = python.kind.stdio().unwrap();
    let workspace = file("").display().to_string();
    let workspace = workspace.trim_end_matches('/');
    assert_eq!(process.command.as_str(), "/srv/user/.local/bin/uv");
    assert_eq!(
        *process.args,
        ["run", "--directory", workspace, "server.py", "library"]
    );
    assert_eq!(process.working_dir.as_deref().unwrap(), &file("tools"));
    assert_eq!(
        warnings(&configuration, Severity::Warning),
        [
            format!(
                "linear.headers.Content-Type ({}, line 13, column 9) is written by the gateway \
                 itself; passed over",
                path.display()
            ),
            format!(
                "python tools.autoApprove ({}, line 25, column 7) is not understood; passed over",
                path.display()
            ),
        ]
    );
    let shown = format!(
        "{configuration:?} {}",
        configuration.explain("linear").unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn vs_code() {
    let path = file("project/.vscode/mcp.json");
    assert_eq!(
        load(&[], &path).unwrap_err(),
        [format!(
            "perplexity.env.PERPLEXITY_API_KEY ({}, line 18, column 9) asks for the input \
             \"perplexity-key\", and there is nobody to ask: write ${{env:NAME}} in its place, or \
             set MCP_SERVICE_PERPLEXITY_ENV_PERPLEXITY_API_KEY",
            path.display()
        )]
    );
    // The environment wins, so nothing is asked for.
    let answer = (
        "MCP_SERVICE_PERPLEXITY_ENV_PERPLEXITY_API_KEY",
        "pplx-hunter2",
    );
    let configuration = load(&[answer], &path).unwrap();
    assert_eq!(names(&configuration), ["perplexity", "github", "fetch"]);
    let [perplexity, github, fetch] = &configuration.services[..] else {
        panic!();
    };
    assert_eq!(
        environment(perplexity),
        [("PERPLEXITY_API_KEY", "pplx-hunter2")]
    );
    assert_eq!(
        github.endpoints[0].url().as_str(),
        "https://api.githubcopilot.com/mcp/"
    );
    let process = fetch.kind.stdio().unwrap();
    assert_eq!(process.working_dir.as_deref().unwrap(), &file("project"));
    assert_eq!(
        environment(fetch),
        [
            ("EMPTY", ""),
            ("FETCH_TOKEN", "hunter2 # hunter2"),
            ("LOG_LEVEL", "debug")
        ]
    );
    assert_eq!(
        process.env[1].1.origin().to_string(),
        format!(
            "FETCH_TOKEN ({}, line 3)",
            file("project/fetch.env").display()
        )
    );
    assert_eq!(warnings(&configuration, Severity::Warning), [""; 0]);
    assert_eq!(warnings(&configuration, Severity::Note).len(), 2);
}

#[test]
fn the_later_of_two_lines_of_an_environment_file_counts() {
    let directory = tempfile::tempdir().unwrap();
    let env = directory.path().join("server.env");
    std::fs::write(&env, "LEVEL=old\nMODE=file\nLEVEL=new\n").unwrap();
    let path = directory.path().join("mcp.json");
    let text = r#"{"mcpServers": {"a": {"command": "x", "envFile": "server.env",
        "env": {"MODE": "member"}}}}"#;
    std::fs::write(&path, text).unwrap();
    let configuration = load(&[], &path).unwrap();
    let expected = [("LEVEL", "new"), ("MODE", "member")];
    assert_eq!(environment(&configuration.services[0]), expected);
    assert_eq!(
        warnings(&configuration, Severity::Warning),
        [format!(
            "{} sets LEVEL more than once; line 3 counts",
            env.display()
        )]
    );
}

#[test]
fn the_environment_tunes_and_wins() {
    let variables = [
        ("MCP_SERVICES", "plain,github"),
        ("MCP_SERVICE_PLAIN_ENDPOINT", "http://plain"),
        ("MCP_SERVICE_PLAIN_AUTH_TYPE", "none"),
        ("MCP_SERVICE_GITHUB_RATE_LIMIT_RPM", "7"),
        ("MCP_SERVICE_GITHUB_TIMEOUT", "1000"),
        ("MCP_SERVICE_GITHUB_COMMAND", "podman"),
        (
            "MCP_SERVICE_GITHUB_ENV_GITHUB_HOST",
            "https://ghe.example.com",
        ),
        ("MCP_SERVICE_FILESYSTEM_ARGS", "x y"),
        // Blank is not set.
        ("MCP_SERVICE_FILESYSTEM_COMMAND", " "),
    ];
    let configuration = load(&variables, &file("claude_desktop_config.json")).unwrap();
    assert_eq!(names(&configuration), ["plain", "github", "filesystem"]);
    let github = configuration.service("github").unwrap();
    assert_eq!(github.rate_limit.requests_per_minute.get(), 7);
    assert_eq!(github.timeout.as_secs(), 1);
    let process = github.kind.stdio().unwrap();
    assert_eq!(process.command.as_str(), "podman");
    assert_eq!(process.args.len(), 6);
    assert_eq!(process.env.len(), 2);
    let filesystem = configuration.service("filesystem").unwrap();
    assert_eq!(*filesystem.kind.stdio().unwrap().args, ["x", "y"]);
    assert_eq!(filesystem.kind.stdio().unwrap().command.as_str(), "npx");
    assert_eq!(warnings(&configuration, Severity::Warning), [""; 0]);
}

#[test]
fn the_environment_says_how_the_gateway_proves_itself() {
    let text = r#"{"mcpServers": {"a": {"url": "http://a/mcp", "headers": {
        "Authorization": "Bearer ${input:token}", "X-Api-Key": "${input:key}"}}}}"#;
    let key = ("MCP_SERVICE_A_HEADER_X_API_KEY", "k");
    let token = |more: (&str, &str)| {
        let configuration = read(&[key, more], text).unwrap();
        match configuration.services[0].auth.value() {
            AuthSettings::Bearer { token } => token.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(token(("MCP_SERVICE_A_TOKEN", "t1")), "t1");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "t2\n").unwrap();
    assert_eq!(
        token(("MCP_SERVICE_A_TOKEN_FILE", path.to_str().unwrap())),
        "t2"
    );
    let basic = [
        key,
        ("MCP_SERVICE_A_AUTH_TYPE", "basic"),
        ("MCP_SERVICE_A_USERNAME", "u"),
        ("MCP_SERVICE_A_PASSWORD", "p"),
    ];
    let configuration = read(&basic, text).unwrap();
    assert!(matches!(
        *configuration.services[0].auth,
        AuthSettings::Basic { .. }
    ));
    assert_eq!(
        configuration.services[0].kind.mcp().unwrap().headers.len(),
        1
    );
}

#[test]
fn other_schemes_stay_headers() {
    let text = r#"{"mcpServers": {"a": {"url": "http://a/mcp", "headers": {
        "authorization": "Basic aHVudGVyMg=="}}}}"#;
    let configuration = read(&[], text).unwrap();
    assert_eq!(*configuration.services[0].auth, AuthSettings::None);
    let headers = &configuration.services[0].kind.mcp().unwrap().headers;
    assert_eq!(headers[0].0, "authorization");
    assert_eq!(headers[0].1.expose(), "Basic aHVudGVyMg==");
}

#[test]
fn each_type_and_its_spellings() {
    for (kind, expected) in [
        ("", McpTransport::StreamableHttp),
        (r#""type": "http","#, McpTransport::StreamableHttp),
        (
            r#""type": "streamable-http","#,
            McpTransport::StreamableHttp,
        ),
        (r#""type": "streamableHttp","#, McpTransport::StreamableHttp),
        (
            r#""transport": "streamable_http","#,
            McpTransport::StreamableHttp,
        ),
        (r#""transport": "sse","#, McpTransport::Sse),
        (r#""type": "sse","#, McpTransport::Sse),
        (r#""type": null,"#, McpTransport::StreamableHttp),
    ] {
        let text = format!(r#"{{"servers": {{"a": {{{kind} "url": "http://a/mcp"}}}}}}"#);
        let configuration = read(&[], &text).unwrap();
        assert_eq!(
            *configuration.services[0].kind.mcp().unwrap().transport,
            expected,
            "{kind}"
        );
    }
    let text = r#"{"mcp": {"servers": {"a": {"url": "http://a/sse"}}}}"#;
    let configuration = read(&[], text).unwrap();
    let warnings = warnings(&configuration, Severity::Warning);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].ends_with(
            "line 1, column 28) ends in /sse: if the server speaks HTTP+SSE, add \"type\": \"sse\""
        ),
        "{warnings:?}"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    #[rustfmt::skip]
    let cases = [
        ("", "mcp.json must hold a JSON object"),
        ("[]", "mcp.json must hold a JSON object"),
        ("{}", "mcp.json holds neither mcpServers nor servers"),
        ("{\"mcpServers\": []}", "mcp.json, line 1, column 2: mcpServers must be an object"),
        ("{\n \"mcpServers\": {\n  'a': {}}}", "mcp.json, line 3, column 3: single-quoted strings are not allowed"),
        ("{\"mcpServers\": {\"a\": 1}}", "a (mcp.json, line 1, column 17) must be an object"),
        ("{\"mcpServers\": {\"a\": {}}}", "a (mcp.json, line 1, column 17) has neither a command nor a url"),
        ("{\"mcpServers\": {\"ä\": {\"command\": \"x\", \"url\": \"http://a\"}}}", "ä.url (mcp.json, line 1, column 39) stands beside a command: take one out"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"type\": \"sse\"}}}", "a.type (mcp.json, line 1, column 39) says sse, which needs a url"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"http://a\", \"type\": \"stdio\"}}}", "a.type (mcp.json, line 1, column 42) says stdio, which needs a command"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"http://a\", \"type\": \"ws\"}}}", "a.type (mcp.json, line 1, column 42) must be one of stdio, http, streamable-http, sse"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"http://a\", \"type\": \"sse\", \"transport\": \"sse\"}}}", "a.transport (mcp.json, line 1, column 57) is there twice"),
        ("{\"mcpServers\": {\"a\": {\"command\": [\"x\"]}}}", "a.command (mcp.json, line 1, column 23) must be a text"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": \"-y\"}}}", "a.args (mcp.json, line 1, column 39) must be an array of texts"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [1, {}]}}}", "a.args[1] (mcp.json, line 1, column 51) must be a text"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": []}}}", "a.env (mcp.json, line 1, column 39) must be an object of texts"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"B\": []}}}}", "a.env.B (mcp.json, line 1, column 47) must be a text"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"http://a\", \"headers\": 1}}}", "a.headers (mcp.json, line 1, column 42) must be an object of texts"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"disabled\": 1}}}", "a.disabled (mcp.json, line 1, column 39) must be true or false"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"a.example.com/mcp\"}}}", "Service a: invalid endpoint URL (a.url is \"a.example.com/mcp\" in mcp.json, line 1, column 23: it must begin with http:// or https://)"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"https://a/mcp#hunter2\"}}}", "Service a: invalid endpoint URL (a.url (mcp.json, line 1, column 23) must not hold a query or a fragment; the query of an MCP server is MCP_SERVICE_<NAME>_QUERY)"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"https://a,https://b\"}}}", "a.url (mcp.json, line 1, column 23) must not hold a comma or a semicolon"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"https://a\", \"headers\": {\"Authorization\": \"Bearer <token>\"}}}}", "Service a: bearer token is a placeholder (a.headers.Authorization (mcp.json, line 1, column 55))"),
        ("{\"mcpServers\": {\"a\": {\"url\": \"https://a\", \"headers\": {\"X Y\": \"hunter2\"}}}}", "Service a: no header can have this name (a.headers.X Y (mcp.json, line 1, column 55))"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"B=\": \"hunter2\"}}}}", "Service a: no variable can have this name (a.env.B= (mcp.json, line 1, column 47))"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"A_TOKEN\": \"<token>\"}}}}", "Service a: variable A_TOKEN is a placeholder (a.env.A_TOKEN (mcp.json, line 1, column 47))"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"${X}\"}}}", "a.command (mcp.json, line 1, column 23) names the variable X, which is not set: set it, or set MCP_SERVICE_A_COMMAND"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"${config:python.path}\"}}}", "a.command (mcp.json, line 1, column 23) holds ${config:python.path}, which only an editor knows: replace it, or set MCP_SERVICE_A_COMMAND"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"${userHome}\"}}}", "a.command (mcp.json, line 1, column 23) names the home directory, and HOME is not set: set it"),
        ("{\"mcpServers\": {\"tools\": {\"command\": \"x\"}}}", "Service tools: an MCP service cannot have this name: /mcp/tools is a route of the gateway"),
        ("{\"mcpServers\": {\"io.github.ada/x\": {\"command\": \"x\"}}}", "\"io.github.ada/x\" cannot be the name of a service: it must hold 1 to 128 characters, no comma, slash or control character, and no blank at either end (io.github.ada/x (mcp.json, line 1, column 17))"),
        ("{\"mcpServers\": {\"a b\": {\"command\": \"x\"}, \"a-b\": {\"command\": \"x\"}}}", "Service a-b: has the same variables as service a b, MCP_SERVICE_A_B_*: rename one (a-b (mcp.json, line 1, column 42))"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\"}, \"a\": {\"command\": \"y\"}}}", "a (mcp.json, line 1, column 40) is there already: a (mcp.json, line 1, column 17)"),
        ("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"disabled\": true}}}", "At least one service must be configured (MCP_SERVICES names none)"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&[], text).unwrap_err(), [expected], "{text}");
    }
}

#[test]
fn what_a_file_says_of_a_service_that_cannot_be_is_no_variable_that_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mcp.json");
    let text = r#"{"mcpServers": {"io.github.ada/x": {"command": "x", "args": ["y"]}}}"#;
    std::fs::write(&path, text).unwrap();
    let source = Source::default().with_mcp_config(&path);
    let errors = Configuration::parse(&source).unwrap_err();
    assert_eq!(errors.problems().len(), 1, "{errors}");
    assert_eq!(errors.warnings(), []);
}

#[test]
fn members_that_mean_nothing_are_said_beside_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mcp.json");
    for (member, meant) in [
        ("comand", ", did you mean command?"),
        ("serverUrl", ", did you mean url?"),
        ("httpUrl", ", did you mean url?"),
        ("colour", "; passed over"),
    ] {
        let text = format!(r#"{{"mcpServers": {{"a": {{"{member}": "npx"}}}}}}"#);
        std::fs::write(&path, text).unwrap();
        let source = Source::from_iter([("MCP_GATEWAY_HOTS", "1")]);
        let errors = Configuration::parse(&source.with_mcp_config(&path)).unwrap_err();
        assert_eq!(errors.problems().len(), 1);
        let said: Vec<_> = errors.warnings().iter().map(ToString::to_string).collect();
        let expected = format!(
            "a.{member} ({}, line 1, column 23) is not understood{meant}",
            path.display()
        );
        assert_eq!(said, [expected]);
    }
}

#[test]
fn of_two_members_of_one_name_the_last_counts_with_a_warning() {
    let text = r#"{"mcpServers": {
        "a": {"command": "x", "env": {"A": "1", "B": "1", "A": "2", "b": "3"}},
        "b": {"url": "http://b", "headers": {"X-One": "1", "x-one": "2"}}
    }}"#;
    let configuration = read(&[], text).unwrap();
    assert_eq!(
        environment(&configuration.services[0]),
        [("A", "2"), ("B", "1"), ("b", "3")]
    );
    let headers = &configuration.services[1].kind.mcp().unwrap().headers;
    let headers: Vec<_> = headers.iter().map(|(_, value)| value.expose()).collect();
    assert_eq!(headers, ["2"]);
    let warnings: Vec<_> = configuration.warnings.iter().map(Warning::text).collect();
    let [of_env, of_headers] = warnings[..] else {
        panic!("{warnings:?}");
    };
    let again = "is there again further on, which counts";
    for (warning, member, place) in [
        (of_env, "a.env.A (", "line 2, column 39"),
        (of_headers, "b.headers.X-One (", "line 3, column 46"),
    ] {
        assert!(warning.starts_with(member), "{warning}");
        assert!(warning.ends_with(&format!("{place}) {again}")), "{warning}");
    }
}

#[test]
fn everything_that_is_wrong_is_listed_at_once() {
    let text = r#"{"mcpServers": {
        "a": {},
        "b": {"command": "${X}", "args": ["${input:y}", "${Z}"], "cwd": 1, "cwd": 2},
        "c": {"url": "${X}", "headers": {"A": "${X}"}}
    }}"#;
    assert_eq!(read(&[], text).unwrap_err().len(), 4);
}

#[test]
fn two_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let one = path(
        "1.json",
        "\u{feff}{\"servers\": {\"a\": {\"command\": \"x\"}}}",
    );
    let two = path("2.json", "{\"servers\": {\"b\": {\"command\": \"y\"}}}");
    let again = path("3.json", "{\"servers\": {\"b\": {\"command\": \"y\"}}}");
    let source = Source::default().with_mcp_config(one);
    let source = source.with_mcp_config(&two);
    let configuration = Configuration::parse(&source).unwrap();
    assert_eq!(names(&configuration), ["a", "b"]);
    let errors = Configuration::parse(&source.with_mcp_config(&again)).unwrap_err();
    let error = errors.problems()[0].to_string();
    assert_eq!(
        error,
        format!(
            "b ({}, line 1, column 14) is there already: b ({}, line 1, column 14)",
            again.display(),
            two.display()
        )
    );
}

#[test]
fn places_are_told_to_the_end_of_a_large_file() {
    const COUNT: usize = 18_000;
    let variable = |n: usize| format!("\"V_{n:06}\": \"{n:010}\"");
    let length = variable(0).len();
    let start = r#"{"mcpServers": {"a": {"command": "x", "env": {"#;
    for (between, place) in [
        (",\n", format!("line {}, column 1)", COUNT + 1)),
        (
            ",",
            format!("line 1, column {})", start.len() + COUNT * (length + 1) + 1),
        ),
    ] {
        let variables: Vec<_> = (0..COUNT).map(variable).collect();
        let last = "\"V_999999\": []";
        let text = format!("{start}{}{between}{last}}}}}}}}}", variables.join(between));
        let problems = read(&[], &text).unwrap_err();
        assert!(problems[0].contains(&place), "{place}: {}", problems[0]);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let missing = load(&[], Path::new("/nonexistent/mcp.json")).unwrap_err();
    assert!(
        missing[0].starts_with("/nonexistent/mcp.json cannot be read ("),
        "{missing:?}"
    );
    let deep = format!("{{\"servers\": {}", "[".repeat(100_000));
    assert!(read(&[], &deep).unwrap_err()[0].ends_with("maximum nesting depth exceeded"));
    let large = format!("{{}}{}", " ".repeat(1024 * 1024));
    assert!(read(&[], &large).unwrap_err()[0].contains("larger than 1 MiB"));
    let env_file = r#"{"servers": {"a": {"command": "x", "envFile": "missing.env"}}}"#;
    let problem = &read(&[], env_file).unwrap_err()[0];
    assert!(
        problem.starts_with("a.envFile (mcp.json, line 1, column 36) names ")
            && problem.contains("missing.env, which cannot be read: "),
        "{problem}"
    );
}

#[test]
fn members_without_effect_are_warned_about() {
    let text = r#"{"servers": {
        "a": {"command": "x", "headers": {"A": "b"}},
        "b": {"url": "http://b", "args": [], "env": {}, "cwd": "/"}
    }}"#;
    let configuration = read(&[], text).unwrap();
    let warnings = warnings(&configuration, Severity::Warning);
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[0].ends_with("line 2, column 31) has no effect beside a command"));
    assert!(warnings[1].ends_with("line 3, column 34) has no effect beside a url"));
}

#[test]
fn development_keeps_the_servers_of_a_file() {
    let variables = [
        ("NODE_ENV", "development"),
        ("MCP_SERVICE_OTHER_TIMEOUT", "1"),
    ];
    let configuration = load(&variables, &file("claude_desktop_config.json")).unwrap();
    assert_eq!(
        names(&configuration),
        [
            "user-service",
            "transaction-service",
            "product-service",
            "filesystem",
            "github"
        ]
    );
}

#[test]
fn variables_of_the_process_can_be_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mcp.json");
    let text = r#"{"servers": {"a": {"command": "x", "args": ["${PATH}", "${FROM_DOTENV}"]}}}"#;
    std::fs::write(&path, text).unwrap();
    let source = Source::environment()
        .with_text("FROM_DOTENV=here", ".env")
        .with_mcp_config(&path);
    let configuration = Configuration::parse(&source).unwrap();
    let process = configuration.service("a").unwrap().kind.stdio().unwrap();
    assert!(!process.args[0].is_empty() && !process.args[0].starts_with('$'));
    assert_eq!(process.args[1], "here");
}
