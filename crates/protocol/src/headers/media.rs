use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

/// Whether the `Content-Type` of a message is `media`, whatever its parameters are.
///
/// Media types have no case (RFC 9110, section 8.3.1). A message without the header is of none.
#[must_use]
pub fn is_media(headers: &HeaderMap, media: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = value.and_then(|value| value.split(|byte| *byte == b';').next());
    essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(media.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_matter() {
        for (value, expected) in [
            (&b"text/event-stream"[..], true),
            (b"Text/Event-Stream ; charset=utf-8", true),
            (b"text/event-stream;x=\xff", true),
            (b"text/event-streams", false),
            (b"text/event-stream, application/json", false),
            (b"", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(is_media(&headers, "text/event-stream"), expected);
        }
        assert!(!is_media(&HeaderMap::new(), ""));
    }
}
