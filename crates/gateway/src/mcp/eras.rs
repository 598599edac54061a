use std::{
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use bartizan_clock::Instant;
use tokio::sync::Mutex;

/// Which eras an upstream speaks, as far as anybody asked: it can be one, the other or both.
///
/// Kept for the process. A modern upstream that becomes a legacy one, or the other way round,
/// says so by refusing a message as such, and is asked again then.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    modern: Known,
    legacy: Known,
    asking: Mutex<()>,
    /// How often nobody answered who was asked.
    failures: AtomicU64,
}

/// Nobody asked, no or yes.
#[derive(Debug, Default)]
struct Known {
    answer: AtomicU8,
    /// When a no is to be doubted, in nanoseconds of the gateway's clock.
    doubt: AtomicU64,
}

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// How long a no is believed. Yes is believed until proven wrong.
const BELIEVE_NO: Duration = Duration::from_secs(300);

/// How long what is but a guess is gone by.
const BELIEVE_GUESS: Duration = Duration::from_secs(2);

impl Known {
    fn get(&self, now: Instant) -> Option<bool> {
        match self.answer.load(Ordering::Relaxed) {
            YES => Some(true),
            NO if now.as_nanos() < self.doubt.load(Ordering::Relaxed) => Some(false),
            _ => None,
        }
    }

    fn set(&self, answer: bool, until: Instant) {
        let doubt = until.as_nanos();
        self.doubt.store(doubt, Ordering::Relaxed);
        let answer = if answer { YES } else { NO };
        self.answer.store(answer, Ordering::Relaxed);
    }
}

impl Eras {
    pub(crate) fn modern(&self, now: Instant) -> Option<bool> {
        self.modern.get(now)
    }

    pub(crate) fn legacy(&self, now: Instant) -> Option<bool> {
        self.legacy.get(now)
    }

    pub(crate) fn set_modern(&self, answer: bool, now: Instant) {
        self.modern.set(answer, now + BELIEVE_NO);
    }

    /// The upstream said nothing that tells, which those of older revisions may do.
    pub(crate) fn doubt_older(&self, now: Instant) {
        self.modern.set(false, now + BELIEVE_GUESS);
    }

    /// The upstream spoke as if it were of the other era: it is asked again.
    pub(crate) fn doubt_modern(&self) {
        self.modern.answer.store(UNKNOWN, Ordering::Relaxed);
    }

    pub(crate) fn set_legacy(&self, answer: bool, now: Instant) {
        self.legacy.set(answer, now + BELIEVE_NO);
    }

    /// How often the upstream was asked in vain. Whoever waited for somebody else's answer and
    /// finds this changed need not ask again.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for its turn to ask; whoever comes second finds the answer of the first.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.asking.lock().await
    }
}
