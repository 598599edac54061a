//! What a valid configuration is warned about, and what is passed over.

mod common;

use bartizan_config::{Configuration, Errors, Source};
use common::{notes, warnings};

#[test]
fn misspelt_names_come_with_the_likely_one() {
    #[rustfmt::skip]
    let cases = [
        ("MCP_GATEWAY_HOTS", "unknown variable MCP_GATEWAY_HOTS, did you mean MCP_GATEWAY_HOST?"),
        ("MCP_GATEWAY_CORS", "unknown variable MCP_GATEWAY_CORS, did you mean MCP_GATEWAY_CORS_ORIGINS?"),
        ("MCP_SERVICE", "unknown variable MCP_SERVICE, did you mean MCP_SERVICES?"),
        ("MCP_RETRY_INTIAL_DELAY", "unknown variable MCP_RETRY_INTIAL_DELAY, did you mean MCP_RETRY_INITIAL_DELAY?"),
        ("MCP_SERVICE_USER_SERVICE_TOKEN_FIEL", "unknown variable MCP_SERVICE_USER_SERVICE_TOKEN_FIEL, did you mean MCP_SERVICE_USER_SERVICE_TOKEN_FILE?"),
        ("MCP_SERVICE_USR_SERVICE_TIMEOUT", "unknown variable MCP_SERVICE_USR_SERVICE_TIMEOUT, did you mean MCP_SERVICE_USER_SERVICE_TIMEOUT?"),
        ("MCP_SERVICE_USER_SERVICE_COLOUR", "unknown variable MCP_SERVICE_USER_SERVICE_COLOUR"),
        ("MCP_GATEWAY_KEYS", "unknown variable MCP_GATEWAY_KEYS, did you mean MCP_GATEWAY_API_KEYS?"),
        ("MCP_API_KEYS", "unknown variable MCP_API_KEYS, did you mean MCP_GATEWAY_API_KEYS?"),
        ("MCP_API_KEYS_FILE", "unknown variable MCP_API_KEYS_FILE, did you mean MCP_GATEWAY_API_KEYS_FILE?"),
        ("MCP_SERVICE_USER_SERVICE_RPM", "unknown variable MCP_SERVICE_USER_SERVICE_RPM, did you mean MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM?"),
        ("MCP_SERVICE_USER_SERVICE_RATE_LIMIT", "unknown variable MCP_SERVICE_USER_SERVICE_RATE_LIMIT, did you mean MCP_SERVICE_USER_SERVICE_RATE_LIMIT_RPM?"),
        ("MCP_SERVICE_USER_SERVICE_RETRIES", "unknown variable MCP_SERVICE_USER_SERVICE_RETRIES, did you mean MCP_SERVICE_USER_SERVICE_RETRY_MAX_ATTEMPTS?"),
        ("MCP_SERVICE_USER_SERVICE_URL", "unknown variable MCP_SERVICE_USER_SERVICE_URL, did you mean MCP_SERVICE_USER_SERVICE_ENDPOINT?"),
        ("MCP_GATEWAY_FLAGS", "unknown variable MCP_GATEWAY_FLAGS"),
        ("MCP_SERVICE_BILLING_ENDPOINT", "MCP_SERVICE_BILLING_ENDPOINT belongs to no service of MCP_SERVICES, unless one registers itself"),
        ("MCP_SERVICE_USER_SERVICE_AUTH_TOKEN", "unknown variable MCP_SERVICE_USER_SERVICE_AUTH_TOKEN, did you mean MCP_SERVICE_USER_SERVICE_TOKEN?"),
        ("MCP_SERVICE_USER_SERVICE_AUTH_TOKEN_FILE", "unknown variable MCP_SERVICE_USER_SERVICE_AUTH_TOKEN_FILE, did you mean MCP_SERVICE_USER_SERVICE_TOKEN_FILE?"),
        ("MCP_SERVICE_USER_SERVICE_CIRCUIT_BREAKER_FAILURE_THRESHOLD", "unknown variable MCP_SERVICE_USER_SERVICE_CIRCUIT_BREAKER_FAILURE_THRESHOLD, did you mean MCP_SERVICE_USER_SERVICE_CB_FAILURE_THRESHOLD?"),
        ("MCP_GATEWAY_RETRY_JITTER", "unknown variable MCP_GATEWAY_RETRY_JITTER, did you mean MCP_RETRY_JITTER?"),
        ("MCP_GATEWAY_FLUX", "unknown variable MCP_GATEWAY_FLUX"),
        ("mcp_gateway_api_keys", "unknown variable mcp_gateway_api_keys, did you mean MCP_GATEWAY_API_KEYS?"),
        ("Mcp_Service_User_Service_Timeout", "unknown variable Mcp_Service_User_Service_Timeout, did you mean MCP_SERVICE_USER_SERVICE_TIMEOUT?"),
    ];
    for (name, expected) in cases {
        assert_eq!(warnings(&[(name, "1")]), [expected]);
    }
}

#[test]
fn misspelt_names_are_said_beside_what_is_missing() {
    let beside = |variables: &[(&str, &str)]| -> Vec<String> {
        let source = Source::from_iter(variables.iter().copied());
        let errors = Configuration::parse(&source).unwrap_err();
        assert!(!errors.to_string().contains("ENDPONT"), "{errors}");
        errors.warnings().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        beside(&[
            ("MCP_SERVICES", "users"),
            ("MCP_SERVICE_USERS_ENDPONT", "http://localhost:8081"),
            ("MCP_SERVICE_USERS_AUTH_TYP", "none"),
            ("MCP_SERVICE_USERS_TOKEN", "has no effect as yet"),
        ]),
        [
            "unknown variable MCP_SERVICE_USERS_AUTH_TYP, did you mean \
             MCP_SERVICE_USERS_AUTH_TYPE?",
            "unknown variable MCP_SERVICE_USERS_ENDPONT, did you mean \
             MCP_SERVICE_USERS_ENDPOINT?",
        ]
    );
    assert_eq!(
        beside(&[("MCP_SERVICE", "users")]),
        ["unknown variable MCP_SERVICE, did you mean MCP_SERVICES?"]
    );
}

#[test]
fn what_has_no_effect_is_said() {
    assert_eq!(
        warnings(&[("MCP_SERVICE_USER_SERVICE_API_KEY", "k")]),
        [
            "MCP_SERVICE_USER_SERVICE_API_KEY has no effect beside the other settings of service \
          user-service"
        ]
    );
    assert_eq!(
        warnings(&[("MCP_SERVICE_USER_SERVICE_HEALTH_INTERVAL", "1")]).len(),
        1
    );
    assert_eq!(
        warnings(&[("MCP_SERVICE_USER_SERVICE_CB_WINDOW", "1")]).len(),
        1
    );
}

#[test]
fn jitter_is_on_for_exactly_one_word() {
    assert_eq!(
        warnings(&[("MCP_RETRY_JITTER", "TRUE")]),
        ["MCP_RETRY_JITTER is \"TRUE\": only \"true\" turns jitter on"]
    );
    assert_eq!(warnings(&[("MCP_RETRY_JITTER", "true")]), [""; 0]);
}

#[test]
fn contradictions_are_said() {
    assert_eq!(
        warnings(&[("PORT", "1"), ("MCP_GATEWAY_PORT", "2")]),
        ["PORT is 1 and MCP_GATEWAY_PORT is 2: the latter counts"]
    );
    assert_eq!(
        warnings(&[("MCP_SERVICES", "user-service,user-service")]),
        ["Service user-service: is named more than once"]
    );
    assert_eq!(
        warnings(&[("MCP_GATEWAY_API_KEYS", "short")]),
        ["MCP_GATEWAY_API_KEYS holds a key of fewer than 16 characters"]
    );
    assert_eq!(
        warnings(&[
            (
                "MCP_GATEWAY_API_KEYS",
                "a-key-for-callers,a-key-for-everybody"
            ),
            ("MCP_GATEWAY_ADMIN_KEYS", "a-key-for-everybody"),
        ]),
        [
            "MCP_GATEWAY_API_KEYS and MCP_GATEWAY_ADMIN_KEYS hold the same key: who shows it may do \
          what an operator does"
        ]
    );
    let allowed = ("MCP_GATEWAY_ALLOWED_COMMANDS", "cat");
    assert_eq!(
        warnings(&[allowed]),
        [
            "MCP_GATEWAY_ALLOWED_COMMANDS has no effect without MCP_GATEWAY_ADMIN_KEYS: only who \
          shows one may register a program"
        ]
    );
    let operators = ("MCP_GATEWAY_ADMIN_KEYS", "a-key-for-operators");
    assert_eq!(warnings(&[allowed, operators]), [""; 0]);
    assert_eq!(
        warnings(&[
            ("MCP_SERVICE_USER_SERVICE_TIMEOUT", "1000"),
            ("MCP_SERVICE_USER_SERVICE_ATTEMPT_TIMEOUT", "1001"),
        ]),
        [
            "Service user-service: an attempt may take 1001 ms and the call with all attempts 1000 \
          ms: no attempt will take longer"
        ]
    );
}

#[test]
fn a_command_with_its_arguments_is_told_where_they_belong() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("my server"), "").unwrap();
    let place = directory.path().to_str().unwrap();
    let said = |variables: &[(&str, &str)]| -> Vec<String> {
        let service = [("MCP_SERVICES", "a"), ("PATH", place)];
        let source = Source::from_iter(service.iter().chain(variables).copied());
        let warnings = Configuration::parse(&source).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        said(&[("MCP_SERVICE_A_COMMAND", "npx -y server --token=hunter2")]),
        [
            "Service a: the command holds blanks and is no file: its arguments belong into \
          MCP_SERVICE_A_ARGS (MCP_SERVICE_A_COMMAND)"
        ]
    );
    let whole = format!("{place}/my server");
    for command in [&whole, "my server", "npx"] {
        assert_eq!(said(&[("MCP_SERVICE_A_COMMAND", command)]), [""; 0]);
    }
    let there = [
        ("MCP_SERVICE_A_COMMAND", "./my server"),
        ("MCP_SERVICE_A_WORKING_DIR", place),
    ];
    assert_eq!(said(&there), [""; 0]);
}

#[test]
fn a_flag_contradicts_nobody_and_is_named_by_its_own_name() {
    let source = Source::from_iter(common::SOUND.into_iter().chain([("PORT", "1")]));
    let flags = source.with_flag("--port", "MCP_GATEWAY_PORT", "2");
    assert!(Configuration::parse(&flags).unwrap().warnings.is_empty());
    let flags = flags.with_flag("--log-level", "MCP_GATEWAY_LOG_LEVEL", "verbose");
    let errors = Configuration::parse(&flags).unwrap_err().to_string();
    assert!(errors.contains("- --log-level must be error, "), "{errors}");
    assert!(errors.contains("(--log-level is \"verbose\")"), "{errors}");
}

#[test]
fn a_file_of_another_name_is_said_to_be_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bartizan.yaml");
    std::fs::write(directory.path().join("bartizan.yml"), "services: {}").unwrap();
    let source = Source::default().with_config_file_if_present(&path);
    let errors = Configuration::parse(&source).unwrap_err();
    let other = directory.path().join("bartizan.yml");
    let expected = format!(
        "{} is passed over: only {} is looked for",
        other.display(),
        path.display()
    );
    assert_eq!(errors.warnings()[0].to_string(), expected);
}

#[test]
fn what_belongs_to_others_is_no_more_than_noted() {
    let changes = [
        ("MCP_SERVICE_USER_SERVICE_SAMPLE_ENDPOINTS", "GET /users"),
        ("MCP_SERVICE_USER_SERVICE_ENDPOINT_0_PAYLOAD", "{}"),
        ("MCP_RATE_LIMIT", "100"),
        ("MCP_CIRCUIT_BREAKER_THRESHOLD", "5"),
        ("METRICS_PORT", "9090"),
        ("USER_SERVICE_TOKEN", "x"),
        ("MCP_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("MCP_GATEWAY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("MCP_GATEWAY_SERVICE_SERVICE_HOST", "10.0.0.1"),
        ("MCP_GATEWAY_SERVICE_PORT", "80"),
        ("MCP_SOMETHING_ELSE", "1"),
        ("POST", "1"),
    ];
    assert_eq!(warnings(&changes), [""; 0]);
    assert_eq!(notes(&changes).len(), 8, "{:?}", notes(&changes));
}

#[test]
fn a_line_that_does_not_count_is_said_beside_what_is_wrong() {
    let said = |errors: &Errors| -> Vec<String> {
        errors.warnings().iter().map(ToString::to_string).collect()
    };
    let twice = ["a.env sets PORT more than once; line 2 counts"];
    let text = "PORT=8081\nPORT=80800\n";
    let source = Source::default().with_text(text, "a.env");
    let errors = Configuration::parse(&source).unwrap_err();
    assert!(errors.to_string().contains("line 2"), "{errors}");
    assert_eq!(said(&errors), twice);
    // Nor is it forgotten where the configuration is not read at all.
    let refused = |source: &Source| said(&Configuration::parse(source).unwrap_err());
    let broken = Source::default().with_text(&format!("{text}nonsense\n"), "a.env");
    assert_eq!(refused(&broken), twice);
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    assert_eq!(refused(&source.clone().with_config_file(&missing)), twice);
    assert_eq!(refused(&source.clone().with_mcp_config(&missing)), twice);
    assert_eq!(refused(&source.with_file(&missing)), twice);
}
