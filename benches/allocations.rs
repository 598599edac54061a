//! No layer of ours allocates when nothing goes wrong.
//!
//! Run with `--nocapture` it prints the count of every row, rivals included.

mod rows;

use std::{collections::BTreeMap, fmt::Debug};

use allocation_counter::measure;
use rows::{Instrument, drive};
use tokio::runtime::{Builder, Runtime};
use tower::Service;

/// Calls that are counted.
const CALLS: u64 = 100;

/// Counts the allocations of one call of each row.
struct Counter {
    runtime: Runtime,
    group: &'static str,
    /// Allocations of [`CALLS`] calls, by group and row.
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counter {
    fn count(&mut self, row: &'static str, mut run: impl FnMut(&Runtime, u64)) {
        // Until whatever is made once has been made, each key among it.
        let warm_up = if row.contains("keys") { 100_000 } else { CALLS };
        run(&self.runtime, warm_up);
        // An empty run, because entering the runtime may allocate as well.
        let empty = measure(|| run(&self.runtime, 0)).count_total;
        let counted = measure(|| run(&self.runtime, CALLS)).count_total;
        self.counts.insert((self.group, row), counted - empty);
    }
}

impl Instrument for Counter {
    fn alone<S, Req>(
        &mut self,
        row: &'static str,
        mut service: S,
        request: impl Fn(usize) -> Req + Sync,
    ) where
        S: Service<Req>,
        S::Error: Debug,
    {
        self.count(row, |runtime, calls| {
            runtime.block_on(drive(&mut service, &request, calls));
        });
    }

    fn call(&mut self, row: &'static str, call: impl Fn(usize) + Sync) {
        self.count(row, |_, calls| (0..calls).for_each(|n| call(n as usize)));
    }
}

#[test]
fn a_call_that_succeeds_allocates_nothing_of_ours() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    let _entered = handle.enter();
    let mut counter = Counter {
        runtime,
        group: "seq",
        counts: BTreeMap::new(),
    };
    rows::plain(&mut counter);
    rows::plain_alone(&mut counter);
    counter.group = "http";
    rows::http(&mut counter);
    counter.group = "raw";
    rows::raw(&mut counter);

    let counts = counter.counts;
    for ((group, row), count) in &counts {
        println!(
            "allocations\t{group}\t{row}\t{}",
            *count as f64 / CALLS as f64
        );
    }
    // The header map's own, which no way of adding a header avoids.
    let insertion = counts[&("http", "header insertion")];
    assert!(insertion > 0, "nothing was counted");
    let mut ours = 0;
    for ((group, row), count) in &counts {
        if row.starts_with("bartizan ") {
            let expected = match (*group, *row) {
                // What may be sent again after a 401 is kept until the answer: the request, its
                // header map, and a box around both.
                ("http", row) if row.ends_with("repeatable") => insertion + 3 * CALLS,
                ("http", _) => insertion,
                _ => 0,
            };
            assert_eq!(*count, expected, "{group}: {row}");
            ours += 1;
        }
    }
    assert!(ours > 20, "only {ours} rows are ours");
}
