//! The words that resilience layers share about requests, responses and errors.
//!
//! Three questions come up in every layer, and each has one answer here:
//!
//! * *What did this outcome say about the service?* [`Classify`] turns a result into an
//!   [`Outcome`]: a circuit breaker counts it, a balancer weighs the instance by it.
//! * *May this request be sent again?* [`RequestClass`]: safe, idempotent, or unsafe. Unknown
//!   means unsafe.
//! * *How far did a failed request get?* [`Fault`]: an error that proves that nothing was sent
//!   lets even an unsafe request be repeated.
//!
//! ```
//! use bartizan_classify::{Classify, HttpClassifier, Outcome};
//! use http::{Response, StatusCode};
//! use std::{convert::Infallible, time::Duration};
//!
//! let response = Response::builder()
//!     .status(StatusCode::TOO_MANY_REQUESTS)
//!     .header("retry-after", "3")
//!     .body(())
//!     .unwrap();
//! let outcome = HttpClassifier::default().classify(Ok::<_, &Infallible>(&response));
//! assert_eq!(outcome, Outcome::Limited { retry_after: Some(Duration::from_secs(3)) });
//! ```
//!
//! # When not to use it
//!
//! These types describe one exchange. What a *sequence* of outcomes means (open the circuit,
//! eject the instance) is for the layer that watches the sequence.

mod fault;
mod http_classifier;
mod outcome;
mod request_class;
mod retry_after;

pub use fault::{Fault, FaultKind};
pub use http_classifier::HttpClassifier;
pub use outcome::{Classify, ErrorsAreFailures, Outcome};
pub use request_class::RequestClass;
pub use retry_after::{retry_after, retry_after_seconds};
