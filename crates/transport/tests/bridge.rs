//! The bridge's promise: what no rule names stays byte for byte, and what one side adds the other
//! takes away without a trace.

use std::borrow::Cow;

use bartizan_protocol::{Envelope, edit, headers::Param, version::Version};
use bartizan_transport::bridge::{
    self, Abilities, CapabilitiesDigest, ClientMeta, InputRequired, InputResponses, Listen,
    LogLevel, Question,
};
use bytes::Bytes;
use proptest::prelude::*;

const META: ClientMeta<'_> = ClientMeta {
    capabilities: r#"{"elicitation":{"form":{},"url":{}},"roots":{}}"#,
    info: Some(r#"{"name":"ExampleClient","version":"1.10"}"#),
    log_level: Some(LogLevel::Debug),
};
const SERVER: Option<&str> = Some(r#"{"name":"s","version":"1.0"}"#);

/// Members that decoding and encoding again would change: numbers that no float holds, spellings
/// of numbers and escapes, keywords of schemas that typed models drop, members that no revision
/// knows, white space, names that stand twice.
const CORPUS: &[&str] = &[
    r#""inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"node":{"$anchor":"node","properties":{"next":{"$ref":"\u0023node"}}}},"x-vendor":[ ]}"#,
    r#""n":123456789012345678901234567890"#,
    r#""price":1.10,"zero":-0.0,"big":1E+400,"small":1e-0007"#,
    r#""text":"\u00e9\/\ud83d\ude00 é 😀 \u0000 \"\\""#,
    r#""structuredContent":{"rows":[{"id":9007199254740993}]}"#,
    r#""securitySchemes":[{"type":"oauth2"}],"annotations":{"readOnlyHint":true}"#,
    "\t\"spaced\" : [ 1 ,\r\n 2 ] ",
    r#""twice":1,"twice":2"#,
    r#""content":[{"type":"hologram","data":"AA==","_meta":{"a/b":null}}]"#,
    r#""":{"":""}"#,
    r#""resultTypes":"complete","ttl":1,"cachescope":"x","tasks":{},"requeststate":"r""#,
];

const METHODS: [&str; 8] = [
    "completion/complete",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "tools/call",
    "tools/list",
];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Lessons, row 24: `structuredContent`, `outputSchema` and `_meta` were lost in decoding.
#[test]
fn d24_the_corpus_crosses_as_a_request_byte_for_byte() {
    for member in CORPUS {
        for method in METHODS {
            let request = format!(
                r#"{{ "jsonrpc":"2.0", "params":{{{member},"_meta":{{"progressToken":"p\u0031","x/y":{{{member}}}}}}},"id":1e0,"method":"{method}","extra":{{{member}}}}}"#
            );
            let modern = bridge::request_to_modern(request.as_bytes(), &META).unwrap();
            // Everything before the end of `_meta` is the request's own beginning.
            let end = request.find(r#"}},"id""#).unwrap();
            assert!(text(&modern).starts_with(&request[..end]), "{method}");
            assert!(text(&modern).ends_with(&request[end..]), "{method}");
            assert_eq!(bridge::request_to_legacy(method, &modern).unwrap(), request);
        }
    }
}

#[test]
fn d24_the_corpus_crosses_as_a_result_byte_for_byte() {
    for member in CORPUS {
        for method in METHODS {
            let answer = format!(
                r#"{{"result":{{ {member}, "_meta":{{{member}}} }}, "jsonrpc":"2.0","id":"\u0041","extra":{{{member}}}}}"#
            );
            let modern = bridge::answer_to_modern(method, answer.as_bytes(), SERVER).unwrap();
            assert!(text(&modern).contains(member.trim()), "{method}");
            assert_eq!(bridge::answer_to_legacy(method, &modern).unwrap(), answer);
        }
    }
}

#[test]
fn d24_the_corpus_crosses_as_an_error_byte_for_byte() {
    for member in CORPUS {
        let error = format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"message":"m","data":{{{member}}}, "code" : -32002 }}}}"#
        );
        let modern = bridge::answer_to_modern("resources/read", error.as_bytes(), SERVER).unwrap();
        assert_eq!(modern, error.replace("-32002", "-32602"));
        let back = bridge::answer_to_legacy("resources/read", &modern).unwrap();
        assert_eq!(back, error);
    }
}

#[test]
fn d24_the_corpus_crosses_in_questions_and_answers_byte_for_byte() {
    let all = Abilities::read(
        r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}"#,
    );
    for member in CORPUS {
        for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
            let params = format!("{{{member}}}");
            let asked =
                format!(r#"{{"jsonrpc":"2.0","id":9,"method":"{method}","params":{params}}}"#);
            let question = Question::read(asked.as_bytes()).unwrap();
            let told = bridge::input_required("1", [("k", &question)], "state", SERVER);

            // What one side of the gateway says is what the other side reads.
            let required = InputRequired::read("tools/call", &told, all).unwrap();
            let put: Vec<_> = required
                .questions()
                .map(|question| question.request("9"))
                .collect();
            assert_eq!(put, [Bytes::from(asked)]);

            let result = format!("{{{member}}}");
            let retry = required
                .retry(br#"{"id":1,"params":{"name":"t"}}"#, "2", [&result])
                .unwrap();
            let responses = InputResponses::read(&retry).unwrap();
            assert_eq!(responses.request_state(), Some("state"));
            let answer = responses.result("k").unwrap();
            assert_eq!(answer, result);
            let answered = question.answer("9", answer);
            assert_eq!(bridge::read_answer(&answered), Ok(&*result));
        }
    }
}

#[test]
fn d24_the_corpus_crosses_in_the_handshake() {
    for member in CORPUS {
        let told = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}},"experimental":{{{member}}}}},"serverInfo":{{"name":"s",{member}}},"instructions":"i",{member}}}"#
        );
        let discovered = bridge::discover_result(&told).unwrap();
        assert_eq!(text(&discovered).matches(member.trim()).count(), 3);
        let back =
            bridge::initialize_result(text(&discovered), Version::V2025_11_25, "{}").unwrap();
        assert_eq!(text(&back).matches(member.trim()).count(), 3);
        for name in ["capabilities", "serverInfo", "instructions"] {
            assert_eq!(
                edit::get(&back, &[name]),
                edit::get(told.as_bytes(), &[name]),
                "{name}"
            );
        }
    }
}

#[test]
fn d24_the_corpus_crosses_in_notifications() {
    let listen = Listen::new("\"l\"");
    for member in CORPUS {
        let told = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"a:b",{member}}}}}"#
        );
        let stamped = listen.stamp(told.as_bytes()).unwrap();
        assert!(text(&stamped).contains(member.trim()));
        assert_eq!(bridge::unstamp(&stamped).unwrap(), told);
    }
}

/// JSON as someone else's encoder may write it, two levels deep.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,3})?",
        "\"([ -!#-\\[\\]-~é😀]|\\\\n|\\\\u00[0-9a-fA-F]{2}|\\\\/|\\\\\"){0,12}\"",
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), space()).prop_map(
                |(elements, space)| format!("[{space}{}]", elements.join(&format!("{space},")))
            ),
            members(inner).prop_map(|members| format!("{{{members}}}")),
        ]
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", " ", "\n\t"])
}

/// Names that no rule knows, so that nothing of them may change.
fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = ("x[a-zA-Z/._-]{0,8}", value, space());
    prop::collection::vec(member, 0..4).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(name, value, space)| format!("{space}\"{name}\"{space}:{value}{space}"))
            .collect();
        members.join(",")
    })
}

/// An object with these members, and `_meta` with those, or without `_meta` where there are none:
/// an empty one is not told apart from one that was made to hold what was added.
fn with_meta(own: &str, meta: &str) -> String {
    let meta = (!meta.is_empty()).then(|| format!("\"_meta\":{{{meta}}}"));
    let parts: Vec<_> = [(!own.is_empty()).then(|| own.to_owned()), meta]
        .into_iter()
        .flatten()
        .collect();
    format!("{{{}}}", parts.join(","))
}

proptest! {
    #[test]
    fn requests_return_as_they_went(
        own in members(json()),
        meta in members(json()),
        method in prop::sample::select(METHODS.to_vec()),
        capabilities in members(json()),
        level in prop::option::of(prop::sample::select(LogLevel::ALL.to_vec())),
    ) {
        let params = with_meta(&own, &meta);
        prop_assume!(params != "{}");
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let capabilities = format!("{{{capabilities}}}");
        let client = ClientMeta { capabilities: &capabilities, info: None, log_level: level };
        let modern = bridge::request_to_modern(request.as_bytes(), &client).unwrap();
        let envelope = Envelope::read(&modern).unwrap();
        prop_assert_eq!(
            envelope.protocol_version_text(),
            Some(Cow::Borrowed("2026-07-28"))
        );
        prop_assert_eq!(envelope.client_capabilities(), Some(&*capabilities));
        prop_assert_eq!(envelope.log_level().and_then(LogLevel::from_json), level);
        let back = bridge::request_to_legacy(method, &modern).unwrap();
        prop_assert_eq!(text(&back), request);
    }

    #[test]
    fn results_return_as_they_went(
        own in members(json()),
        meta in members(json()),
        method in prop::sample::select(METHODS.to_vec()),
    ) {
        let result = with_meta(&own, &meta);
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let modern = bridge::answer_to_modern(method, answer.as_bytes(), SERVER).unwrap();
        prop_assert_eq!(
            edit::get(&modern, &["result", "resultType"]),
            Some("\"complete\"")
        );
        let back = bridge::answer_to_legacy(method, &modern).unwrap();
        prop_assert_eq!(text(&back), answer);
    }

    #[test]
    fn what_is_taken_away_twice_is_gone_once(
        own in members(json()),
        meta in members(json()),
        method in prop::sample::select(METHODS.to_vec()),
    ) {
        let params = with_meta(&own, &meta);
        let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        let once = bridge::request_to_legacy(method, request.as_bytes()).unwrap();
        prop_assert_eq!(text(&once), &request);
        let answer = format!(r#"{{"id":1,"result":{params}}}"#);
        let once = bridge::answer_to_legacy(method, answer.as_bytes()).unwrap();
        prop_assert_eq!(text(&once), answer);
    }

    #[test]
    fn digests_do_not_see_order_or_space(
        names in prop::collection::btree_set("[a-z]{1,6}", 0..6),
        value in json(),
        space in space(),
    ) {
        let object = |names: &mut dyn Iterator<Item = &String>, space: &str| {
            let members: Vec<_> = names.map(|name| format!("\"{name}\":{space}{value}")).collect();
            CapabilitiesDigest::of(&format!("{{{space}{}{space}}}", members.join(",")))
        };
        prop_assert_eq!(
            object(&mut names.iter(), ""),
            object(&mut names.iter().rev(), space)
        );
    }

    /// Whatever arrives, nothing panics, and what comes out is JSON.
    #[test]
    fn any_value_in_any_place_is_survived(
        value in json(),
        place in prop::sample::select(vec![
            "params", "_meta", "result", "error", "resultType", "inputRequests", "requestState",
            "inputResponses", "tools", "capabilities", "notifications", "code",
        ]),
        method in prop::sample::select(METHODS.to_vec()),
    ) {
        for message in [
            format!(r#"{{"id":1,"{place}":{value}}}"#),
            format!(r#"{{"id":1,"params":{{"{place}":{value}}}}}"#),
            format!(r#"{{"id":1,"result":{{"{place}":{value}}}}}"#),
            format!(r#"{{"id":1,"error":{{"{place}":{value}}}}}"#),
            value.clone(),
        ] {
            let json = message.as_bytes();
            for edited in [
                bridge::request_to_modern(json, &META),
                bridge::request_to_legacy(method, json),
                bridge::answer_to_modern(method, json, SERVER),
                bridge::answer_to_legacy(method, json),
                bridge::unstamp(json),
                bridge::discover_result(&message),
                bridge::initialize_result(&message, Version::V2025_11_25, "{}"),
                bridge::drop_invalid_tools(&Bytes::from(message.clone())).map(|(kept, _)| kept),
            ].into_iter().flatten() {
                prop_assert!(edit::get(&edited, &[]).is_some());
            }
            let _ = InputRequired::read(method, json, Abilities::default());
            let _ = InputResponses::read(json);
            let _ = Listen::read(json);
            let _ = Question::read(json);
            let _ = Question::required_by(json);
            let _ = bridge::read_answer(json);
            let _ = CapabilitiesDigest::of(&message);
        }
    }
}

#[test]
fn null_is_how_some_servers_say_that_there_are_no_questions_or_no_state() {
    let abilities = Abilities {
        roots: true,
        ..Abilities::default()
    };
    let read = |result: &str| {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        InputRequired::read("tools/call", answer.as_bytes(), abilities)
    };
    let asked = r#"{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}},"requestState":null}"#;
    assert_eq!(read(asked).unwrap().questions().len(), 1);
    let waits = r#"{"resultType":"input_required","inputRequests":null,"requestState":"s"}"#;
    assert_eq!(read(waits).unwrap().questions().len(), 0);
    let neither = r#"{"resultType":"input_required","inputRequests":null,"requestState":null}"#;
    assert!(read(neither).is_err());
}

/// Several megabytes, far below what a server may say: with a search through all changes for each,
/// nobody would wait for the end of this test.
#[test]
fn a_list_of_very_many_tools_is_told() {
    let count = 100_000;
    let tools = vec![r#"{"name":"a","outputSchema":{}}"#; count].join(",");
    let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}]}}}}"#);
    let told = bridge::answer_to_legacy("tools/list", answer.as_bytes()).unwrap();
    let tools = vec![r#"{"name":"a"}"#; count].join(",");
    let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}]}}}}"#);
    assert!(told == expected);
}

#[test]
fn as_many_headers_as_a_tool_may_have_accompany_its_call() {
    let properties: Vec<_> = (0..Param::MAX)
        .map(|n| format!(r#""p{n}":{{"type":"integer","x-mcp-header":"p{n}"}}"#))
        .collect();
    let schema = format!(r#"{{"properties":{{{}}}}}"#, properties.join(","));
    let params = Param::all(&schema).unwrap();
    let arguments: Vec<_> = (0..Param::MAX).map(|n| format!(r#""p{n}":1"#)).collect();
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{{}}}}}}}"#,
        arguments.join(",")
    );
    let headers = bridge::request_headers(&Envelope::read(call.as_bytes()).unwrap(), &params);
    assert_eq!(headers.len(), 3 + Param::MAX);
}
