use crate::{Discover, Instance, Publisher, Watch};

/// Instances that never change.
///
/// ```
/// use bartizan_discovery::{Discover, Instance, Static};
///
/// let source = Static::new(vec![Instance::new("http://10.0.0.1:8080")?]);
/// assert_eq!(source.watch().current().instances.len(), 1);
/// # Ok::<(), bartizan_discovery::InvalidInstance>(())
/// ```
#[derive(Debug)]
pub struct Static {
    publisher: Publisher,
}

impl Static {
    /// A source that will always say `instances`. Of two with one id the first stays.
    #[must_use]
    pub fn new(instances: Vec<Instance>) -> Self {
        Self {
            publisher: Publisher::with(instances),
        }
    }
}

impl Discover for Static {
    fn watch(&self) -> Watch {
        self.publisher.watch()
    }
}
