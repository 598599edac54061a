use crate::{SERVICE, directory, problems, read, sound, source, warnings};

#[test]
fn everything_that_is_wrong_is_listed_at_once() {
    let text = "
gatewy: {}
gateway:
  prot: 1
  max_body_bytes: {a: 1}
  log: debug
  cors_origins: []
  api_keys: [a, 'b,c']
  retry: {max_attempts: 1, max: {attempts: 2}}
registries: [registry.toml, {a: 1}]
services:
  a/b: {}
  one: {endpoint: 'http://a', auth: {tokn: x}, kind: soap}
  two: 5
  three: {endpoint: [{url: 'http://a', wieght: 2}], tools: [], timeout: 1s, timeout: 2s}
  four: {instances: [{url: 'http://a'}], command: x, discovery: dns}
  f_our: {command: x}
  f-our: {command: y}
  five: {instances: [{id: x}, {url: 'http://a', colour: red}]}
";
    let at = |key: &str, line: u32, column: u32, what: &str| {
        format!("{key} (bartizan.yaml, line {line}, column {column}) {what}")
    };
    assert_eq!(
        problems(text),
        [
            "bartizan.yaml, line 2, column 1: \"gatewy\" is no key that is known, did you mean \
             gateway?"
                .to_owned(),
            at(
                "gateway.prot",
                4,
                3,
                "is no key that is known, did you mean port?"
            ),
            at(
                "gateway.max_body_bytes",
                5,
                3,
                "must be a text, not a mapping"
            ),
            at("gateway.log", 6, 3, "must be a mapping of keys to values"),
            at(
                "gateway.cors_origins",
                7,
                3,
                "is an empty list: name something, or take the key out"
            ),
            at(
                "gateway.api_keys",
                8,
                3,
                "must hold texts that are not empty, without commas and line breaks"
            ),
            at(
                "gateway.retry.max.attempts",
                9,
                34,
                "says what line 9 says already"
            ),
            at("registries", 10, 14, "must end in .yaml, .yml or .json"),
            at("registries", 10, 29, "must be a path or a list of paths"),
            "bartizan.yaml, line 12, column 3: \"a/b\" cannot be the name of a service".to_owned(),
            at(
                "services.one.auth.tokn",
                13,
                38,
                "is no key that is known, did you mean token?"
            ),
            at("services.one.kind", 13, 48, "must be rest or mcp"),
            at("services.two", 14, 3, "must be a mapping of keys to values"),
            "bartizan.yaml, line 15, column 77: the key \"timeout\" is there already, in line 15"
                .to_owned(),
            at(
                "services.three.endpoint",
                15,
                22,
                "must hold url and weight only"
            ),
            at(
                "services.three.tools",
                15,
                53,
                "is for a service with instances"
            ),
            at(
                "services.four.command",
                16,
                42,
                "has no place beside instances: take one out"
            ),
            at(
                "services.four.discovery",
                16,
                54,
                "has no place beside instances: take one out"
            ),
            at(
                "services.f-our",
                18,
                3,
                "has the same variables as service f_our: rename one"
            ),
            "bartizan.yaml, line 19, column 22: the instance has no `url` and no `command`"
                .to_owned(),
            "bartizan.yaml, line 19, column 49: `colour` of an instance is none of args, command, \
             env, health_url, id, metadata, tools, transport, url, weight or working_dir"
                .to_owned(),
        ]
    );
}

#[test]
fn wrong_values_are_named_by_key_and_place() {
    let text = "
gateway:
  host: example
  port: 65536
  drain: {timeout: soon}
  strict_status: yes
services:
  a:
    endpoint: a:1
    auth: {type: bearer}
    timeout: 0s
    circuit_breaker: {failure_ratio: 2}
";
    assert_eq!(
        problems(text),
        [
            "gateway.host must be an IP address or localhost (gateway.host is \"example\" in \
             bartizan.yaml, line 3, column 3)",
            "gateway.port must be at most 65535 (gateway.port is \"65536\" in bartizan.yaml, line \
             4, column 3)",
            "gateway.strict_status must be true or false (gateway.strict_status is \"yes\" in \
             bartizan.yaml, line 6, column 3)",
            "gateway.drain.timeout must be a whole number of milliseconds, or one with a unit, \
             ms, s, m, h or d (gateway.drain.timeout is \"soon\" in bartizan.yaml, line 5, column 11)",
            "Service a: invalid endpoint URL (services.a.endpoint is \"a:1\" in bartizan.yaml, \
             line 9, column 5: it must begin with http:// or https://)",
            "Service a: bearer token is required (MCP_SERVICE_A_TOKEN is not set)",
            "services.a.circuit_breaker.failure_ratio must be a decimal number above 0 and at \
             most 1 (services.a.circuit_breaker.failure_ratio is \"2\" in bartizan.yaml, line 12, \
             column 23)",
            "Service a: timeout must be positive (services.a.timeout is \"0\" in bartizan.yaml, \
             line 11, column 5)",
        ]
        .map(str::to_owned)
    );
}

/// As a variable, what is not `true` is off, which is documented; a file has a word for that.
#[test]
fn a_secret_that_is_there_and_empty_is_refused() {
    let text = "
gateway:
  api_keys: ''
  admin_keys_file: ''
  mcp: {session_keys: '${KEY}'}
services:
  a: {endpoint: 'http://a', auth: {type: bearer, token: '${KEY:-}'}}
  b: {endpoint: 'http://b', auth: {type: bearer, token: '${KEY}'}}
";
    let empty = |key: &str, line: u32, column: u32| {
        format!(
            "{key} (bartizan.yaml, line {line}, column {column}) is empty: say something, or take \
             the key out"
        )
    };
    assert_eq!(
        read(&[("KEY", " "), ("MCP_SERVICE_B_TOKEN", "hunter2")], text).unwrap_err(),
        [
            empty("gateway.api_keys", 3, 3),
            empty("gateway.admin_keys_file", 4, 3),
            empty("gateway.mcp.session_keys", 5, 9),
            empty("services.a.auth.token", 7, 50),
        ]
    );
}

#[test]
fn bounds_and_what_is_beyond_them_have_one_unit() {
    let of_gateway = |setting: &str, service: &str| {
        problems(&format!(
            "gateway: {{{setting}}}\nservices: {{a: {{endpoint: 'http://a', auth: {{type: none}}{service}}}}}"
        ))
    };
    assert_eq!(
        of_gateway("max_header_bytes: 1KiB", ", timeout: 30d"),
        [
            "gateway.max_header_bytes must be at least 8192 bytes (gateway.max_header_bytes is \
             \"1024\" in bartizan.yaml, line 1, column 11)",
            "services.a.timeout must be at most 2147483647 milliseconds (services.a.timeout is \
             \"2592000000\" in bartizan.yaml, line 2, column 58)",
        ]
    );
    assert_eq!(
        of_gateway("health_interval: 500ms", ""),
        [
            "gateway.health_interval must be a whole number of seconds, or a duration of whole seconds, \
             such as 2m (gateway.health_interval is \"500ms\" in bartizan.yaml, line 1, column 11)",
        ]
    );
}

#[test]
fn durations_of_registries_are_whole_seconds() {
    let text = "
services:
  a:
    instances: [{id: x, url: 'http://a'}]
    load_balancer: {timeout: 500ms, health_check_interval: 1.5, max_retries: 3}
";
    let seconds = |key: &str, column: u32| {
        format!(
            "services.a.load_balancer.{key} (bartizan.yaml, line 5, column {column}) must be a \
             whole number of seconds, or a duration of whole seconds, such as 2m"
        )
    };
    assert_eq!(
        problems(text),
        [seconds("timeout", 21), seconds("health_check_interval", 37)]
    );
}

#[test]
fn variables_of_services_with_instances_are_suggested() {
    let text = "services: {files: {instances: [{id: x, url: 'http://a'}]}}";
    let configuration = read(&[("MCP_SERVICE_FILES_TIMEOT", "1")], text).unwrap();
    assert_eq!(
        warnings(&configuration),
        ["unknown variable MCP_SERVICE_FILES_TIMEOT, did you mean MCP_SERVICE_FILES_TIMEOUT?"]
    );
}

#[test]
fn jitter_in_a_file_is_true_or_false() {
    let text = "
gateway:
  retry: {jitter: yes}
services:
  a: {endpoint: 'http://a', auth: {type: none}, retry: {jitter: 1}}
  b: {endpoint: 'http://b', auth: {type: none}, retry: {jitter: false}}
";
    assert_eq!(
        problems(text),
        [
            "gateway.retry.jitter must be true or false (gateway.retry.jitter is \"yes\" in \
             bartizan.yaml, line 3, column 11)",
            "services.a.retry.jitter must be true or false (services.a.retry.jitter is \"1\" in \
             bartizan.yaml, line 5, column 57)",
        ]
    );
}

#[test]
fn the_settings_of_services_with_instances_are_judged_at_once() {
    let text = "
gateway: {port: 70000}
services:
  a: {instances: [{url: 'http://a'}], timeout: never, auth: {type: bearer}}
  health: {kind: mcp, instances: [{url: 'http://a'}]}
";
    let found = problems(text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(
        found[0].starts_with("gateway.port must be at most"),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|it| it.contains("services.a.timeout is \"never\""))
    );
    assert!(
        found
            .iter()
            .any(|it| it.starts_with("Service a: bearer token is required"))
    );
    assert!(found[3].starts_with("Service health: an MCP service cannot have this name"));
}

#[test]
fn services_with_instances_do_not_share_credentials() {
    let text = "
services:
  a:
    instances: [{id: one, command: [program]}]
  a-env:
    auth: {type: bearer, token: hunter2}
    instances: [{url: 'http://b'}]
  b:
    instances: [{url: 'http://c', transport: http}]
  b-header:
    auth: {token: hunter2}
    instances: [{url: 'http://d'}]
";
    assert_eq!(
        problems(text),
        [
            "MCP_SERVICE_A_ENV_AUTH_TYPE is a variable of both service a and service a-env: \
             rename one",
            "MCP_SERVICE_A_ENV_TOKEN is a variable of both service a and service a-env: rename one",
            "MCP_SERVICE_B_HEADER_TOKEN is a variable of both service b and service b-header: \
             rename one",
        ]
    );
}

#[test]
fn what_has_no_effect_is_warned_about_with_its_place() {
    let text = "
gateway: {poll_interval: 5s}
services:
  a: {endpoint: 'http://a', auth: {type: none, token: hunter2}, env: {A: b}}
  b: {command: x, strategy: random}
";
    let found = warnings(&sound(&[], text));
    let ends: Vec<_> = found
        .iter()
        .map(|text| text.rsplit_once(" (").map_or("", |it| it.0).to_owned())
        .collect();
    assert_eq!(
        ends,
        [
            "services.a.env.A",
            "services.a.auth.token",
            "gateway.poll_interval"
        ],
        "{found:?}"
    );
    assert!(!found.join("").contains("hunter2"));
}

#[test]
fn who_knows_the_variables_is_told_the_keys() {
    let text = "
gateway: {MCP_GATEWAY_MAX_BODY_BYTES: 1, LOG_LEVEL: info}
services: {my-x: {command: x, MCP_SERVICE_MY_X_TOKEN: hunter2, CB_WINDOW: 1s}}
";
    let found = problems(text);
    let meant: Vec<_> = found
        .iter()
        .map(|text| text.rsplit_once("did you mean ").map_or("", |it| it.1))
        .collect();
    assert_eq!(
        meant,
        [
            "max_body_bytes?",
            "log.level?",
            "auth.token?",
            "circuit_breaker.window?"
        ],
        "{found:?}"
    );
}

#[test]
fn a_header_is_the_same_in_capitals() {
    let text = "services: {a: {transport: http, endpoint: 'http://a', headers: {X-A: b, x-a: c}}}";
    let found = problems(text);
    assert_eq!(
        found,
        [
            "services.a.headers.x-a (bartizan.yaml, line 1, column 73) says what line 1 says \
             already"
        ]
    );
}

#[test]
fn secrets_stay_out_of_messages() {
    for text in [
        "services: {a: {endpoint: 'http://u:hunter2@a', auth: {type: none}}}",
        "services: {a: {endpoint: [{url: 'http://a,hunter2'}], auth: {type: none}}}",
        "services: {a: {endpoint: ['http://a,hunter2'], auth: {type: none}}}",
        "services: {a: {endpoint: {hunter: {x: hunter2}}, auth: {type: none}}}",
        "services: {a: {endpoint: 'http://a', auth: {type: bearer, token: \"hunter2\\e\"}}}",
        "services: {a: {endpoint: 'http://a', auth: {type: bearer, token: \"hunter2 x\"}}}",
        "services: {a: {endpoint: 'http://a', auth: {type: bearer, token: [hunter2]}}}",
        "services: {a: {endpoint: 'http://a', auth: {type: bearer, token: {hunter: hunter2}}}}",
        "services: {a: {endpoint: 'http://a', auth: {type: bearer, token: hunter2, token_file: x}}}",
        "services: {a: {endpoint: 'http://a', auth: {type: bearer, tokne: hunter2}}}",
        "services: {a: {command: x, env: [hunter2]}}",
        "services: {a: {command: x, env: {A: [hunter2]}}}",
        "services: {a: {command: x, env: {A: \"${NONE}hunter2\"}}}",
        "services: {a: {command: x, env: {A: \"hunter2\\0\"}}}",
        "services: {a: {command: x, args: [[hunter2]]}}",
        "services: {a: {command: x, args: \"'hunter2\"}}",
        "services: {a: {transport: http, endpoint: 'http://a', headers: {X-A: \"hunter2\\n\\0\"}}}",
        "services: {a: {instances: [{id: a, command: [x], env: {A: [hunter2]}}]}}",
        "services: {a: {instances: [{id: a, command: [], env: {A: hunter2}}]}}",
        "services: {a: {instances: [{url: 'http://u:hunter2@a'}]}}",
        "services: {a: {instances: [{url: 'http://a?key=hunter2'}]}}",
        "services: {a: {instances: [{url: '${NONE}hunter2'}]}}",
        "gateway: {api_keys: [hunter2, [hunter2]]}",
        "gateway: {api_keys: 'hunter2 hunter2 \u{e9}'}\nservices: {a: {command: x}}",
        "gateway: {mcp: {session_keys: hunter2}}\nservices: {a: {command: x}}",
    ] {
        let found = problems(text);
        assert!(!found.is_empty(), "{text}");
        assert!(!found.join("\n").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn secrets_stay_out_of_debug_forms() {
    let text = "
gateway: {api_keys: [hunter2hunter2hunter2]}
services:
  a: {endpoint: 'http://a', auth: {type: bearer, token: hunter2}}
  b: {instances: [{id: x, command: [x, --token, hunter2], env: {A: hunter2}}], env: {B: hunter2}}
";
    let directory = directory(text);
    let source = source(&directory, &[]);
    assert!(!format!("{source:?}").contains("hunter2"));
    let configuration = sound(&[], text);
    let mut shown = format!("{configuration:?}{}", configuration.summary());
    for service in ["a", "b"] {
        shown.push_str(&configuration.explain(service).unwrap().to_string());
    }
    shown.push_str(&configuration.explain_gateway().to_string());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn placeholders_are_refused() {
    let text = "services: {a: {endpoint: 'http://a', auth: {type: bearer, token: CHANGE_ME}}}";
    let found = problems(text);
    assert!(
        found[0].contains("bearer token is a placeholder (services.a.auth.token ("),
        "{found:?}"
    );
    // What the environment says is not even looked at in the file.
    let set = [("MCP_SERVICE_A_TOKEN", "s3cr3t")];
    assert!(read(&set, &text.replace("CHANGE_ME", "\"${NONE}\"")).is_ok());
}

#[test]
fn a_service_is_not_there_twice() {
    let variables = [("MCP_SERVICES", "a"), ("MCP_SERVICE_A_COMMAND", "x")];
    let found = read(
        &variables,
        "services: {a: {instances: [{url: 'http://a'}]}}",
    )
    .unwrap_err();
    assert!(
        found
            .iter()
            .any(|it| it.contains("has the variables of service a, which is configured")),
        "{found:?}"
    );
    let directory = directory(SERVICE);
    let again = source(&directory, &[]);
    let again = again.with_config_file(directory.path().join("bartizan.yaml"));
    let errors = bartizan_config::Configuration::parse(&again)
        .unwrap_err()
        .to_string();
    assert!(errors.contains("is there already"), "{errors}");
}
