use http::{
    Uri,
    uri::{Parts, PathAndQuery},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Unplaceable;

/// All but the unreserved characters of [RFC 3986, section 2.3][rfc], which no server reads as
/// anything else.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc3986#section-2.3
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What the `http` crate can hold in one URI.
const MAX_URI_BYTES: usize = u16::MAX as usize - 1;

/// `text` as a part of a query or a form.
pub(crate) fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

/// `name=value`, encoded.
pub(crate) fn pair(name: &str, value: &str) -> String {
    format!("{}={}", encode(name), encode(value))
}

/// `uri` with `pair` at the end of its query, and without any other parameter called `name`: two
/// keys would let the service choose.
pub(crate) fn with(uri: &Uri, name: &str, pair: &str) -> Result<Uri, Unplaceable> {
    let path = uri.path();
    let capacity = path.len() + uri.query().map_or(0, str::len) + pair.len() + 2;
    if !path.starts_with('/') || capacity > MAX_URI_BYTES {
        return Err(Unplaceable);
    }
    let mut target = String::with_capacity(capacity);
    target.push_str(path);
    let mut separator = '?';
    let kept = uri.query().into_iter().flat_map(|query| query.split('&'));
    for part in kept.filter(|part| !part.is_empty() && !is_called(part, name)) {
        target.push(separator);
        target.push_str(part);
        separator = '&';
    }
    target.push(separator);
    target.push_str(pair);

    let target = PathAndQuery::try_from(target).map_err(|_| Unplaceable)?;
    let mut parts: Parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|_| Unplaceable)
}

fn is_called(part: &str, name: &str) -> bool {
    let encoded = part.split_once('=').map_or(part, |(name, _)| name);
    if !encoded.contains(['%', '+']) {
        return encoded == name;
    }
    let spaced = encoded.replace('+', " ");
    *percent_decode_str(&spaced).decode_utf8_lossy() == *name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(uri: &Uri) -> Vec<(String, String)> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        uri.query()
            .unwrap()
            .split('&')
            .map(|part| part.split_once('=').unwrap())
            .map(|(name, value)| (decode(name), decode(value)))
            .collect()
    }

    #[test]
    fn the_pair_is_appended_to_what_is_there() {
        let add = |uri: &'static str| with(&Uri::from_static(uri), "key", "key=a%20b");
        assert_eq!(add("/x").unwrap(), "/x?key=a%20b");
        assert_eq!(add("/x?").unwrap(), "/x?key=a%20b");
        assert_eq!(add("/x?q=1&r").unwrap(), "/x?q=1&r&key=a%20b");
        assert_eq!(add("http://host").unwrap(), "http://host/?key=a%20b");
        assert_eq!(
            add("https://host:1/x?q=%2F").unwrap(),
            "https://host:1/x?q=%2F&key=a%20b"
        );
    }

    #[test]
    fn a_parameter_of_the_same_name_is_replaced_however_it_is_written() {
        for uri in ["/?key=theirs", "/?key", "/?%6bey=theirs", "/?key=1&key=2"] {
            let uri = with(&uri.parse().unwrap(), "key", "key=ours").unwrap();
            assert_eq!(uri, "/?key=ours");
        }
        let spaced = with(&Uri::from_static("/?a+b=1&c=2"), "a b", "a%20b=3").unwrap();
        assert_eq!(spaced, "/?c=2&a%20b=3");
    }

    #[test]
    fn targets_without_a_query_and_overlong_ones_are_refused() {
        for uri in ["*", "host:443"] {
            assert_eq!(with(&uri.parse().unwrap(), "k", "k=v"), Err(Unplaceable));
        }
        let long = format!("k={}", "v".repeat(70_000));
        assert_eq!(with(&Uri::from_static("/"), "k", &long), Err(Unplaceable));
    }

    proptest! {
        #[test]
        fn any_name_and_key_arrive_as_they_were(
            name in "\\PC{1,20}",
            key in any::<String>(),
            others in proptest::collection::vec("[a-z]{1,5}=[a-z0-9%]{0,5}", 0..4),
        ) {
            let uri: Uri = format!("/path?{}", others.join("&")).parse().unwrap();
            let uri = with(&uri, &name, &pair(&name, &key)).unwrap();
            let last = uri.query().unwrap().rsplit('&').next().unwrap();
            let last: Uri = format!("/?{last}").parse().unwrap();
            prop_assert_eq!(decoded(&last), [(name.clone(), key)]);
            let before = uri.query().unwrap().split('&').filter(|p| others.iter().any(|o| o == p));
            prop_assert!(before.count() >= others.iter().filter(|o| !is_called(o, &name)).count());
        }
    }
}
