//! `/mcp/{template}/...` over real sockets: every endpoint, field, header and status of the
//! contract, and the faults of the gateway that it was written for, each shown to be absent.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the support of tests is for these tests"
)]

mod balancing;
mod contract;
mod errors;
mod health;
mod programs;
mod rest;
mod server;
#[allow(dead_code, reason = "made for the tests of lessons")]
#[path = "../mcp_lessons/server.rs"]
mod streaming;
