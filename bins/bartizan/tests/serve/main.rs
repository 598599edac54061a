//! The gateway as a process: how it starts and stops, whom it talks to over TLS, what it logs,
//! and what it answers to those who do everything wrong.
//!
//! Needs `curl` with HTTP/2, `kill` and `mkfifo`, and fails where one is missing.

#[path = "../common/mod.rs"]
mod common;

mod callers;
mod logs;
mod starting;
mod stopping;
mod tls;

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use bartizan_server::{Server, ServerConfig, Tls};
use bartizan_testkit::{Reply, Upstream};
use bytes::Bytes;
use common::Bartizan;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::process::Command;

/// A backend without a definition that answers its queue, then `{}`.
async fn backend() -> Upstream {
    let backend = Upstream::start().await;
    backend.aside("/api/definition", Reply::status(404));
    backend
}

/// A gateway in front of `backend`, not started yet.
fn before(backend: &Upstream) -> Bartizan {
    Bartizan::sound(&[], &backend.url())
}

async fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().await;
    assert!(made.unwrap().success());
}

/// A fresh certificate for `names` and its key, as `NAME.pem` and `NAME.key` in `directory`.
fn issue(directory: &Path, name: &str, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    let key = issued.signing_key.serialize_pem();
    std::fs::write(
        directory.join(name).with_extension("pem"),
        issued.cert.pem(),
    )
    .unwrap();
    std::fs::write(directory.join(name).with_extension("key"), key).unwrap();
}

/// A backend that speaks TLS and answers which version of HTTP was spoken and who called.
fn tls_backend(directory: &Path, name: &str, http2: bool) -> SocketAddr {
    let file = directory.join(name);
    let tls = Tls::from_pem_files(file.with_extension("pem"), file.with_extension("key")).unwrap();
    let config = ServerConfig {
        http2,
        ..ServerConfig::default()
    };
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bound = Server::bind(&[anywhere], &config, Some(&tls)).unwrap();
    let address = bound.local_addr();
    let service = tower::service_fn(async |request: Request<Incoming>| {
        let caller = request.headers().get("authorization");
        let caller = caller.map_or("", |it| it.to_str().unwrap());
        let version = request.version();
        let body = format!(r#"{{"version":"{version:?}","caller":"{caller}"}}"#);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
    });
    tokio::spawn(bound.serve(service, std::future::pending()));
    address
}
