use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        VARY,
    },
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Origin, X-Requested-With, Content-Type, Accept, Authorization, X-API-Key",
);

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
    /// Whether a page of `origin` is one of those that may read answers.
    pub(crate) fn lists(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Origins(origins) => origins.contains(origin),
        }
    }

    /// Adds the headers that an answer to a request from `origin` may have.
    pub(crate) fn apply(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        let allowed = match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Origins(origins) => {
                response.append(VARY, HeaderValue::from_static("origin"));
                match origin.filter(|origin| origins.contains(origin)) {
                    Some(origin) => origin.clone(),
                    None => return,
                }
            }
        };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        response.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        response.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(cors: &Cors, origin: Option<&'static str>) -> HeaderMap {
        let mut response = HeaderMap::new();
        cors.apply(origin.map(HeaderValue::from_static).as_ref(), &mut response);
        response
    }

    #[test]
    fn any_origin_is_the_documented_default() {
        let headers = apply(&Cors::Any, None);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], HEADERS);
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
