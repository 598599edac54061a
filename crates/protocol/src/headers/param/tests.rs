use super::*;

fn names(schema: &str) -> Result<Vec<String>, InvalidParamHeader> {
    let params = Param::all(schema)?;
    Ok(params
        .iter()
        .map(|param| param.header.to_string())
        .collect())
}

fn property(property: &str) -> String {
    format!(r#"{{"type":"object","properties":{{"a":{property}}}}}"#)
}

#[test]
fn annotations_are_found_through_properties() {
    let schema = r#"{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "x-mcp-header":{"type":"string"},
        "options":{"type":"object","properties":{
            "tenant":{"type":"integer","x\u002dmcp-header":"Tenant-Id"},
            "flag":{"type":["boolean","null"],"x-mcp-header":"Flag"}}}},
        "default":{"x-mcp-header":"data"}}"#;
    let params = Param::all(schema).unwrap();
    let paths: Vec<Vec<&str>> = params.iter().map(|param| param.path().collect()).collect();
    assert_eq!(
        paths,
        [
            vec!["region"],
            vec!["options", "tenant"],
            vec!["options", "flag"]
        ]
    );
    assert_eq!(
        names(schema).unwrap(),
        ["mcp-param-region", "mcp-param-tenant-id", "mcp-param-flag"]
    );
    assert_eq!(names("{}"), Ok(vec![]));
    assert_eq!(names(r#"{"properties":{"a":true}}"#), Ok(vec![]));
}

#[test]
fn annotations_that_break_a_rule_make_the_tool_invalid() {
    use InvalidParamHeader as Invalid;
    for (annotated, expected) in [
        (r#"{"type":"string","x-mcp-header":""}"#, Invalid::Empty),
        (r#"{"type":"string","x-mcp-header":7}"#, Invalid::NotAString),
        (r#"{"type":"string","x-mcp-header":"a b"}"#, Invalid::Token),
        (r#"{"type":"string","x-mcp-header":"a:b"}"#, Invalid::Token),
        (
            r#"{"type":"string","x-mcp-header":"Région"}"#,
            Invalid::Token,
        ),
        (r#"{"type":"string","x-mcp-header":"a\t1"}"#, Invalid::Token),
        (
            r#"{"type":"string","x-mcp-header":"a\r\nb"}"#,
            Invalid::Token,
        ),
        (r#"{"type":"number","x-mcp-header":"A"}"#, Invalid::Type),
        (r#"{"type":"object","x-mcp-header":"A"}"#, Invalid::Type),
        (r#"{"type":"array","x-mcp-header":"A"}"#, Invalid::Type),
        (r#"{"type":"null","x-mcp-header":"A"}"#, Invalid::Type),
        (
            r#"{"type":["string","integer"],"x-mcp-header":"A"}"#,
            Invalid::Type,
        ),
        (r#"{"x-mcp-header":"A"}"#, Invalid::Type),
        (
            r#"{"type":"array","items":{"type":"string","x-mcp-header":"A"}}"#,
            Invalid::Unreachable,
        ),
        (
            r#"{"anyOf":[{"type":"string","x-mcp-header":"A"}]}"#,
            Invalid::Unreachable,
        ),
        (
            r#"{"not":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}"#,
            Invalid::Unreachable,
        ),
    ] {
        assert_eq!(names(&property(annotated)), Err(expected), "{annotated}");
    }
    let definition = r##"{"properties":{"a":{"$ref":"#/$defs/d"}},
        "$defs":{"d":{"type":"string","x-mcp-header":"A"}}}"##;
    assert_eq!(names(definition), Err(Invalid::Unreachable));
    assert_eq!(names(r#"{"x-mcp-header":"A"}"#), Err(Invalid::Unreachable));
    let twice = r#"{"properties":{"a":{"type":"string","x-mcp-header":"My"},
        "b":{"properties":{"c":{"type":"string","x-mcp-header":"mY"}}}}}"#;
    assert_eq!(names(twice), Err(Invalid::Duplicate("my".into())));
    assert_eq!(names("[]"), Err(Invalid::Schema));
    assert_eq!(names("{"), Err(Invalid::Schema));
}

#[test]
fn annotations_are_bounded() {
    let schema = |count: usize| {
        let property = |n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"p{n}"}}"#);
        let properties: Vec<_> = (0..count).map(property).collect();
        format!(r#"{{"properties":{{{}}}}}"#, properties.join(","))
    };
    assert_eq!(names(&schema(Param::MAX)).unwrap().len(), Param::MAX);
    let too_many = Err(InvalidParamHeader::TooMany);
    assert_eq!(names(&schema(Param::MAX + 1)), too_many);
}

#[test]
fn values_are_mirrored() {
    let schema = property(r#"{"type":"string","x-mcp-header":"A"}"#);
    let param = &Param::all(&schema).unwrap()[0];
    for (arguments, expected) in [
        (r#"{"a":"eu"}"#, Some("eu")),
        (r#"{"a":""}"#, Some("")),
        (r#"{"a":"\u0041"}"#, Some("A")),
        (r#"{"a":" b"}"#, Some("=?base64?IGI=?=")),
        (r#"{"a":true}"#, Some("true")),
        (r#"{"a":42}"#, Some("42")),
        (r#"{"a":42.0}"#, Some("42")),
        (r#"{"a":4.2e1}"#, Some("42")),
        (r#"{"a":-0}"#, Some("0")),
        (
            r#"{"a":123456789012345678901234567890}"#,
            Some("123456789012345678901234567890"),
        ),
        (r#"{"a":null}"#, None),
        (r#"{"a":[1]}"#, None),
        (r#"{"b":1}"#, None),
        ("null", None),
    ] {
        let value = param.value(arguments);
        assert_eq!(
            value.as_ref().map(|v| v.to_str().unwrap()),
            expected,
            "{arguments}"
        );
    }
}

#[test]
fn mirrored_headers_must_match_the_arguments() {
    let schema = property(r#"{"type":"integer","x-mcp-header":"A"}"#);
    let params = Param::all(&schema).unwrap();
    let checked = |headers: &[&str], arguments: &str| {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append("mcp-param-a", value.parse().unwrap());
        }
        map.append("mcp-param-other", HeaderValue::from_static("x"));
        check_params(&params, &map, arguments).map_err(|error| error.reason())
    };
    use HeaderMismatchReason::{Different, Duplicate, Invalid, Missing};
    for (headers, arguments, expected) in [
        (&["42"][..], r#"{"a":42}"#, Ok(())),
        (&["42"], r#"{"a":42.0}"#, Ok(())),
        (&["42.0"], r#"{"a":42}"#, Ok(())),
        (&["=?base64?NDI=?="], r#"{"a":42}"#, Ok(())),
        (&[], r#"{"a":null}"#, Ok(())),
        (&[], "{}", Ok(())),
        (&[], r#"{"a":42}"#, Err(Missing)),
        (&["42", "42"], r#"{"a":42}"#, Err(Duplicate)),
        (&["43"], r#"{"a":42}"#, Err(Different)),
        (&["042"], r#"{"a":42}"#, Err(Different)),
        (&["42"], "{}", Err(Different)),
        (&["42.0"], r#"{"a":"42"}"#, Err(Different)),
        (
            &["=?base64?!?="],
            r#"{"a":42}"#,
            Err(Invalid(super::super::InvalidHeader::Base64)),
        ),
    ] {
        assert_eq!(
            checked(headers, arguments),
            expected,
            "{headers:?} {arguments}"
        );
    }
}
