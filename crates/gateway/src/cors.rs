use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
    },
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Origin, X-Requested-With, Content-Type, Accept, Authorization, X-API-Key",
);

/// Every one that is not a credential. Clients of MCP in a browser read `Mcp-Session-Id`.
const EXPOSED: HeaderValue = HeaderValue::from_static("*");

/// What the page behind a request says of itself, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Page {
    origin: Option<HeaderValue>,
    /// The headers that it wants to send, in a preflight.
    headers: Option<HeaderValue>,
}

impl Page {
    pub(crate) fn of(request: &HeaderMap) -> Self {
        let Some(origin) = request.get(ORIGIN) else {
            return Self::default();
        };
        Self {
            origin: Some(origin.clone()),
            headers: request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        }
    }

    /// The headers that it may send: those of the documented API, and whatever else it asks for. A
    /// header is no credential that a browser would add by itself.
    fn allowed_headers(&self) -> HeaderValue {
        let asked = self.headers.as_ref().and_then(|asked| asked.to_str().ok());
        let asked = asked.filter(|asked| !asked.trim().is_empty());
        let all = asked.map(|asked| format!("{}, {asked}", HEADERS.to_str().unwrap_or_default()));
        let all = all.and_then(|all| HeaderValue::from_str(&all).ok());
        all.unwrap_or(HEADERS)
    }
}

/// Which web origins may read the gateway's answers.
///
/// Answers carry the three `Access-Control-Allow-*` headers of the documented API on every
/// response, not only on preflights, which is why this is not tower-http's layer. Credentials
/// are never allowed: no page may spend a visitor's cookies here.
#[derive(Clone, Debug)]
pub(crate) enum Cors {
    /// Any origin (`*`).
    Any,
    /// These origins, compared as they are sent.
    Origins(Box<[HeaderValue]>),
}

impl Cors {
    /// Whether a page of `origin`, or one that names none, is one of those that may read answers.
    pub(crate) fn lists(&self, origin: Option<&HeaderValue>) -> bool {
        match self {
            Self::Any => true,
            Self::Origins(origins) => origin.is_some_and(|origin| origins.contains(origin)),
        }
    }

    /// Adds the headers that an answer to a request from `page` may have.
    pub(crate) fn apply(&self, page: &Page, response: &mut HeaderMap) {
        let allowed = match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Origins(origins) => {
                response.append(VARY, HeaderValue::from_static("origin"));
                match page
                    .origin
                    .as_ref()
                    .filter(|origin| origins.contains(origin))
                {
                    Some(origin) => origin.clone(),
                    None => return,
                }
            }
        };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        response.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        response.insert(ACCESS_CONTROL_ALLOW_HEADERS, page.allowed_headers());
        if page.origin.is_some() {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(cors: &Cors, origin: Option<&'static str>) -> HeaderMap {
        let mut response = HeaderMap::new();
        let page = Page {
            origin: origin.map(HeaderValue::from_static),
            headers: None,
        };
        cors.apply(&page, &mut response);
        response
    }

    #[test]
    fn any_origin_is_the_documented_default() {
        let headers = apply(&Cors::Any, None);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], HEADERS);
        assert!(!headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
    }

    #[test]
    fn a_page_may_send_what_it_asks_for_and_read_what_there_is() {
        let mut response = HeaderMap::new();
        let page = Page {
            origin: Some(HeaderValue::from_static("https://app.example")),
            headers: Some(HeaderValue::from_static("mcp-session-id, mcp-param-x")),
        };
        Cors::Any.apply(&page, &mut response);
        let allowed = response[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        assert!(allowed.starts_with("Origin, "), "{allowed}");
        assert!(
            allowed.ends_with(", mcp-session-id, mcp-param-x"),
            "{allowed}"
        );
        assert_eq!(response[ACCESS_CONTROL_EXPOSE_HEADERS], EXPOSED);
        // A stranger may do neither.
        let mut response = HeaderMap::new();
        Cors::Origins(Box::default()).apply(&page, &mut response);
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
    }

    #[test]
    fn a_list_admits_its_members_only() {
        let listed = HeaderValue::from_static("https://app.example");
        let cors = Cors::Origins(vec![listed.clone()].into());
        let headers = apply(&cors, Some("https://app.example"));
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], listed);
        assert_eq!(headers[VARY], "origin");
        for other in [None, Some("https://evil.example"), Some("null")] {
            let headers = apply(&cors, other);
            assert!(
                !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN),
                "{other:?}"
            );
            assert_eq!(headers[VARY], "origin");
        }
    }
}
