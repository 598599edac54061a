use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::Unplaceable;

/// Whether a cookie can be called `name`: a token of [RFC 9110, section 5.6.2][rfc].
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether `value` can be a cookie's as it is, by [RFC 6265, section 4.1.1][rfc]. There is no
/// encoding that servers agree on, so anything else is refused and not guessed.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
pub(crate) fn is_value(value: &str) -> bool {
    value
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b))
}

/// One `Cookie` header with the cookies of `headers` and then `pair`, which replaces any that is
/// called `name`.
pub(crate) fn with(
    headers: &HeaderMap,
    name: &str,
    pair: &HeaderValue,
) -> Result<HeaderValue, Unplaceable> {
    if !headers.contains_key(COOKIE) {
        return Ok(pair.clone());
    }
    let present = headers.get_all(COOKIE);
    let length: usize = present.iter().map(|value| value.len() + 2).sum();
    let mut cookies = BytesMut::with_capacity(length + pair.len());
    let crumbs = present
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b';'));
    for crumb in crumbs.map(<[u8]>::trim_ascii) {
        let called = crumb.split(|b| *b == b'=').next().unwrap_or(crumb);
        if !crumb.is_empty() && called.trim_ascii() != name.as_bytes() {
            cookies.put_slice(crumb);
            cookies.put_slice(b"; ");
        }
    }
    cookies.put_slice(pair.as_bytes());
    let cookies: Bytes = cookies.freeze();
    let mut cookies = HeaderValue::from_maybe_shared(cookies).map_err(|_| Unplaceable)?;
    cookies.set_sensitive(true);
    Ok(cookies)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn add(present: &[&str], name: &str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in present {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        let pair = HeaderValue::from_str(&format!("{name}={value}")).unwrap();
        let cookies = with(&headers, name, &pair).unwrap();
        cookies.to_str().unwrap().to_owned()
    }

    #[test]
    fn cookies_are_joined_and_ours_is_the_only_one_of_its_name() {
        assert_eq!(add(&[], "k", "v"), "k=v");
        assert_eq!(add(&["a=1; b=2"], "k", "v"), "a=1; b=2; k=v");
        assert_eq!(add(&["a=1", "b=2;"], "k", "v"), "a=1; b=2; k=v");
        assert_eq!(add(&["k=theirs;a=1", " k =x"], "k", "v"), "a=1; k=v");
        assert_eq!(add(&["K=theirs"], "k", "v"), "K=theirs; k=v");
    }

    #[test]
    fn a_joined_header_stays_sensitive() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("a=1"));
        let cookies = with(&headers, "k", &HeaderValue::from_static("k=v")).unwrap();
        assert!(cookies.is_sensitive());
    }

    #[test]
    fn names_and_values_of_the_standards() {
        assert!(is_name("session-id"));
        assert!(is_value("a%20b+/=~"));
        for name in ["", "a b", "a=b", "a;b", "é"] {
            assert!(!is_name(name), "{name}");
        }
        for value in ["a b", "a;b", "a,b", "a\"b", "a\\b", "a\n", "é"] {
            assert!(!is_value(value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn ours_comes_last_and_the_others_stay_in_order(
            others in proptest::collection::vec(("[a-z]{1,4}", "[!-~&&[^\",;\\\\]]{0,8}"), 0..5),
            name in "[a-zA-Z_-]{1,4}",
            value in "[!-~&&[^\",;\\\\]]{1,20}",
        ) {
            prop_assume!(is_value(&value));
            let line: Vec<_> = others.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let line = line.join("; ");
            let present: Vec<&str> = if line.is_empty() { vec![] } else { vec![&line] };
            let joined = add(&present, &name, &value);
            let got: Vec<_> = joined.split("; ").map(|c| c.split_once('=').unwrap()).collect();
            let mut expected: Vec<_> = others
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .filter(|(n, _)| *n != name)
                .collect();
            expected.push((&name, &value));
            prop_assert_eq!(got, expected);
        }
    }
}
