use std::{io, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::sync::OnceCell;
use tracing::debug;

use crate::{ClientCertificate, ClientConfig, InvalidClient, Pem, TlsRoots};

/// The client side of TLS, made when it is first needed or when the client is built.
pub(crate) struct Tls {
    ready: OnceCell<Arc<rustls::ClientConfig>>,
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
        let identity = identity.transpose()?;
        let roots = match &config.tls {
            TlsRoots::Native => None,
            TlsRoots::Pem(pem) => Some(roots(pem)?),
        };
        let tls = Self {
            ready: OnceCell::new(),
            http2: config.http2,
            identity,
        };
        // Built even if it is not kept, so that a key that is not its certificate's is refused
        // now and not at the first connection.
        let place = config.client_certificate.as_ref().map_or_else(
            || "tls configuration".to_owned(),
            |it| format!("{} and {}", it.chain, it.key),
        );
        let built = tls
            .build(roots.clone().unwrap_or_else(RootCertStore::empty))
            .map_err(|cause| InvalidClient::Refused { place, cause })?;
        Ok(match roots {
            Some(_) => Self {
                ready: OnceCell::new_with(Some(Arc::new(built))),
                ..tls
            },
            None => tls,
        })
    }

    /// The finished configuration; reads the operating system's roots if nobody has yet.
    ///
    /// # Errors
    ///
    /// When the operating system has no roots. The next call looks again.
    pub(crate) async fn ready(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        let ready = self.ready.get_or_try_init(|| async {
            // Some hundred kilobytes of files: not on a thread that serves requests.
            let roots = tokio::task::spawn_blocking(native_roots)
                .await
                .map_err(io::Error::other)??;
            self.build(roots).map(Arc::new).map_err(io::Error::other)
        });
        ready.await.map(Arc::clone)
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

fn roots(pem: &Pem) -> Result<RootCertStore, InvalidClient> {
    let mut roots = RootCertStore::empty();
    for certificate in pem.items::<CertificateDer<'static>>()? {
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
