//! From configurations to snapshots, one after the other.

mod ground;
mod guests;
mod survey;
mod turn;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bartizan_clock::Clock;
use bartizan_config::{Configuration, GatewaySettings, Setting};
use bartizan_server::Tls;
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinError, time::MissedTickBehavior};

pub use self::survey::{Survey, SurveyedFile};
use self::{
    ground::{Authorities, Ground, client, same_children, same_client},
    guests::{Guest, Guests},
    turn::Turn,
};
use crate::{
    ReloadError, Reloaded, StartError,
    catalog::Catalog,
    current::Current,
    gateway::server,
    mcp::House,
    plan::{Plan, Settled},
    registries::Registries,
    reload::Read,
    service::{Hosting, Service},
    shared::{Lasting, Shared},
};

/// How often is looked for what nobody uses any more.
const UPKEEP: Duration = Duration::from_secs(5);

/// What builds the snapshots, and keeps what the next one takes over from the last.
pub(crate) struct Works {
    lasting: Arc<Lasting>,
    tls: Option<Tls>,
    read: OnceLock<Read>,
    /// Where it was started.
    home: Option<Handle>,
    current: Current,
    /// The last of the seconds that instances are called after.
    named: AtomicU64,
    guests: Guests,
    /// Held while the configuration is read anew and applied.
    reloading: tokio::sync::Mutex<()>,
    /// What the process was started with: some of it counts for as long as it runs.
    started: GatewaySettings,
    /// Those of the ground, for whoever must not wait for a change.
    registries: ArcSwap<Registries>,
    /// Held while a snapshot is built, so that two changes come one after the other.
    ground: Mutex<Ground>,
}

impl Works {
    /// The works with their first snapshot.
    pub(crate) fn start(
        configuration: &Configuration,
        clock: Clock,
    ) -> Result<Arc<Self>, StartError> {
        let settings = &configuration.gateway;
        let lasting = Arc::new(Lasting::new(clock));
        let tls = settings.tls.as_ref();
        let tls = tls
            .map(|tls| Tls::from_pem_files(tls.certificate.value(), tls.key.value()))
            .transpose();
        let mut wrong = Vec::new();
        let tls = kept(tls, &mut wrong);
        let house = kept(House::new(settings, lasting.clock()), &mut wrong);
        let ground = kept(Ground::new(configuration, lasting.clock()), &mut wrong);
        let built = ground.and_then(|mut ground| {
            let plans = kept(ground.plans(|_| false), &mut wrong)?;
            let built = plans
                .iter()
                .map(|plan| ground.service(plan, None, &lasting));
            let built = built.filter_map(|service| kept(service, &mut wrong));
            let services: Vec<_> = built.flatten().collect();
            Some((ground, services))
        });
        let (Some(tls), Some(house), Some((ground, services)), true) =
            (tls, house, built, wrong.is_empty())
        else {
            return Err(StartError::all(wrong));
        };
        let configuration = Arc::clone(&ground.configuration);
        let (catalog, to_all) = (Catalog::new(services), Arc::clone(&lasting));
        let shared = Shared::new(to_all, &configuration.gateway, catalog, house);
        let works = Arc::new(Self {
            lasting,
            tls,
            read: OnceLock::new(),
            home: Handle::try_current().ok(),
            current: Current::new(shared),
            named: AtomicU64::new(0),
            guests: Guests::default(),
            reloading: tokio::sync::Mutex::default(),
            started: configuration.gateway.clone(),
            registries: ArcSwap::new(Arc::clone(&ground.registries)),
            ground: Mutex::new(ground),
        });
        works.lasting.turn(&works.current.load());
        works.follow(&mut works.ground.lock());
        works.keep_up();
        Ok(works)
    }

    /// Does `work` on the runtime that the gateway was started on: what takes long, or begins what
    /// lasts. A request for it is served on a thread that other connections wait for.
    ///
    /// # Errors
    ///
    /// When that runtime has ended.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not stop it.
    pub(crate) async fn at_home<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let works = Arc::clone(self);
        match &self.home {
            Some(home) => home.spawn(async move { work(&works) }).await,
            None => Ok(work(&works)),
        }
    }

    pub(crate) fn lasting(&self) -> &Arc<Lasting> {
        &self.lasting
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(crate) fn reloading(&self) -> &tokio::sync::Mutex<()> {
        &self.reloading
    }

    /// The snapshot that counts now.
    pub(crate) fn current(&self) -> &Current {
        &self.current
    }

    /// The registries that count now.
    pub(crate) fn registries(&self) -> Arc<Registries> {
        self.registries.load_full()
    }

    /// The configuration that counts now.
    pub(crate) fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.ground.lock().configuration)
    }

    pub(crate) fn guests(&self) -> &Guests {
        &self.guests
    }

    /// `second`, or the next one that no instance was called after.
    pub(crate) fn unused_second(&self, second: u64) -> u64 {
        let next = |last: u64| Some(second.max(last + 1));
        let last = self
            .named
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.map_or(second, |last| second.max(last + 1))
    }

    /// Says how the configuration is read anew; who says it first is right.
    pub(crate) fn configured_by(&self, read: Read) {
        let _ = self.read.set(read);
    }

    /// The configuration as it is now where it came from.
    pub(crate) fn read(&self) -> Result<Configuration, ReloadError> {
        let read = self.read.get().ok_or(ReloadError::NoSource)?;
        Ok(read()?)
    }

    /// Builds the next snapshot and puts it in the place of the current one.
    ///
    /// Services whose settings are what they were go on as they are. Nothing has changed if there
    /// is an error.
    pub(crate) fn renew(
        self: &Arc<Self>,
        configuration: &Configuration,
    ) -> Result<(Reloaded, Vec<Arc<Service>>), StartError> {
        let settings = &configuration.gateway;
        let is_open = settings.api_keys.is_none() && !*settings.insecure_bind;
        if is_open && !self.started.host.is_loopback() {
            return Err(StartError::Exposed(*self.started.host));
        }
        let mut ground = self.ground.lock();
        let before = &ground.configuration.gateway;
        if let Some(gone) = keys_gone(before, settings) {
            return Err(StartError::KeysGone(gone));
        }
        let revokes = revokes(before, settings);
        let current = self.current.load();
        let registries = ground.registries.renewed(&configuration.registries)?;
        let follows_anew = registries.is_some();
        let mut next = Ground {
            registries: registries.map_or_else(|| Arc::clone(&ground.registries), Arc::new),
            configuration: Arc::new(configuration.clone()),
            settled: Settled::default(),
            following: None,
            client: ground.client.clone(),
            authorities: Authorities::of(settings),
            hosting: ground.hosting.clone(),
        };
        let same_client = same_client(before, settings) && next.authorities == ground.authorities;
        let same_children = same_children(before, settings);
        if !same_client {
            next.client = client(settings)?;
            next.hosting = Hosting::new(settings);
        } else if !same_children {
            next.hosting = ground.hosting.with_children(settings);
        }
        let stays = |plan: &Plan| same_client && (same_children || !plan.runs_programs());
        // Whoever registers must not keep an operator from changing the configuration.
        let mut plans = next.plans(|listing| {
            !listing.is_in_memory() && current.catalog().service(&listing.name).is_some()
        })?;
        let guests = self.guests.leave_out(&mut plans, &next.registries);
        let turn = Turn::new(&current, &next, &self.lasting, plans, stays)?;
        let house = current.mcp().renewed(settings)?;
        let other_certificate = match &self.tls {
            Some(tls) => tls.reload()?,
            None => false,
        };
        let needs_restart = needs_restart(&self.started, settings);

        // From here on nothing fails.
        if revokes {
            self.lasting.revoke();
        }
        next.registries.settle();
        let Turn {
            services,
            mut reloaded,
            gone,
            ..
        } = turn.taken();
        reloaded.other_certificate = other_certificate;
        reloaded.needs_restart = needs_restart;
        for service in &services {
            service.fetch_tokens_by(&next.client);
        }
        doubt_moved(&services, &reloaded);
        let lasting = Arc::clone(&self.lasting);
        let shared = Shared::new(lasting, settings, Catalog::new(services), house);
        self.put(shared, &gone);
        take_out(guests, &next.registries);
        self.registries.store(Arc::clone(&next.registries));
        next.following = ground.following.take();
        *ground = next;
        if follows_anew {
            self.follow(&mut ground);
        }
        Ok((reloaded, gone))
    }

    /// Has the catalog be what the configuration and the registries say now. Services whose
    /// settings are wrong stay as they were if they were there, or are left out, and the log says
    /// why.
    ///
    /// The answer is those that are gone or replaced.
    pub(crate) fn refresh(&self) -> (Reloaded, Vec<Arc<Service>>) {
        let mut ground = self.ground.lock();
        let current = self.current.load();
        let configuration = Arc::clone(&ground.configuration);
        let mut plans = match ground.plans(|_| false) {
            Ok(plans) => plans,
            Err(errors) => return unchanged(&errors),
        };
        let guests = self.guests.leave_out(&mut plans, &ground.registries);
        take_out(guests, &ground.registries);
        let turn = Turn::new(&current, &ground, &self.lasting, plans, |_| true);
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => return unchanged(&error),
        };
        let Turn {
            services,
            reloaded,
            gone,
            ..
        } = turn.taken();
        doubt_moved(&services, &reloaded);
        // Where only instances came or went, the snapshot is what it was.
        if reloaded.changes_services() {
            let (settings, lasting) = (&configuration.gateway, Arc::clone(&self.lasting));
            let catalog = Catalog::new(services);
            let next = Shared::new(lasting, settings, catalog, current.mcp().clone());
            self.put(next, &gone);
        }
        (reloaded, gone)
    }

    /// Puts a snapshot in the place of the current one, which has these services no more.
    fn put(&self, next: Shared, gone: &[Arc<Service>]) {
        self.current.swap(next);
        let current = self.current.load();
        self.lasting.turn(&current);
        current.shelf().forget(gone);
        self.unmeasure(gone);
    }

    /// Refreshes from now on whenever a registry changes.
    fn follow(self: &Arc<Self>, ground: &mut Ground) {
        let mut changes = ground.registries.changes();
        let works = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            // First, as a registry may have changed after the plans were made.
            while let Some(works) = works.upgrade() {
                works.apply_registries();
                drop(works);
                changes.next().await;
            }
        });
        if let Some(before) = ground.following.replace(task.abort_handle()) {
            before.abort();
        }
    }

    /// Forgets every few seconds what nobody uses any more, whatever serves the gateway.
    fn keep_up(self: &Arc<Self>) {
        let works = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(UPKEEP);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                let Some(works) = works.upgrade() else {
                    return;
                };
                works.current.load().upkeep();
            }
        });
    }

    /// Has the metrics tell nothing more of services that are there no more, not even as others.
    fn unmeasure(&self, gone: &[Arc<Service>]) {
        let current = self.current.load();
        let is_there = |service: &Service| current.catalog().service(service.name()).is_some();
        for service in gone.iter().filter(|service| !is_there(service)) {
            service.unmeasure();
        }
    }

    /// [Refreshes](Works::refresh), logs what that came to, and ends what is gone.
    pub(crate) fn apply_registries(&self) -> Reloaded {
        let (reloaded, gone) = self.refresh();
        if reloaded.changes_services() {
            tracing::info!(%reloaded, "registries changed");
        }
        let patience = *self.configuration().gateway.drain_timeout;
        let lasting = &self.lasting;
        lasting.retiring().retire(gone, lasting.clock(), patience);
        reloaded
    }
}

/// What there is; what is wrong otherwise is noted.
fn kept<T, E: Into<StartError>>(result: Result<T, E>, wrong: &mut Vec<StartError>) -> Option<T> {
    result.map_err(|error| wrong.push(error.into())).ok()
}

impl Drop for Works {
    fn drop(&mut self) {
        let current = self.current.load();
        current.shelf().forget(current.catalog().services());
        current.mcp().retire();
    }
}

fn take_out(guests: Vec<Guest>, registries: &Registries) {
    for (service, id) in guests {
        registries.forget(&service, &id);
        let reason = "its service sends a credential now, and no operator registered it";
        tracing::warn!(service = &*service, id = &*id, reason, "instance taken out");
    }
}

/// Has the lists asked for anew of services that are elsewhere now, where they may list other things.
fn doubt_moved(services: &[Arc<Service>], reloaded: &Reloaded) {
    let has_moved = |it: &&Arc<Service>| reloaded.moved.iter().any(|name| **name == **it.name());
    for mcp in services.iter().filter(has_moved).filter_map(|it| it.mcp()) {
        mcp.watch().doubt();
    }
}

fn unchanged(error: &dyn fmt::Display) -> (Reloaded, Vec<Arc<Service>>) {
    tracing::error!(error = format!("{error:#}"), "services not changed");
    (Reloaded::default(), Vec::new())
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Works").finish_non_exhaustive()
    }
}

/// What has changed and counts only for a process that starts with it.
fn needs_restart(old: &GatewaySettings, new: &GatewaySettings) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let mut note = |is_other: bool, what| {
        if is_other {
            changed.push(what);
        }
    };
    note(old.address() != new.address(), "address");
    note(old.tls != new.tls, "TLS files");
    note(server(old) != server(new), "limits of connections");
    note(old.workers != new.workers, "workers");
    note(old.watch_files != new.watch_files, "watching of files");
    note(old.drain_delay != new.drain_delay, "drain delay");
    let logs = old.log_filter != new.log_filter
        || old.log_format != new.log_format
        || old.log_color != new.log_color;
    note(logs, "logs");
    let sessions = old.mcp.max_sessions != new.mcp.max_sessions
        || old.mcp.max_sessions_per_caller != new.mcp.max_sessions_per_caller
        || old.mcp.session_idle_timeout != new.mcp.session_idle_timeout;
    note(sessions, "limits of sessions");
    let checks = |of: &GatewaySettings| *of.instances.max_concurrent_checks;
    note(checks(old) != checks(new), "limit of probes");
    changed
}

/// The keys that are not asked for any more, unless the operator says that somebody else does.
fn keys_gone(old: &GatewaySettings, new: &GatewaySettings) -> Option<&'static str> {
    let gone = |old: &Option<_>, new: &Option<_>| old.is_some() && new.is_none();
    if *new.insecure_bind {
        None
    } else if gone(&old.api_keys, &new.api_keys) {
        Some("MCP_GATEWAY_API_KEYS")
    } else if gone(&old.admin_keys, &new.admin_keys) {
        Some("MCP_GATEWAY_ADMIN_KEYS")
    } else {
        None
    }
}

/// Whether somebody who came in before may not come in any more.
fn revokes(old: &GatewaySettings, new: &GatewaySettings) -> bool {
    let Some(api_keys) = &new.api_keys else {
        return false;
    };
    let admin_keys = new.admin_keys.iter().flat_map(Setting::value);
    let admitted: Vec<_> = api_keys.value().iter().chain(admin_keys).collect();
    let before = [&old.api_keys, &old.admin_keys].into_iter().flatten();
    old.api_keys.is_none()
        || before
            .flat_map(Setting::value)
            .any(|key| !admitted.contains(&key))
}

#[cfg(test)]
mod tests;
