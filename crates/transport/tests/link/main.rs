//! A link between scripted ends.

mod answers;
mod cancelling;
mod ending;
mod ids;
mod pressure;
mod routing;

use std::{sync::Arc, time::Duration};

use bartizan_transport::link::{
    Exchange, Ids, Link, LinkError, LinkLimits, Wire, WireEnd, WireError,
};
use bytes::Bytes;
use serde_json::Value;

fn linked(capacity: usize, limits: LinkLimits) -> (Link, WireEnd) {
    let (wire, end) = Wire::pair(capacity);
    (Link::new(wire, limits), end)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn call(id: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x"}}}}"#
    ))
}

fn call_with_token(id: &str, token: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0", "id":{id},"method":"tools/call","params":{{"n":1.10,"_meta":{{"progressToken":{token},"k":0}}}}}}"#
    ))
}

fn answer(id: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":1.10}}}}"#
    ))
}

fn progress(token: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
    ))
}

fn log(text: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{text}"}}}}"#
    ))
}

fn roots(id: &str) -> Bytes {
    bytes(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#
    ))
}

const LIST_CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

async fn says(end: &WireEnd, message: impl Into<Bytes>) {
    end.incoming.send(Ok(message.into())).await.unwrap();
}

async fn hears(end: &mut WireEnd) -> Bytes {
    let heard = tokio::time::timeout(Duration::from_secs(10), end.outgoing.recv()).await;
    heard
        .expect("the link says something")
        .expect("the link lives")
}

async fn hears_json(end: &mut WireEnd) -> Value {
    serde_json::from_slice(&hears(end).await).unwrap()
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn response(exchange: &mut Exchange) -> Bytes {
    let heard = tokio::time::timeout(Duration::from_secs(10), exchange.next()).await;
    heard
        .expect("the exchange says something")
        .unwrap()
        .unwrap()
}

fn is_pending<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    future.poll(&mut cx).is_pending()
}
