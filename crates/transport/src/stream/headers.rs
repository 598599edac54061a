use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

/// Sets the headers that every `text/event-stream` needs to arrive as it is sent.
///
/// Besides the content type these are `cache-control: no-cache`, and `x-accel-buffering: no`, which
/// makes nginx and those that learned from it pass on every event at once.
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// bartizan_transport::stream::set_headers(&mut headers);
/// assert_eq!(headers["content-type"], "text/event-stream");
/// ```
pub fn set_headers(headers: &mut HeaderMap) {
    const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_before_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        set_headers(&mut headers);
        assert_eq!(headers.len(), 3);
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["x-accel-buffering"], "no");
    }
}
