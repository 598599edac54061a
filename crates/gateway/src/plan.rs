//! What services there are to be: those of the configuration, and those that registries list.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bartizan_config::{Configuration, Errors, ServiceSettings};

use crate::registries::{Listing, Registries};

/// A service as it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Arc<ServiceSettings>,
    /// What registries say of it, if it is not in the configuration.
    pub(crate) listing: Option<Arc<Listing>>,
}

impl Plan {
    /// Whether nobody but its own instances says that there is such a service.
    pub(crate) fn is_passing(&self) -> bool {
        let is_in_memory = |listing: &Arc<Listing>| listing.is_in_memory();
        !self.settings.is_named && self.listing.as_ref().is_some_and(is_in_memory)
    }

    /// Whether its instances are, or may be, processes of this gateway.
    pub(crate) fn runs_programs(&self) -> bool {
        let mcp = self.settings.kind.mcp();
        mcp.is_some_and(|mcp| mcp.stdio.is_some() || mcp.programs.is_some())
    }
}

/// What was made of registries under one configuration, so that most of it need not be made again
/// when they change.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    configured: Vec<Plan>,
    services: HashMap<Arc<str>, Known>,
    /// What was wrong and has been said.
    told: HashSet<String>,
}

#[derive(Debug)]
struct Known {
    listing: Arc<Listing>,
    /// None if they are wrong and always were.
    settings: Option<Arc<ServiceSettings>>,
}

impl Settled {
    /// All services, those of the configuration first. One of a registry whose settings are wrong
    /// stays as it was planned before or is left out, and the log says why.
    ///
    /// # Errors
    ///
    /// When the settings of one are wrong that `must_stay`. One that is configured now need not: what
    /// an operator configures takes the place of what was registered.
    pub(crate) fn plans(
        &mut self,
        configuration: &Configuration,
        registries: &Registries,
        must_stay: impl Fn(&Listing) -> bool,
    ) -> Result<Vec<Plan>, Errors> {
        if self.configured.is_empty() {
            let services = configuration.services.iter();
            let plans = services.map(|settings| Plan {
                settings: Arc::new(settings.clone()),
                listing: None,
            });
            self.configured = plans.collect();
        }
        let mut plans = self.configured.clone();
        let mut before = std::mem::take(&mut self.services);
        for listing in registries.listings() {
            let known = before.remove(&listing.name);
            let known = self.known(configuration, listing, known, &must_stay)?;
            if let Some(settings) = &known.settings {
                plans.push(Plan {
                    settings: Arc::clone(settings),
                    listing: Some(Arc::clone(&known.listing)),
                });
            }
            self.services.insert(Arc::clone(&known.listing.name), known);
        }
        Ok(plans)
    }

    fn known(
        &mut self,
        configuration: &Configuration,
        listing: Listing,
        before: Option<Known>,
        must_stay: impl Fn(&Listing) -> bool,
    ) -> Result<Known, Errors> {
        let before = match before {
            Some(known) if *known.listing == listing => return Ok(known),
            Some(known) if known.listing.same_settings(&listing) => {
                return Ok(Known {
                    listing: Arc::new(listing),
                    ..known
                });
            }
            before => before.and_then(|known| known.settings),
        };
        let settings = match self.settings(configuration, &listing) {
            Ok(settings) => Some(Arc::new(settings)),
            Err(errors)
                if configuration.configured_as(&listing.name).is_none() && must_stay(&listing) =>
            {
                return Err(errors);
            }
            Err(errors) => {
                if self.is_new(errors.to_string()) {
                    let (service, stays) = (&*listing.name, before.is_some());
                    tracing::error!(service, stays, %errors, "a service of a registry is wrong");
                }
                before
            }
        };
        Ok(Known {
            settings,
            listing: Arc::new(listing),
        })
    }

    fn settings(
        &mut self,
        configuration: &Configuration,
        listing: &Listing,
    ) -> Result<ServiceSettings, Errors> {
        let (settings, warnings) = configuration.registered(&listing.registered())?;
        for warning in warnings {
            if self.is_new(warning.to_string()) {
                tracing::warn!("{warning}");
            }
        }
        Ok(settings)
    }

    /// Whether nobody has said this yet.
    fn is_new(&mut self, text: String) -> bool {
        const MOST: usize = 256;
        self.told.len() < MOST && self.told.insert(text)
    }
}
