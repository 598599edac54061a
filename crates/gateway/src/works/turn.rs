use std::{collections::HashMap, sync::Arc};

use super::ground::Ground;
use crate::{
    BuildError, Reloaded,
    plan::Plan,
    service::Service,
    shared::{Lasting, Shared},
};

/// How the services of one snapshot become those of the next.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) services: Vec<Arc<Service>>,
    /// Those that go on, with what they are from now on.
    adopting: Vec<(Arc<Service>, Plan)>,
    pub(super) gone: Vec<Arc<Service>>,
    pub(super) reloaded: Reloaded,
}

impl Turn {
    /// Nothing has changed yet. `stays` says which services may go on as they are.
    pub(super) fn new(
        current: &Shared,
        ground: &Ground,
        lasting: &Lasting,
        plans: Vec<Plan>,
        stays: impl Fn(&Plan) -> bool,
    ) -> Result<Self, BuildError> {
        let mut turn = Self::default();
        let mut left: HashMap<_, _> = current
            .catalog()
            .services()
            .iter()
            .map(|service| (Arc::clone(service.name()), Arc::clone(service)))
            .collect();
        for plan in plans {
            let name = plan.settings.name.clone();
            let before = left.remove(&*name);
            if let Some(service) = &before
                && stays(&plan)
                && service.could_adopt(&plan)
            {
                turn.adopting.push((Arc::clone(service), plan));
                turn.services.extend(before);
                continue;
            }
            match (ground.service(&plan, before.as_deref(), lasting)?, before) {
                (Some(service), before) => {
                    if let Some(before) = &before {
                        service.begin_with_instances_of(before);
                    }
                    let list = match before {
                        Some(_) => &mut turn.reloaded.changed,
                        None => &mut turn.reloaded.added,
                    };
                    list.push(name);
                    turn.gone.extend(before);
                    turn.services.push(service);
                }
                // One that was there goes on as it was.
                (None, before) => turn.services.extend(before),
            }
        }
        turn.reloaded.removed = left.keys().map(ToString::to_string).collect();
        turn.gone.extend(left.into_values());
        Ok(turn)
    }

    /// What goes on does so as planned.
    pub(super) fn taken(mut self) -> Self {
        for (service, plan) in self.adopting.drain(..) {
            let list = match service.adopt(plan) {
                true => &mut self.reloaded.moved,
                false => &mut self.reloaded.unchanged,
            };
            list.push(service.name().to_string());
        }
        self
    }
}
