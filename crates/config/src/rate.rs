use std::{num::NonZeroU32, time::Duration};

use crate::{
    GatewaySettings, McpTransport, Origin, Setting,
    reader::{Reader, Scope},
    table,
};

const MINUTES_OF_A_YEAR: u64 = 365 * 24 * 60;

/// The highest rate that the rate limit of the workspace can represent, a call a microsecond,
/// which no service gets.
const UNLIMITED_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60_000_000).unwrap();

/// What comes in a second; below the limiter's resolution, nobody waits for a token.
const UNLIMITED_BURST: NonZeroU32 = NonZeroU32::new(UNLIMITED_PER_MINUTE.get() / 60).unwrap();

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

    /// Neither a service of a registry nor one that is `spoken` to by MCP has a limit unless its rate
    /// or its burst is said: no document promises one, and a client of MCP has asked for half a dozen
    /// lists before its first call.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        scope: &Scope,
        gateway: &GatewaySettings,
        spoken: Option<McpTransport>,
        is_registered: bool,
    ) -> Self {
        let said_rate = reader.optional(scope, &table::RATE_LIMIT_RPM);
        let said_burst = reader.optional(scope, &table::RATE_LIMIT_BURST);
        if (is_registered || spoken.is_some()) && said_rate.is_none() && said_burst.is_none() {
            let no_limit = Origin::Default(match is_registered {
                true => "a registry has none",
                false => "an MCP server is asked as often as its clients ask",
            });
            // Who says how long to wait for nothing hears that it has no effect, as nobody reads it.
            return Self {
                requests_per_minute: Setting::new(UNLIMITED_PER_MINUTE, no_limit.clone()),
                burst: Setting::new(UNLIMITED_BURST, no_limit),
                max_wait: reader.default(&table::RATE_LIMIT_MAX_WAIT),
                max_waiting: gateway.max_waiting.clone(),
            };
        }
        let or_default =
            |said: Option<_>, variable| said.unwrap_or_else(|| reader.default(variable));
        let requests_per_minute: Setting<NonZeroU32> =
            or_default(said_rate, &table::RATE_LIMIT_RPM);
        let burst: Setting<NonZeroU32> = or_default(said_burst, &table::RATE_LIMIT_BURST);
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
