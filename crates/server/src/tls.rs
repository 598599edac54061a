use std::{
    fmt, fs, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use rustls::{
    InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::InvalidTls;

/// A certificate and its key, from PEM files.
///
/// Clones share the certificate: [`reload`](Self::reload) through any of them changes it for all.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: Arc<Certificate>,
}

struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    // Read once a handshake, written once a reload.
    current: RwLock<Arc<CertifiedKey>>,
}

impl Tls {
    /// Reads a certificate with its intermediates, and its key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds something else, or when the two do not belong together.
    pub fn from_pem_files(
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, InvalidTls> {
        let (chain, key) = (chain.into(), key.into());
        let current = RwLock::new(Arc::new(read(&chain, &key)?));
        let certificate = Certificate {
            chain,
            key,
            current,
        };
        Ok(Self {
            certificate: Arc::new(certificate),
        })
    }

    /// Reads both files again; handshakes from now on show what they hold. Says whether that is
    /// another certificate than before.
    ///
    /// Reads files on the calling thread.
    ///
    /// # Errors
    ///
    /// As [`from_pem_files`](Self::from_pem_files); the old certificate then stays.
    pub fn reload(&self) -> Result<bool, InvalidTls> {
        let fresh = Arc::new(read(&self.certificate.chain, &self.certificate.key)?);
        let before = mem::replace(&mut *self.certificate.current.write(), Arc::clone(&fresh));
        Ok(fresh.cert != before.cert)
    }

    pub(crate) fn acceptor(&self, http2: bool) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own cipher suites serve the default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.certificate) as _);
        config.alpn_protocols = if http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("chain", &self.chain)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn read(chain: &Path, key: &Path) -> Result<CertifiedKey, InvalidTls> {
    let certificates: Vec<CertificateDer<'static>> = items(chain)?;
    if certificates.is_empty() {
        return Err(InvalidTls::Empty {
            path: chain.to_owned(),
            missing: "certificate",
        });
    }
    let private = items::<PrivateKeyDer<'static>>(key)?.into_iter().next();
    let private = private.ok_or_else(|| InvalidTls::Empty {
        path: key.to_owned(),
        missing: "private key",
    })?;
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(certificates, private, &provider).map_err(|cause| {
        let (chain, key) = (chain.to_owned(), key.to_owned());
        match cause {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                InvalidTls::Mismatch { chain, key }
            }
            cause => InvalidTls::Refused { chain, key, cause },
        }
    })
}

fn items<T: PemObject>(path: &Path) -> Result<Vec<T>, InvalidTls> {
    let text = fs::read(path).map_err(|cause| InvalidTls::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    T::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|cause| InvalidTls::NotPem {
            path: path.to_owned(),
            cause,
        })
}
