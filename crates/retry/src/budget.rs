mod account;
mod ticket;
mod tokens;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use bartizan_clock::Clock;

use crate::InvalidRetry;

use self::{account::Account, tokens::Reserve};

pub(crate) use self::ticket::Ticket;

/// What one retry costs. Any ratio of up to nine decimals is a whole number of these.
const RETRY: u64 = 1_000_000_000;

/// What a thread puts aside before it books it: often enough that the budget is soon seen to be
/// full, seldom enough that it hardly costs.
const BATCH: u64 = 4 * RETRY;

/// Keeps retries a fixed share of the traffic, however much of it fails.
///
/// Every first attempt pays in `ratio` of a retry and every retry takes out a whole one. So a
/// service in trouble gets at most `1 + ratio` times its load, where a limit per request alone
/// would let it have `max_attempts` times. For services with little traffic there is a reserve of
/// `min_per_second` retries that refills with time. Over any stretch of `t` seconds in which `n`
/// first attempts are made, the retries are at most
/// `ratio × n + cap + min_per_second × (t + 1)`, and besides as many as had been granted and
/// were still waiting to be sent when it began.
///
/// The idea and the two parameters are Finagle's `RetryBudget`; that what is paid in is bounded
/// instead of expiring is gRPC's and the AWS SDKs'. It has the advantage that a success reads no
/// clock.
///
/// Clones share one budget. It ends with the last of them and the last layer and service that
/// has it; calls still in flight then are limited by their number of attempts alone.
///
/// ```
/// use bartizan_clock::Clock;
/// use bartizan_retry::RetryBudget;
///
/// let budget = RetryBudget::new(0.3, 0, 100, Clock::default())?;
/// for _ in 0..10 {
///     budget.deposit();
/// }
/// let retries = (0..10).filter(|_| budget.withdraw()).count();
/// assert_eq!(retries, 3);
/// # Ok::<(), bartizan_retry::InvalidRetry>(())
/// ```
#[derive(Clone)]
pub struct RetryBudget(Arc<Shared>);

struct Shared {
    account: Account,
    reserve: Reserve,
    /// What a first attempt pays in.
    deposit: u64,
    cap: u64,
    /// Nanoseconds after which one retry of the reserve is back; zero if there is no reserve.
    interval: u64,
    /// How long the whole reserve takes to come back, in nanoseconds.
    window: u64,
    clock: Clock,
    ticket: Ticket,
}

impl RetryBudget {
    /// The share of retries that Finagle, tower and Envoy allow by default.
    pub const DEFAULT_RATIO: f64 = 0.2;

    /// The reserve that Finagle and tower's examples allow by default.
    pub const DEFAULT_MIN_PER_SECOND: u32 = 10;

    /// The burst of retries that the AWS SDKs allow after a time without failures: 500 tokens of
    /// which a retry costs five.
    pub const DEFAULT_CAP: u32 = 100;

    /// A budget of `ratio` retries per first attempt, of which at most `cap` are kept for later,
    /// besides `min_per_second` retries a second.
    ///
    /// It begins with a full reserve and nothing paid in. A ratio of zero leaves only the
    /// reserve; ratios are rounded to nine decimals. The clock is read only when what was paid
    /// in does not cover a retry.
    ///
    /// # Errors
    ///
    /// When the ratio is not between 0 and 1000, or the cap is zero although the ratio is not.
    pub fn new(
        ratio: f64,
        min_per_second: u32,
        cap: u32,
        clock: Clock,
    ) -> Result<Self, InvalidRetry> {
        if !(0.0..=1000.0).contains(&ratio) {
            return Err(InvalidRetry::Ratio);
        }
        if cap == 0 && ratio > 0.0 {
            return Err(InvalidRetry::ZeroCap);
        }
        Ok(Self::build(ratio, min_per_second, cap, clock))
    }

    /// A budget of 0.2 retries per first attempt, of which 100 are kept, and 10 a second.
    #[must_use]
    pub fn with_defaults(clock: Clock) -> Self {
        Self::build(
            Self::DEFAULT_RATIO,
            Self::DEFAULT_MIN_PER_SECOND,
            Self::DEFAULT_CAP,
            clock,
        )
    }

    fn build(ratio: f64, min_per_second: u32, cap: u32, clock: Clock) -> Self {
        let per_second = u64::from(min_per_second);
        // Rounded up, so that the reserve is never above what was asked for.
        let interval = RETRY.div_ceil(per_second.max(1)) * u64::from(per_second > 0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 10¹², and rounded"
        )]
        let deposit = (ratio * RETRY as f64).round() as u64;
        Self(Arc::new_cyclic(|budget| Shared {
            account: Account::default(),
            reserve: Reserve::new(),
            deposit,
            cap: u64::from(cap) * RETRY,
            interval,
            window: interval * per_second,
            clock,
            ticket: Ticket::issue(budget.clone()),
        }))
    }

    /// Pays in for a first attempt.
    #[inline]
    pub fn deposit(&self) {
        let shared = &*self.0;
        shared.account.deposit(shared.deposit, shared.cap, BATCH);
    }

    /// Takes out one retry; `false` if there is none.
    ///
    /// Takes what was paid in first, the reserve after that.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let shared = &*self.0;
        shared.account.withdraw(RETRY, shared.cap)
            || shared.interval > 0
                && shared.reserve.take(
                    shared.clock.now().as_nanos(),
                    shared.interval,
                    shared.window,
                )
    }

    /// Gives back a retry that was taken out and not sent.
    ///
    /// What the reserve had given goes to what was paid in; past the cap it is lost.
    pub fn refund(&self) {
        self.0.account.refund(RETRY, self.0.cap);
    }

    /// The way back here for a call in flight.
    #[inline]
    pub(crate) fn ticket(&self) -> Ticket {
        self.0.ticket
    }

    /// How many retries are paid for, fractions included. The reserve does not count.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.0.account.load(self.0.cap) as f64 / RETRY as f64
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ticket.vacate();
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("balance", &self.balance())
            .field("cap", &(self.0.cap / RETRY))
            .finish_non_exhaustive()
    }
}
