use http::Uri;
use url::{Position, Url};

/// Stands in for the origin when the service knows it and the caller does not.
const UNKNOWN_ORIGIN: &str = "http://origin.invalid";

/// The address of the stream, against which the endpoint is resolved.
#[derive(Debug)]
pub(super) struct Base {
    url: Url,
    /// Only a path was given: the endpoint must be one too.
    path_only: bool,
}

impl Base {
    pub(super) fn new(uri: &Uri) -> Result<Self, &'static str> {
        let path_only = uri.host().is_none();
        let text = if path_only {
            format!("{UNKNOWN_ORIGIN}{uri}")
        } else {
            uri.to_string()
        };
        let url = Url::parse(&text).map_err(|_| "it is not a URL")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("its scheme is neither http nor https");
        }
        Ok(Self { url, path_only })
    }

    /// Where messages go, by the word of the server.
    pub(super) fn resolve(&self, endpoint: &[u8]) -> Result<Uri, &'static str> {
        let endpoint = std::str::from_utf8(endpoint).map_err(|_| "it is not text")?;
        let url = self.url.join(endpoint).map_err(|_| "it is not a URL")?;
        if url.origin() != self.url.origin() {
            return Err("it is not of the stream's own origin");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user name");
        }
        let from = if self.path_only {
            Position::BeforePath
        } else {
            Position::BeforeScheme
        };
        let uri = url[from..Position::AfterQuery].parse();
        uri.map_err(|_| "it is not a URL")
    }
}

#[cfg(test)]
mod tests {
    use super::Base;

    fn resolve(base: &str, endpoint: &str) -> Result<String, &'static str> {
        let base = Base::new(&base.parse().unwrap()).unwrap();
        let uri = base.resolve(endpoint.as_bytes())?;
        Ok(uri.to_string())
    }

    #[test]
    fn endpoints_of_the_same_origin() {
        for (endpoint, uri) in [
            ("/messages?sessionId=1", "http://a:81/messages?sessionId=1"),
            ("messages", "http://a:81/x/messages"),
            ("?s=1", "http://a:81/x/sse?s=1"),
            ("http://a:81/m#part", "http://a:81/m"),
            ("HTTP://A:81/m", "http://a:81/m"),
            ("//a:81/m", "http://a:81/m"),
        ] {
            assert_eq!(resolve("http://a:81/x/sse", endpoint).as_deref(), Ok(uri));
        }
        assert_eq!(
            resolve("https://a/sse", "https://a:443/m").as_deref(),
            Ok("https://a/m")
        );
    }

    #[test]
    fn endpoints_of_other_origins_are_refused() {
        for endpoint in [
            "http://b:81/m",
            "http://a:82/m",
            "http://a/m",
            "https://a:81/m",
            "//b/m",
            "/\\b/m",
            "\\\\b\\m",
            "\t//b/m",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://a:81@b/m",
            "http://user@a:81/m",
            "http://user:secret@a:81/m",
            "http://169.254.169.254/latest",
            "http://",
        ] {
            let resolved = resolve("http://a:81/sse", endpoint);
            assert!(resolved.is_err(), "{endpoint}: {resolved:?}");
        }
    }

    #[test]
    fn a_path_without_an_origin_takes_only_paths() {
        assert_eq!(resolve("/x/sse", "/m?s=1").as_deref(), Ok("/m?s=1"));
        assert_eq!(resolve("/x/sse", "m").as_deref(), Ok("/x/m"));
        assert!(resolve("/x/sse", "http://a/m").is_err());
    }

    #[test]
    fn only_http_is_spoken() {
        assert!(Base::new(&"ftp://a/sse".parse().unwrap()).is_err());
    }
}
