//! Closed-loop load generator that checks every answer.
//!   gwb-load http     --url U [--conns 64 --secs 4 --warm 1] [--expect-size N | --expect TEXT | --contains TEXT] [--post N | --post-json JSON]
//!   gwb-load call     --url U --tool echo [--size 1024] [--era legacy|modern] [--shape mcp|rest] [--template JSON-with-@TEXT@]
//!                     (mcp + template: the arguments of a meta-tool; rest + template: the POST body)
//!   gwb-load list     --url U --expect-tools 500 [--era ..] [--max-pages 100]
//!   gwb-load sessions --url U --count 1000 [--get-stream] [--hold 2]
//!   gwb-load ready    --url U [--era ..] [--tool echo] [--timeout 60]     (first right answer; prints ms)
//! Common: --pid P (process under test, with its descendants), --upstream-pid P, --header 'K: V' (repeats), --perf (hardware counters).
//! One JSON object on stdout.
use bytes::Bytes;
use gwbench::{args::Args, proc, wire::*};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{header, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

type Body = Full<Bytes>;
struct Cfg {
    host: String,
    port: u16,
    path: String,
    uri: Uri,
    headers: Vec<(String, String)>,
    modern: bool,
    tool: String,
    size: usize,
    expect: Vec<u8>,
    expect_size: Option<usize>,
    post: Option<usize>,
    post_json: Option<Bytes>,
    contains: Option<Vec<u8>>,
    expect_tools: usize,
    max_pages: usize,
    timeout: Duration,
    shape: String,
    template: String,
}
fn find(h: &[u8], n: &[u8]) -> bool {
    // the text starts with a unique head: look for that, then compare
    h.windows(n.len().min(12)).enumerate().any(|(i, w)| w == &n[..n.len().min(12)] && h[i..].starts_with(n))
}

struct Conn {
    cfg: Rc<Cfg>,
    tx: Option<SendRequest<Body>>,
    session: Option<String>,
    version: Option<String>,
    seq: u64,
    no: usize,
}
type Res<T> = Result<T, String>;

impl Conn {
    fn new(cfg: Rc<Cfg>, no: usize) -> Conn {
        Conn { cfg, tx: None, session: None, version: None, seq: 0, no }
    }
    async fn connect(&mut self) -> Res<()> {
        let s = tokio::net::TcpStream::connect((self.cfg.host.as_str(), self.cfg.port)).await.map_err(|e| format!("connect:{:?}", e.kind()))?;
        let _ = s.set_nodelay(true);
        let (tx, c) = hyper::client::conn::http1::handshake(TokioIo::new(s)).await.map_err(|_| "handshake".to_string())?;
        tokio::task::spawn_local(async move {
            let _ = c.await;
        });
        self.tx = Some(tx);
        Ok(())
    }
    async fn send(&mut self, m: Method, body: Bytes, extra: &[(&'static str, String)]) -> Res<(StatusCode, header::HeaderMap, Bytes)> {
        let need = match &mut self.tx {
            Some(t) => t.ready().await.is_err(),
            None => true,
        };
        if need {
            self.connect().await?;
        }
        let mut b = Request::builder().method(m).uri(&self.cfg.uri).header(header::HOST, &self.cfg.host);
        if !body.is_empty() {
            b = b.header(header::CONTENT_TYPE, "application/json");
        }
        for (k, v) in &self.cfg.headers {
            b = b.header(k, v);
        }
        for (k, v) in extra {
            b = b.header(*k, v);
        }
        let r = b.body(Full::new(body)).map_err(|e| e.to_string())?;
        let tx = self.tx.as_mut().unwrap();
        let f = async {
            let r = tx.send_request(r).await.map_err(|e| if e.is_incomplete_message() { "closed".to_string() } else { "send".to_string() })?;
            let (p, b) = r.into_parts();
            let b = b.collect().await.map_err(|_| "body".to_string())?.to_bytes();
            Ok((p.status, p.headers, b))
        };
        match tokio::time::timeout(self.cfg.timeout, f).await {
            Ok(Ok(x)) => Ok(x),
            Ok(Err(e)) => {
                self.tx = None;
                Err(e)
            }
            Err(_) => {
                self.tx = None;
                Err("timeout".into())
            }
        }
    }
    fn mcp_headers(&self, method: &str, name: Option<&str>) -> Vec<(&'static str, String)> {
        let mut h = vec![("accept", "application/json, text/event-stream".to_string())];
        if self.cfg.modern {
            h.push(("mcp-protocol-version", MODERN.into()));
            h.push(("mcp-method", method.into()));
            if let Some(n) = name {
                h.push(("mcp-name", n.into()));
            }
        } else {
            if let Some(s) = &self.session {
                h.push(("mcp-session-id", s.clone()));
            }
            if let Some(v) = &self.version {
                h.push(("mcp-protocol-version", v.clone()));
            }
        }
        h
    }
    fn meta(&self) -> &'static str {
        if self.cfg.modern {
            r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"gwb-load","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#
        } else {
            ""
        }
    }
    /// Sends one request and hands the raw JSON-RPC answer (with the right id) to `f`.
    async fn rpc<T>(&mut self, method: &str, name: Option<&str>, params: &str, f: impl FnOnce(&Resp) -> Res<T>) -> Res<T> {
        self.seq += 1;
        let id = self.seq.to_string();
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#);
        let h = self.mcp_headers(method, name);
        let (st, hd, b) = self.send(Method::POST, Bytes::from(body), &h).await?;
        if st != StatusCode::OK {
            if std::env::var_os("GWB_DEBUG").is_some() {
                eprintln!("{method}: {st} {}", String::from_utf8_lossy(&b[..b.len().min(600)]));
            }
            return Err(format!("http_{}", st.as_u16()));
        }
        let mut buf = Vec::new();
        let ct = hd.get(header::CONTENT_TYPE).map(|v| v.as_bytes()).unwrap_or(b"");
        let msg: &[u8] = if ct.starts_with(b"text/event-stream") { sse_message(&b, &id, &mut buf).ok_or("sse_no_answer")? } else { &b };
        let r: Resp = serde_json::from_slice(msg).map_err(|_| "bad_json".to_string())?;
        if r.id.map(|x| x.get() != id).unwrap_or(true) {
            return Err("wrong_id".into());
        }
        if let Some(e) = r.error {
            if std::env::var_os("GWB_DEBUG").is_some() {
                eprintln!("{method}: error {}", &e.get()[..e.get().len().min(600)]);
            }
            return Err("jsonrpc_error".into());
        }
        if method == "initialize" {
            self.session = hd.get("mcp-session-id").and_then(|v| v.to_str().ok()).map(String::from);
        }
        f(&r)
    }
    async fn init(&mut self) -> Res<()> {
        if self.cfg.modern || self.cfg.shape != "mcp" {
            return Ok(());
        }
        self.session = None;
        self.version = None;
        let v = self
            .rpc(
                "initialize",
                None,
                &format!(r#""protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"gwb-load","version":"1"}}"#),
                |r| {
                    let p: InitParams = serde_json::from_str(r.result.ok_or("no_result")?.get()).map_err(|_| "bad_init".to_string())?;
                    Ok(p.protocol_version.map(|v| v.into_owned()))
                },
            )
            .await?;
        self.version = v;
        let h = self.mcp_headers("notifications/initialized", None);
        let (st, _, _) = self.send(Method::POST, Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), &h).await?;
        if !st.is_success() {
            return Err(format!("initialized_{}", st.as_u16()));
        }
        Ok(())
    }
    fn text(&self) -> String {
        // unique per call, so an answer that belongs to another call is seen
        let head = format!("c{}-n{}-", self.no, self.seq + 1);
        let mut t = String::with_capacity(self.cfg.size);
        t.push_str(&head);
        const PAD: &str = "the quick brown fox jumps over the lazy dog 0123456789 ";
        while t.len() + PAD.len() <= self.cfg.size {
            t.push_str(PAD);
        }
        while t.len() < self.cfg.size {
            t.push('x');
        }
        t
    }
    async fn call(&mut self) -> Res<()> {
        let text = self.text();
        if self.cfg.shape == "rest" {
            // any POST form: the template carries @TEXT@, the answer must contain it
            self.seq += 1;
            let b = self.cfg.template.replace("@TEXT@", &text);
            let (st, _, b) = self.send(Method::POST, Bytes::from(b), &[]).await?;
            if st != StatusCode::OK {
                if std::env::var_os("GWB_DEBUG").is_some() {
                    eprintln!("rest: {st} {}", String::from_utf8_lossy(&b[..b.len().min(600)]));
                }
                return Err(format!("http_{}", st.as_u16()));
            }
            return if find(&b, text.as_bytes()) { Ok(()) } else { Err("wrong_text".into()) };
        }
        let tool = self.cfg.tool.clone();
        let meta = self.meta();
        let sep = if meta.is_empty() { "" } else { "," };
        let nested = !self.cfg.template.is_empty();
        let p = if nested {
            format!(r#""name":"{tool}","arguments":{}{sep}{meta}"#, self.cfg.template.replace("@TEXT@", &text))
        } else {
            format!(r#""name":"{tool}","arguments":{{"text":"{text}"}}{sep}{meta}"#)
        };
        self.rpc("tools/call", Some(&tool), &p, |r| {
            if nested {
                // a meta-tool wraps the answer: it must contain the text
                let x = r.result.ok_or("no_result")?.get();
                return if find(x.as_bytes(), text.as_bytes()) {
                    Ok(())
                } else {
                    if std::env::var_os("GWB_DEBUG").is_some() {
                        eprintln!("nested: {}", &x[..400.min(x.len())]);
                    }
                    Err("wrong_text".into())
                };
            }
            let c: CallResult = serde_json::from_str(r.result.ok_or("no_result")?.get()).map_err(|_| "bad_result".to_string())?;
            if c.is_error {
                if std::env::var_os("GWB_DEBUG").is_some() {
                    eprintln!("isError {}", &r.result.unwrap().get()[..200.min(r.result.unwrap().get().len())]);
                }
                return Err("tool_error".into());
            }
            match c.content.first().and_then(|x| x.text.as_deref()) {
                Some(t) if t == text => Ok(()),
                _ => Err("wrong_text".into()),
            }
        })
        .await
    }
    async fn list(&mut self) -> Res<()> {
        let mut cursor: Option<String> = None;
        let mut names: HashSet<String> = HashSet::new();
        let mut total = 0;
        let check_names = self.seq < 8;
        for _ in 0..self.cfg.max_pages {
            let meta = self.meta().to_string();
            let p = match &cursor {
                Some(c) => format!(r#""cursor":{}{}{meta}"#, serde_json::to_string(c).unwrap(), if meta.is_empty() { "" } else { "," }),
                None => meta,
            };
            let (n, next, nm) = self
                .rpc("tools/list", None, &p, |r| {
                    let l: ListResult = serde_json::from_str(r.result.ok_or("no_result")?.get()).map_err(|_| "bad_list".to_string())?;
                    let mut nm = Vec::new();
                    if check_names {
                        for t in &l.tools {
                            nm.push(serde_json::from_str::<ToolName>(t.get()).map_err(|_| "bad_tool".to_string())?.name.into_owned());
                        }
                    }
                    Ok((l.tools.len(), l.next_cursor.map(|c| c.into_owned()), nm))
                })
                .await?;
            total += n;
            names.extend(nm);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        if total < self.cfg.expect_tools {
            return Err(format!("tools_{total}"));
        }
        if check_names && names.len() != total {
            return Err("duplicate_names".into());
        }
        Ok(())
    }
    async fn http(&mut self) -> Res<()> {
        self.seq += 1;
        let (m, b) = match (self.cfg.post, &self.cfg.post_json) {
            (_, Some(json)) => (Method::POST, json.clone()),
            (Some(n), _) => (Method::POST, Bytes::from(vec![b'p'; n])),
            _ => (Method::GET, Bytes::new()),
        };
        let want = b.clone();
        let (st, _, b) = self.send(m, b, &[]).await?;
        if st != StatusCode::OK {
            return Err(format!("http_{}", st.as_u16()));
        }
        let ok = match (self.cfg.post, self.cfg.expect_size, &self.cfg.contains) {
            (_, _, Some(text)) => find(&b, text),
            (Some(_), _, _) => b == want,
            (_, Some(n), _) => b.len() == n,
            _ => self.cfg.expect.is_empty() || b == self.cfg.expect,
        };
        if ok { Ok(()) } else { Err("wrong_body".into()) }
    }
    async fn one(&mut self, mode: &str) -> Res<()> {
        match mode {
            "http" => self.http().await,
            "call" => self.call().await,
            "list" => self.list().await,
            _ => Err("mode".into()),
        }
    }
}

fn cfg(a: &Args) -> Rc<Cfg> {
    let url = a.str("url", "http://127.0.0.1:19100/mcp");
    let u: Uri = url.parse().expect("url");
    let host = u.host().unwrap().to_string();
    assert!(host == "127.0.0.1" || host == "localhost", "loopback only");
    let path = u.path_and_query().map(|p| p.as_str().to_string()).unwrap_or("/".into());
    Rc::new(Cfg {
        port: u.port_u16().unwrap_or(80),
        uri: path.parse().unwrap(),
        path,
        host,
        headers: a.all("header").iter().filter_map(|h| h.split_once(':').map(|(k, v)| (k.trim().to_string(), v.trim().to_string()))).collect(),
        modern: a.str("era", "legacy") == "modern",
        tool: a.str("tool", "echo"),
        size: a.num("size", 1024),
        expect: a.get("expect").map(|s| s.as_bytes().to_vec()).unwrap_or_else(|| br#"{"id":"user-42","name":"Ada Lovelace","email":"ada@example.test","roles":["admin","ops"],"active":true}"#.to_vec()),
        expect_size: a.get("expect-size").map(|v| v.parse().unwrap()),
        post: a.get("post").map(|v| v.parse().unwrap()),
        post_json: a.get("post-json").map(|v| Bytes::from(v.to_string())),
        contains: a.get("contains").map(|v| v.as_bytes().to_vec()),
        expect_tools: a.num("expect-tools", 50),
        max_pages: a.num("max-pages", 1000),
        timeout: Duration::from_millis(a.num("timeout-ms", 30000)),
        shape: a.str("shape", "mcp"),
        template: a.str("template", ""),
    })
}

fn pct(v: &[u32], p: f64) -> f64 {
    if v.is_empty() {
        return 0.0;
    }
    let i = ((v.len() as f64 * p).ceil() as usize).clamp(1, v.len()) - 1;
    v[i] as f64 / 10.0
}

fn main() {
    let a = Args::parse();
    let mode = a.1.first().cloned().unwrap_or("call".into());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ls = tokio::task::LocalSet::new();
    let code = rt.block_on(ls.run_until(run(a, mode)));
    std::process::exit(code);
}

async fn run(a: Args, mode: String) -> i32 {
    let c = cfg(&a);
    let pid: u32 = a.num("pid", 0);
    let up: u32 = a.num("upstream-pid", 0);
    match mode.as_str() {
        "ready" => {
            let t0 = Instant::now();
            let lim = Duration::from_secs_f64(a.num("timeout", 60.0));
            let kind = a.str("kind", "call");
            let mut last;
            loop {
                let mut k = Conn::new(c.clone(), 0);
                let r = async {
                    if kind != "http" {
                        k.init().await?;
                    }
                    k.one(&kind).await
                }
                .await;
                match r {
                    Ok(()) => {
                        println!("{}", serde_json::json!({"ready_ms": t0.elapsed().as_secs_f64()*1e3}));
                        return 0;
                    }
                    Err(e) => last = e,
                }
                if t0.elapsed() > lim {
                    println!("{}", serde_json::json!({"ready_ms": null, "error": last}));
                    return 1;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        "sessions" => {
            let n: usize = a.num("count", 1000);
            let before = proc::mem(pid);
            let t0 = Instant::now();
            let c0 = proc::cpu(pid);
            let par: usize = a.num("parallel", 16);
            let sem = Rc::new(tokio::sync::Semaphore::new(par));
            let mut hs = Vec::new();
            for i in 0..n {
                let (c, sem) = (c.clone(), sem.clone());
                hs.push(tokio::task::spawn_local(async move {
                    let _p = sem.acquire().await.unwrap();
                    let mut k = Conn::new(c, i);
                    let r = async {
                        k.init().await?;
                        k.call().await
                    }
                    .await;
                    (k, r)
                }));
            }
            let mut errs: BTreeMap<String, u64> = BTreeMap::new();
            let mut keep = Vec::new();
            for h in hs {
                let (k, r) = h.await.unwrap();
                match r {
                    Ok(()) => keep.push(k),
                    Err(e) => *errs.entry(e).or_default() += 1,
                }
            }
            let took = t0.elapsed().as_secs_f64();
            let cpu = proc::cpu(pid).since(&c0).total();
            tokio::time::sleep(Duration::from_secs_f64(a.num("hold", 1.0))).await;
            let after = proc::mem(pid);
            // all still alive?
            let mut alive = 0;
            for k in &mut keep {
                if k.call().await.is_ok() {
                    alive += 1;
                }
            }
            let distinct = keep.iter().filter_map(|k| k.session.clone()).collect::<HashSet<_>>().len();
            println!("{}", serde_json::json!({"mode":"sessions","count":n,"opened":keep.len(),"alive_after":alive,"distinct_session_ids":distinct,"errors":errs,"secs":took,
                "cpu_us_per_session": if keep.is_empty(){0.0}else{cpu as f64/keep.len() as f64},
                "rss_before_kb":before.rss_kb,"rss_after_kb":after.rss_kb,"pss_before_kb":before.pss_kb,"pss_after_kb":after.pss_kb,"hwm_kb":after.hwm_kb,
                "kb_per_session": (after.pss_kb as f64-before.pss_kb as f64)/(keep.len().max(1) as f64)}));
            return 0;
        }
        _ => {}
    }
    let conns: usize = a.num("conns", 64);
    let secs: f64 = a.num("secs", 4.0);
    let warm: f64 = a.num("warm", 1.0);
    let (start_tx, start_rx) = tokio::sync::watch::channel(0u8); // 0 setup, 1 warm, 2 measure, 3 stop
    let mut hs = Vec::new();
    let ready = Rc::new(std::cell::Cell::new(0usize));
    for i in 0..conns {
        let (c, rx, mode, ready) = (c.clone(), start_rx.clone(), mode.clone(), ready.clone());
        hs.push(tokio::task::spawn_local(async move {
            let mut lat: Vec<u32> = Vec::new();
            let mut errs: BTreeMap<String, u64> = BTreeMap::new();
            let mut k = Conn::new(c, i);
            if mode != "http" {
                for t in 0..3 {
                    match k.init().await {
                        Ok(()) => break,
                        Err(e) if t == 2 => *errs.entry(format!("init:{e}")).or_default() += 1,
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            }
            ready.set(ready.get() + 1);
            while *rx.borrow() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let mut warm_errs = 0u64;
            loop {
                let ph = *rx.borrow();
                if ph == 3 {
                    break;
                }
                let t = Instant::now();
                let r = k.one(&mode).await;
                let us10 = (t.elapsed().as_nanos() / 100).min(u32::MAX as u128) as u32;
                // counted when it ended inside the window
                if *rx.borrow() == 2 {
                    match r {
                        Ok(()) => lat.push(us10),
                        Err(e) => {
                            *errs.entry(e).or_default() += 1;
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                } else if r.is_err() {
                    warm_errs += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            (lat, errs, warm_errs)
        }));
    }
    let t = Instant::now();
    while ready.get() < conns && t.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let setup_s = t.elapsed().as_secs_f64();
    let ctr = if a.has("perf") && pid > 0 { proc::Counters::open(pid) } else { None };
    let _ = start_tx.send(1);
    tokio::time::sleep(Duration::from_secs_f64(warm)).await;
    let (m0, p0, u0, s0) = (proc::machine_busy_us(), if pid > 0 { proc::cpu(pid) } else { Default::default() }, if up > 0 { proc::cpu(up) } else { Default::default() }, proc::self_cpu());
    let k0 = ctr.as_ref().map(|c| c.read());
    let _ = start_tx.send(2);
    let t0 = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(secs)).await;
    let k1 = ctr.as_ref().map(|c| c.read());
    let (m1, p1, u1, s1) = (proc::machine_busy_us(), if pid > 0 { proc::cpu(pid) } else { Default::default() }, if up > 0 { proc::cpu(up) } else { Default::default() }, proc::self_cpu());
    let dt = t0.elapsed().as_secs_f64();
    let _ = start_tx.send(3);
    let mut lat = Vec::new();
    let mut errs: BTreeMap<String, u64> = BTreeMap::new();
    let mut warm_errs = 0;
    for h in hs {
        let (l, e, w) = match tokio::time::timeout(Duration::from_secs(40), h).await {
            Ok(Ok(x)) => x,
            _ => {
                *errs.entry("stuck".into()).or_default() += 1;
                continue;
            }
        };
        lat.extend(l);
        warm_errs += w;
        for (k, v) in e {
            *errs.entry(k).or_default() += v;
        }
    }
    lat.sort_unstable();
    let n = lat.len() as f64;
    let nerr: u64 = errs.values().sum();
    let (p, u, s) = (p1.since(&p0), u1.since(&u0), s1.since(&s0));
    let mem = if pid > 0 { proc::mem(pid) } else { Default::default() };
    let busy = (m1 - m0) as f64;
    let foreign = (busy - p.total() as f64 - u.total() as f64 - s.total() as f64).max(0.0) / (dt * 1e6);
    let per = |x: f64| if n > 0.0 { x / n } else { 0.0 };
    let mean = if n > 0.0 { lat.iter().map(|&x| x as f64).sum::<f64>() / n / 10.0 } else { 0.0 };
    let mut o = serde_json::json!({
        "mode": mode, "url_path": c.path, "conns": conns, "size": c.size, "secs": dt, "setup_s": setup_s,
        "n": lat.len(), "rps": n / dt, "errors": errs, "n_errors": nerr, "warm_errors": warm_errs,
        "mean_us": mean, "p50_us": pct(&lat, 0.5), "p90_us": pct(&lat, 0.9), "p99_us": pct(&lat, 0.99), "p999_us": pct(&lat, 0.999), "max_us": pct(&lat, 1.0),
        "cpu_us_per_req": per(p.total() as f64), "cpu_user_us_per_req": per(p.user_us as f64), "cpu_sys_us_per_req": per(p.sys_us as f64),
        "cpu_cores": p.total() as f64 / (dt * 1e6),
        "load_cpu_us_per_req": per(s.total() as f64), "upstream_cpu_us_per_req": per(u.total() as f64),
        "foreign_cores": foreign,
        "rss_kb": mem.rss_kb, "hwm_kb": mem.hwm_kb, "pss_kb": mem.pss_kb, "procs": mem.procs, "threads": mem.threads,
    });
    if let (Some(a), Some(b)) = (k0, k1) {
        for (i, name) in proc::COUNTERS.iter().enumerate() {
            o[format!("{name}_per_req")] = per((b[i].saturating_sub(a[i])) as f64).into();
        }
    }
    println!("{o}");
    0
}
