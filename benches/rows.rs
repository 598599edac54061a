//! What is measured: every row of the table, once, for whichever instrument asks.

mod floor;
mod http;
mod plain;
mod raw;
mod services;

use std::{fmt::Debug, future::Future};

use tower::Service;

pub(crate) use http::http;
pub(crate) use plain::{plain, plain_alone};
pub(crate) use raw::raw;

/// Something that measures rows: time on one thread, time on two, allocations.
pub(crate) trait Instrument {
    /// A service and the requests to send to it. Each thread gets a clone.
    fn service<S, Req>(
        &mut self,
        row: &'static str,
        service: S,
        request: impl Fn(usize) -> Req + Sync,
    ) where
        S: Service<Req> + Clone + Send,
        S::Error: Debug,
    {
        self.alone(row, service, request);
    }

    /// A service that cannot be cloned, and so serves one thread only.
    fn alone<S, Req>(
        &mut self,
        row: &'static str,
        service: S,
        request: impl Fn(usize) -> Req + Sync,
    ) where
        S: Service<Req>,
        S::Error: Debug;

    /// A call that is no service.
    fn call(&mut self, row: &'static str, call: impl Fn(usize) + Sync);
}

/// Sends `calls` requests, one after the other, each with the readiness it needs.
pub(crate) async fn drive<S, Req>(service: &mut S, request: impl Fn(usize) -> Req, calls: u64)
where
    S: Service<Req>,
    S::Error: Debug,
{
    for n in 0..calls {
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .expect("a service of the table is ready");
        let request = std::hint::black_box(request(n as usize));
        // Pinned where it is made, as to await it would move it first, and polled without a frame
        // in between, as a layer polls what is inside it.
        let mut future = std::pin::pin!(service.call(request));
        let response = std::future::poll_fn(|cx| future.as_mut().poll(cx)).await;
        // Looked at where it is: what a caller does with a response is no cost of a layer.
        assert!(
            std::hint::black_box(&response).is_ok(),
            "a call of the table succeeds"
        );
    }
}
