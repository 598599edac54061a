//! Lesson 24: nothing that passes is decoded and written again.

use http::Method;
use serde_json::json;

use crate::{
    agent::{Agent, initialize, read, variables},
    server::{Heard, Say, Server, Sessions, modern_housekeeping, status, text},
};

/// JSON objects that no decoder writes as it read them.
const ODD: [&str; 6] = [
    r#"{ "a" : 1.10, "b":123456789012345678901234567890, "c":-0, "d":1E+2 }"#,
    r#"{"text":"\u0041\/\ud83d\ude00\u00e9 é 😀","":null,"\u0000":"\t\u0009"}"#,
    r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"x":{"$anchor":"q","$ref":"#q"}}}"##,
    r#"{"z":1,"a":2,"z":3}"#,
    r#"{"resultType":"mine","ttlMs":1.0,"cacheScope":"x","_meta":{"progressToken":"p"}}"#,
    "{\n\t\"deep\": [[[[[[[[[[{}]]]]]]]]]],\n\t\"empty\": [ ]\n}",
];

const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{ }"#;

/// A call whose arguments, `_meta` and unknown members are odd.
fn call(odd: &str, meta: &str) -> String {
    format!(
        r#"{{"jsonrpc" : "2.0","id":"\u0031é","method":"tools/call","x-unknown":{odd},"params":{{"name":"t","arguments":{odd},"extra":{odd},"_meta":{{"vendor/odd":{odd}{meta}}}}}}}"#
    )
}

/// An answer to it, for a request of this raw id.
fn answer(odd: &str, id: &str) -> String {
    format!(
        r#"{{ "jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"\u00e9\/","odd":{odd}}}],"structuredContent":{odd},"vendor":{odd},"_meta":{{"vendor/odd":{odd}}}}},"x-unknown":{odd} }}"#
    )
}

fn raw_id(heard: &Heard) -> String {
    let body = std::str::from_utf8(&heard.body).expect("text");
    let (_, id) = body.split_once(r#""id":"#).expect("an id");
    id[..id.find(",\"").expect("more")].to_owned()
}

fn odd_in(heard: &Heard) -> &'static str {
    let body = std::str::from_utf8(&heard.body).expect("text");
    let found = ODD.iter().find(|odd| body.contains(**odd));
    found.unwrap_or_else(|| panic!("not as it was sent: {body}"))
}

fn as_json(heard: &Heard) -> Say {
    text(answer(odd_in(heard), &raw_id(heard)))
}

fn as_event(heard: &Heard) -> Say {
    // No event can carry a line break in one line; this is how its sender writes it.
    let lines = answer(odd_in(heard), &raw_id(heard)).replace('\n', "\ndata: ");
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    Say::Whole(
        200,
        headers,
        format!(": hello\nid: 7\ndata: {lines}\n\n").into(),
    )
}

async fn older(say: fn(&Heard) -> Say) -> Server {
    let sessions = Sessions::default();
    Server::start(move |heard| {
        let kept = sessions.housekeeping(heard, |_| status(404));
        kept.unwrap_or_else(|| match &*heard.rpc() {
            "tools/call" => say(heard),
            _ => text(format!(
                r#"{{"id":{},"result":{{"tools":[]}}}}"#,
                heard.json()["id"]
            )),
        })
    })
    .await
}

async fn newer(say: fn(&Heard) -> Say) -> Server {
    Server::start(move |heard| {
        modern_housekeeping(heard).unwrap_or_else(|| match &*heard.rpc() {
            "tools/call" => say(heard),
            _ => text(format!(
                r#"{{"id":{},"result":{{"tools":[]}}}}"#,
                heard.json()["id"]
            )),
        })
    })
    .await
}

const MODERN: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "t"),
];

fn last_call(server: &Server) -> String {
    let mut calls = server.heard().into_iter();
    let call = calls.rfind(|it| it.rpc() == "tools/call");
    String::from_utf8(call.expect("a call").body.to_vec()).expect("text")
}

#[tokio::test]
async fn lesson_24_equal_eras_get_the_bytes_that_were_sent() {
    for (say, is_event) in [(as_json as fn(&Heard) -> Say, false), (as_event, true)] {
        let (old, new) = (older(say).await, newer(say).await);
        let before = variables(&old.url()).start().await;
        let after = variables(&new.url()).start().await;
        let old_agent = Agent::new(&before).initialized().await;
        let new_agent = Agent::new(&after);
        for odd in ODD {
            let plain = call(odd, "");
            let meta = format!(",{META}");
            let modern = call(odd, &meta);
            let said = [
                (&plain, &old, old_agent.post(&[], plain.clone()).await),
                (&modern, &new, new_agent.post(&MODERN, modern.clone()).await),
            ];
            for (sent, server, got) in said {
                assert_eq!(last_call(server), *sent);
                let mut told = answer(odd, r#""\u0031é""#);
                if is_event {
                    told = format!(
                        ": hello\nid: 7\ndata: {}\n\n",
                        told.replace('\n', "\ndata: ")
                    );
                }
                assert_eq!(String::from_utf8_lossy(&got.body), told);
            }
        }
    }
}

#[tokio::test]
async fn lesson_24_lists_keep_what_no_gateway_knows() {
    let tools = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"t","inputSchema":{},"outputSchema":{},"icons":[{{"src":"data:,"}}],"_meta":{{"anthropic/alwaysLoad":true}}}}]}}}}"#,
        ODD[2], ODD[0]
    );
    let (own, sessions) = (tools.clone(), Sessions::default());
    let server = Server::start(move |heard| {
        let kept = sessions.housekeeping(heard, |_| status(404));
        kept.unwrap_or_else(|| text(own.clone()))
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let agent = Agent::new(&gateway).initialized().await;
    let listed = agent
        .legacy(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))
        .await;
    assert_eq!(String::from_utf8_lossy(&listed.body), tools);
}

#[tokio::test]
async fn lesson_24_between_eras_only_what_the_bridge_names_differs() {
    let (old, new) = (older(as_json).await, newer(as_json).await);
    let to_old = variables(&old.url()).start().await;
    let to_new = variables(&new.url()).start().await;
    let newcomer = Agent::new(&to_old);
    let veteran = Agent::new(&to_new);
    let begun = read(
        veteran
            .send(Method::POST, &[], initialize().to_string())
            .await,
    )
    .await;
    let token = begun.headers["mcp-session-id"].to_str().expect("text");
    for odd in &ODD[..4] {
        let modern = call(odd, &format!(",{META}"));
        let got = newcomer.post(&MODERN, modern).await;
        let (heard, told) = (
            last_call(&old),
            String::from_utf8_lossy(&got.body).into_owned(),
        );
        // Without the revision and the capabilities, under an id of the gateway's own.
        let id = heard.split_once(r#""id":"#).expect("an id").1;
        let id = &id[..id.find(",\"").expect("more")];
        assert_eq!(heard, call(odd, "").replace(r#""\u0031é""#, id));
        // With the kind of the result and the server's name, which come last.
        let expected = answer(odd, r#""\u0031é""#);
        let expected = expected.replace(
            &format!(r#""_meta":{{"vendor/odd":{odd}}}}}"#),
            &format!(r#""_meta":{{"vendor/odd":{odd},"io.modelcontextprotocol/serverInfo":{{"name":"scripted","version":"1"}}}},"resultType":"complete"}}"#),
        );
        assert_eq!(told, expected);

        let plain = call(odd, "");
        let got = veteran
            .post(&[("mcp-session-id", token)], plain.clone())
            .await;
        let heard = last_call(&new);
        let (kept, _) = plain.split_at(plain.len() - "}}}".len());
        assert!(heard.starts_with(kept), "{heard}\n{kept}");
        assert_eq!(
            String::from_utf8_lossy(&got.body),
            answer(odd, r#""\u0031é""#)
        );
    }
}
