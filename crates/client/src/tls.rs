use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::sync::OnceCell;
use tracing::{debug, warn};

use crate::{ClientCertificate, ClientConfig, InvalidClient, Pem, TlsRoots};

/// The client side of TLS, made when it is first needed or when the client is built.
pub(crate) struct Tls {
    ready: Ready,
    own: Own,
}

enum Ready {
    /// Trusts what it always did.
    Always(Arc<rustls::ClientConfig>),
    /// Trusts what the operating system does, once that is known.
    Native(OnceCell<Arc<rustls::ClientConfig>>),
    /// Trusts what the file says. Locked to look at it.
    File(Pem, Mutex<Said>),
}

/// What a file said when it was last read and could be used.
struct Said {
    text: Bytes,
    ready: Arc<rustls::ClientConfig>,
}

/// What this side has to say.
struct Own {
    http2: bool,
    identity: Option<Identity>,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Reads and checks everything that the configuration names.
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, InvalidClient> {
        let identity = config.client_certificate.as_ref().map(identity);
        let own = Own {
            http2: config.http2,
            identity: identity.transpose()?,
        };
        let built = |roots| {
            let built = own.build(roots).map(Arc::new);
            built.map_err(|cause| InvalidClient::Refused {
                place: config.client_certificate.as_ref().map_or_else(
                    || "tls configuration".to_owned(),
                    |it| format!("{} and {}", it.chain, it.key),
                ),
                cause,
            })
        };
        let ready = match &config.tls {
            TlsRoots::Native => {
                // Though it is not kept, so that a key that is not its certificate's is refused
                // now and not at the first connection.
                built(RootCertStore::empty())?;
                Ready::Native(OnceCell::new())
            }
            TlsRoots::Pem(pem) => Ready::Always(built(roots(pem, &pem.text()?)?)?),
            TlsRoots::File(path) => {
                let pem = Pem::Path(path.clone());
                let text = pem.text()?;
                let ready = built(roots(&pem, &text)?)?;
                Ready::File(pem, Mutex::new(Said { text, ready }))
            }
        };
        Ok(Self { ready, own })
    }

    /// The finished configuration; reads the operating system's roots if nobody has yet, and those
    /// of a file if it has changed.
    ///
    /// # Errors
    ///
    /// When the operating system has no roots. The next call looks again.
    pub(crate) async fn ready(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        match &self.ready {
            Ready::Always(ready) => Ok(Arc::clone(ready)),
            Ready::Native(ready) => {
                let ready = ready.get_or_try_init(|| async {
                    // Some hundred kilobytes of files: not on a thread that serves requests.
                    let roots = tokio::task::spawn_blocking(native_roots)
                        .await
                        .map_err(io::Error::other)??;
                    let built = self.own.build(roots);
                    built.map(Arc::new).map_err(io::Error::other)
                });
                ready.await.map(Arc::clone)
            }
            Ready::File(pem, said) => {
                let file = pem.clone();
                let text = tokio::task::spawn_blocking(move || file.text())
                    .await
                    .map_err(io::Error::other)?;
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                match text.and_then(|text| self.own.heard(pem, text, &said)) {
                    Ok(Some(now)) => *said = now,
                    Ok(None) => {}
                    Err(error) => warn!(%error, "the authorities trusted stay as they were"),
                }
                Ok(Arc::clone(&said.ready))
            }
        }
    }
}

impl Own {
    /// What the text of a file says; `None` if that is what it said before.
    fn heard(&self, pem: &Pem, text: Bytes, before: &Said) -> Result<Option<Said>, InvalidClient> {
        if text == before.text {
            return Ok(None);
        }
        let ready = self.build(roots(pem, &text)?);
        let ready = ready.map_err(|cause| InvalidClient::Refused {
            place: pem.to_string(),
            cause,
        })?;
        let ready = Arc::new(ready);
        Ok(Some(Said { text, ready }))
    }

    fn build(&self, roots: RootCertStore) -> Result<rustls::ClientConfig, rustls::Error> {
        let builder =
            rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key())?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = if self.http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        Ok(config)
    }
}

fn identity(certificate: &ClientCertificate) -> Result<Identity, InvalidClient> {
    let ClientCertificate { chain, key } = certificate;
    let empty = |pem: &Pem, missing| InvalidClient::Empty {
        place: pem.to_string(),
        missing,
    };
    let certificates: Vec<CertificateDer<'static>> = chain.items()?;
    if certificates.is_empty() {
        return Err(empty(chain, "certificate"));
    }
    let keys: Vec<PrivateKeyDer<'static>> = key.items()?;
    let private = keys.into_iter().next();
    Ok(Identity {
        chain: certificates,
        key: private.ok_or_else(|| empty(key, "private key"))?,
    })
}

/// Those of `pem`, whose text that is.
fn roots(pem: &Pem, text: &[u8]) -> Result<RootCertStore, InvalidClient> {
    let mut roots = RootCertStore::empty();
    for certificate in pem.items_of::<CertificateDer<'static>>(text)? {
        roots
            .add(certificate)
            .map_err(|cause| InvalidClient::Refused {
                place: pem.to_string(),
                cause,
            })?;
    }
    if roots.is_empty() {
        return Err(InvalidClient::Empty {
            place: pem.to_string(),
            missing: "certificate",
        });
    }
    Ok(roots)
}

/// The operating system's roots, without those that rustls cannot read: stores hold some oddities,
/// and one of them must not cost all others.
fn native_roots() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        debug!(%error, "some trusted root certificates were not read");
    }
    let mut roots = RootCertStore::empty();
    let (_, skipped) = roots.add_parsable_certificates(found.certs);
    if skipped > 0 {
        debug!(
            skipped,
            "some trusted root certificates were not understood"
        );
    }
    if roots.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no trusted root certificates were found on this machine",
        ));
    }
    Ok(roots)
}
