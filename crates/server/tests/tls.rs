//! TLS: certificates, protocols, and clients that do not speak it.

mod common;

use std::{path::Path, sync::Arc, time::Duration};

use bartizan_server::{ServerConfig, Tls};
use common::{Running, answer, bind, h2, read_to_end, request, soon, write};
use http::Version;
use http_body_util::BodyExt;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::service_fn;

/// Writes a fresh certificate for `localhost` and its key into `directory`.
fn issue(directory: &Path) -> CertifiedKey<KeyPair> {
    let issued = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("chain.pem"), issued.cert.pem()).unwrap();
    let key = issued.signing_key.serialize_pem();
    std::fs::write(directory.join("key.pem"), key).unwrap();
    issued
}

fn read(directory: &Path) -> Tls {
    Tls::from_pem_files(directory.join("chain.pem"), directory.join("key.pem")).unwrap()
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = server.connect().await;
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

#[tokio::test]
async fn both_versions_by_alpn() {
    let directory = tempfile::tempdir().unwrap();
    let issued = issue(directory.path());
    let trusted = issued.cert.der();
    let tls = read(directory.path());
    let server = Running::serve(
        bind(&ServerConfig::default(), Some(&tls)),
        service_fn(answer),
    );

    let stream = connect(&server, trusted, &[b"h2", b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let local = stream.get_ref().0.local_addr().unwrap().to_string();
    let mut client = h2(stream).await;
    let response = client.send_request(request("/remote")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), local);

    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = connect(&server, trusted, alpn).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().copied());
        let get = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(get).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    let config = ServerConfig {
        http2: false,
        ..ServerConfig::default()
    };
    let server = Running::serve(bind(&config, Some(&tls)), service_fn(answer));
    let stream = connect(&server, trusted, &[b"h2", b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn clients_that_do_not_speak_tls() {
    let directory = tempfile::tempdir().unwrap();
    let issued = issue(directory.path());
    let tls = read(directory.path());
    let config = ServerConfig {
        header_read_timeout: Duration::from_millis(100),
        ..ServerConfig::default()
    };
    let server = Running::serve(bind(&config, Some(&tls)), service_fn(answer));

    let mut plain = server.connect().await;
    write(&mut plain, common::GET).await;
    let mut alert = Vec::new();
    let _ = soon(plain.read_to_end(&mut alert)).await;
    assert!(!alert.starts_with(b"HTTP"), "{}", alert.escape_ascii());

    // One that says nothing, and one that stops in the middle of its hello.
    let mut silent = server.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    let mut half = server.connect().await;
    write(&mut half, &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await;
    assert_eq!(read_to_end(&mut half).await, "");
    server.until_open(0).await;
    assert_eq!(server.stats.cut(), 2);

    // And it still serves.
    connect(&server, issued.cert.der(), &[]).await.unwrap();
}

#[tokio::test]
async fn a_handshake_does_not_hold_up_the_drain() {
    let directory = tempfile::tempdir().unwrap();
    issue(directory.path());
    let tls = read(directory.path());
    let server = Running::serve(
        bind(&ServerConfig::default(), Some(&tls)),
        service_fn(answer),
    );
    let mut silent = server.connect().await;
    server.until_open(1).await;
    assert_eq!(soon(server.drain()).await.unwrap().finished, 1);
    assert_eq!(read_to_end(&mut silent).await, "");
}

#[tokio::test]
async fn a_new_certificate_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let old = issue(directory.path());
    let tls = read(directory.path());
    let server = Running::serve(
        bind(&ServerConfig::default(), Some(&tls)),
        service_fn(answer),
    );
    connect(&server, old.cert.der(), &[]).await.unwrap();

    let new = issue(directory.path());
    connect(&server, new.cert.der(), &[]).await.unwrap_err();
    assert!(tls.reload().unwrap());
    assert!(!tls.reload().unwrap(), "it is the same");
    connect(&server, new.cert.der(), &[]).await.unwrap();
    connect(&server, old.cert.der(), &[]).await.unwrap_err();

    // Half a renewal changes nothing.
    std::fs::write(directory.path().join("chain.pem"), old.cert.pem()).unwrap();
    tls.reload().unwrap_err();
    connect(&server, new.cert.der(), &[]).await.unwrap();
}

#[test]
fn files_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    issue(directory.path());
    issue(other.path());
    let (chain, key) = (
        directory.path().join("chain.pem"),
        directory.path().join("key.pem"),
    );
    let (missing, broken) = (other.path().join("missing"), other.path().join("broken"));
    std::fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let foreign = other.path().join("key.pem");
    let reason =
        |chain: &Path, key: &Path| Tls::from_pem_files(chain, key).unwrap_err().to_string();

    let (chain_text, key_text) = (chain.display(), key.display());
    assert_eq!(
        reason(&missing, &key),
        format!("cannot read {}: entity not found", missing.display())
    );
    assert_eq!(
        reason(&key, &key),
        format!("{key_text} contains no certificate")
    );
    assert_eq!(
        reason(&chain, &chain),
        format!("{chain_text} contains no private key")
    );
    let text = reason(&broken, &key);
    assert!(text.contains("is not valid pem"), "{text}");
    assert_eq!(
        reason(&chain, &foreign),
        format!(
            "the private key in {} is not that of the certificate in {chain_text}",
            foreign.display()
        )
    );
}
