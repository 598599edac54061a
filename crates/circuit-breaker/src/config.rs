use std::time::Duration;

use bartizan_backoff::{Backoff, InvalidBackoff, Jitter};
use fastrand::Rng;

use crate::{InvalidConfig, word::Word};

/// When a circuit opens, for how long, and what it takes to close it.
///
/// ```
/// use bartizan_circuit_breaker::{CircuitBreakerConfig, InvalidConfig};
/// use std::time::Duration;
///
/// let config = CircuitBreakerConfig::builder()
///     .failure_threshold(Some(3))
///     .recovery_timeout(Duration::from_secs(20))
///     .build()?;
/// assert_eq!(config.half_open_max_calls(), 3);
///
/// let nonsense = CircuitBreakerConfig::builder().failure_ratio(Some(1.5)).build();
/// assert_eq!(nonsense, Err(InvalidConfig::FailureRatio));
/// # Ok::<(), InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreakerConfig {
    failure_threshold: Option<u32>,
    failure_ratio: Option<f64>,
    window: Duration,
    minimum_calls: u32,
    recovery: Backoff,
    recovery_jitter: f64,
    half_open_max_calls: u32,
    half_open_timeout: Duration,
    slow_call: Option<SlowCall>,
}

/// When slowness alone opens the circuit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCall {
    /// From which duration on a call is slow, measured from admission to outcome.
    pub threshold: Duration,
    /// The share of slow calls in the window that opens the circuit; above 0, at most 1.
    pub ratio: f64,
}

impl CircuitBreakerConfig {
    /// A builder that starts with the defaults.
    pub fn builder() -> CircuitBreakerConfigBuilder {
        CircuitBreakerConfigBuilder::default()
    }

    /// How many failures in a row open the circuit; `None` if they never do.
    #[must_use]
    pub fn failure_threshold(&self) -> Option<u32> {
        self.failure_threshold
    }

    /// The share of failures in the window that opens the circuit; `None` if it never does.
    #[must_use]
    pub fn failure_ratio(&self) -> Option<f64> {
        self.failure_ratio
    }

    /// How far the ratios look back.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// How many calls the window must contain before a ratio means anything.
    #[must_use]
    pub fn minimum_calls(&self) -> u32 {
        self.minimum_calls
    }

    /// How long the circuit stays open the first time.
    #[must_use]
    pub fn recovery_timeout(&self) -> Duration {
        self.recovery.initial()
    }

    /// How long the circuit stays open at most.
    #[must_use]
    pub fn recovery_timeout_max(&self) -> Duration {
        self.recovery.max()
    }

    /// The fraction of the recovery time that is random.
    #[must_use]
    pub fn recovery_jitter(&self) -> f64 {
        self.recovery_jitter
    }

    /// How many probes a half-open cycle admits, and how many of them must succeed.
    #[must_use]
    pub fn half_open_max_calls(&self) -> u32 {
        self.half_open_max_calls
    }

    /// How long the last probe may take before a half-open cycle without permits is given up.
    #[must_use]
    pub fn half_open_timeout(&self) -> Duration {
        self.half_open_timeout
    }

    /// When slowness alone opens the circuit, if it does.
    #[must_use]
    pub fn slow_call(&self) -> Option<SlowCall> {
        self.slow_call
    }

    /// How long to stay open after `reopenings` failed recoveries in a row, when the service
    /// asked for `hint`.
    pub(crate) fn open_time(
        &self,
        reopenings: u32,
        hint: Option<Duration>,
        random: &mut Rng,
    ) -> Duration {
        let (max, jitter) = (self.recovery.max(), self.recovery_jitter);
        // At the maximum the jitter moves below it; otherwise replicas would meet there.
        let room = (nanos(max) as f64 / (1.0 + jitter)) as u64;
        let base = self.recovery.ceiling(reopenings.saturating_add(1));
        let base = nanos(base).min(room);
        let extra = (base as f64 * jitter * random.f64()) as u64;
        let jittered = Duration::from_nanos(base.saturating_add(extra));
        jittered.max(hint.unwrap_or_default()).min(max)
    }
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }
}

/// Builds a [`CircuitBreakerConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct CircuitBreakerConfigBuilder {
    failure_threshold: Option<u32>,
    failure_ratio: Option<f64>,
    window: Duration,
    minimum_calls: u32,
    recovery_timeout: Duration,
    recovery_timeout_max: Option<Duration>,
    recovery_jitter: f64,
    half_open_max_calls: u32,
    half_open_timeout: Duration,
    slow_call: Option<SlowCall>,
}

/// Envoy bounds its ejection time likewise, to 300 s.
const DEFAULT_RECOVERY_TIMEOUT_MAX: Duration = Duration::from_secs(300);

impl Default for CircuitBreakerConfigBuilder {
    fn default() -> Self {
        Self {
            // Envoy's outlier detection and the failsafe crate both take five.
            failure_threshold: Some(5),
            // Resilience4j's failure rate threshold.
            failure_ratio: Some(0.5),
            // Polly's and failsafe's window.
            window: Duration::from_secs(30),
            // Fewer calls than this make a ratio of luck; Resilience4j and Polly ask for 100,
            // which a tool that is called now and then never reaches.
            minimum_calls: 20,
            // Envoy's base ejection time.
            recovery_timeout: Duration::from_secs(30),
            recovery_timeout_max: None,
            recovery_jitter: 0.2,
            // One probe is too few to trust, and ten, as in Resilience4j, can hurt a service
            // that is just getting up.
            half_open_max_calls: 3,
            // Above the time limits that calls commonly have.
            half_open_timeout: Duration::from_secs(60),
            slow_call: None,
        }
    }
}

impl CircuitBreakerConfigBuilder {
    /// How many failures in a row open the circuit; `None` to never open for that reason.
    /// Default: 5.
    ///
    /// Catches a service that is down after as many calls, whatever happened before.
    pub fn failure_threshold(mut self, failures: Option<u32>) -> Self {
        self.failure_threshold = failures;
        self
    }

    /// The share of failed and limited calls in the window that opens the circuit, above 0 and
    /// at most 1; `None` to never open for that reason. Default: 0.5.
    ///
    /// Catches a service that half works, whose successes keep interrupting the row of failures.
    pub fn failure_ratio(mut self, ratio: Option<f64>) -> Self {
        self.failure_ratio = ratio;
        self
    }

    /// How far the ratios look back, between 10 ms and a day. Default: 30 s.
    ///
    /// The window slides in tenths: an outcome counts fully for nine tenths of the window, and
    /// not at all once it is older than the window; give or take 10 ms if the window is a second
    /// or longer, as a clock will do then that is read in half the time.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many calls the window must contain before a ratio is looked at, between 1 and
    /// 500,000. Default: 20.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// How long the circuit stays open before it lets probes through. Default: 30 s.
    ///
    /// Doubles with every recovery that fails, up to
    /// [`recovery_timeout_max`](Self::recovery_timeout_max).
    pub fn recovery_timeout(mut self, timeout: Duration) -> Self {
        self.recovery_timeout = timeout;
        self
    }

    /// How long the circuit stays open at most, jitter and `Retry-After` included. Default:
    /// 5 min, or the recovery timeout if that is longer.
    pub fn recovery_timeout_max(mut self, timeout: Duration) -> Self {
        self.recovery_timeout_max = Some(timeout);
        self
    }

    /// By which fraction of itself the time open is lengthened at random, between 0 and 1.
    /// Default: 0.2.
    ///
    /// Replicas that opened together would otherwise probe together. Close to the maximum,
    /// where there is no room above, the jitter shortens the time instead.
    pub fn recovery_jitter(mut self, fraction: f64) -> Self {
        self.recovery_jitter = fraction;
        self
    }

    /// How many probes a half-open cycle admits, and how many successes close the circuit,
    /// between 1 and 65,535. Default: 3.
    ///
    /// One number for both: a cycle never has more than this many calls under way or succeeded,
    /// and it is decided when all of them have succeeded or one has failed. A probe that is
    /// cancelled or ignored makes room for another.
    pub fn half_open_max_calls(mut self, calls: u32) -> Self {
        self.half_open_max_calls = calls;
        self
    }

    /// How long the last probe may take before a half-open cycle that has no permit left is
    /// given up and the circuit opens again. Default: 60 s.
    ///
    /// The way out when probes hang. It must be longer than the slowest call that is still
    /// healthy, or the circuit will not close while such calls are all it sees.
    pub fn half_open_timeout(mut self, timeout: Duration) -> Self {
        self.half_open_timeout = timeout;
        self
    }

    /// When slowness alone opens the circuit. Default: `None`.
    ///
    /// Costs a second reading of the clock per call. A slow probe counts as failed, even if its
    /// answer was good: closing on it would only bring back what opened the circuit.
    pub fn slow_call(mut self, slow_call: Option<SlowCall>) -> Self {
        self.slow_call = slow_call;
        self
    }

    /// The finished configuration.
    ///
    /// A configuration without threshold, ratio and slow calls is valid: such a circuit opens
    /// by hand only.
    ///
    /// # Errors
    ///
    /// When a value is outside its range, or the maximum recovery timeout below the first.
    pub fn build(self) -> Result<CircuitBreakerConfig, InvalidConfig> {
        let is_ratio = |ratio: f64| ratio > 0.0 && ratio <= 1.0;
        if self.failure_threshold == Some(0) {
            return Err(InvalidConfig::FailureThreshold);
        }
        if !self.failure_ratio.is_none_or(is_ratio) {
            return Err(InvalidConfig::FailureRatio);
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(86_400)).contains(&self.window) {
            return Err(InvalidConfig::Window);
        }
        if !(1..=500_000).contains(&self.minimum_calls) {
            return Err(InvalidConfig::MinimumCalls);
        }
        if !(0.0..=1.0).contains(&self.recovery_jitter) {
            return Err(InvalidConfig::RecoveryJitter);
        }
        if !(1..=Word::MAX_PROBES).contains(&self.half_open_max_calls) {
            return Err(InvalidConfig::HalfOpenMaxCalls);
        }
        if self.half_open_timeout.is_zero() {
            return Err(InvalidConfig::HalfOpenTimeout);
        }
        let is_slow_call = |slow: SlowCall| !slow.threshold.is_zero() && is_ratio(slow.ratio);
        if !self.slow_call.is_none_or(is_slow_call) {
            return Err(InvalidConfig::SlowCall);
        }
        let recovery_timeout_max = self
            .recovery_timeout_max
            .unwrap_or(DEFAULT_RECOVERY_TIMEOUT_MAX.max(self.recovery_timeout));
        let recovery = Backoff::exponential(self.recovery_timeout)
            .max(recovery_timeout_max)
            .jitter(Jitter::None)
            .build()
            .map_err(|error| match error {
                InvalidBackoff::MaxBelowInitial => InvalidConfig::RecoveryTimeoutMax,
                _ => InvalidConfig::RecoveryTimeout,
            })?;
        Ok(CircuitBreakerConfig {
            failure_threshold: self.failure_threshold,
            failure_ratio: self.failure_ratio,
            window: self.window,
            minimum_calls: self.minimum_calls,
            recovery,
            recovery_jitter: self.recovery_jitter,
            half_open_max_calls: self.half_open_max_calls,
            half_open_timeout: self.half_open_timeout,
            slow_call: self.slow_call,
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
