//! No input whatever brings parsing down.

use bartizan_config::{Configuration, Source, variables};
use proptest::{collection::vec, prelude::*};

fn name() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(variables());
    let service = prop_oneof!["A", "A_B", "[A-Z_]{0,4}"];
    prop_oneof![
        8 => (known, service, any::<bool>()).prop_map(|(variable, service, file)| {
            let name = variable.name().replace("<NAME>", &service);
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
            "0.0.0.0",
        ])
        .prop_map(str::to_owned),
    ]
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
                    prop_assert!(!service.endpoints.is_empty());
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
}
