use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::MissedTickBehavior;

/// The most calls under way: past it, load waits for the gateway instead of piling up.
const MOST: usize = 128;

/// Calls at a steady pace, whether the calls before were answered or not, until `stop` is true;
/// what came of them, in the order in which they ended. Calls are numbered from zero.
///
/// A machine that is too slow for the pace goes at its own: nothing is made up for.
pub async fn paced<T, F>(
    every: Duration,
    stop: &AtomicBool,
    mut call: impl FnMut(usize) -> F,
) -> Vec<T>
where
    F: Future<Output = T>,
{
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = FuturesUnordered::new();
    let mut ended = Vec::new();
    for number in 0.. {
        while under_way.len() >= MOST {
            ended.extend(under_way.next().await);
        }
        loop {
            tokio::select! {
                _ = ticks.tick() => break,
                Some(outcome) = under_way.next() => ended.push(outcome),
            }
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        under_way.push(call(number));
    }
    while let Some(outcome) = under_way.next().await {
        ended.push(outcome);
    }
    ended
}
