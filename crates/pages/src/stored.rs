use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::{Compression, Crc, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
        REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::{
    content::Content,
    negotiate::{has, takes_gzip},
};

/// Swagger UI sets styles in the markup that it makes. Everything else comes from this server, and
/// requests go to this server only.
const SWAGGER_UI_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// ReDoc makes its style sheets in the page, and searches in a worker that it makes there, too.
const REDOC_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

include!(concat!(env!("OUT_DIR"), "/stored.rs"));

/// Swagger UI, for the address `docs`.
#[must_use]
pub fn swagger_ui() -> &'static Stored {
    &SWAGGER_UI
}

/// ReDoc, for the address `redoc`.
#[must_use]
pub fn redoc() -> &'static Stored {
    &REDOC
}

/// What the pages fetch from below `docs/`, by its name there.
#[must_use]
pub fn asset(name: &str) -> Option<&'static Stored> {
    let found = ASSETS.iter().find(|(served, _)| *served == name);
    found.map(|(_, stored)| stored)
}

/// Something to send, compressed, with the headers that go with it.
#[derive(Debug)]
pub struct Stored {
    gzip: Bytes,
    /// Of what is inflated, in bytes.
    length: usize,
    kind: HeaderValue,
    /// A weak one, for it names what is sent compressed and what is not.
    tag: HeaderValue,
    keep: Keep,
}

/// How long a browser keeps something.
#[derive(Clone, Copy, Debug)]
enum Keep {
    /// As long as it likes: other content has another name.
    Forever,
    /// Asking each time whether it changed. A page, with what it may do.
    Page(&'static str),
    /// Asking each time whether it changed.
    Asking,
}

impl Stored {
    const fn included(
        gzip: &'static [u8],
        length: usize,
        kind: &'static str,
        tag: &'static str,
        keep: Keep,
    ) -> Self {
        Self {
            gzip: Bytes::from_static(gzip),
            length,
            kind: HeaderValue::from_static(kind),
            tag: HeaderValue::from_static(tag),
            keep,
        }
    }

    /// Compresses something that is not part of the program, to be asked for each time.
    ///
    /// # Errors
    ///
    /// When memory runs out; writing to memory has no other reason to fail.
    pub fn new(content: &[u8], kind: HeaderValue) -> io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content)?;
        let mut crc = Crc::new();
        crc.update(content);
        let tag = format!("W/\"{:x}-{:08x}\"", content.len(), crc.sum());
        Ok(Self {
            gzip: encoder.finish()?.into(),
            length: content.len(),
            kind,
            tag: HeaderValue::try_from(tag).map_err(io::Error::other)?,
            keep: Keep::Asking,
        })
    }

    /// The answer to a `GET` with these headers: compressed if the client takes it, and 304 if it
    /// has it already.
    pub fn respond(&self, headers: &HeaderMap) -> Response<Content> {
        let known = self.tag.to_str().is_ok_and(|tag| has(headers, tag));
        let gzip = takes_gzip(headers);
        let content = match (known, gzip) {
            (true, _) => Content::stored(Bytes::new()),
            (false, true) => Content::stored(self.gzip.clone()),
            (false, false) => Content::inflated(self.gzip.clone(), self.length),
        };
        let mut response = Response::new(content);
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let mut set = |name: HeaderName, value| response.headers_mut().insert(name, value);
        set(ETAG, self.tag.clone());
        set(VARY, HeaderValue::from_static("accept-encoding"));
        set(CACHE_CONTROL, HeaderValue::from_static(self.keep.control()));
        if known {
            return response;
        }
        set(CONTENT_TYPE, self.kind.clone());
        set(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if gzip {
            set(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Keep::Page(policy) = self.keep {
            set(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            set(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        response
    }
}

impl Keep {
    fn control(self) -> &'static str {
        match self {
            Self::Forever => "public, max-age=31536000, immutable",
            Self::Page(_) | Self::Asking => "no-cache",
        }
    }
}

#[cfg(test)]
mod tests;
