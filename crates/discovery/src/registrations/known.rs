use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bartizan_clock::Instant;

use super::{
    RegistrationError,
    members::{Member, Members},
};
use crate::{Entry, RegisteredService, Registry};

/// How much may be registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) instances: usize,
    pub(super) services: usize,
    /// Of the texts of all instances together.
    pub(super) bytes: usize,
}

/// All instances that are registered now.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// In the order in which they came, as published last.
    services: Vec<Arc<RegisteredService>>,
    /// The same services as they are now, each in the order in which its instances came.
    members: Vec<Members>,
    by_name: HashMap<Arc<str>, usize>,
    /// Those that are not yet published as they are.
    changed: BTreeSet<usize>,
    pub(super) deadlines: BTreeSet<(Instant, Arc<str>, Arc<str>)>,
    count: usize,
    /// What the texts of all instances come to.
    bytes: usize,
}

impl Known {
    pub(super) fn insert(
        &mut self,
        service: &str,
        entry: Entry,
        ttl: Option<(Duration, Instant)>,
        bounds: Bounds,
    ) -> Result<bool, RegistrationError> {
        self.check_room(service, &entry, bounds)?;
        let id = Arc::clone(entry.instance.id());
        let index = self.index(service);
        let name = Arc::clone(&self.services[index].name);
        if let Some((_, deadline)) = ttl {
            self.deadlines
                .insert((deadline, Arc::clone(&name), Arc::clone(&id)));
        }
        let member = Member { entry, ttl };
        self.changed.insert(index);
        self.bytes += bytes(&member.entry);
        let Some(old) = self.members[index].put(member) else {
            self.count += 1;
            return Ok(false);
        };
        self.bytes -= bytes(&old.entry);
        let kept = old
            .ttl
            .filter(|(_, deadline)| ttl.is_none_or(|(_, new)| new != *deadline));
        if let Some((_, deadline)) = kept {
            self.deadlines.remove(&(deadline, name, id));
        }
        Ok(true)
    }

    /// Whether an instance may be added, or take the place of one with its id.
    fn check_room(
        &self,
        service: &str,
        entry: &Entry,
        bounds: Bounds,
    ) -> Result<(), RegistrationError> {
        let known = self.find(service).map(|index| &self.members[index]);
        let old = known.and_then(|members| members.get(entry.instance.id()));
        if old.is_none() && self.count >= bounds.instances {
            let capacity = bounds.instances;
            return Err(RegistrationError::Full { capacity });
        }
        // One whose last instance has just left has its place for as long as nobody looks.
        let is_new = known.is_none_or(Members::is_empty);
        if is_new && self.members.len() >= bounds.services && self.used() >= bounds.services {
            let most = bounds.services;
            return Err(RegistrationError::TooManyServices { most });
        }
        let others = self.bytes - old.map_or(0, |old| bytes(&old.entry));
        if others + bytes(entry) > bounds.bytes {
            let most = bounds.bytes;
            return Err(RegistrationError::TooManyBytes { most });
        }
        Ok(())
    }

    /// How many services have instances.
    fn used(&self) -> usize {
        self.members.iter().filter(|it| !it.is_empty()).count()
    }

    pub(super) fn renew(
        &mut self,
        service: &str,
        id: &str,
        now: Instant,
    ) -> Result<Option<Duration>, RegistrationError> {
        let unknown = || RegistrationError::unknown(service, id);
        let index = self.find(service).ok_or_else(unknown)?;
        let member = self.members[index].get_mut(id).ok_or_else(unknown)?;
        let Some((ttl, deadline)) = &mut member.ttl else {
            return Ok(None);
        };
        let before = std::mem::replace(deadline, now + *ttl);
        let (ttl, after) = (*ttl, *deadline);
        let name = Arc::clone(&self.services[index].name);
        let id = Arc::clone(member.entry.instance.id());
        self.deadlines
            .remove(&(before, Arc::clone(&name), Arc::clone(&id)));
        // The task that waits for the earlier deadline finds nothing, and waits for this one.
        self.deadlines.insert((after, name, id));
        Ok(Some(ttl))
    }

    pub(super) fn remove(&mut self, service: &str, id: &str) -> Option<Entry> {
        let index = self.find(service)?;
        let member = self.members[index].remove(id)?;
        if let Some((_, deadline)) = member.ttl {
            let name = Arc::clone(&self.services[index].name);
            let id = Arc::clone(member.entry.instance.id());
            self.deadlines.remove(&(deadline, name, id));
        }
        self.changed.insert(index);
        self.count -= 1;
        self.bytes -= bytes(&member.entry);
        Some(member.entry)
    }

    /// Takes out all whose time has run out; true when there were any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((deadline, service, id)) = self.deadlines.first().cloned() {
            if deadline > now {
                break;
            }
            tracing::info!(
                service = &*service,
                id = &*id,
                "instance has not been heard of in time and is taken out"
            );
            if self.remove(&service, &id).is_none() {
                self.deadlines.remove(&(deadline, service, id));
            }
            any = true;
        }
        any
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }

    /// All services, of which only those that changed are built anew.
    pub(super) fn registry(&mut self) -> Registry {
        for index in std::mem::take(&mut self.changed) {
            let name = Arc::clone(&self.services[index].name);
            let entries = self.members[index].entries().cloned();
            self.services[index] = Arc::new(RegisteredService::new(name, entries.collect()));
        }
        self.forget_empty();
        Registry::new(self.services.clone(), Vec::new())
    }

    fn find(&self, service: &str) -> Option<usize> {
        self.by_name.get(service).copied()
    }

    fn index(&mut self, service: &str) -> usize {
        if let Some(index) = self.find(service) {
            return index;
        }
        let index = self.services.len();
        let service = Arc::new(RegisteredService::new(service, Vec::new()));
        self.by_name.insert(Arc::clone(&service.name), index);
        self.services.push(service);
        self.members.push(Members::default());
        index
    }

    /// Services without instances are no more than a name that someone once used.
    fn forget_empty(&mut self) {
        if !self.members.iter().any(Members::is_empty) {
            return;
        }
        let members = std::mem::take(&mut self.members);
        let services = std::mem::take(&mut self.services);
        self.by_name.clear();
        for (service, members) in services.into_iter().zip(members) {
            if !members.is_empty() {
                self.by_name
                    .insert(Arc::clone(&service.name), self.services.len());
                self.services.push(service);
                self.members.push(members);
            }
        }
    }
}

/// The length of what was said of an instance, if it is kept as a text: nobody but the program
/// itself makes one that is not.
fn bytes(entry: &Entry) -> usize {
    entry.raw.as_ref().map_or(0, |raw| raw.len())
}
