//! What users of other gateways complained of, each shown not to happen here.
//!
//! `lesson_NN` is the number of the thread that taught it; several tests may show one lesson.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the support of tests is for these tests"
)]

mod agent;
mod bytes;
mod cancel;
mod guide;
mod idle;
mod limits;
mod repeats;
mod returns;
mod server;
mod sessions;
mod streams;
mod tools;
mod watching;
