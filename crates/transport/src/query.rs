use http::{Uri, uri::PathAndQuery};

/// `uri` with `query` behind the one that it has, if any; `uri` itself if that is too long.
#[must_use]
pub fn with_query(uri: &Uri, query: &str) -> Uri {
    let between = if uri.query().is_some() { '&' } else { '?' };
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut parts = uri.clone().into_parts();
    let Ok(target) = PathAndQuery::try_from(format!("{target}{between}{query}")) else {
        return uri.clone();
    };
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::with_query;

    #[test]
    fn a_query_is_added_to_what_there_is() {
        for (uri, expected) in [
            ("http://a/mcp", "http://a/mcp?key=1"),
            ("http://a", "http://a/?key=1"),
            ("http://a/m?session=2", "http://a/m?session=2&key=1"),
            ("/m?session=2", "/m?session=2&key=1"),
        ] {
            assert_eq!(with_query(&uri.parse().unwrap(), "key=1"), expected);
        }
    }

    #[test]
    fn one_too_long_is_left_away() {
        let uri = "http://a/m?s=1".parse().unwrap();
        assert_eq!(with_query(&uri, &"k".repeat(70_000)), uri);
    }
}
