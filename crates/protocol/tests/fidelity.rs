//! Lesson 24: gateways that decode and encode messages lose what they do not know.

use bartizan_protocol::{Edit, Envelope, edit};

/// Messages with what is lost or changed elsewhere.
const CORPUS: &[&str] = &[
    // Members of vendors and of revisions to come, at every level.
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","x-vendor":[1],"task":{"ttl":60000}},"x":null}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"x","securitySchemes":[{"type":"oauth2"}],"inputSchema":{"type":"object"}}],"x":1},"y":2}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tasks":{"list":{}}},"serverInfo":{"name":"s","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"m","data":{"elicitations":[]},"x":{"y":[]}}}"#,
    // Schemas.
    r##"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"x","inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","$anchor":"root","$defs":{"a":{"$dynamicRef":"#root"}},"properties":{"p":{"$ref":"#/$defs/a"}},"if":{},"then":true}}]}}"##,
    // Numbers.
    r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"tools/call","params":{"name":"n","arguments":{"big":123456789012345678901234567890,"price":1.10,"e":1E+05,"zero":-0,"tiny":1e-400,"huge":1e999}}}"#,
    r#"{"jsonrpc":"2.0","id":1.50,"result":{"n":[1.0,100e-2,0.1000]}}"#,
    // Escapes that are not needed, and halves of surrogate pairs.
    "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\\/b\",\"method\":\"tools\\/call\",\"params\":{\"n\\u0061me\":\"\\u0078\",\"arguments\":{\"half\":\"\\ud83d\",\"pair\":\"\\ud83d\\ude00\",\"\\u00e9\":\"é\u{7f}\u{2028}\"}}}",
    // Metadata and structured content.
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"future","data":{}}],"structuredContent":{"a":[1,{"b":null}]},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"anthropic/alwaysLoad":true,"traceparent":"00-0-0-00"}}}"#,
    // White space, the order of members, a member twice where nothing depends on it.
    "\r\n{ \"params\" :\t{ } ,\"method\" : \"ping\",\n  \"id\":7 ,\"jsonrpc\"\n:\"2.0\" ,\"x\":1,\"x\":2}\n\t ",
];

fn pieces<'a>(whole: &'a str, part: &str) -> (&'a str, &'a str) {
    let at = part.as_ptr() as usize - whole.as_ptr() as usize;
    (&whole[..at], &whole[at + part.len()..])
}

#[test]
fn d24_an_edit_changes_no_other_byte() {
    for message in CORPUS {
        let envelope = Envelope::read(message.as_bytes()).unwrap();
        let id = envelope.id().unwrap().as_raw();
        let (before, after) = pieces(message, id);

        let mut edit = Edit::new(message.as_bytes());
        edit.set(&["id"], "\"gateway-1\"");
        let edited = edit.finish().unwrap();
        assert_eq!(edited, format!("{before}\"gateway-1\"{after}"));
        let replaced = edit::replace(message.as_bytes(), &[(id, "\"gateway-1\"")]).unwrap();
        assert_eq!(replaced, edited);

        let mut back = Edit::new(&edited);
        back.set(&["id"], id);
        assert_eq!(back.finish().unwrap(), *message);
    }
}

#[test]
fn d24_what_is_added_goes_without_a_trace() {
    for message in CORPUS {
        let mut edit = Edit::new(message.as_bytes());
        edit.set(&["gateway"], r#"{"a":[1.0]}"#);
        let edited = edit.finish().unwrap();
        assert_eq!(
            edited.len(),
            message.len() + r#","gateway":{"a":[1.0]}"#.len()
        );
        let mut back = Edit::new(&edited);
        back.remove(&["gateway"]);
        assert_eq!(back.finish().unwrap(), *message);
    }
}

#[test]
fn d24_a_name_is_replaced_in_its_place() {
    for message in CORPUS {
        let envelope = Envelope::read(message.as_bytes()).unwrap();
        let Some(name) = envelope.subject_raw() else {
            continue;
        };
        let (before, after) = pieces(message, name);
        let mut edit = Edit::new(message.as_bytes());
        edit.set(&["params", "name"], "\"other\"");
        assert_eq!(edit.finish().unwrap(), format!("{before}\"other\"{after}"));
    }
}
