use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use bartizan_config::{Registered, RegisteredKind};
use bartizan_discovery::{
    Balancing, Entry, Instance, Instances, RegisteredService, Tool, Transport,
};

/// What registries say of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) name: Arc<str>,
    /// What its instances speak, unless a variable of the service says otherwise.
    pub(crate) kind: RegisteredKind,
    /// The registry, for people.
    pub(crate) registry: Arc<Path>,
    /// All instances with what is known of them, in the order of the registry.
    pub(crate) entries: Arc<[Entry]>,
    /// The same instances, for a balancer.
    pub(crate) instances: Instances,
    pub(crate) balancing: Option<Balancing>,
    /// Everything else said of the service: texts as they are, the rest as JSON.
    pub(crate) metadata: BTreeMap<Arc<str>, Arc<str>>,
    by_id: HashMap<Arc<str>, usize>,
    has_programs: bool,
    is_in_memory: bool,
}

impl Listing {
    pub(super) fn new(
        service: &RegisteredService,
        kind: RegisteredKind,
        registry: &Arc<Path>,
    ) -> Self {
        Self {
            name: Arc::clone(&service.name),
            kind,
            registry: Arc::clone(registry),
            entries: Arc::clone(&service.entries),
            instances: Arc::clone(&service.instances),
            balancing: service.balancing.clone(),
            metadata: service.metadata.clone(),
            by_id: by_id(&service.entries),
            has_programs: service.entries.iter().any(is_program),
            is_in_memory: false,
        }
    }

    /// The same of a service that no file lists.
    pub(super) fn in_memory(self) -> Self {
        Self {
            is_in_memory: true,
            ..self
        }
    }

    /// Adds the instances that another source has of the same service, but for those whose ids
    /// are there already.
    pub(super) fn add(&mut self, more: &RegisteredService) {
        let is_new = |index: &usize| self.entry(more.entries[*index].instance.id()).is_none();
        let fresh: Vec<_> = (0..more.entries.len()).filter(is_new).collect();
        if fresh.is_empty() {
            return;
        }
        let entries = fresh.iter().map(|index| more.entries[*index].clone());
        let instances = fresh.iter().map(|index| more.instances[*index].clone());
        self.instances = self.instances.iter().cloned().chain(instances).collect();
        self.entries = self.entries.iter().cloned().chain(entries).collect();
        self.by_id = by_id(&self.entries);
        self.has_programs = self.entries.iter().any(is_program);
    }

    /// The same but for some instances.
    pub(crate) fn without(&self, ids: &HashSet<Arc<str>>) -> Self {
        let stays = |instance: &Instance| !ids.contains(instance.id());
        let entries = self.entries.iter().filter(|it| stays(&it.instance));
        let entries: Arc<[Entry]> = entries.cloned().collect();
        let instances = self.instances.iter().filter(|it| stays(it));
        Self {
            by_id: by_id(&entries),
            has_programs: entries.iter().any(is_program),
            instances: instances.cloned().collect(),
            entries,
            ..self.clone()
        }
    }

    /// What is known of the instance with this id.
    pub(crate) fn entry(&self, id: &str) -> Option<&Entry> {
        Some(&self.entries[*self.by_id.get(id)?])
    }

    /// Whether any instance is a program.
    pub(crate) fn has_programs(&self) -> bool {
        self.has_programs
    }

    /// Whether no file lists the service: its instances registered themselves.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// What its instances can do, each tool once, as far as the registry lists that.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &Tool> {
        let mut seen = HashSet::new();
        let all = self.entries.iter().flat_map(Entry::tools);
        all.filter(move |tool| seen.insert(&tool.name))
    }

    /// Whether the registry lists what its instances can do, were it nothing, and this tool is no
    /// part of it. Where it has no list, its service knows which there are.
    pub(crate) fn lacks(&self, tool: &str) -> bool {
        let has = |entry: &Entry| entry.tools().iter().any(|it| &*it.name == tool);
        self.entries.iter().any(|entry| entry.tools.is_some()) && !self.entries.iter().any(has)
    }

    /// What the configuration has to know to make settings of it.
    pub(crate) fn registered(&self) -> Registered<'_> {
        let balancing = self.balancing.as_ref();
        Registered {
            strategy: balancing.and_then(|it| it.strategy.as_deref()),
            health_check_interval: balancing.and_then(|it| it.health_check_interval),
            max_retries: balancing.and_then(|it| it.max_retries),
            timeout: balancing.and_then(|it| it.timeout),
            ..Registered::new(&self.name, self.kind, &self.registry)
        }
    }

    /// Whether both make the same settings.
    pub(crate) fn same_settings(&self, other: &Self) -> bool {
        self.registered() == other.registered()
    }
}

fn is_program(entry: &Entry) -> bool {
    entry.transport == Transport::Stdio
}

/// Where each id stands first.
fn by_id(entries: &[Entry]) -> HashMap<Arc<str>, usize> {
    let ids = entries.iter().map(|entry| Arc::clone(entry.instance.id()));
    let mut places = HashMap::with_capacity(entries.len());
    for (place, id) in ids.enumerate() {
        places.entry(id).or_insert(place);
    }
    places
}
