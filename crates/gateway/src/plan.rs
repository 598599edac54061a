//! What services there are to be: those of the configuration, and those that registries list.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bartizan_config::{Configuration, ServiceSettings};

use crate::registries::{Listing, Registries};

/// A service as it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Arc<ServiceSettings>,
    /// What registries say of it, if it is not in the configuration.
    pub(crate) listing: Option<Arc<Listing>>,
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
    /// None if they are wrong.
    settings: Option<Arc<ServiceSettings>>,
}

impl Settled {
    /// All services, those of the configuration first. One of a registry whose settings are wrong
    /// is left out, and the log says why.
    pub(crate) fn plans(
        &mut self,
        configuration: &Configuration,
        registries: &Registries,
    ) -> Vec<Plan> {
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
            let known = self.known(configuration, listing, known);
            if let Some(settings) = &known.settings {
                plans.push(Plan {
                    settings: Arc::clone(settings),
                    listing: Some(Arc::clone(&known.listing)),
                });
            }
            self.services.insert(Arc::clone(&known.listing.name), known);
        }
        plans
    }

    fn known(
        &mut self,
        configuration: &Configuration,
        listing: Listing,
        before: Option<Known>,
    ) -> Known {
        match before {
            Some(known) if *known.listing == listing => known,
            Some(known) if known.listing.same_settings(&listing) => Known {
                listing: Arc::new(listing),
                ..known
            },
            _ => Known {
                settings: self.settings(configuration, &listing).map(Arc::new),
                listing: Arc::new(listing),
            },
        }
    }

    fn settings(
        &mut self,
        configuration: &Configuration,
        listing: &Listing,
    ) -> Option<ServiceSettings> {
        match configuration.registered(&listing.registered()) {
            Ok((settings, warnings)) => {
                for warning in warnings {
                    if self.is_new(warning.to_string()) {
                        tracing::warn!("{warning}");
                    }
                }
                Some(settings)
            }
            Err(errors) => {
                if self.is_new(errors.to_string()) {
                    let service = &*listing.name;
                    tracing::error!(service, %errors, "a service of a registry is left out");
                }
                None
            }
        }
    }

    /// Whether nobody has said this yet.
    fn is_new(&mut self, text: String) -> bool {
        const MOST: usize = 256;
        self.told.len() < MOST && self.told.insert(text)
    }
}
