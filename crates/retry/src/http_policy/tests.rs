use std::time::Duration;

use bartizan_classify::FaultKind;
use http::{Method, header::RETRY_AFTER};

use super::*;

use RequestClass::{Idempotent, Safe, Unsafe};

struct Broken(FaultKind);

impl Fault for Broken {
    fn fault(&self) -> FaultKind {
        self.0
    }
}

fn policy() -> HttpPolicy<()> {
    HttpPolicy::new(Clock::tokio())
}

/// The verdict on a status, with a `Retry-After` of so many seconds.
fn on_status(
    policy: HttpPolicy<()>,
    class: RequestClass,
    status: u16,
    after: Option<u64>,
) -> Verdict {
    let mut response = Response::builder().status(status);
    if let Some(seconds) = after {
        response = response.header(RETRY_AFTER, seconds);
    }
    let response = response.body(()).unwrap();
    Policy::<Request<()>, _, Broken>::verdict(&policy, class, Ok(&response))
}

fn on_fault(class: RequestClass, kind: FaultKind) -> Verdict {
    Policy::<Request<()>, Response<()>, _>::verdict(&policy(), class, Err(&Broken(kind)))
}

fn retry(reason: Reason, after: Option<u64>) -> Verdict {
    Verdict::Retry {
        after: after.map(Duration::from_secs),
        reason,
    }
}

/// What the table of [`HttpPolicy`] says, written out cell by cell.
#[test]
fn every_status_for_every_class() {
    let hints = [None, Some(0), Some(7)];
    for status in 200..=599 {
        for after in hints {
            for (class, repeats) in [(Safe, true), (Idempotent, true), (Unsafe, false)] {
                let expected = match (status, after, repeats) {
                    (429, Some(_), _) | (429, None, true) => retry(Reason::Limited, after),
                    (503, Some(_), _) | (502..=504, _, true) => retry(Reason::Unavailable, after),
                    _ => Verdict::Done,
                };
                let verdict = on_status(policy(), class, status, after);
                assert_eq!(verdict, expected, "{status} {after:?} {class:?}");
            }
        }
    }
}

#[test]
fn every_fault_for_every_class() {
    let rejected = |retry_after| FaultKind::Rejected { retry_after };
    for (class, repeats) in [(Safe, true), (Idempotent, true), (Unsafe, false)] {
        let sent = |reason| {
            if repeats {
                retry(reason, None)
            } else {
                Verdict::Done
            }
        };
        for (kind, expected) in [
            (FaultKind::NotSent, retry(Reason::NotSent, None)),
            (FaultKind::Interrupted, sent(Reason::Interrupted)),
            (FaultKind::TimedOut, sent(Reason::TimedOut)),
            (rejected(None), Verdict::Done),
            (rejected(Some(Duration::from_secs(1))), Verdict::Done),
            (FaultKind::Caller, Verdict::Done),
        ] {
            assert_eq!(on_fault(class, kind), expected, "{kind:?} {class:?}");
        }
    }
}

#[test]
fn internal_errors_are_repeated_on_request_and_only_if_that_is_harmless() {
    let policy = policy().retry_internal_errors(true);
    let verdict = |class, status| on_status(policy, class, status, None);
    for class in [Safe, Idempotent] {
        assert_eq!(verdict(class, 500), retry(Reason::InternalError, None));
        assert_eq!(verdict(class, 501), Verdict::Done);
        assert_eq!(verdict(class, 200), Verdict::Done);
        assert_eq!(verdict(class, 502), retry(Reason::Unavailable, None));
    }
    assert_eq!(verdict(Unsafe, 500), Verdict::Done);
}

#[tokio::test(start_paused = true)]
async fn dates_are_compared_with_the_clock_of_the_policy() {
    let clock = Clock::tokio();
    let date = httpdate::fmt_http_date(clock.wall() + Duration::from_secs(3600));
    let response = Response::builder().status(503).header(RETRY_AFTER, date);
    let response = response.body(()).unwrap();
    let after = || {
        let verdict = Policy::<Request<()>, _, Broken>::verdict(&policy(), Unsafe, Ok(&response));
        let Verdict::Retry {
            after: Some(after), ..
        } = verdict
        else {
            panic!("{verdict:?}");
        };
        // A date has no fractions of a second.
        after.as_secs_f64().ceil()
    };
    assert_eq!(after(), 3600.0);
    tokio::time::advance(Duration::from_secs(3000)).await;
    assert_eq!(after(), 600.0);
}

#[test]
fn the_date_is_asked_only_where_it_matters() {
    let mut response = Response::new(());
    let mut verdict = |status, after: Option<&'static str>| {
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().clear();
        if let Some(after) = after {
            let after = HeaderValue::from_static(after);
            response.headers_mut().insert(RETRY_AFTER, after);
        }
        let response = &response;
        http_verdict(Safe, Ok::<_, &Broken>(response), || panic!("asked"))
    };
    assert_eq!(verdict(200, Some("1")), Verdict::Done);
    assert_eq!(verdict(429, None), retry(Reason::Limited, None));
    assert_eq!(verdict(502, None), retry(Reason::Unavailable, None));
}

#[test]
fn the_class_is_that_of_the_method_and_the_key() {
    let class = |method: Method, key: Option<&str>| {
        let mut request = Request::builder().method(method);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        class_by_method(&request.body(()).unwrap())
    };
    assert_eq!(class(Method::GET, None), Safe);
    assert_eq!(class(Method::GET, Some("a")), Safe);
    assert_eq!(class(Method::PUT, None), Idempotent);
    assert_eq!(class(Method::POST, None), Unsafe);
    assert_eq!(class(Method::POST, Some("8e03978e")), Idempotent);
    assert_eq!(class(Method::PATCH, Some("8e03978e")), Idempotent);
    assert_eq!(class(Method::POST, Some("")), Unsafe, "promises nothing");
}

/// The policy, with the types that its trait leaves open chosen.
fn chosen<B: Clone>(policy: HttpPolicy<B>) -> impl Policy<Request<B>, Response<()>, Broken> {
    policy
}

#[test]
fn a_repeated_request_is_the_same_but_for_the_number_of_its_attempt() {
    let policy = chosen(HttpPolicy::new(Clock::tokio()));
    let request = Request::post("/orders")
        .header("idempotency-key", "8e03978e")
        .extension(7_u8)
        .body("two lamps")
        .unwrap();
    let mut again = policy.replay(&request).unwrap();
    for attempt in [2, 3] {
        policy.attempt(&mut again, attempt);
        assert_eq!(again.extensions().get(), Some(&Attempt(attempt)));
        assert_eq!(again.headers()[RETRY_ATTEMPT], attempt.to_string());
        assert_eq!(again.headers().len(), 2);
    }
    assert_eq!(again.headers()["idempotency-key"], "8e03978e");
    assert_eq!(again.extensions().get(), Some(&7_u8));
    assert_eq!(again.uri(), "/orders");
    assert_eq!(again.method(), Method::POST);
    assert_eq!(*again.body(), "two lamps");
}

#[test]
fn only_a_response_of_several_attempts_is_marked() {
    let policy = chosen(policy());
    let marked = |attempts| {
        let mut result = Ok(Response::new(()));
        policy.finish(&mut result, attempts);
        result.ok().unwrap().extensions().get::<Attempt>().copied()
    };
    assert_eq!(marked(1), None);
    assert_eq!(marked(3), Some(Attempt(3)));
}

#[test]
fn class_deadline_and_body_can_be_judged_otherwise() {
    let at = Instant::from_nanos(9);
    let request = Request::get("/")
        .extension(Deadline(at))
        .body("short")
        .unwrap();
    let usual = chosen(HttpPolicy::new(Clock::tokio()));
    assert_eq!(usual.class(&request), Safe);
    assert_eq!(usual.deadline(&request), Some(at));
    assert!(usual.replayable(&request));
    let other = chosen(
        HttpPolicy::new(Clock::tokio())
            .class_by(|_| Unsafe)
            .deadline_by(|_| None)
            .replayable_by(|body: &&str| body.len() > 5),
    );
    assert_eq!(other.class(&request), Unsafe);
    assert_eq!(other.deadline(&request), None);
    assert!(!other.replayable(&request));
    assert!(other.replay(&request).is_none());
}
