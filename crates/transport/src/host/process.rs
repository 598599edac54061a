//! A child process as a wire.

use std::{sync::Arc, time::Duration};

use bartizan_clock::Clock;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    link::{self, Wire, WireEnd, WireError},
    stdio::{Cause, Child, ExitReport, Handle, Incoming, Outgoing, StdioError},
};

/// Messages that wait between link and process, each way. The process has a queue of its own.
const QUEUE: usize = 16;

/// How long a process whose output has ended may take to exit, for its status to be told.
const EXIT: Duration = Duration::from_millis(100);

/// The wire to `child`. Letting it go stops the child.
pub(super) fn wire(child: Child) -> (Wire, Handle) {
    let (outgoing, incoming, handle) = child.split();
    let (wire, end) = Wire::pair(QUEUE);
    let WireEnd {
        outgoing: sent,
        incoming: arrived,
    } = end;
    // Two tasks, since a child that does not read must be read from all the same.
    tokio::spawn(write(sent, outgoing));
    tokio::spawn(read(incoming, arrived, handle.clone()));
    (wire, handle)
}

async fn write(mut sent: mpsc::Receiver<Bytes>, outgoing: Outgoing) {
    while let Some(message) = sent.recv().await {
        if outgoing.send(message).await.is_err() {
            return;
        }
    }
}

async fn read(
    mut incoming: Incoming,
    arrived: mpsc::Sender<Result<Bytes, WireError>>,
    handle: Handle,
) {
    loop {
        let item = tokio::select! {
            item = incoming.next() => item,
            () = arrived.closed() => return,
        };
        let end = match item {
            Some(Ok(message)) => {
                if arrived.send(Ok(message)).await.is_err() {
                    return;
                }
                continue;
            }
            Some(Err(StdioError::TooLong {
                limit,
                beginning,
                end,
            })) => {
                if let Some(refusal) = link::too_large(&beginning, &end, limit)
                    && arrived.send(Ok(refusal)).await.is_err()
                {
                    return;
                }
                continue;
            }
            Some(Err(error)) => WireError::new(error.to_string()),
            None => ended(&handle).await,
        };
        // Fails only if nobody is there to hear it.
        let _ = arrived.send(Err(end)).await;
        return;
    }
}

async fn ended(handle: &Handle) -> WireError {
    let report: Option<Arc<ExitReport>> = tokio::select! {
        report = handle.exited() => Some(report),
        () = Clock::default().sleep(EXIT) => None,
    };
    match report {
        Some(report) if report.cause == Cause::Stopped => WireError::new("the process was stopped"),
        Some(report) => match report.status {
            Some(status) => WireError::new(format!("the process ended with {status}")),
            None => WireError::new("the process ended"),
        },
        None => WireError::new("the process ended its output"),
    }
}
