use bartizan_protocol::{
    Version, edit,
    headers::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID},
};
use http::{HeaderMap, HeaderValue};

/// What an older revision keeps between two requests.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: Option<HeaderValue>,
    version: Option<Version>,
    /// Later sessions of a client have higher ones, beginning with 1.
    pub(super) generation: u64,
}

impl Session {
    /// The session that this answer to an `initialize` begins; none if it is a refusal.
    pub(super) fn begun(id: Option<HeaderValue>, answer: &[u8]) -> Option<Self> {
        let result = edit::get(answer, &["result"])?;
        let version = edit::get(result.as_bytes(), &["protocolVersion"]).and_then(edit::text);
        Some(Self {
            id,
            version: version.and_then(|version| Version::parse(&version)),
            generation: 0,
        })
    }

    /// Whether the server keeps it, so that it can be lost and must be ended.
    pub(super) fn is_kept(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn set_headers(&self, headers: &mut HeaderMap) {
        if let Some(id) = &self.id {
            headers.insert(MCP_SESSION_ID, id.clone());
        }
        // A name that nobody knows would only be refused.
        if let Some(version) = self.version {
            let version = HeaderValue::from_static(version.as_str());
            headers.insert(MCP_PROTOCOL_VERSION, version);
        }
    }
}
