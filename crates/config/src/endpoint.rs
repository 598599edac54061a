use std::{fmt, num::NonZeroU32};

use http::Uri;
use url::Url;

use crate::{
    Variable,
    value::{Fault, Value, no_url},
};

/// Enough for any difference between machines, and far from any overflow of a sum of weights.
const MAX_WEIGHT: u32 = 1000;

/// More instances than this are for service discovery, not for a variable.
const MAX_ENDPOINTS: usize = 1000;

/// Where one instance of a service is reached.
///
/// Written as a URL of `http` or `https`, whose path may be a prefix, and optionally its weight:
/// `http://user-service:8080;weight=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    text: String,
    url: Url,
    weight: NonZeroU32,
}

impl Endpoint {
    /// The URL as it was written, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL. It has a host, and neither user nor password, query nor fragment.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How often it is chosen in relation to the others, from 1 to 1000. Default: 1.
    #[must_use]
    pub fn weight(&self) -> NonZeroU32 {
        self.weight
    }

    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let mut parts = text.split(';').map(str::trim);
        let address = parts.next().unwrap_or_default();
        let url = <Url as Value>::parse(variable, address)?;
        if url.query().is_some() || url.fragment().is_some() {
            // Queries are where some services want their keys.
            return Err(Fault::Unquotable(
                "not hold a query or a fragment; the query of an MCP server is MCP_SERVICE_<NAME>_QUERY".to_owned(),
            ));
        }
        // `url` mends what browsers forgive, such as `http:host`; what is sent is not mended.
        if !address.parse().is_ok_and(|uri: Uri| uri.scheme().is_some()) {
            return Err(no_url(variable, address, ""));
        }
        let mut weight = NonZeroU32::MIN;
        for part in parts {
            weight = part
                .strip_prefix("weight=")
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|weight: &NonZeroU32| weight.get() <= MAX_WEIGHT)
                .ok_or_else(|| {
                    Fault::must(format!(
                        "hold nothing after a URL but ;weight= and a number from 1 to {MAX_WEIGHT}"
                    ))
                })?;
        }
        // A slash behind a path is part of it: servers of MCP that are mounted at `/mcp/` know no other.
        let has_no_path = url.path() == "/";
        let text = if has_no_path {
            address.trim_end_matches('/')
        } else {
            address
        };
        Ok(Self {
            text: text.to_owned(),
            url,
            weight,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.weight > NonZeroU32::MIN {
            write!(f, ";weight={}", self.weight)?;
        }
        Ok(())
    }
}

impl Value for Vec<Endpoint> {
    fn parse(variable: &Variable, text: &str) -> Result<Self, Fault> {
        let mut endpoints: Self = Self::new();
        for item in crate::value::items(text, &[',']) {
            let endpoint = Endpoint::parse(variable, item)?;
            if endpoints.iter().any(|other| other.url == endpoint.url) {
                return Err(Fault::must("list every endpoint once"));
            }
            if endpoints.len() == MAX_ENDPOINTS {
                return Err(Fault::must(format!(
                    "list at most {MAX_ENDPOINTS} endpoints"
                )));
            }
            endpoints.push(endpoint);
        }
        if endpoints.is_empty() {
            return Err(Fault::Rule);
        }
        Ok(endpoints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    fn parse(text: &str) -> Result<Vec<Endpoint>, Fault> {
        Value::parse(&table::ENDPOINT, text)
    }

    #[test]
    fn several_endpoints_with_weights() {
        let endpoints = parse("http://a:8080/ , https://b/base;weight=3").unwrap();
        assert_eq!(endpoints[0].as_str(), "http://a:8080");
        assert_eq!(endpoints[0].weight().get(), 1);
        assert_eq!(endpoints[1].as_str(), "https://b/base");
        assert_eq!(endpoints[1].weight().get(), 3);
        assert_eq!(endpoints[1].to_string(), "https://b/base;weight=3");
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for text in ["http://", ",", "http://m\u{fc}nchen"] {
            assert_eq!(parse(text), Err(Fault::Rule), "{text}");
        }
        let begin = Fault::RuleAnd("it must begin with http:// or https://".to_owned());
        for text in [
            "nonsense",
            "user-service:8080",
            "ftp://a",
            "/path",
            "http:a",
            "http:\\\\a",
        ] {
            assert_eq!(parse(text).as_ref(), Err(&begin), "{text}");
        }
        for text in [
            "http://a;weight=0",
            "http://a;weight=1001",
            "http://a;weight=+2",
            "http://a;weight=",
            "http://a;w=2",
            "http://a,http://a/",
        ] {
            assert!(matches!(parse(text), Err(Fault::Must(_))), "{text}");
        }
    }

    #[test]
    fn what_may_hold_a_secret_is_not_quoted() {
        for text in [
            "http://u:p@a",
            "http://u:p@:99999",
            "http://a?key=s",
            "http://a#s",
        ] {
            assert!(matches!(parse(text), Err(Fault::Unquotable(_))), "{text}");
        }
    }
}
