use std::fmt::Write as _;

use bartizan_config::Configuration;
use proptest::prelude::{ProptestConfig, any, proptest};

use crate::{directory, problems, short, source};

fn errors(bytes: &[u8]) -> String {
    let directory = directory(bytes);
    let refused = Configuration::parse(&source(&directory, &[])).unwrap_err();
    short(&directory, &refused.to_string())
}

#[test]
fn a_file_that_is_none_is_refused_where_it_ends_to_be_one() {
    for (bytes, message) in [
        (
            &b""[..],
            "bartizan.yaml, line 1, column 1: the file is empty",
        ),
        (b"# nothing\n", "the file is empty"),
        (
            b"- a\n",
            "bartizan.yaml, line 1, column 1: must be a mapping of gateway, registries",
        ),
        (
            b"gateway: {}\n\xff",
            "bartizan.yaml, line 2, column 1: not UTF-8",
        ),
        (b"gateway:\n\tport: 1\n", "bartizan.yaml, line 2, column "),
        (b"gateway: {port: 1\nx", "bartizan.yaml, line 3, column 1: "),
        (
            b"gateway: {}\n---\ngateway: {}\n",
            "bartizan.yaml, line 2, column 1: a second document",
        ),
        (b"gateway: *none\n", "bartizan.yaml, line 1, column 10: "),
        (
            b"gateway: {}\ngateway: {}\n",
            "line 2, column 1: the key \"gateway\" is there already",
        ),
        (b"? [a]\n: 1\n", "line 1, column 3: a key must be a text"),
    ] {
        let found = errors(bytes);
        assert!(found.contains(message), "{message}: {found}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let long = vec![b'#'; (1 << 20) + 1];
    assert!(errors(&long).contains("it is larger than 1 MiB"));
    let deep = format!("gateway: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(errors(deep.as_bytes()).contains("bartizan.yaml, line 1, column "));
    let mut bomb = String::from("x-0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for n in 1..10 {
        let list = vec![format!("*a{}", n - 1); 10].join(",");
        let _ = writeln!(bomb, "x-{n}: &a{n} [{list}]");
    }
    assert!(errors(bomb.as_bytes()).contains("aliases stand for more than"));
    let aliases = "*a,".repeat(50_000);
    let bomb = format!(
        "x-a: &a \"\\x41{}\"\nx-b: [{aliases}]\n",
        "x".repeat(500_000)
    );
    assert!(errors(bomb.as_bytes()).contains("aliases stand for more than"));
}

#[test]
fn a_thousand_mistakes_are_counted_and_not_all_told() {
    let mut text = String::from("gateway:\n");
    for n in 0..50_000 {
        let _ = writeln!(text, "  k{n}: 1");
    }
    let found = problems(&text);
    assert_eq!(found.len(), 101);
    assert_eq!(found[100], "bartizan.yaml: and 49900 more");
}

#[test]
fn names_may_be_as_long_as_they_like() {
    let long = "n".repeat(900_000);
    for text in [
        format!("services: {{{long}: {{}}}}"),
        format!("services: {{a: {{{long}: 1}}}}"),
        format!("{long}: 1"),
    ] {
        let found = problems(&text).join("\n");
        assert!(!found.is_empty() && found.len() < 1000, "{}", found.len());
    }
    let many = format!("services: {{a: {{command: x, env: {{{long}: x}}}}}}");
    assert_eq!(problems(&many), [""; 0]);
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let found = problems("services: {\"a\\e[2J\": {command: x}, b: {\"x\\ny\": 1}}").join("");
    assert!(
        !found.contains('\u{1b}') && !found.contains('\n'),
        "{found:?}"
    );
}

#[test]
fn many_services_are_read_in_no_time() {
    let mut text = String::from("services:\n");
    for n in 0..1500 {
        let _ = writeln!(
            text,
            "  s{n}: {{transport: http, endpoint: 'http://a{n}:1', timeout: 1s}}"
        );
    }
    for n in 0..1500 {
        let _ = writeln!(
            text,
            "  r{n}: {{instances: [{{url: 'http://a{n}:1'}}], timeout: 1s, env: {{A: b}}}}"
        );
    }
    assert_eq!(problems(&text), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_file_is_survived(
        bytes in any::<Vec<u8>>(),
        words in proptest::collection::vec(
            "(gateway|services|registries|instances|auth|env|endpoint|kind|a|b|1|5s|x-|\\$\\{A\\}|&a|\\*a|<<)?(:|: \\{|: \\[|\\}|\\]|,|\n|\n  |\n    - | )",
            0..40,
        ),
    ) {
        for bytes in [bytes, words.concat().into_bytes()] {
            let directory = directory(bytes);
            let _ = Configuration::parse(&source(&directory, &[]));
        }
    }
}
