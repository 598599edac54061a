use std::{num::NonZeroU32, time::Duration};

use crate::{
    GatewaySettings, Setting,
    reader::{Reader, Scope},
    table,
};

const MINUTES_OF_A_YEAR: u64 = 365 * 24 * 60;

/// The highest rate that the rate limit of the workspace can represent, a call a microsecond,
/// which no service gets.
pub(crate) const UNLIMITED_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60_000_000).unwrap();

/// How many calls a service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitSettings {
    /// How many a minute in the long run.
    pub requests_per_minute: Setting<NonZeroU32>,
    /// How many at once after a pause.
    pub burst: Setting<NonZeroU32>,
    /// How long a call waits for its turn at most; zero refuses at once.
    pub max_wait: Setting<Duration>,
    /// How many calls may wait at once.
    pub max_waiting: Setting<u32>,
}

impl RateLimitSettings {
    /// Whether the rate is so high that it is no limit to speak of.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self.requests_per_minute >= UNLIMITED_PER_MINUTE
    }

    pub(crate) fn read(reader: &mut Reader<'_>, scope: &Scope, gateway: &GatewaySettings) -> Self {
        let requests_per_minute: Setting<NonZeroU32> =
            reader.setting(scope, &table::RATE_LIMIT_RPM);
        let burst: Setting<NonZeroU32> = reader.setting(scope, &table::RATE_LIMIT_BURST);
        // What the rate limit of the workspace can represent.
        if u64::from(burst.get()) > u64::from(requests_per_minute.get()) * MINUTES_OF_A_YEAR {
            let words = "burst limit must not take more than a year to fill";
            reader.wrong_value(scope, &table::RATE_LIMIT_BURST, words);
        }
        Self {
            requests_per_minute,
            burst,
            max_wait: reader.setting(scope, &table::RATE_LIMIT_MAX_WAIT),
            max_waiting: reader.inherit(
                scope,
                &table::RATE_LIMIT_MAX_WAITING,
                &gateway.max_waiting,
            ),
        }
    }
}
