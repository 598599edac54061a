//! The front doors: one module for each dialect. A front door reads a request, hands on a
//! call, and renders the answer and the errors in its own words; it decides nothing.

pub(crate) mod detail;
pub(crate) mod manage;
pub(crate) mod mcp;
pub(crate) mod probes;
pub(crate) mod request;
pub(crate) mod tools;

use http::Response;

use crate::{error::Error, shared::Shared};

/// The answer to a request that no door gets to see, in the words of the door that it came to.
pub(crate) type Refuse = fn(&Shared, &Error) -> Response<axum::body::Body>;

/// How requests to a path are refused.
pub(crate) fn refusing(path: &str) -> Refuse {
    let below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if ["/gateway", "/tools", "/health"].into_iter().any(below) {
        |_, error| detail::error(error)
    } else {
        |shared, error| request::refuse(shared, error).map(axum::body::Body::new)
    }
}
