//! What every layer costs: ours, those of others, and none, in one run.
//!
//! `cargo bench -p bartizan-benches --bench layers` takes two to three minutes; `table.py`
//! makes the table of it. The groups are `seq` (services, one thread), `par2` (the same, shared by two
//! threads), `http` and `http-par2` (over `http::Request`), `raw` and `raw-par2` (no tower).
//!
//! On one thread it is the CPU time of the thread that is measured, so other work on the
//! machine does not count. On two it is wall time, from the moment the first begins to the moment
//! the last ends, over the calls of one: whatever keeps the two from running side by side makes
//! it longer, and samples in which they did not are taken again a few times. The machine should
//! be idle.

mod rows;

use std::{
    fmt::Debug,
    hint,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use bartizan_clock::Clock;
use criterion::{
    Criterion, SamplingMode,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use rows::{Instrument, drive};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tower::Service;

fn main() {
    let mut one = OneThread {
        criterion: configured(
            Criterion::default()
                .with_measurement(ThreadTime)
                .warm_up_time(Duration::from_millis(200))
                .measurement_time(Duration::from_millis(800)),
        ),
        runtime: Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime"),
        group: "",
    };
    let entered = one.runtime.handle().clone();
    let entered = entered.enter();
    one.group = "seq";
    rows::plain(&mut one);
    rows::plain_alone(&mut one);
    one.group = "http";
    rows::http(&mut one);
    one.group = "raw";
    rows::raw(&mut one);
    drop(entered);

    let mut two = TwoThreads {
        criterion: configured(
            Criterion::default()
                .with_measurement(Nanoseconds)
                .warm_up_time(Duration::from_millis(20))
                .measurement_time(Duration::from_millis(200)),
        ),
        runtime: Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime"),
        clock: Clock::default(),
        group: "",
    };
    let entered = two.runtime.handle().clone();
    let _entered = entered.enter();
    two.group = "par2";
    rows::plain(&mut two);
    two.group = "http-par2";
    rows::http(&mut two);
    two.group = "raw-par2";
    rows::raw(&mut two);
}

/// Many short samples: what other programs disturb then are some samples, and the lowest tenth
/// of them is what the code costs.
fn configured<M: Measurement>(criterion: Criterion<M>) -> Criterion<M> {
    criterion
        .sample_size(100)
        .nresamples(1_000)
        .without_plots()
        .configure_from_args()
}

/// The CPU time of the thread that measures.
struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

struct OneThread {
    criterion: Criterion<ThreadTime>,
    runtime: Runtime,
    group: &'static str,
}

impl OneThread {
    fn measure(&mut self, row: &str, mut run: impl FnMut(&Runtime, u64)) {
        let mut group = self.criterion.benchmark_group(self.group);
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(row, |bencher| {
            bencher.iter_custom(|calls| {
                let start = ThreadTime.start();
                run(&self.runtime, calls);
                ThreadTime.end(start)
            });
        });
        group.finish();
    }
}

impl Instrument for OneThread {
    fn alone<S, Req>(
        &mut self,
        row: &'static str,
        mut service: S,
        request: impl Fn(usize) -> Req + Sync,
    ) where
        S: Service<Req>,
        S::Error: Debug,
    {
        self.measure(row, |runtime, calls| {
            runtime.block_on(drive(&mut service, &request, calls));
        });
    }

    fn call(&mut self, row: &'static str, call: impl Fn(usize) + Sync) {
        self.measure(row, |_, calls| {
            for n in 0..calls {
                call(hint::black_box(n as usize));
            }
        });
    }
}

/// How often a sample is taken at most until the threads run side by side, and no other program
/// has one of the processors. Services that put threads to sleep never get there.
const ATTEMPTS: usize = 9;

/// Long beside the start of a thread, short beside the time that a scheduler lets a thread have.
const SAMPLE: Duration = Duration::from_millis(2);

/// One run of two threads.
struct Run {
    /// From the moment the first began to the moment the last ended.
    wall: Duration,
    /// What the thread worked that worked less.
    work: Duration,
}

impl Run {
    fn was_parallel(&self) -> bool {
        self.work.as_secs_f64() > 0.95 * self.wall.as_secs_f64()
    }
}

/// The time of the first run that was side by side, or else the median of all.
fn typical(runs: impl Iterator<Item = Run>) -> Duration {
    let mut walls = Vec::with_capacity(ATTEMPTS);
    for run in runs {
        if run.was_parallel() {
            return run.wall;
        }
        walls.push(run.wall);
    }
    walls.sort_unstable();
    walls[walls.len() / 2]
}

/// Runs `run`, which is given the number of its thread, on two threads that begin together.
fn side_by_side(clock: Clock, run: impl Fn(usize) + Sync) -> Run {
    let arrived = AtomicUsize::new(0);
    let timed = |number| {
        arrived.fetch_add(1, Ordering::AcqRel);
        while arrived.load(Ordering::Acquire) < 2 {
            hint::spin_loop();
        }
        let (begin, work) = (clock.now(), ThreadTime.start());
        run(number);
        (begin, clock.now(), ThreadTime.end(work))
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(|| timed(1));
        let one = timed(0);
        (one, other.join().expect("the thread runs through"))
    });
    Run {
        wall: one.1.max(other.1) - one.0.min(other.0),
        work: one.2.min(other.2),
    }
}

/// The number of nanoseconds that a bench says it was.
struct Nanoseconds;

impl Measurement for Nanoseconds {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

struct TwoThreads {
    criterion: Criterion<Nanoseconds>,
    runtime: Runtime,
    clock: Clock,
    group: &'static str,
}

impl TwoThreads {
    fn measure(&mut self, row: &str, run: impl Fn(&Runtime, usize, u64) + Sync) {
        let (runtime, clock) = (&self.runtime, self.clock);
        let measured = |calls| side_by_side(clock, |number| run(runtime, number, calls));
        // By the shortest of a few runs, because an interrupted one says nothing.
        let shortest = |calls| (0..5).map(|_| measured(calls).wall).min();
        let enough = || {
            let mut calls = 64;
            while shortest(calls) < Some(SAMPLE) {
                calls *= 2;
            }
            calls
        };
        let mut chosen = None;
        let mut group = self.criterion.benchmark_group(self.group);
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(row, |bencher| {
            // Here, so that a row that the command line leaves out takes no time.
            let calls = *chosen.get_or_insert_with(enough);
            bencher.iter_custom(|iterations| {
                let wall = typical((0..ATTEMPTS).map(|_| measured(calls)));
                wall.as_secs_f64() * 1e9 * iterations as f64 / calls as f64
            });
        });
        group.finish();
    }
}

impl Instrument for TwoThreads {
    fn service<S, Req>(
        &mut self,
        row: &'static str,
        service: S,
        request: impl Fn(usize) -> Req + Sync,
    ) where
        S: Service<Req> + Clone + Send,
        S::Error: Debug,
    {
        // A lock, because a service need not be `Sync` to be cloned for a thread.
        let service = std::sync::Mutex::new(service);
        self.measure(row, |runtime, number, calls| {
            let mut service = service.lock().expect("nobody panics").clone();
            // So that the threads do not use the same keys in the same order.
            let request = |n: usize| request(n + number * 5_003);
            runtime.block_on(drive(&mut service, request, calls));
        });
    }

    fn alone<S, Req>(&mut self, _: &'static str, _: S, _: impl Fn(usize) -> Req + Sync)
    where
        S: Service<Req>,
        S::Error: Debug,
    {
    }

    fn call(&mut self, row: &'static str, call: impl Fn(usize) + Sync) {
        self.measure(row, |_, number, calls| {
            for n in 0..calls {
                call(hint::black_box(n as usize + number * 5_003));
            }
        });
    }
}
