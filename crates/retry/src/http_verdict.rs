use std::time::SystemTime;

use bartizan_classify::{Fault, FaultKind, RequestClass, retry_after};
use http::{Response, StatusCode};

use crate::{Reason, Verdict};

/// Whether the outcome of an HTTP exchange may and should be repeated.
///
/// The table is at [`HttpPolicy`](crate::HttpPolicy), which is this function and a little more;
/// it stands alone for policies whose requests are not [`http::Request`]s. `now` is the date that
/// `Retry-After` dates are compared with, and is asked only when a response with a status of the
/// table bears that header.
pub fn http_verdict<B, E: Fault>(
    class: RequestClass,
    result: Result<&Response<B>, &E>,
    now: impl FnOnce() -> SystemTime,
) -> Verdict {
    match result {
        Ok(response) => match response.status() {
            // By far the most common, so that it costs one comparison.
            StatusCode::OK => Verdict::Done,
            StatusCode::TOO_MANY_REQUESTS => refused(class, response, Reason::Limited, now),
            StatusCode::SERVICE_UNAVAILABLE => refused(class, response, Reason::Unavailable, now),
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if class.may_repeat() => {
                Verdict::Retry {
                    after: retry_after(response.headers(), now),
                    reason: Reason::Unavailable,
                }
            }
            _ => Verdict::Done,
        },
        Err(error) => match error.fault() {
            FaultKind::NotSent => again(Reason::NotSent),
            FaultKind::Interrupted if class.may_repeat() => again(Reason::Interrupted),
            FaultKind::TimedOut if class.may_repeat() => again(Reason::TimedOut),
            // Kinds that are not known here cannot prove that repeating is harmless.
            _ => Verdict::Done,
        },
    }
}

/// A service that says when to come back says that it has not done the work, so that even an
/// unsafe request may be repeated; without that word nobody knows.
fn refused<B>(
    class: RequestClass,
    response: &Response<B>,
    reason: Reason,
    now: impl FnOnce() -> SystemTime,
) -> Verdict {
    let after = retry_after(response.headers(), now);
    if after.is_some() || class.may_repeat() {
        Verdict::Retry { after, reason }
    } else {
        Verdict::Done
    }
}

fn again(reason: Reason) -> Verdict {
    Verdict::Retry {
        after: None,
        reason,
    }
}
