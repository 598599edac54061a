//! What tests wait for.

use std::time::Duration;

use bartizan_discovery::{Snapshot, Watch};

pub(crate) fn ids(snapshot: &Snapshot) -> Vec<String> {
    let instances = snapshot.instances.iter();
    instances.map(|it| it.id().to_string()).collect()
}

/// Waits for a snapshot that is as it should be.
pub(crate) async fn until(watch: &mut Watch, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let change = async {
        loop {
            let snapshot = watch.current();
            if wanted(&snapshot) {
                return snapshot;
            }
            watch.changed().await.expect("the source is there");
        }
    };
    let patience = Duration::from_secs(20);
    match tokio::time::timeout(patience, change).await {
        Ok(snapshot) => snapshot,
        Err(_) => panic!("still {:?}", watch.current()),
    }
}

/// Waits for these instances, from a source that is well.
pub(crate) async fn fresh(watch: &mut Watch, wanted: &[&str]) {
    until(watch, |it| !it.stale && ids(it) == wanted).await;
}

/// Waits until the source fails for a reason with these words, and says what it keeps.
pub(crate) async fn stale(watch: &mut Watch, words: &str) -> Vec<String> {
    let says = |it: &Snapshot| it.error.as_deref().is_some_and(|it| it.contains(words));
    ids(&until(watch, |it| it.stale && says(it)).await)
}

/// What comes sooner than any interval or watch of a source ends.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(Duration::from_secs(10), what).await;
    came.expect("it comes soon")
}
