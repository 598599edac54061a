//! What stands in for the flow where the crate is built without it: there is none.

use std::time::Duration;

use bartizan_clock::{Clock, Instant};
use parking_lot::Mutex;

use super::Challenge;
use crate::{
    TokenClient,
    oauth2::{Granted, Refusal},
};

#[derive(Debug)]
pub(crate) enum Flow {}

impl Flow {
    pub(crate) fn is_unsaved(&self) -> bool {
        match *self {}
    }

    pub(crate) fn can_grant(&self) -> bool {
        match *self {}
    }

    pub(crate) fn only_refreshes(&self, _: Instant) -> bool {
        match *self {}
    }

    pub(crate) fn admits(&self, _: &Challenge) -> bool {
        match *self {}
    }

    pub(crate) fn wants_more(&self) -> Option<Challenge> {
        match *self {}
    }

    pub(crate) fn longest(&self) -> Duration {
        match *self {}
    }

    #[allow(clippy::unused_async, reason = "as where there is a flow")]
    pub(crate) async fn obtain<S: TokenClient>(
        &self,
        _: &Mutex<S>,
        _: Clock,
        _: Option<Challenge>,
    ) -> Result<Granted, Refusal> {
        match *self {}
    }
}
