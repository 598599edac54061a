//! Teaches a circuit breaker what failure means in an API that answers everything with 200.
//!
//! The API of this example says how a call went in the body: `{"status":"ok"}`, `"busy"`, or
//! `"error"` and whose fault it was. To whoever looks at HTTP statuses alone it never fails.

#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::{convert::Infallible, error::Error, time::Duration};

use bartizan_circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, Transition,
};
use bartizan_classify::{Classify, Fault, HttpClassifier, Outcome};
use bartizan_clock::Clock;
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use tower::{ServiceBuilder, ServiceExt};

/// Looks at the HTTP status first and then at the application's own.
///
/// The body has to be in memory by then: put the layer around a service that collects it.
#[derive(Clone, Copy, Debug, Default)]
struct StatusInBody {
    http: HttpClassifier,
}

/// As much of a body as the classifier needs; the rest is skipped.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Reported {
    Ok,
    Busy { retry_in_ms: u64 },
    Error { fault: Whose },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Whose {
    Caller,
    Service,
}

impl<E: Fault> Classify<Response<Bytes>, E> for StatusInBody {
    fn classify(&self, result: Result<&Response<Bytes>, &E>) -> Outcome {
        // Transport errors, 429 and 5xx mean here what they mean everywhere.
        let by_status = self.http.classify(result);
        let (Outcome::Success, Ok(response)) = (by_status, result) else {
            return by_status;
        };
        match serde_json::from_slice(response.body()) {
            Ok(Reported::Ok) => Outcome::Success,
            // Alive, but asks for fewer calls. That is no failure in the row that opens the
            // circuit; too many of them in the window open it all the same.
            Ok(Reported::Busy { retry_in_ms }) => Outcome::Limited {
                retry_after: Some(Duration::from_millis(retry_in_ms)),
            },
            // Says nothing about the service: a caller that sends nonsense must not be able to
            // cut off everybody else.
            Ok(Reported::Error {
                fault: Whose::Caller,
            }) => Outcome::Ignored,
            Ok(Reported::Error {
                fault: Whose::Service,
            }) => Outcome::FAILURE,
            // A page in no known form comes from something broken, here or on the way.
            Err(_) => Outcome::FAILURE,
        }
    }
}

const OK: &str = r#"{"status":"ok","user":"ada"}"#;
const BUSY: &str = r#"{"status":"busy","retry_in_ms":50}"#;
const NONSENSE: &str = r#"{"status":"error","fault":"caller","message":"no such user"}"#;
const BROKEN: &str = r#"{"status":"error","fault":"service","message":"out of disk"}"#;
const PAGE: &str = "<html>Welcome to nginx!</html>";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(Some(3))
        .recovery_timeout(Duration::from_millis(200))
        .half_open_max_calls(1)
        .build()?;
    let told = |change: &Transition| {
        let (to, reason) = (change.to.as_str(), change.reason.as_str());
        println!("   the circuit is now {to}: {reason}");
    };
    let breaker = CircuitBreaker::with_listener(config, Clock::default(), told);
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker, StatusInBody::default()))
        // Answers what it is asked to, with status 200.
        .service_fn(|body: &'static str| async move {
            Ok::<_, Infallible>(Response::new(Bytes::from_static(body.as_bytes())))
        });
    let call = async |answer| match service.clone().oneshot(answer).await {
        Ok(response) => println!("{} {answer}", response.status()),
        Err(error) => println!("not called: {error}"),
    };

    // However many bad requests there are, the circuit stays closed ...
    for answer in [OK, NONSENSE, NONSENSE, NONSENSE, NONSENSE, BUSY] {
        call(answer).await;
    }
    // ... but three failures in a row open it, whatever their HTTP status.
    for answer in [BROKEN, BROKEN, PAGE, OK] {
        call(answer).await;
    }
    // After the recovery time one good answer closes it again.
    Clock::default().sleep(Duration::from_millis(300)).await;
    call(OK).await;
    Ok(())
}
