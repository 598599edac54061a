use std::time::SystemTime;

use http::{Response, StatusCode};

use crate::{Classify, Fault, FaultKind, Outcome, retry_after};

/// What HTTP responses and transport errors say about a service.
///
/// | result | outcome |
/// |---|---|
/// | 429 | [`Limited`](Outcome::Limited), with its `Retry-After` |
/// | 5xx except 501 and 505 | [`Failure`](Outcome::Failure), with its `Retry-After` |
/// | all others, 4xx among them | [`Success`](Outcome::Success): the service answered |
/// | not sent, interrupted, timed out | [`Failure`](Outcome::Failure) |
/// | rejected by us, caller's fault | [`Ignored`](Outcome::Ignored) |
///
/// A 404 is a success because a half-open circuit asks one question only, whether the service
/// works again, and a service that says "no such user" does.
///
/// `Retry-After` dates are read against the clock given to [`HttpClassifier::new`].
#[derive(Clone, Copy, Debug)]
pub struct HttpClassifier {
    now: fn() -> SystemTime,
}

impl HttpClassifier {
    /// A classifier that reads the date from `now`, which is asked only when a response bears a
    /// `Retry-After` date: `|| Clock::tokio().wall()` where tests pause the time.
    #[must_use]
    pub fn new(now: fn() -> SystemTime) -> Self {
        Self { now }
    }
}

impl Default for HttpClassifier {
    /// Reads the system's date.
    fn default() -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "a date from another machine is only comparable to the system's date"
        )]
        Self::new(SystemTime::now)
    }
}

impl<B, E: Fault> Classify<Response<B>, E> for HttpClassifier {
    #[inline]
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) => {
                let hint = || retry_after(response.headers(), self.now);
                match response.status() {
                    StatusCode::TOO_MANY_REQUESTS => Outcome::Limited {
                        retry_after: hint(),
                    },
                    StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
                        Outcome::Success
                    }
                    status if status.is_server_error() => Outcome::Failure {
                        retry_after: hint(),
                    },
                    _ => Outcome::Success,
                }
            }
            Err(error) => match error.fault() {
                FaultKind::NotSent | FaultKind::Interrupted | FaultKind::TimedOut => {
                    Outcome::FAILURE
                }
                FaultKind::Rejected { .. } | FaultKind::Caller => Outcome::Ignored,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Broken(FaultKind);

    impl Fault for Broken {
        fn fault(&self) -> FaultKind {
            self.0
        }
    }

    fn status(code: u16) -> Outcome {
        let response = Response::builder().status(code).body(()).unwrap();
        HttpClassifier::default().classify(Ok::<_, &Broken>(&response))
    }

    #[test]
    fn statuses() {
        for answered in [200, 204, 304, 400, 401, 403, 404, 409, 422, 499, 501, 505] {
            assert_eq!(status(answered), Outcome::Success, "{answered}");
        }
        for failed in [500, 502, 503, 504, 599] {
            assert_eq!(status(failed), Outcome::FAILURE, "{failed}");
        }
        assert_eq!(status(429), Outcome::Limited { retry_after: None });
    }

    #[test]
    fn errors() {
        let classify =
            |kind| HttpClassifier::default().classify(Err::<&Response<()>, _>(&Broken(kind)));
        for failed in [
            FaultKind::NotSent,
            FaultKind::Interrupted,
            FaultKind::TimedOut,
        ] {
            assert_eq!(classify(failed), Outcome::FAILURE);
        }
        let rejected = FaultKind::Rejected { retry_after: None };
        for ignored in [rejected, FaultKind::Caller] {
            assert_eq!(classify(ignored), Outcome::Ignored);
        }
    }

    #[test]
    fn a_failing_service_may_say_when_to_return() {
        let response = Response::builder()
            .status(503)
            .header("retry-after", "9")
            .body(())
            .unwrap();
        let outcome = HttpClassifier::default().classify(Ok::<_, &Broken>(&response));
        assert_eq!(outcome.retry_after(), Some(Duration::from_secs(9)));
    }

    #[test]
    fn the_date_is_asked_only_about_a_date() {
        fn nobody_asks() -> SystemTime {
            panic!("asked for the date")
        }
        let classifier = HttpClassifier::new(nobody_asks);
        let plain = Response::builder().status(503).body(()).unwrap();
        let seconds = Response::builder()
            .status(429)
            .header("retry-after", "3")
            .body(())
            .unwrap();
        for response in [plain, seconds] {
            let _ = classifier.classify(Ok::<_, &std::convert::Infallible>(&response));
        }
    }
}
