use std::path::{Path, PathBuf};

use http::HeaderValue;

use crate::api::Failure;

/// Where every pod finds what its service account has.
const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Tokens have some kilobytes; this is far more.
const MAX_BYTES: u64 = 64 * 1024;

/// A service account: a directory with the files `token`, `namespace` and `ca.crt`.
///
/// The token is read again for every request, since the kubelet replaces it long before it
/// expires. Nothing here prints it.
///
/// ```
/// use bartizan_discovery::ServiceAccount;
///
/// let account = ServiceAccount::default();
/// let roots = account.authorities();
/// assert!(roots.ends_with("serviceaccount/ca.crt"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    directory: PathBuf,
}

impl ServiceAccount {
    /// The account with its files in `directory`. Looks at none of them.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The file with the authorities that the API server's certificate is checked against, for
    /// whoever makes the client. The kubelet replaces it when the cluster has others.
    #[must_use]
    pub fn authorities(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// What `Authorization` says.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, Failure> {
        let path = self.directory.join("token");
        let token = read(&path).await?;
        let header = HeaderValue::try_from(format!("Bearer {token}"));
        let mut header = header
            .map_err(|_| Failure::new(format_args!("{} holds what is no token", path.display())))?;
        header.set_sensitive(true);
        Ok(header)
    }

    pub(super) async fn namespace(&self) -> Result<String, Failure> {
        read(&self.directory.join("namespace")).await
    }
}

impl Default for ServiceAccount {
    /// That of the pod.
    fn default() -> Self {
        Self::new(DIRECTORY)
    }
}

async fn read(path: &Path) -> Result<String, Failure> {
    use tokio::io::AsyncReadExt;

    let failure = |text: &dyn std::fmt::Display| {
        Failure::new(format_args!("cannot read {}: {text}", path.display()))
    };
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|error| failure(&error))?;
    let mut text = String::new();
    let read = file.take(MAX_BYTES).read_to_string(&mut text).await;
    read.map_err(|error| failure(&error))?;
    match text.trim() {
        "" => Err(failure(&"it is empty")),
        text => Ok(text.to_owned()),
    }
}
