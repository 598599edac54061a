//! What the commands say, and how they end: `check`, `explain`, `reference`, and everything
//! that keeps `serve` from serving.

mod common;

use std::net::TcpListener;

use common::{Bartizan, Finished};

const ENDPOINT: &str = "http://127.0.0.1:9";

/// What was said on standard error by a command that failed, and said nothing else.
fn complaint(finished: &Finished) -> &str {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stdout, "");
    finished.stderr.trim_end()
}

/// What was said on standard output by a command that succeeded, and complained of nothing.
fn answer(finished: &Finished) -> &str {
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stderr, "");
    &finished.stdout
}

#[tokio::test]
async fn everything_that_is_wrong_is_listed_at_once_and_nothing_is_bound() {
    // Who tried to bind this port would have something else to say.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let commands: [&[&str]; 5] = [
        &[],
        &["serve"],
        &["check"],
        &["explain"],
        &["explain", "user-service"],
    ];
    for arguments in commands {
        let finished = Bartizan::new(arguments)
            .set("PORT", port)
            .set("MCP_DEFAULT_TIMEOUT", 0)
            .set("MCP_RETRY_MAX_ATTEMPTS", -1)
            .set("MCP_RETRY_STRATEGY", "cubic")
            .set("MCP_SERVICES", "user-service,product-service")
            .user("ENDPOINT", "not a url")
            .user("AUTH_TYPE", "bearer")
            .user("RATE_LIMIT_RPM", 0)
            .user("CB_FAILURE_THRESHOLD", 0)
            .run()
            .await;
        assert_eq!(
            complaint(&finished),
            "Configuration errors:\n  \
             - Default timeout must be positive (MCP_DEFAULT_TIMEOUT is \"0\")\n  \
             - Max retry attempts must be non-negative (MCP_RETRY_MAX_ATTEMPTS is \"-1\")\n  \
             - Backoff strategy must be linear or exponential (MCP_RETRY_STRATEGY is \"cubic\")\n  \
             - Service user-service: invalid endpoint URL (MCP_SERVICE_USER_SERVICE_ENDPOINT is \
             \"not a url\": it must begin with http:// or https://)\n  \
             - Service user-service: bearer token is required (MCP_SERVICE_USER_SERVICE_TOKEN is \
             not set)\n  \
             - Service user-service: requests per minute must be positive \
             (MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM is \"0\")\n  \
             - Service user-service: failure threshold must be positive \
             (MCP_SERVICE_USER_SERVICE_CB_FAILURE_THRESHOLD is \"0\")\n  \
             - Service product-service: endpoint is required \
             (MCP_SERVICE_PRODUCT_SERVICE_ENDPOINT is not set)\n  \
             - Service product-service: auth configuration is required \
             (MCP_SERVICE_PRODUCT_SERVICE_AUTH_TYPE is not set)"
        );
    }
}

#[tokio::test]
async fn nothing_configured_is_an_error_that_says_so() {
    let finished = Bartizan::new(&[]).run().await;
    assert_eq!(
        complaint(&finished),
        "Configuration errors:\n  \
         - At least one service must be configured (MCP_SERVICES names none)"
    );
}

#[tokio::test]
async fn a_misspelt_name_is_said_below_what_is_missing() {
    let finished = Bartizan::new(&["check"])
        .set("MCP_SERVICE", "users")
        .run()
        .await;
    assert_eq!(
        complaint(&finished),
        "Configuration errors:\n  \
         - At least one service must be configured (MCP_SERVICES names none)\n\
         warning: unknown variable MCP_SERVICE, did you mean MCP_SERVICES?"
    );
}

#[tokio::test]
async fn check_says_what_a_sound_configuration_means_and_binds_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let finished = Bartizan::sound(&["check"], ENDPOINT)
        .set("MCP_GATEWAY_PORT", port)
        .user("RATE_LIMIT_RPM", 300)
        .run()
        .await;
    assert_eq!(
        answer(&finished),
        format!(
            "configuration is sound (production)\n\
             listens on http://127.0.0.1:{port}, callers are not asked who they are\n\
             services: 1\n  \
             user-service: {ENDPOINT}, auth bearer, 300 a minute in bursts of 20, timeout 30 s, \
             3 retries\n"
        )
    );
}

/// What only the layers, the client or the server know to be wrong is told by `check` as well.
#[tokio::test]
async fn check_is_as_strict_as_serve() {
    let spoilt: [(&[(&str, &str)], &str); 4] = [
        (
            &[("MCP_GATEWAY_MAX_HEADER_BYTES", "409601")],
            "MCP_GATEWAY_MAX_HEADER_BYTES must be at most 409600",
        ),
        (
            &[("MCP_GATEWAY_UPSTREAM_CA_FILE", "nonsense")],
            "upstream TLS: nonsense contains no certificate",
        ),
        (
            &[
                ("MCP_GATEWAY_TLS_CERT_FILE", "nonsense"),
                ("MCP_GATEWAY_TLS_KEY_FILE", "nonsense"),
            ],
            "TLS: nonsense contains no certificate",
        ),
        (
            &[("MCP_GATEWAY_TLS_CERT_FILE", "nonsense")],
            "MCP_GATEWAY_TLS_CERT_FILE and MCP_GATEWAY_TLS_KEY_FILE must be set together",
        ),
    ];
    for (changes, expected) in spoilt {
        for command in ["check", "serve"] {
            let bartizan = Bartizan::sound(&[command], ENDPOINT).file("nonsense", "nonsense");
            let bartizan = changes
                .iter()
                .fold(bartizan, |it, (name, value)| it.set(name, value));
            let finished = bartizan.run().await;
            let complaint = complaint(&finished);
            assert!(complaint.contains(expected), "{command}: {complaint}");
        }
    }
    let largest = Bartizan::sound(&[], ENDPOINT).set("MCP_GATEWAY_MAX_HEADER_BYTES", 409_600);
    assert_eq!(largest.start().await.get("/livez").await.status, 200);
}

#[tokio::test]
async fn explain_shows_every_layer_in_order_with_values_and_origins() {
    let finished = Bartizan::sound(&["explain", "user-service"], ENDPOINT)
        .file(
            ".env",
            "# ours\nMCP_SERVICE_USER_SERVICE_TIMEOUT=4000\nMCP_RETRY_JITTER=true\n",
        )
        .user("CB_FAILURE_THRESHOLD", 7)
        .user("IDEMPOTENT_OPERATIONS", "get*,list?")
        .user("HEALTH_PATH", "/health")
        .run()
        .await;
    let text = answer(&finished);
    assert!(text.starts_with("service user-service, from the outside in\n"));
    let rows: Vec<_> = text.lines().skip(1).collect();

    // A layer's name stands on its first row only.
    let names = rows.iter().filter_map(|row| row.strip_prefix("  "));
    let names = names.filter(|row| !row.starts_with(' '));
    let layers: Vec<_> = names.map(|row| row.split("  ").next().unwrap()).collect();
    assert_eq!(
        layers,
        [
            "deadline",
            "retry",
            "rate limit",
            "circuit breaker",
            "auth",
            "balance",
            "health",
            "attempt",
            "connection"
        ],
        "{text}"
    );

    #[rustfmt::skip]
    let expected = [
        ["timeout", "4 s", "MCP_SERVICE_USER_SERVICE_TIMEOUT (.env, line 2)"],
        ["retries", "3", "default: the documented default"],
        ["jitter", "on", "MCP_RETRY_JITTER (.env, line 3)"],
        ["safe to repeat", "get*, list?", "MCP_SERVICE_USER_SERVICE_IDEMPOTENT_OPERATIONS"],
        ["rate", "100 a minute", "default: the documented default"],
        ["opens after", "7 failures in a row", "MCP_SERVICE_USER_SERVICE_CB_FAILURE_THRESHOLD"],
        ["type", "bearer", "MCP_SERVICE_USER_SERVICE_AUTH_TYPE"],
        ["token", "[redacted]", "MCP_SERVICE_USER_SERVICE_TOKEN"],
        ["endpoints", ENDPOINT, "MCP_SERVICE_USER_SERVICE_ENDPOINT"],
        ["path", "/health", "MCP_SERVICE_USER_SERVICE_HEALTH_PATH"],
    ];
    for [setting, value, origin] in expected {
        let row = rows.iter().find(|row| {
            let mut columns = row.split("  ").map(str::trim).filter(|it| !it.is_empty());
            columns.any(|column| column == setting)
        });
        let row = row.unwrap_or_else(|| panic!("no {setting} in\n{text}"));
        assert!(row.contains(&format!("  {value} ")), "{row}");
        assert!(row.ends_with(&format!("  {origin}")), "{row}");
    }
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[tokio::test]
async fn explain_shows_the_gateway_and_redacts_its_keys() {
    let finished = Bartizan::sound(&["explain"], ENDPOINT)
        .set(
            "MCP_GATEWAY_API_KEYS",
            "f1rst-key-1234567890,s3cond-key-1234567890",
        )
        .set("MCP_GATEWAY_MAX_CONNECTIONS", 77)
        .run()
        .await;
    let text = answer(&finished);
    assert!(text.starts_with("gateway\n"), "{text}");
    for expected in ["2 [redacted]", "MCP_GATEWAY_API_KEYS", "  77  "] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(
        !text.contains("f1rst") && !text.contains("s3cond"),
        "{text}"
    );
}

#[tokio::test]
async fn demo_refuses_files_that_it_would_not_read() {
    for flag in ["--config", "--env-file", "--mcp-config"] {
        for arguments in [["demo", flag, "mine"], [flag, "mine", "demo"]] {
            let finished = Bartizan::new(&arguments).run().await;
            assert_eq!(finished.status.code(), Some(2), "{finished:?}");
            let expected = format!("error: {flag} cannot be used with demo");
            assert!(finished.stderr.starts_with(&expected), "{finished:?}");
        }
    }
}

#[tokio::test]
async fn explain_suggests_the_service_that_was_meant() {
    let explain = |name| Bartizan::sound(&["explain", name], ENDPOINT).run();
    assert_eq!(
        complaint(&explain("user-servise").await),
        "no service is called \"user-servise\", did you mean user-service?"
    );
    assert_eq!(
        complaint(&explain("weather").await),
        "no service is called \"weather\""
    );
}

const REGISTRY: &str = r#"{"templates": {
  "notes": {"instances": [{"id": "a", "endpoint": "http://127.0.0.1:9", "is_healthy": true}]},
  "my-list": {"instances": [{"id": "b", "endpoint": "http://127.0.0.1:9"}]},
  "my_list": {"instances": [{"id": "c", "endpoint": "http://127.0.0.1:9"}]}
}}"#;

fn before_registry(arguments: &[&str]) -> Bartizan {
    Bartizan::new(arguments)
        .file("registry.json", REGISTRY)
        .set("MCP_GATEWAY_REGISTRY_FILE", "registry.json")
}

#[tokio::test]
async fn check_tells_of_what_registries_list() {
    let finished = before_registry(&["check"]).run().await;
    let said = answer(&finished);
    for part in [
        "\nregistry: registry.json (registry.json), looked at every ",
        ", services: 3, instances: 3\n",
        "\nwarning: registry.json: ",
        "is_healthy",
        "\nwarning: service my_list of the registries has the variables of my-list; it is left out",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }

    let wrong = before_registry(&["check"]).set("MCP_SERVICE_NOTES_TIMEOUT", "soon");
    let finished = wrong.run().await;
    let said = complaint(&finished);
    assert!(said.starts_with("Configuration errors:\n"), "{said}");
    assert!(said.contains("MCP_SERVICE_NOTES_TIMEOUT"), "{said}");
    assert!(
        said.contains("\nwarning: service my_list of the registries"),
        "{said}"
    );
}

#[tokio::test]
async fn check_knows_the_names_of_what_registries_list() {
    let check = || {
        before_registry(&["check"])
            .set("MCP_SERVICE_NOTES_TIMEOT", 1)
            .set("MCP_SERVICE_NOTS_RATE_LIMIT_RPM", 1)
            .set("MCP_SERVICE_LATER_TIMEOUT", 1)
            .set("MCP_SERVICE_LATER_COLOUR", 1)
    };
    let expected = [
        "MCP_SERVICE_LATER_COLOUR belongs to no service of MCP_SERVICES or of a registry",
        "unknown variable MCP_SERVICE_NOTES_TIMEOT, did you mean MCP_SERVICE_NOTES_TIMEOUT?",
        "unknown variable MCP_SERVICE_NOTS_RATE_LIMIT_RPM, did you mean \
         MCP_SERVICE_NOTES_RATE_LIMIT_RPM?",
    ];
    let warned = |said: &str| -> Vec<String> {
        let lines = said.lines().filter_map(|it| it.strip_prefix("warning: "));
        let lines = lines.filter(|it| it.contains("MCP_"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(warned(answer(&check().run().await)), expected);
    let wrong = check().set("MCP_SERVICE_NOTES_AUTH_TYPE", "bearer");
    assert_eq!(warned(complaint(&wrong.run().await)), expected);
}

#[tokio::test]
async fn check_says_once_what_is_odd_about_instances_of_its_own_file() {
    let checked = Bartizan::new(&["check"]).file(
        "bartizan.yaml",
        "services: {a: {instances: [{id: x, url: 'http://127.0.0.1:9'}], load_balancer: {timeout: 1h}}}",
    );
    let finished = checked.run().await;
    let said = answer(&finished);
    assert_eq!(said.matches("not from 5 to 300").count(), 1, "{said}");
}

#[tokio::test]
async fn explain_knows_what_registries_list() {
    let finished = before_registry(&["explain", "notes"])
        .set("MCP_SERVICE_NOTES_TIMEOUT", 7_000)
        .run()
        .await;
    let said = answer(&finished);
    for part in [
        "service notes, from the outside in\n",
        "MCP_SERVICE_NOTES_TIMEOUT",
        "those of the registry",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(
        complaint(&before_registry(&["explain", "nots"]).run().await),
        "no service is called \"nots\", did you mean notes?"
    );
    // Whatever is wrong with others.
    let of = async |service| {
        let explain = before_registry(&["explain", service]);
        let finished = explain.set("MCP_SERVICE_NOTES_TIMEOUT", "soon").run().await;
        complaint(&finished).to_owned()
    };
    assert!(of("my_list").await.contains("it is left out"));
    assert!(of("nots").await.starts_with("no service is called"));
    assert!(of("notes").await.contains("MCP_SERVICE_NOTES_TIMEOUT"));
}

const FILE: &str = "\
MCP_SERVICES=user-service
MCP_SERVICE_USER_SERVICE_ENDPOINT=http://from-the-file:1
MCP_SERVICE_USER_SERVICE_AUTH_TYPE=bearer
MCP_SERVICE_USER_SERVICE_TOKEN='s3cr3t token'
";

#[tokio::test]
async fn the_file_beside_it_is_read_and_the_environment_wins() {
    let file = FILE.replace("s3cr3t token", "s3cr3t-token");
    let alone = Bartizan::new(&["check"]).file(".env", &file).run().await;
    assert!(answer(&alone).contains("user-service: http://from-the-file:1, auth bearer"));

    let both = Bartizan::new(&["check"])
        .file(".env", &file)
        .user("ENDPOINT", "http://from-the-environment:1")
        .run()
        .await;
    assert!(answer(&both).contains("user-service: http://from-the-environment:1, auth bearer"));

    // What passes variables on sets blanks where there is nothing to pass on.
    let blank = Bartizan::new(&["check"])
        .file(
            ".env",
            &file.replace("http://from-the-file", "http://from-the-file-after-all"),
        )
        .user("ENDPOINT", " ")
        .run()
        .await;
    assert!(answer(&blank).contains("user-service: http://from-the-file-after-all:1"));
    let named = Bartizan::new(&["check"])
        .file(".env", "PLACE=http://from-the-file:1")
        .file(
            "bartizan.yaml",
            "services: {a: {endpoint: '${PLACE}', auth: {type: none}}}",
        )
        .set("PLACE", "")
        .run()
        .await;
    assert!(answer(&named).contains("a: http://from-the-file:1"));

    let broken = FILE.to_owned() + "hunter2\nA=\"hunter2\n";
    let broken = Bartizan::new(&["check"]).file(".env", &broken).run().await;
    assert_eq!(
        complaint(&broken),
        "Configuration errors:\n  \
         - .env, line 5, column 1: expected NAME=value\n  \
         - .env, line 6, column 3: the quote is never closed"
    );
}

#[tokio::test]
async fn a_file_that_was_named_has_to_be_there() {
    for (arguments, name) in [
        (&["--env-file", "missing"][..], "missing"),
        (&["check", "--env-file=missing"], "missing"),
        (&["check", "--env-file", ".env"], ".env"),
    ] {
        let missing = Bartizan::sound(arguments, ENDPOINT).run().await;
        let complaint = complaint(&missing);
        let expected = format!("Configuration errors:\n  - {name} cannot be read (");
        assert!(complaint.starts_with(&expected), "{complaint}");
    }
    // One that is there takes the place of the usual one.
    let named = Bartizan::new(&["check", "--env-file", "mine.env"])
        .file("mine.env", &FILE.replace("s3cr3t token", "s3cr3t-token"))
        .file(".env", "this is no assignment")
        .run()
        .await;
    assert!(answer(&named).contains("http://from-the-file:1"));
}

/// A file as VS Code has it.
const SERVERS: &str = r#"{
  // Everybody's
  "servers": {
    "search": {
      "type": "http",
      "url": "http://127.0.0.1:9/mcp",
      "headers": { "Authorization": "Bearer ${env:SEARCH_TOKEN}" },
    },
    "memory": {
      "command": "npx",
      "args": ["-y", "server-memory", "--token", "s3cr3t-argument"],
      "env": { "MEMORY_KEY": "s3cr3t-variable" },
    },
  },
}
"#;

#[tokio::test]
async fn files_of_servers_are_explained() {
    let explain = |service: &'static str| {
        Bartizan::new(&["explain", service, "--mcp-config", "mcp.json"])
            .file("mcp.json", SERVERS)
            .file(
                ".env",
                "SEARCH_TOKEN=s3cr3t-token\nMCP_SERVICE_MEMORY_TIMEOUT=4000\n",
            )
            .set("PATH", "/bin")
            .run()
    };
    let memory = explain("memory").await;
    let memory = answer(&memory);
    for (setting, value, origin) in [
        (
            "timeout",
            "4 s",
            "MCP_SERVICE_MEMORY_TIMEOUT (.env, line 2)",
        ),
        (
            "transport",
            "stdio",
            "memory.command (mcp.json, line 10, column 7)",
        ),
        (
            "command",
            "npx",
            "memory.command (mcp.json, line 10, column 7)",
        ),
        (
            "arguments",
            "-y server-memory --token [redacted]",
            "memory.args (mcp.json, line 11, column 7)",
        ),
        (
            "variable",
            "MEMORY_KEY=[redacted]",
            "memory.env.MEMORY_KEY (mcp.json, line 12, column 16)",
        ),
        (
            "inherits",
            "PATH",
            "default: the harmless variables of the gateway's own environment",
        ),
    ] {
        let has = |row: &str| {
            let columns: Vec<_> = row.split("  ").map(str::trim).collect();
            columns.contains(&setting) && columns.contains(&value) && row.ends_with(origin)
        };
        assert!(memory.lines().any(has), "no {setting} in\n{memory}");
    }
    let search = explain("search").await;
    let search = answer(&search);
    assert!(search.contains("search.headers.Authorization (mcp.json, line 7, column 20)"));
    for text in [memory, search] {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[tokio::test]
async fn files_of_servers_that_are_wrong_keep_it_from_starting() {
    for arguments in [
        &["--mcp-config", "one.json", "--mcp-config=two.json"][..],
        &[
            "serve",
            "--mcp-config",
            "one.json",
            "--mcp-config",
            "two.json",
        ],
        &[
            "--mcp-config",
            "one.json",
            "check",
            "--mcp-config",
            "two.json",
        ],
        &[
            "explain",
            "--mcp-config",
            "one.json",
            "--mcp-config",
            "two.json",
        ],
    ] {
        let finished = Bartizan::new(arguments)
            .file(
                "one.json",
                r#"{"mcpServers": {"time": {"command": "uvx"}}}"#,
            )
            .file(
                "two.json",
                "{\"mcpServers\": {\n  \"search\": {\"url\": \"${URL}\"}}}",
            )
            .run()
            .await;
        assert_eq!(
            complaint(&finished),
            "Configuration errors:\n  \
             - search.url (two.json, line 2, column 14) names the variable URL, which is not set: \
             set it, or set MCP_SERVICE_SEARCH_ENDPOINT",
            "{arguments:?}"
        );
    }
    let missing = Bartizan::sound(&["--mcp-config", "missing"], ENDPOINT)
        .run()
        .await;
    let complaint = complaint(&missing);
    let expected = "Configuration errors:\n  - missing cannot be read (";
    assert!(complaint.starts_with(expected), "{complaint}");
}

#[tokio::test]
async fn a_value_that_cannot_be_sent_is_refused_and_not_shown() {
    let finished = Bartizan::new(&["check"]).file(".env", FILE).run().await;
    let complaint = complaint(&finished);
    assert!(
        complaint.contains("holds characters that cannot be sent"),
        "{complaint}"
    );
    assert!(!complaint.contains("s3cr3t"), "{complaint}");
}

#[tokio::test]
async fn development_needs_nothing_else() {
    let check = Bartizan::new(&["check"]).set("NODE_ENV", "development");
    let finished = check.run().await;
    let text = answer(&finished);
    assert!(
        text.starts_with("configuration is sound (development)\n"),
        "{text}"
    );
    for (service, port) in [("user", 8081), ("transaction", 8082), ("product", 8083)] {
        let line = format!("  {service}-service: http://localhost:{port}, auth ");
        assert!(text.contains(&line), "{text}");
    }
    let gateway = Bartizan::new(&[])
        .set("NODE_ENV", "development")
        .set("PORT", 0)
        .start()
        .await;
    let services = gateway.get("/mcp/services").await.json();
    assert_eq!(services["services"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn placeholders_are_refused() {
    for secret in [
        "your-bearer-token",
        "CHANGE_ME",
        "<token>",
        "dev-user-token",
    ] {
        let finished = Bartizan::sound(&[], ENDPOINT)
            .user("TOKEN", secret)
            .run()
            .await;
        assert_eq!(
            complaint(&finished),
            "Configuration errors:\n  \
             - Service user-service: bearer token is a placeholder \
             (MCP_SERVICE_USER_SERVICE_TOKEN)"
        );
    }
}

#[tokio::test]
async fn everybody_is_let_in_only_where_that_is_said() {
    let everywhere =
        |command| Bartizan::sound(&[command], ENDPOINT).set("MCP_GATEWAY_HOST", "0.0.0.0");
    for command in ["serve", "check"] {
        assert_eq!(
            complaint(&everywhere(command).run().await),
            "Configuration errors:\n  \
             - refusing to listen on 0.0.0.0 without inbound authentication: set \
             MCP_GATEWAY_API_KEYS, or MCP_GATEWAY_INSECURE_BIND=true if something in front of \
             the gateway authenticates its callers"
        );
    }
    let insecure = everywhere("serve").set("MCP_GATEWAY_INSECURE_BIND", true);
    let insecure = insecure.start().await;
    assert!(insecure.bound().ip().is_unspecified());
    assert_eq!(insecure.get("/mcp/services").await.status, 200);

    let key = "f1rst-key-1234567890";
    let keyed = everywhere("serve").set("MCP_GATEWAY_API_KEYS", key);
    let keyed = keyed.start().await;
    assert_eq!(keyed.get("/mcp/services").await.status, 401);
    let url = keyed.url("/mcp/services");
    let header = format!("X-API-Key: {key}");
    assert_eq!(common::curl(&["--header", &header, &url]).await.status, 200);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let serve = Bartizan::sound(&[], ENDPOINT).set("MCP_GATEWAY_PORT", address.port());
    assert_eq!(
        complaint(&serve.run().await),
        format!("cannot listen on {address}: address in use")
    );
}

/// `bartizan reference | head -1`: the reader is gone before the writer is done.
#[tokio::test]
async fn a_reader_that_leaves_is_no_reason_to_complain() {
    for arguments in [
        &["reference"][..],
        &["check"],
        &["explain"],
        &["explain", "user-service"],
        &["--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let finished = Bartizan::sound(arguments, ENDPOINT)
            .stdout(writer)
            .run()
            .await;
        assert!(finished.status.success(), "{arguments:?}: {finished:?}");
        assert_eq!(finished.stderr, "", "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_a_reason_to_complain() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let finished = Bartizan::new(&["reference"]).stdout(full).run().await;
    let complaint = complaint(&finished);
    assert!(
        complaint.starts_with("cannot write the output: "),
        "{complaint}"
    );
}

#[tokio::test]
async fn version_and_help() {
    let version = Bartizan::new(&["--version"]).run().await;
    let expected = format!("bartizan {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(answer(&version), expected);

    let help = Bartizan::new(&["--help"]).run().await;
    let help = answer(&help);
    for command in [
        "serve",
        "check",
        "explain",
        "demo",
        "reference",
        "--env-file",
        "--config",
        "--mcp-config",
    ] {
        assert!(help.contains(command), "{help}");
    }

    let unknown = Bartizan::new(&["srve"]).run().await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        unknown.stderr.contains("unrecognized subcommand 'srve'"),
        "{unknown:?}"
    );
    assert!(unknown.stderr.contains("serve"), "{unknown:?}");
}

#[tokio::test]
async fn the_reference_is_the_page_of_the_documentation() {
    let finished = Bartizan::new(&["reference"]).run().await;
    let page = include_str!("../../../docs/configuration.md");
    assert_eq!(answer(&finished), page);
}
