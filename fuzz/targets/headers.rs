//! Header rules: decoding undoes encoding, and what a client mirrors passes the server's check.
#![no_main]

use bartizan_protocol::{
    Envelope,
    headers::{self, Param},
};
use http::{HeaderMap, HeaderValue, header::ACCEPT};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(headers::decode(&headers::encode(text)).unwrap(), text);
    }
    if let Ok(value) = HeaderValue::from_bytes(data) {
        if let Ok(text) = headers::decode(&value) {
            assert_eq!(headers::decode(&headers::encode(&text)).unwrap(), text);
        }
        let mut map = HeaderMap::new();
        map.insert(ACCEPT, value.clone());
        let once = headers::accepts(&map);
        map.append(ACCEPT, value);
        assert_eq!(headers::accepts(&map), once, "saying it twice changes nothing");
    }
    // A schema and the arguments of a call, apart by a NUL.
    let mut halves = data.splitn(2, |byte| *byte == 0);
    let (schema, arguments) = (halves.next().unwrap(), halves.next().unwrap_or(b"{}"));
    let (Ok(schema), Ok(arguments)) = (std::str::from_utf8(schema), std::str::from_utf8(arguments))
    else {
        return;
    };
    if let Ok(params) = Param::all(schema) {
        serde_json::from_str::<&serde_json::value::RawValue>(schema).expect("a schema is json");
        let mut map = HeaderMap::new();
        for param in &params {
            assert!(!map.contains_key(param.header_name()));
            if let Some(value) = param.value(arguments) {
                map.append(param.header_name(), value);
            }
        }
        headers::check_params(&params, &map, arguments).expect("what is mirrored matches");
        for name in map.keys().cloned().collect::<Vec<_>>() {
            let mut changed = map.clone();
            changed.remove(&name);
            headers::check_params(&params, &changed, arguments).expect_err("missing");
            changed.append(&name, map[&name].clone());
            changed.append(&name, map[&name].clone());
            headers::check_params(&params, &changed, arguments).expect_err("duplicate");
        }
    }
    if let Ok(envelope) = Envelope::read(schema.as_bytes()) {
        let mut map = HeaderMap::new();
        if let (Some(method), Some(version)) =
            (envelope.method(), envelope.protocol_version_text())
        {
            if let Ok(value) = HeaderValue::from_str(method) {
                map.insert(headers::MCP_METHOD, value);
            }
            if let Ok(value) = HeaderValue::from_str(&version) {
                map.insert(headers::MCP_PROTOCOL_VERSION, value);
            }
            if let Some(subject) = envelope.subject() {
                map.insert(headers::MCP_NAME, headers::encode(&subject));
            }
            let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if printable(method) && printable(&version) {
                headers::check(&map, &envelope).expect("what is mirrored matches");
            }
        }
    }
});
