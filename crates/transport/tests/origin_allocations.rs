//! What looking at a request's host and origin costs in memory: nothing.

use bartizan_transport::origin::OriginCheck;
use http::{HeaderMap, HeaderValue};

#[test]
fn a_request_is_checked_without_allocating() {
    let check = OriginCheck::new(["gw.example"], ["https://app.example"], true).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("gw.example:8080"));
    headers.insert("origin", HeaderValue::from_static("https://app.example"));
    let cost = allocation_counter::measure(|| {
        assert_eq!(check.check(&headers, None), Ok(()));
    });
    assert_eq!(cost.count_total, 0, "{cost:?}");
}
