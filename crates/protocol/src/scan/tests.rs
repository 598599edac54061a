use serde_json::value::RawValue;

use super::*;

fn skim(text: &str) -> Result<&str, SyntaxError> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value)
}

#[test]
fn agrees_with_serde_json() {
    let cases = [
        "0",
        "-0",
        "01",
        "-",
        "1.",
        ".5",
        "1.5",
        "1e",
        "1e5",
        "1E+05",
        "1e-",
        "+1",
        "00",
        "1x",
        "123456789012345678901234567890",
        "\"\"",
        "\"",
        "\"\\",
        "\"\\u12",
        "\"\\u123g\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\u{7f}\"",
        "\"\t\"",
        "\"é€😀 long enough for a word\"",
        "true",
        "tru",
        "truex",
        "null",
        "nul",
        "false",
        "[]",
        "[ ]",
        "[1,]",
        "[,]",
        "[1 2]",
        "[1,2",
        "[1}",
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\" : 1 , \"b\":[{}]}",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":}",
        "{,}",
        "{]",
        "",
        " ",
        " 1 ",
        "1 1",
        "\u{feff}1",
        "[[[[]]]]",
        "{\"a\":{\"b\":[1,{\"c\":null},\"x\"]}}",
        "\u{b}1",
        "[1]\n",
    ];
    for case in cases {
        let theirs = serde_json::from_str::<&RawValue>(case);
        let ours = skim(case);
        assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{case:?}: {ours:?} {theirs:?}"
        );
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            assert_eq!(ours, theirs.get());
        }
    }
}

#[test]
fn depth_is_limited_as_in_serde_json() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let deepest = nested(127);
        assert!(skim(&deepest).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
        let deeper = nested(128);
        assert_eq!(
            skim(&deeper).unwrap_err().reason(),
            SyntaxErrorReason::Depth
        );
        assert!(serde_json::from_str::<serde_json::Value>(&deeper).is_err());
    }
}

#[test]
fn a_special_byte_is_found_at_every_offset_of_a_word() {
    for length in 0..40 {
        let plain = "é".repeat(length / 2) + &"a".repeat(length % 2 + length);
        assert_eq!(
            skim(&format!("\"{plain}\"")).map(str::len),
            Ok(plain.len() + 2)
        );
        assert!(skim(&format!("\"{plain}\\n{plain}\"")).is_ok());
        let error = skim(&format!("\"{plain}\n{plain}\"")).unwrap_err();
        assert_eq!(error.offset(), plain.len() + 1);
        assert_eq!(error.reason(), SyntaxErrorReason::Control);
        assert!(skim(&format!("\"{plain}\u{7f}{plain}\u{80}\"")).is_ok());
    }
}

#[test]
fn errors_say_where() {
    let at = |text: &str| {
        let error = skim(text).unwrap_err();
        (error.offset(), error.to_string())
    };
    assert_eq!(at("{\"a\" 1}"), (5, "expected `:` at byte 5".into()));
    assert_eq!(at("[1,2").0, 4);
    assert_eq!(at("[1,2").1, "unexpected end at byte 4");
    assert_eq!(at("{} x").1, "trailing characters at byte 3");
}
