use http::{HeaderMap, HeaderName, HeaderValue};

const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What the standard asks to keep at least, and what is kept at most.
pub(crate) const MAX_LENGTH: usize = 512;

/// The most members that the standard allows.
const MAX_MEMBERS: usize = 32;

/// The members that are dropped first when there is too much: those longer than this.
const LONG_MEMBER: usize = 128;

/// The `tracestate` of `headers`, fit to be passed on as one header.
///
/// It belongs to the `traceparent` of the same headers: pass it on only if that one could be
/// read. Follows [section 3.3 of the standard][spec]: several headers are joined; a list that is
/// malformed, names a key twice, or has more than 32 members is dropped as a whole; of one
/// longer than 512 bytes the members above 128 bytes are dropped, then those at the end.
///
/// A single header that needs no change is not copied.
///
/// [spec]: https://www.w3.org/TR/trace-context/#tracestate-header
#[must_use]
pub fn tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let members = members(headers)?;
    let length = |members: &[&str]| -> usize {
        let separators = members.len().saturating_sub(1);
        members.iter().map(|member| member.len()).sum::<usize>() + separators
    };
    if values.next().is_none() && first.len() <= MAX_LENGTH && !members.is_empty() {
        return Some(first.clone());
    }
    let mut kept = members;
    if length(&kept) > MAX_LENGTH {
        kept.retain(|member| member.len() <= LONG_MEMBER);
    }
    while length(&kept) > MAX_LENGTH {
        kept.pop();
    }
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_str(&kept.join(",")).ok()
}

/// The members of all headers in their order, if every one is sound.
fn members(headers: &HeaderMap) -> Option<Vec<&str>> {
    let mut members: Vec<&str> = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?;
        for member in value
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']))
        {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let taken = |other: &&str| other.split_once('=').is_some_and(|(other, _)| other == key);
            if members.len() == MAX_MEMBERS
                || !is_key(key)
                || !is_value(value)
                || members.iter().any(taken)
            {
                return None;
            }
            members.push(member);
        }
    }
    Some(members)
}

/// A vendor's key, or `tenant@vendor`.
fn is_key(key: &str) -> bool {
    let part = |part: &str, longest: usize, digit_first: bool| {
        let bytes = part.as_bytes();
        let first = bytes.first().is_some_and(|first| {
            first.is_ascii_lowercase() || (digit_first && first.is_ascii_digit())
        });
        let rest = |b: &u8| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*' | b'/')
        };
        first && bytes.len() <= longest && bytes.iter().all(rest)
    };
    match key.split_once('@') {
        Some((tenant, vendor)) => part(tenant, 241, true) && part(vendor, 14, false),
        // Level 2 of the standard lets a key begin with a digit.
        None => part(key, 256, true),
    }
}

/// Printable ASCII without commas and equals signs. It ends in no blank: members are trimmed.
fn is_value(value: &str) -> bool {
    let printable = |b: u8| (b' '..=b'~').contains(&b) && b != b',' && b != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::{any, prop_assert, prop_assert_eq, proptest},
    };

    use super::*;

    fn passed_on<T: AsRef<str>>(values: &[T]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACESTATE, HeaderValue::from_str(value.as_ref()).unwrap());
        }
        tracestate(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_sound_list_is_passed_on_as_it_is() {
        for sound in [
            "rojo=00f067aa0ba902b7",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "rojo=1 , congo=2,",
            "fw529a3039@dt=FfFF x!",
            "0key=1",
        ] {
            assert_eq!(passed_on(&[sound]).as_deref(), Some(sound));
        }
    }

    #[test]
    fn several_headers_become_one() {
        assert_eq!(passed_on(&["a=1", " b=2 ,", "c=3"]).unwrap(), "a=1,b=2,c=3");
        assert_eq!(passed_on(&["a=1", "a=2"]), None);
    }

    #[test]
    fn a_malformed_list_is_dropped_as_a_whole() {
        for bad in [
            "", ",", "a", "=1", "a=", "A=1", "a=1,a=2", "a=1=2", "a b=1", "@v=1", "t@=1", "t@0v=1",
            "a=1,b", "a=\u{e9}",
        ] {
            assert_eq!(passed_on(&[bad]), None, "{bad:?}");
        }
        let many: Vec<_> = (0..33).map(|n| format!("k{n}=1")).collect();
        assert_eq!(passed_on(&[many.join(",")]), None);
        assert!(passed_on(&[many[..32].join(",")]).is_some());
        assert_eq!(passed_on(&[format!("a={}", "x".repeat(257))]), None);
    }

    #[test]
    fn too_much_loses_the_long_ones_and_then_the_last() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<_> = (0..6).map(|n| format!("k{n}={}", "x".repeat(90))).collect();
        let list = format!("{long},{}", short.join(","));
        assert_eq!(passed_on(&[list]).unwrap(), short[..5].join(","));
    }

    proptest! {
        #[test]
        fn what_is_passed_on_is_sound(values in vec("[a-c0=, @_\\-]{0,40}", 0..5)) {
            if let Some(state) = passed_on(&values) {
                prop_assert!(state.len() <= MAX_LENGTH);
                prop_assert_eq!(passed_on(&[&state]), Some(state.clone()));
            }
        }

        #[test]
        fn any_headers_are_survived(values in vec(vec(any::<u8>(), 0..600), 0..4)) {
            let mut headers = HeaderMap::new();
            for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
                headers.append(TRACESTATE, value);
            }
            let _ = tracestate(&headers);
        }
    }
}
