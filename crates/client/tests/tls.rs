//! TLS: who is trusted, who is not, and which protocol is spoken.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bartizan_classify::{Fault, FaultKind};
use bartizan_client::{
    Client, ClientCertificate, ClientConfig, ClientError, ConnectStage, InvalidClient, Pem,
    TlsRoots,
};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// An authority made for one test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM text.
struct Identity {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn roots(&self) -> TlsRoots {
        TlsRoots::Pem(Pem::Bytes(self.0.pem().into()))
    }

    fn store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(self.0.der().clone()).unwrap();
        Arc::new(store)
    }
}

fn acceptor(identity: &Identity, alpn: &[&[u8]], clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(authority.store(), provider)
                .build()
                .unwrap(),
        ),
    };
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server that speaks whatever ALPN chose and answers with the version it saw.
async fn serve(identity: &Identity, alpn: &[&[u8]], clients: Option<&Authority>) -> SocketAddr {
    let acceptor = acceptor(identity, alpn, clients);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(async |request: Request<Incoming>| {
                    if request.uri().path() == "/refused" {
                        return Err(h2::Error::from(h2::Reason::REFUSED_STREAM));
                    }
                    let body = match request.uri().path() {
                        "/large" => vec![0; 8 << 20],
                        _ => format!("{:?}", request.version()).into_bytes(),
                    };
                    Ok(Response::new(Full::new(Bytes::from(body))))
                });
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let io = TokioIo::new(stream);
                if h2 {
                    let builder = http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(io, service).await;
                } else {
                    let _ = http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    address
}

fn client(tls: TlsRoots) -> ClientConfig {
    ClientConfig {
        tls,
        ..ClientConfig::default()
    }
}

async fn call(config: &ClientConfig, url: &str) -> Result<Response<Bytes>, ClientError> {
    let request = Request::get(url).body(Full::default()).unwrap();
    Client::new(config).unwrap().buffered().send(request).await
}

fn tls_failure(error: &ClientError) -> String {
    assert_eq!(error.fault(), FaultKind::NotSent, "{error}");
    let ClientError::Connect(connect) = error else {
        panic!("{error:?}")
    };
    assert_eq!(connect.stage(), ConnectStage::Tls, "{error}");
    error.to_string()
}

#[tokio::test]
async fn both_versions_over_tls() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let both = serve(&identity, &[b"h2", b"http/1.1"], None).await;
    let old = serve(&identity, &[b"http/1.1"], None).await;
    let silent = serve(&identity, &[], None).await;

    let mut config = client(authority.roots());
    for (server, version) in [
        (both, Version::HTTP_2),
        (old, Version::HTTP_11),
        (silent, Version::HTTP_11),
    ] {
        let url = format!("https://localhost:{}/", server.port());
        let response = call(&config, &url).await.unwrap();
        assert_eq!(response.version(), version);
        assert_eq!(response.body(), &format!("{version:?}"));
    }

    config.http2 = false;
    let url = format!("https://localhost:{}/", both.port());
    let response = call(&config, &url).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
}

#[tokio::test]
async fn a_server_may_go_by_a_name_that_is_not_its_address() {
    let authority = Authority::new();
    let server = serve(
        &authority.issue("users.internal"),
        &[b"h2", b"http/1.1"],
        None,
    )
    .await;
    let unnamed = Client::new(&client(authority.roots())).unwrap();
    let get = || {
        let request = Request::get(format!("https://{server}/"));
        request.body(Full::default()).unwrap()
    };
    tls_failure(&unnamed.send(get()).await.unwrap_err());
    let named = unnamed.named(&"https://users.internal:8443/api".parse().unwrap());
    let response = named.send(get()).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    let other = unnamed.named(&"https://orders.internal".parse().unwrap());
    tls_failure(&other.send(get()).await.unwrap_err());
}

#[tokio::test]
async fn exchanges_share_an_http2_connection() {
    let authority = Authority::new();
    let server = serve(&authority.issue("127.0.0.1"), &[b"h2"], None).await;
    let client = Client::new(&client(authority.roots())).unwrap().buffered();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let request = Request::get(format!("https://{server}/"));
        calls.spawn(client.send(request.body(Full::default()).unwrap()));
    }
    for response in calls.join_all().await {
        assert_eq!(response.unwrap().version(), Version::HTTP_2);
    }
}

/// As streams to clients that do not read do.
#[tokio::test]
async fn answers_that_nobody_reads_hold_up_no_other_of_their_connection() {
    let authority = Authority::new();
    let server = serve(&authority.issue("127.0.0.1"), &[b"h2"], None).await;
    let client = Client::new(&client(authority.roots())).unwrap();
    let get = |path| {
        let request = Request::get(format!("https://{server}{path}"));
        request.body(Full::default()).unwrap()
    };
    let mut unread = Vec::new();
    for _ in 0..16 {
        unread.push(client.send(get("/large")).await.unwrap());
    }
    let other = client.buffered().send(get("/"));
    let other = tokio::time::timeout(Duration::from_secs(10), other).await;
    let other = other.expect("it is answered meanwhile").unwrap();
    assert_eq!(other.version(), Version::HTTP_2);
    let read = http_body_util::BodyExt::collect(unread.swap_remove(0).into_body());
    assert_eq!(read.await.unwrap().to_bytes().len(), 8 << 20);
}

async fn is_refused_unread(authority: &Authority, url: &str) {
    let client = Client::new(&client(authority.roots())).unwrap().buffered();
    let request = Request::post(url).body(Full::default()).unwrap();
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.fault(), FaultKind::NotSent, "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("the server refused the request unread: "),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_server_refused_unread_was_not_sent() {
    let authority = Authority::new();
    let server = serve(&authority.issue("127.0.0.1"), &[b"h2"], None).await;
    is_refused_unread(&authority, &format!("https://{server}/refused")).await;
}

/// As one that is restarted does.
#[tokio::test]
async fn what_a_server_went_away_without_was_not_sent() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    let authority = Authority::new();
    let acceptor = acceptor(&authority.issue("127.0.0.1"), &[b"h2"], None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        stream.write_all(&SETTINGS).await.unwrap();
        // Until the headers of the request are there, of the type that is one.
        let mut heard = Vec::new();
        while !heard
            .windows(5)
            .any(|it| it == [1, 4, 0, 0, 0] || it == [1, 5, 0, 0, 0])
        {
            stream.read_buf(&mut heard).await.unwrap();
        }
        stream.write_all(&GOAWAY).await.unwrap();
        let _ = stream.read_to_end(&mut heard).await;
    });
    is_refused_unread(&authority, &format!("https://{address}/")).await;
}

#[tokio::test]
async fn an_unknown_authority() {
    let server = serve(&Authority::new().issue("127.0.0.1"), &[], None).await;
    let config = client(Authority::new().roots());
    let error = call(&config, &format!("https://{server}/")).await;
    let text = tls_failure(&error.unwrap_err());
    assert!(text.starts_with("tls handshake failed: invalid peer certificate"));
    assert!(text.ends_with(&format!(": {server}")), "{text}");
}

#[tokio::test]
async fn the_operating_system_does_not_know_us_either() {
    let server = serve(&Authority::new().issue("127.0.0.1"), &[], None).await;
    let error = call(&ClientConfig::default(), &format!("https://{server}/")).await;
    tls_failure(&error.unwrap_err());
}

#[tokio::test]
async fn the_wrong_name() {
    let authority = Authority::new();
    let server = serve(&authority.issue("example.com"), &[], None).await;
    let error = call(&client(authority.roots()), &format!("https://{server}/")).await;
    let text = tls_failure(&error.unwrap_err());
    assert!(text.contains("certificate not valid for name"), "{text}");
}

#[tokio::test]
async fn no_tls_at_the_other_end() {
    let upstream = bartizan_testkit::Upstream::start().await;
    let url = format!("https://{}/", upstream.address());
    let error = call(&client(Authority::new().roots()), &url).await;
    tls_failure(&error.unwrap_err());
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = ClientConfig {
        connect_timeout: Duration::from_millis(100),
        ..client(Authority::new().roots())
    };
    let error = call(&config, &format!("https://{address}/")).await;
    assert_eq!(
        tls_failure(&error.unwrap_err()),
        format!("connecting took more than 100ms, tls handshake included: {address}")
    );
}

#[tokio::test]
async fn authorities_of_a_file_that_is_replaced_are_trusted_from_then_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let before = serve(&old.issue("127.0.0.1"), &[], None).await;
    let after = serve(&new.issue("127.0.0.1"), &[], None).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.crt");
    std::fs::write(&file, old.0.pem()).unwrap();
    let config = ClientConfig {
        // Each exchange has a connection of its own.
        max_idle_per_host: 0,
        ..client(TlsRoots::File(file.clone()))
    };
    let client = Client::new(&config).unwrap().buffered();
    let call = async |server| {
        let request = Request::get(format!("https://{server}/"));
        let answer = client.send(request.body(Full::default()).unwrap()).await;
        answer.map(drop)
    };
    call(before).await.unwrap();
    tls_failure(&call(after).await.unwrap_err());
    // Half of it is no reason to trust nobody.
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
    call(before).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    call(before).await.unwrap();
    std::fs::write(&file, new.0.pem()).unwrap();
    call(after).await.unwrap();
    tls_failure(&call(before).await.unwrap_err());
}

#[tokio::test]
async fn a_client_certificate() {
    let authority = Authority::new();
    let server = serve(&authority.issue("127.0.0.1"), &[], Some(&authority)).await;
    let url = format!("https://{server}/");
    let mut config = client(authority.roots());
    assert!(call(&config, &url).await.is_err(), "nobody is let in");

    let directory = std::env::temp_dir().join(format!("bartizan-client-{}", server.port()));
    std::fs::create_dir_all(&directory).unwrap();
    let identity = authority.issue("caller");
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    std::fs::write(&chain, identity.chain).unwrap();
    std::fs::write(&key, identity.key).unwrap();
    config.client_certificate = Some(ClientCertificate {
        chain: Pem::Path(chain),
        key: Pem::Path(key),
    });
    let response = call(&config, &url).await;
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(response.unwrap().status(), 200);
}

#[test]
fn what_cannot_be_used_is_refused_at_once() {
    let pem = |text: &str| Pem::Bytes(Bytes::copy_from_slice(text.as_bytes()));
    let reason = |config: &ClientConfig| Client::new(config).unwrap_err().to_string();

    let nowhere = Pem::Path("/nowhere/ca.pem".into());
    assert!(reason(&client(TlsRoots::Pem(nowhere))).starts_with("cannot read /nowhere/ca.pem: "),);
    assert_eq!(
        reason(&client(TlsRoots::Pem(pem("")))),
        "0 bytes of pem contains no certificate"
    );
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(reason(&client(TlsRoots::Pem(pem(broken)))).contains("is not valid pem"));
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        Client::new(&client(TlsRoots::Pem(pem(nonsense)))),
        Err(InvalidClient::Refused { .. })
    ));

    let authority = Authority::new();
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    let mut config = client(authority.roots());
    config.client_certificate = Some(ClientCertificate {
        chain: pem(&one.chain),
        key: pem(&other.key),
    });
    let mismatch = reason(&config);
    assert!(
        mismatch.contains("keys may not be consistent"),
        "{mismatch}"
    );
    assert!(!format!("{config:?}").contains("BEGIN"), "{config:?}");

    config.client_certificate = Some(ClientCertificate {
        chain: pem(&one.chain),
        key: pem(&one.chain),
    });
    assert!(reason(&config).ends_with("contains no private key"));

    let config = ClientConfig {
        connect_timeout: Duration::ZERO,
        ..ClientConfig::default()
    };
    assert_eq!(reason(&config), "the connect timeout is zero");
}
