use http::{HeaderMap, HeaderValue, Uri, header::HOST};

/// Where the messages of a client go.
#[derive(Clone, Debug)]
pub struct Target {
    /// The path at which the service speaks Streamable HTTP.
    pub path: Uri,
    /// What goes with every request: `Host`, and who the client is.
    pub headers: HeaderMap,
    /// Whether messages of 2026-07-28 are carried. A transport that is older than that has none,
    /// and a client that looks for them there is told so as an older server would.
    pub modern: bool,
}

impl Target {
    /// A path, for a client of this machine that shows no credential.
    #[must_use]
    pub fn local(path: Uri) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        Self {
            path,
            headers,
            modern: true,
        }
    }
}
