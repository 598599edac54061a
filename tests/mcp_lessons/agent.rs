//! An MCP client of few words.

use std::time::Duration;

use bartizan_tests::{Running, Variables};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// A gateway in front of the server at `url`, which is its service `x`.
pub fn variables(url: &str) -> Variables {
    Variables::default()
        .set("MCP_SERVICES", "x")
        .set("MCP_SERVICE_X_TRANSPORT", "streamable-http")
        .set("MCP_SERVICE_X_ENDPOINT", url)
        .set("MCP_RETRY_INITIAL_DELAY", 10)
        .set("MCP_RETRY_MAX_DELAY", 50)
}

/// A client of the gateway's service `x`.
#[derive(Clone, Debug)]
pub struct Agent {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    headers: Vec<(String, String)>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The JSON-RPC message in it: the body, or the last event of a stream.
    pub fn message(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        let last = text.lines().rev().find_map(|it| it.strip_prefix("data: {"));
        let json = last.map_or_else(|| text.to_string(), |it| format!("{{{it}"));
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Agent {
    pub fn new(gateway: &Running) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("http://{}/mcp/x", gateway.address),
            headers: Vec::new(),
        }
    }

    /// A client of all services of the gateway.
    pub fn of_all(gateway: &Running) -> Self {
        Self {
            url: format!("http://{}/mcp", gateway.address),
            ..Self::new(gateway)
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same client at another gateway.
    pub fn at(&self, gateway: &Running) -> Self {
        Self {
            url: format!("http://{}/mcp/x", gateway.address),
            ..self.clone()
        }
    }

    /// The same client with another value of a header.
    pub fn instead(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(own, _)| own != name);
        other.with(name, value)
    }

    /// Sends a request; its answer has begun when this returns.
    pub async fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.url)
            .header("content-type", "application/json");
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let all: Vec<_> = own.chain(headers.iter().copied()).collect();
        if !all.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "application/json, text/event-stream");
        }
        for (name, value) in all {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).expect("valid");
        self.client.request(request).await.expect("an answer")
    }

    pub async fn post(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        read(self.send(Method::POST, headers, body).await).await
    }

    /// A message of an older revision.
    pub async fn legacy(&self, message: &Value) -> Answer {
        self.post(&[], message.to_string()).await
    }

    /// Begins a session; the same client within it.
    pub async fn initialized(self) -> Self {
        let answer = self.legacy(&initialize()).await;
        let token = answer.headers.get("mcp-session-id");
        let token = token.unwrap_or_else(|| panic!("no session: {answer:?}"));
        let agent = self.with("mcp-session-id", token.to_str().expect("text"));
        agent
            .legacy(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        agent
    }

    /// Calls a tool in a session of an older revision.
    pub async fn call(&self, tool: &str) -> Answer {
        self.legacy(&call(1, tool, &json!({}))).await
    }

    /// A request of 2026-07-28, with the headers that it needs.
    pub async fn modern(&self, method: &str, params: Value) -> Answer {
        read(self.begin_modern(7, method, params).await).await
    }

    pub async fn begin_modern(
        &self,
        id: u64,
        method: &str,
        mut params: Value,
    ) -> Response<Incoming> {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        let capabilities = &mut params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        if capabilities.is_null() {
            *capabilities = json!({});
        }
        let name = params["name"].as_str().map(str::to_owned);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut headers = vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
        ];
        headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
        self.send(Method::POST, &headers, body.to_string()).await
    }
}

pub fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "agent", "version": "1"}}})
}

pub fn call(id: u64, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments}})
}

pub async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(Duration::from_secs(20), body.collect()).await;
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.expect("in time").expect("a whole body").to_bytes(),
    }
}

/// Reads a stream to its end.
pub async fn ends(body: &mut Incoming) {
    let end = async { while body.frame().await.is_some() {} };
    let end = tokio::time::timeout(Duration::from_secs(20), end).await;
    end.expect("a stream that ends");
}

/// Reads a stream until it has said this.
pub async fn until(body: &mut Incoming, words: &str) -> String {
    let mut all = String::new();
    let reading = async {
        while !all.contains(words) {
            let frame = body.frame().await;
            let frame = frame.unwrap_or_else(|| panic!("no {words:?} in {all:?}"));
            let frame = frame.expect("a frame");
            let data = frame.into_data().expect("data");
            all.push_str(&String::from_utf8_lossy(&data));
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), reading).await;
    read.unwrap_or_else(|_| panic!("never said {words:?}"));
    all
}
