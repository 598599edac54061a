use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bartizan_clock::Clock;
use tokio::task::JoinHandle;

use crate::{Discover, Instance, Publisher, Watch};

/// Several sources of one service, as one.
///
/// Of two instances with one id, or at one address, the one from the source that was added first
/// counts. A source that fails keeps its own last good instances and touches no others; an
/// instance that is in the set before and after a change is the same instance.
///
/// The snapshot is [`stale`](crate::Snapshot::stale) while any source is, and its error names the
/// sources that fail. Once there have been instances, an empty set is never stale: every source
/// keeps its own, so they have been taken out.
///
/// ```
/// use bartizan_discovery::{Discover, Instance, Merged, Publisher, Static};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (fixed, live) = (Static::new(vec![Instance::new("http://a:1")?]), Publisher::new());
/// let merged = Merged::builder()
///     .source("fixed", &fixed)
///     .source("live", &live)
///     .spawn();
/// live.fail("the registry does not answer");
/// # tokio::task::yield_now().await;
/// assert_eq!(merged.watch().current().instances.len(), 1);
/// assert_eq!(merged.sources()[0].stale_since, None);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
/// #     .block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct Merged {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Merged {
    /// A builder of a source without sources.
    pub fn builder() -> MergedBuilder {
        MergedBuilder {
            sources: Vec::new(),
            clock: Clock::default(),
        }
    }

    /// How each source is doing, in the order in which they count.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceState> {
        let parts = self.shared.parts();
        parts.iter().map(|part| part.state.clone()).collect()
    }
}

impl Discover for Merged {
    fn watch(&self) -> Watch {
        self.shared.publisher.watch()
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// How one source of a [`Merged`] is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceState {
    /// The name it was added under.
    pub name: Arc<str>,
    /// How many instances it says there are.
    pub instances: usize,
    /// How many of these count, because no source before it has them.
    pub used: usize,
    /// Since when it has not had a good answer; `None` while its answers are good.
    pub stale_since: Option<SystemTime>,
    /// What went wrong last, even if it has been right again since.
    pub last_error: Option<Arc<str>>,
}

/// Builds a [`Merged`].
#[derive(Debug)]
#[must_use]
pub struct MergedBuilder {
    sources: Vec<(Arc<str>, Watch)>,
    clock: Clock,
}

impl MergedBuilder {
    /// One more source, which counts less than those before it. Whoever made it keeps it; when it
    /// is dropped, what it said last stays.
    pub fn source(mut self, name: impl Into<Arc<str>>, source: &(impl Discover + ?Sized)) -> Self {
        self.sources.push((name.into(), source.watch()));
        self
    }

    /// The clock that dates failures. Default: [`Clock::default`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Begins with what the sources know now.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    #[must_use = "dropping it ends its watches"]
    pub fn spawn(self) -> Merged {
        let part = |(name, watch): &(Arc<str>, Watch)| Part {
            watch: watch.clone(),
            state: SourceState {
                name: Arc::clone(name),
                instances: 0,
                used: 0,
                stale_since: None,
                last_error: None,
            },
        };
        let shared = Arc::new(Shared {
            parts: Mutex::new(self.sources.iter().map(part).collect()),
            publisher: Publisher::new(),
            clock: self.clock,
        });
        // Each waits from what it knew when it was added, so no change is lost in between.
        let tasks = self.sources.into_iter().map(|(_, mut watch)| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                while watch.changed().await.is_some() {
                    shared.merge();
                }
            })
        });
        let tasks = tasks.collect();
        shared.merge();
        Merged { shared, tasks }
    }
}

#[derive(Debug)]
struct Part {
    watch: Watch,
    state: SourceState,
}

#[derive(Debug)]
struct Shared {
    /// Locked while a change is merged and while someone asks how the sources are doing.
    parts: Mutex<Vec<Part>>,
    publisher: Publisher,
    clock: Clock,
}

impl Shared {
    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn merge(&self) {
        let mut parts = self.parts();
        let mut instances: Vec<Instance> = Vec::new();
        let mut ids = HashSet::new();
        let mut places = HashSet::new();
        let mut errors: Vec<String> = Vec::new();
        let mut stale = false;
        for part in &mut *parts {
            let snapshot = part.watch.current();
            let state = &mut part.state;
            let before = instances.len();
            let free = |it: &&Instance| {
                !ids.contains(it.id()) && it.place().is_none_or(|place| !places.contains(&place))
            };
            // One source may well have several at one place, by its own choice.
            let fresh: Vec<_> = snapshot.instances.iter().filter(free).cloned().collect();
            ids.extend(fresh.iter().map(|it| Arc::clone(it.id())));
            places.extend(fresh.iter().filter_map(Instance::place));
            instances.extend(fresh);
            state.instances = snapshot.instances.len();
            state.used = instances.len() - before;
            if !snapshot.stale {
                state.stale_since = None;
            } else if state.stale_since.is_none() {
                state.stale_since = Some(self.clock.wall());
            }
            if let Some(error) = snapshot.error {
                errors.push(format!("{}: {error}", state.name));
                state.last_error = Some(error);
            }
            stale |= snapshot.stale;
        }
        let had_instances = self.publisher.has_instances();
        let stale = stale && !(instances.is_empty() && had_instances);
        let error = (!errors.is_empty()).then(|| errors.join("; ").into());
        self.publisher.put(instances.into(), stale, error);
    }
}

#[cfg(test)]
mod tests;
