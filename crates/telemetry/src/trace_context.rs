use std::fmt;

use http::{HeaderMap, HeaderValue};
use thiserror::Error;

use crate::{request_id::hex, trace_state};

/// A place in a distributed trace, as [W3C Trace Context][spec] writes it.
///
/// [spec]: https://www.w3.org/TR/trace-context/
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// A `traceparent` that does not follow the standard; the trace begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a valid traceparent")]
pub struct InvalidTraceparent;

impl TraceContext {
    /// Longest `tracestate` passed on by [`tracestate`](crate::tracestate), in bytes: what the
    /// standard asks to keep at least.
    pub const MAX_TRACESTATE: usize = trace_state::MAX_LENGTH;

    /// The first span of a new trace, not marked as sampled.
    #[must_use]
    pub fn random() -> Self {
        Self {
            trace_id: fastrand::u128(1..),
            span_id: fastrand::u64(1..),
            flags: 0,
        }
    }

    /// Reads the `traceparent` of these headers; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When it is malformed, has an id of zero, or is there more than once: then nobody can tell
    /// which one is meant.
    pub fn from_headers(headers: &HeaderMap) -> Option<Result<Self, InvalidTraceparent>> {
        let mut values = headers.get_all("traceparent").iter();
        let first = values.next()?;
        Some(match values.next() {
            Some(_) => Err(InvalidTraceparent),
            None => Self::parse(first.as_bytes()),
        })
    }

    /// Reads the value of a `traceparent` header.
    ///
    /// Versions above 00 are read as version 00, whatever follows the flags, as the standard
    /// prescribes.
    ///
    /// # Errors
    ///
    /// When the header is malformed or one of its ids is zero.
    pub fn parse(traceparent: &[u8]) -> Result<Self, InvalidTraceparent> {
        let parse = || {
            let (head, rest) = traceparent.split_at_checked(55)?;
            let separators = [head[2], head[35], head[52]];
            let version = digits(&head[..2])?;
            let whole = match version {
                0 => rest.is_empty(),
                0xff => false,
                _ => rest.is_empty() || rest[0] == b'-',
            };
            if separators != *b"---" || !whole {
                return None;
            }
            let context = Self {
                trace_id: digits(&head[3..35])?,
                span_id: u64::try_from(digits(&head[36..52])?).ok()?,
                flags: u8::try_from(digits(&head[53..])?).ok()?,
            };
            (context.trace_id != 0 && context.span_id != 0).then_some(context)
        };
        parse().ok_or(InvalidTraceparent)
    }

    /// A new span in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: fastrand::u64(1..),
            // Of the flags only "sampled" is defined, and only what is defined may be passed on.
            flags: self.flags & 1,
            ..self
        }
    }

    /// Whether the caller records this trace.
    #[must_use]
    pub fn sampled(self) -> bool {
        self.flags & 1 == 1
    }

    /// The context as a `traceparent` header.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        text[3..35].copy_from_slice(&hex::<32>(self.trace_id));
        text[36..52].copy_from_slice(&hex::<16>(u128::from(self.span_id)));
        text[53..].copy_from_slice(&hex::<2>(u128::from(self.flags)));
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("00"))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

/// Lower-case hexadecimal digits as a number; the standard forbids capitals.
fn digits(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_standards_example_is_read_and_written() {
        let context = TraceContext::parse(GOOD.as_bytes()).unwrap();
        assert!(context.sampled());
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.to_header(), GOOD);
    }

    #[test]
    fn two_parents_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceContext::from_headers(&headers), None);
        headers.append("traceparent", HeaderValue::from_static(GOOD));
        assert_eq!(
            TraceContext::from_headers(&headers)
                .unwrap()
                .unwrap()
                .to_string(),
            GOOD
        );
        headers.append("traceparent", HeaderValue::from_static(GOOD));
        assert_eq!(
            TraceContext::from_headers(&headers),
            Some(Err(InvalidTraceparent))
        );
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let parent = TraceContext::parse(GOOD.as_bytes()).unwrap();
        let child = parent.child();
        assert_eq!(
            (child.trace_id, child.flags),
            (parent.trace_id, parent.flags)
        );
        assert_ne!(child.span_id, parent.span_id);
    }

    #[test]
    fn later_versions_are_read_as_this_one() {
        let later = GOOD.replacen("00", "cc", 1);
        assert!(TraceContext::parse(later.as_bytes()).is_ok());
        assert!(TraceContext::parse(format!("{later}-what-the-future-brings").as_bytes()).is_ok());
        assert!(TraceContext::parse(format!("{later}.what").as_bytes()).is_err());
    }

    #[test]
    fn hostile_headers_begin_a_new_trace() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-"),
            &format!("{GOOD}x"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace('a', "A"),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        ] {
            assert_eq!(
                TraceContext::parse(bad.as_bytes()),
                Err(InvalidTraceparent),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace_id in 1_u128.., span_id in 1_u64.., flags in any::<u8>()) {
            let context = TraceContext { trace_id, span_id, flags };
            let header = context.to_header();
            prop_assert_eq!(TraceContext::parse(header.as_bytes()), Ok(context));
            prop_assert_eq!(header.to_str().unwrap(), context.to_string());
        }

        #[test]
        fn any_header_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceContext::parse(&bytes);
        }
    }
}
