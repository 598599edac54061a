use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// The looks that a source takes, one after the other, and those who want one now.
#[derive(Debug)]
pub(crate) struct Looks {
    wanted: Notify,
    begun: AtomicU64,
    /// How many of them have ended, whatever they found.
    ended: watch::Sender<u64>,
}

impl Looks {
    pub(crate) fn new() -> Self {
        let (ended, _) = watch::channel(0);
        Self {
            wanted: Notify::new(),
            begun: AtomicU64::new(0),
            ended,
        }
    }

    /// Wants a look, and waits until one has ended that began after this.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the look to be taken.
    pub(crate) async fn look(&self) {
        let mut ended = self.ended.subscribe();
        let next = self.begun.load(Ordering::SeqCst) + 1;
        self.wanted.notify_one();
        // The sender is here, so there will be an answer.
        let _ = ended.wait_for(|ended| *ended >= next).await;
    }

    /// Waits until somebody wants a look. Many who do at once want one.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.ended.send_replace(self.begun.load(Ordering::SeqCst));
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_during_a_look_hears_of_the_next_one() {
        let looks = Looks::new();
        looks.begin();
        let mut asked = pin!(looks.look());
        let brief = Duration::from_millis(1);
        let mut is_open = async || tokio::time::timeout(brief, asked.as_mut()).await.is_err();
        assert!(is_open().await);
        looks.end();
        assert!(is_open().await);
        let wanted = tokio::time::timeout(brief, looks.wanted()).await;
        wanted.expect("somebody wants one");
        looks.begin();
        assert!(is_open().await);
        looks.end();
        assert!(!is_open().await);
    }
}
