//! Services that no variable names: registries list them, or their instances register themselves.

mod change;
mod left_out;
mod listing;
mod roster;
mod shown;

use std::{collections::HashMap, path::Path, sync::Arc};

use bartizan_clock::Clock;
use bartizan_config::{RegisteredKind, RegistryFormat, RegistrySettings, variable_prefix};
use bartizan_discovery::{
    Format, InvalidRegistryFile, RegisteredService, Registrations, RegistryFile, RegistryState,
    RegistryStore, RegistryWatch,
};
use futures_util::future::{join_all, select_all};

pub(crate) use self::{
    change::ChangeError,
    left_out::LeftOut,
    listing::Listing,
    roster::Roster,
    shown::{Shown, metadata, shown},
};

/// All registries: files, and instances that are kept in memory.
#[derive(Debug)]
pub(crate) struct Registries {
    settings: Vec<RegistrySettings>,
    files: Vec<File>,
    /// Outlive the files, since nobody could tell them again.
    registrations: Arc<Registrations>,
    clock: Clock,
}

#[derive(Debug)]
struct File {
    path: Arc<Path>,
    settings: RegistrySettings,
    source: Arc<RegistryFile>,
}

/// One registry, for people.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its file; the memory of this process has none.
    pub(crate) path: Option<Arc<Path>>,
    pub(crate) state: RegistryState,
}

impl Registries {
    /// Reads the registries of `settings` and follows them from now on.
    ///
    /// # Errors
    ///
    /// When some of them cannot be used as they are now; with all of these.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn open(
        settings: &[RegistrySettings],
        clock: Clock,
    ) -> Result<Self, Vec<InvalidRegistryFile>> {
        let registrations = Registrations::builder().clock(clock).spawn();
        Self::with(settings, &[], Arc::new(registrations), clock)
    }

    /// The same under other settings; `None` if they are the same. What is known of files that are
    /// still read stays, also of those that cannot be read now; [`settle`](Registries::settle) makes
    /// the new settings count for them.
    ///
    /// # Errors
    ///
    /// As [`open`](Registries::open).
    pub(crate) fn renewed(
        &self,
        settings: &[RegistrySettings],
    ) -> Result<Option<Self>, Vec<InvalidRegistryFile>> {
        if *settings == *self.settings {
            return Ok(None);
        }
        let registrations = Arc::clone(&self.registrations);
        Self::with(settings, &self.files, registrations, self.clock).map(Some)
    }

    /// Reads files as often as the settings say from now on.
    pub(crate) fn settle(&self) {
        for file in &self.files {
            file.source.set_interval(*file.settings.poll_interval);
        }
    }

    fn with(
        settings: &[RegistrySettings],
        known: &[File],
        registrations: Arc<Registrations>,
        clock: Clock,
    ) -> Result<Self, Vec<InvalidRegistryFile>> {
        let (mut files, mut wrong) = (Vec::new(), Vec::new());
        for registry in settings {
            let known = known.iter().find(|file| file.is_of(registry));
            let file = known.map_or_else(
                || File::open(registry, clock),
                |file| Ok(file.under(registry)),
            );
            match file {
                Ok(file) => files.push(file),
                Err(error) => wrong.push(error),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            settings: settings.to_vec(),
            files,
            registrations,
            clock,
        })
    }

    /// Every service with what all registries say of it, in their order.
    ///
    /// One that two files list is the first one's; the instances that registered themselves are
    /// added to those of any file. Of two whose variables have the same names, and so the same
    /// credentials, the first one counts.
    pub(crate) fn listings(&self) -> Vec<Listing> {
        let (listings, left_out) = self.listings_and_left_out();
        left_out.iter().for_each(LeftOut::log);
        listings
    }

    /// The same, and which do not count.
    pub(crate) fn listings_and_left_out(&self) -> (Vec<Listing>, Vec<LeftOut>) {
        let mut listings: Vec<Listing> = Vec::new();
        let mut left_out = Vec::new();
        let mut by_name: HashMap<Arc<str>, usize> = HashMap::new();
        let mut by_prefix: HashMap<String, Arc<str>> = HashMap::new();
        let mut is_alone = |name: &Arc<str>, left_out: &mut Vec<LeftOut>| {
            let first = by_prefix
                .entry(variable_prefix(name))
                .or_insert_with(|| Arc::clone(name));
            if first != name {
                left_out.push(LeftOut::SameVariables {
                    service: Arc::clone(name),
                    first: Arc::clone(first),
                });
            }
            first == name
        };
        for file in &self.files {
            for service in &file.source.current().registry.services {
                if by_name.contains_key(&service.name) {
                    left_out.push(LeftOut::ListedTwice {
                        service: Arc::clone(&service.name),
                        registry: Arc::clone(&file.path),
                    });
                    continue;
                }
                if is_alone(&service.name, &mut left_out) {
                    by_name.insert(Arc::clone(&service.name), listings.len());
                    listings.push(Listing::new(service, file.kind(service), &file.path));
                }
            }
        }
        let nowhere: Arc<Path> = Path::new("registered").into();
        for service in &self.registrations.current().registry.services {
            match by_name.get(&service.name) {
                Some(index) => listings[*index].add(service),
                None if is_alone(&service.name, &mut left_out) => {
                    let listing = Listing::new(service, RegisteredKind::Mcp, &nowhere);
                    listings.push(listing.in_memory());
                }
                None => {}
            }
        }
        (listings, left_out)
    }

    /// How each registry is doing; the last one is the memory of this process.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let files = self.files.iter().map(|file| Source {
            path: Some(Arc::clone(&file.path)),
            state: file.source.current(),
        });
        let memory = Source {
            path: None,
            state: self.registrations.current(),
        };
        files.chain([memory]).collect()
    }

    /// The files that cannot be used now; what they said before counts.
    pub(crate) fn stale_files(&self) -> Vec<Arc<Path>> {
        let stale = self.files.iter().filter(|it| it.source.current().stale);
        stale.map(|file| Arc::clone(&file.path)).collect()
    }

    /// Looks at every file now.
    ///
    /// # Errors
    ///
    /// Why one of them cannot be used, with line and column; what it said before stands.
    pub(crate) async fn look(&self) -> Result<(), Arc<str>> {
        let looks = self.files.iter().map(|file| file.source.reload());
        // All are looked at, whatever is wrong with one.
        let mut looked = join_all(looks).await.into_iter();
        looked.try_for_each(|found| found.map(drop))
    }

    /// A way to hear of changes, which does not keep the registries.
    pub(crate) fn changes(&self) -> Changes {
        let files = self.files.iter().map(|file| file.source.watch());
        Changes {
            watches: files.chain([self.registrations.watch()]).collect(),
        }
    }

    /// The `registry.json`, which is written to.
    fn written(&self) -> Option<&File> {
        let mut files = self.files.iter();
        files.find(|file| file.settings.format == RegistryFormat::Json)
    }
}

impl File {
    fn open(settings: &RegistrySettings, clock: Clock) -> Result<Self, InvalidRegistryFile> {
        let path: Arc<Path> = settings.path.value().as_path().into();
        let follow = |format| {
            RegistryFile::builder(&*path, format)
                .interval(*settings.poll_interval)
                .may_be_missing(settings.may_be_missing)
                .clock(clock)
                .spawn_loaded()
        };
        let source = match settings.format {
            RegistryFormat::Yaml => follow(Format::Yaml)?,
            RegistryFormat::Json => follow(Format::Json)?,
            // It was read with the configuration, and changes with it.
            RegistryFormat::Native => {
                let listed = settings.listed.as_ref();
                RegistryFile::fixed(
                    listed.map_or_else(Arc::default, |it| Arc::clone(it.registry())),
                )
            }
        };
        Ok(Self {
            path,
            settings: settings.clone(),
            source: Arc::new(source),
        })
    }

    /// Whether the file of these settings is this one. A native one is read with the configuration
    /// and is another each time.
    fn is_of(&self, settings: &RegistrySettings) -> bool {
        let of = |it: &RegistrySettings| (it.path.clone(), it.format, it.may_be_missing);
        settings.format != RegistryFormat::Native && of(&self.settings) == of(settings)
    }

    /// The same file under other settings.
    fn under(&self, settings: &RegistrySettings) -> Self {
        Self {
            path: Arc::clone(&self.path),
            settings: settings.clone(),
            source: Arc::clone(&self.source),
        }
    }

    /// What the instances of a service of this file speak.
    fn kind(&self, service: &RegisteredService) -> RegisteredKind {
        self.settings.kind(&service.name)
    }

    /// What writes to the file; one that was there and is gone may be back in a moment, and is
    /// not made anew.
    fn store(&self, clock: Clock) -> RegistryStore {
        RegistryStore::new(&*self.path)
            .may_be_missing(!self.source.was_there())
            .clock(clock)
    }
}

/// A way to hear of changes of [`Registries`].
#[derive(Debug)]
pub(crate) struct Changes {
    watches: Vec<RegistryWatch>,
}

impl Changes {
    /// Waits for a change of any registry that was not told of yet. Never completes when there is
    /// nothing left that could change.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses no change.
    pub(crate) async fn next(&mut self) {
        while !self.watches.is_empty() {
            let changed = self.watches.iter_mut().map(|it| Box::pin(it.changed()));
            let (state, index, _) = select_all(changed).await;
            if state.is_some() {
                return;
            }
            self.watches.swap_remove(index);
        }
        std::future::pending::<()>().await;
    }
}
