//! A fast upstream. REST: GET /small, GET /size/N, POST /echo, POST /api/small. MCP (streamable HTTP, both eras):
//! /mcp (JSON, session), /mcp-sl (JSON, no session), /mcp-sse, /mcp-sl-sse (answers as SSE).
//! `--stdio`: the same MCP server over stdin/stdout.
//!   gwb-upstream --port 19100 --count 11 --tools 50 --threads 1
use bytes::Bytes;
use gwbench::args::Args;
use gwbench::wire::*;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::*;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

static SESS: AtomicU64 = AtomicU64::new(1);
const SMALL: &[u8] = br#"{"id":"user-42","name":"Ada Lovelace","email":"ada@example.test","roles":["admin","ops"],"active":true}"#;

struct Up {
    server: usize,
    /// tools array, ready-made
    tools: String,
    big: Bytes,
}

fn out(id: &str, result: &str) -> Vec<u8> {
    let mut v = Vec::with_capacity(result.len() + 64);
    let _ = write!(v, r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    v
}
fn err(id: &str, code: i32, m: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{m}"}}}}"#).into_bytes()
}

/// Answer to one message: None for a notification. The bool says "this was initialize".
fn answer(up: &Up, body: &[u8], modern: bool) -> Result<(Option<Vec<u8>>, bool), ()> {
    let r: Req = serde_json::from_slice(body).map_err(|_| ())?;
    let Some(method) = r.method else { return Ok((None, false)) };
    let Some(id) = r.id.map(RawValue::get) else { return Ok((None, false)) };
    let rt = if modern { r#""resultType":"complete","# } else { "" };
    let cache = if modern { r#""ttlMs":60000,"cacheScope":"public","# } else { "" };
    Ok(match &*method {
        "tools/call" => {
            let Some(p) = r.params else { return Ok((Some(err(id, -32602, "no params")), false)) };
            let Ok(c) = serde_json::from_str::<CallParams>(p.get()) else { return Ok((Some(err(id, -32602, "bad params")), false)) };
            if c.name != "echo" {
                return Ok((Some(err(id, -32602, "unknown tool")), false));
            }
            let t = c.arguments.and_then(|a| serde_json::from_str::<EchoArgs>(a.get()).ok()).and_then(|e| e.text).map(RawValue::get).unwrap_or("\"\"");
            (Some(out(id, &format!(r#"{{{rt}"content":[{{"type":"text","text":{t}}}],"isError":false}}"#))), false)
        }
        "tools/list" => (Some(out(id, &format!(r#"{{{rt}{cache}"tools":{}}}"#, up.tools))), false),
        "initialize" => {
            let v = r.params.and_then(|p| serde_json::from_str::<InitParams>(p.get()).ok()).and_then(|p| p.protocol_version).unwrap_or(LEGACY.into());
            let v = if v.as_ref() == MODERN { LEGACY.into() } else { v };
            (Some(out(id, &format!(r#"{{"protocolVersion":"{v}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"gwb-upstream-{}","version":"1.0.0"}}}}"#, up.server))), true)
        }
        "server/discover" => (
            Some(out(id, &format!(r#"{{"resultType":"complete","supportedVersions":["{MODERN}","{LEGACY}"],"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"gwb-upstream-{}","version":"1.0.0"}},"ttlMs":60000,"cacheScope":"public"}}"#, up.server))),
            false,
        ),
        "ping" => (Some(out(id, "{}")), false),
        "resources/list" => (Some(out(id, &format!(r#"{{{rt}{cache}"resources":[]}}"#))), false),
        "resources/templates/list" => (Some(out(id, &format!(r#"{{{rt}{cache}"resourceTemplates":[]}}"#))), false),
        "prompts/list" => (Some(out(id, &format!(r#"{{{rt}{cache}"prompts":[]}}"#))), false),
        _ => (Some(err(id, -32601, "method not found")), false),
    })
}

async fn handle(up: Arc<Up>, req: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let json = HeaderValue::from_static("application/json");
    let plain = |c: StatusCode| {
        let mut r = Response::new(Full::new(Bytes::new()));
        *r.status_mut() = c;
        r
    };
    let path = req.uri().path();
    if path.starts_with("/mcp") {
        let sse = path.ends_with("sse");
        let sess = !path.starts_with("/mcp-sl");
        if req.method() == Method::DELETE {
            return Ok(plain(StatusCode::OK));
        }
        if req.method() != Method::POST {
            return Ok(plain(StatusCode::METHOD_NOT_ALLOWED));
        }
        let modern = req.headers().get("mcp-protocol-version").map(|v| v.as_bytes() == MODERN.as_bytes()).unwrap_or(false);
        let has_sess = req.headers().contains_key("mcp-session-id");
        let Ok(b) = req.into_body().collect().await else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        let b = b.to_bytes();
        let Ok((ans, init)) = answer(&up, &b, modern) else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        // A session server must refuse legacy requests without their session.
        if sess && !modern && !init && !has_sess {
            return Ok(plain(StatusCode::BAD_REQUEST));
        }
        let Some(mut v) = ans else { return Ok(plain(StatusCode::ACCEPTED)) };
        if sse {
            let mut w = Vec::with_capacity(v.len() + 32);
            w.extend_from_slice(b"event: message\ndata: ");
            w.append(&mut v);
            w.extend_from_slice(b"\n\n");
            v = w;
        }
        let mut r = Response::new(Full::new(Bytes::from(v)));
        r.headers_mut().insert(CONTENT_TYPE, if sse { HeaderValue::from_static("text/event-stream") } else { json });
        if init && sess {
            let s = format!("s{:016x}", SESS.fetch_add(1, Ordering::Relaxed));
            r.headers_mut().insert("mcp-session-id", s.parse().unwrap());
        }
        return Ok(r);
    }
    let body = match (req.method(), path) {
        (&Method::GET, "/small") | (&Method::GET, "/rest/small") | (&Method::GET, "/health") => Bytes::from_static(SMALL),
        // The backend of a `/mcp/request` call: reads its parameters, answers the small JSON.
        (&Method::POST, "/api/small") => match req.into_body().collect().await {
            Ok(_) => Bytes::from_static(SMALL),
            Err(_) => return Ok(plain(StatusCode::BAD_REQUEST)),
        },
        (&Method::POST, "/echo") | (&Method::POST, "/rest/echo") => match req.into_body().collect().await {
            Ok(b) => b.to_bytes(),
            Err(_) => return Ok(plain(StatusCode::BAD_REQUEST)),
        },
        (&Method::GET, p) if p.starts_with("/size/") => {
            let n: usize = p[6..].parse().unwrap_or(0);
            up.big.slice(..n.min(up.big.len()))
        }
        _ => return Ok(plain(StatusCode::NOT_FOUND)),
    };
    let mut r = Response::new(Full::new(body));
    r.headers_mut().insert(CONTENT_TYPE, json);
    Ok(r)
}

async fn stdio(up: Up) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let mut inp = BufReader::with_capacity(1 << 20, tokio::io::stdin());
    let mut o = tokio::io::stdout();
    let mut line = String::new();
    loop {
        line.clear();
        if inp.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if let Ok((Some(mut v), _)) = answer(&up, line.as_bytes(), false) {
            v.push(b'\n');
            let _ = o.write_all(&v).await;
            let _ = o.flush().await;
        }
    }
}

fn main() {
    let a = Args::parse();
    let n: usize = a.num("tools", 50);
    let mk = |i: usize, n: usize| Up { server: i, tools: serde_json::to_string(&tools(i, n)).unwrap(), big: Bytes::from(vec![b'x'; 4 << 20]) };
    let threads: usize = a.num("threads", 1);
    let rt = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
    };
    if a.has("stdio") {
        return rt.block_on(stdio(mk(a.num("server", 0), n)));
    }
    let port: u16 = a.num("port", 19100);
    let count: u16 = a.num("count", 11);
    rt.block_on(async move {
        let mut hs = Vec::new();
        for i in 0..count {
            let up = Arc::new(mk(i as usize, n));
            let l = tokio::net::TcpListener::bind(("127.0.0.1", port + i)).await.expect("bind");
            hs.push(tokio::spawn(async move {
                loop {
                    let Ok((s, _)) = l.accept().await else { continue };
                    let _ = s.set_nodelay(true);
                    let up = up.clone();
                    tokio::spawn(async move {
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(s), hyper::service::service_fn(move |r| handle(up.clone(), r)))
                            .await;
                    });
                }
            }));
        }
        eprintln!("gwb-upstream on 127.0.0.1:{port}..{}", port + count - 1);
        for h in hs {
            let _ = h.await;
        }
    });
}
