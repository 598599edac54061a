//! No input whatever brings parsing down.

use bartizan_config::{Configuration, Source, variables};
use proptest::{collection::vec, prelude::*};

fn name() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(variables());
    let service = prop_oneof!["A", "A_B", "[A-Z_]{0,4}"];
    prop_oneof![
        8 => (known, service, any::<bool>()).prop_map(|(variable, service, file)| {
            let name = variable.name().replace("<NAME>", &service);
            let name = name.replace("<VARIABLE>", &service).replace("<HEADER>", &service);
            if file && variable.is_secret() { name + "_FILE" } else { name }
        }),
        1 => "MCP_[A-Z_]{0,20}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "-?[0-9]{0,25}",
        "[0-9.]{0,8}",
        "https?://[a-z@:/?#;=,0-9\\[\\]]{0,20}",
        Just("a,a-b".to_owned()),
        Just("true".to_owned()),
        proptest::sample::select(vec![
            "none",
            "bearer",
            "api-key",
            "basic",
            "oauth2",
            "development",
            "query",
            "*",
            "stdio",
            "sse",
            "http",
            "0.0.0.0",
        ])
        .prop_map(str::to_owned),
    ]
}

fn member() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "command", "args", "env", "envFile", "cwd", "url", "headers", "type", "disabled", "other",
    ])
    .prop_map(str::to_owned)
}

/// A JSON text of at most this depth.
fn json(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,3}",
        "[a-zA-Z:/${}_ -]{0,16}".prop_map(|text| format!("{text:?}")),
        Just("\"http://a/mcp\"".to_owned()),
        Just("\"stdio\"".to_owned()),
    ];
    leaf.prop_recursive(depth, 8, 4, |inner| {
        let members = vec(("[A-Za-z-]{1,13}", inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            members.prop_map(|all| {
                let all = all.iter().map(|(name, value)| format!("{name:?}:{value}"));
                format!("{{{}}}", all.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_environment_is_parsed_or_refused(pairs in vec((name(), text()), 0..12)) {
        let mut pairs = pairs;
        pairs.push(("MCP_SERVICES".to_owned(), "a,a-b".to_owned()));
        match Configuration::parse(&Source::from_iter(pairs)) {
            Ok(configuration) => {
                prop_assert!(!configuration.services.is_empty());
                for service in &configuration.services {
                    let is_process = service.kind.stdio().is_some();
                    prop_assert_eq!(service.endpoints.is_empty(), is_process);
                    prop_assert!(*service.retry.initial_delay <= *service.retry.max_delay);
                    prop_assert!(!service.timeout.is_zero());
                    configuration.explain(&service.name).unwrap().to_string();
                }
                configuration.summary().to_string();
            }
            Err(errors) => {
                prop_assert!(!errors.problems().is_empty());
                let lines = errors.to_string();
                prop_assert_eq!(lines.lines().count(), errors.problems().len() + 1);
            }
        }
    }

    #[test]
    fn any_file_of_servers_is_read_or_refused(members in vec((member(), json(2)), 0..8)) {
        let members: Vec<_> = members
            .into_iter()
            .map(|(name, value)| format!("{name:?}: {value}"))
            .collect();
        let text = format!("{{\"mcpServers\": {{\"a\": {{{}}}}}}}", members.join(", "));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcp.json");
        std::fs::write(&path, text).unwrap();
        let source = Source::from_iter([("HOME", "/")]).with_mcp_config(&path);
        match Configuration::parse(&source) {
            Ok(configuration) => {
                configuration.explain("a").unwrap().to_string();
                configuration.summary().to_string();
            }
            Err(errors) => prop_assert!(!errors.problems().is_empty()),
        }
    }

    #[test]
    fn any_bytes_of_a_file_are_survived(bytes in vec(any::<u8>(), 0..200), tail in "[\\[{}\",:a/* \\]]{0,40}") {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mcp.json");
        for bytes in [bytes, tail.into_bytes()] {
            std::fs::write(&path, bytes).unwrap();
            let _ = Source::default().with_mcp_config(&path);
        }
    }
}
