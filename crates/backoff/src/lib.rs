//! How long to wait before the next attempt.
//!
//! [`Backoff`] is arithmetic and nothing else: it never sleeps, holds no state, and draws its
//! randomness from the generator it is given. Whatever the jitter, a delay is never above
//! [`max`](BackoffBuilder::max).
//!
//! ```
//! use bartizan_backoff::{Backoff, Jitter, Rng};
//! use std::time::Duration;
//!
//! let backoff = Backoff::exponential(Duration::from_millis(100))
//!     .max(Duration::from_secs(2))
//!     .jitter(Jitter::None)
//!     .build()?;
//! let mut random = Rng::with_seed(7);
//! assert_eq!(backoff.delay(1, &mut random), Duration::from_millis(100));
//! assert_eq!(backoff.delay(2, &mut random), Duration::from_millis(200));
//! assert_eq!(backoff.delay(9, &mut random), Duration::from_secs(2));
//! # Ok::<(), bartizan_backoff::InvalidBackoff>(())
//! ```
//!
//! The three kinds of jitter and their names are those of Marc Brooker's
//! [*Exponential Backoff And Jitter*][aws]: full jitter finishes a contended piece of work with
//! the fewest calls, which is why it is the default.
//!
//! # When not to use it
//!
//! For spacing things that are not retries, such as health probes: there a fixed interval
//! with [`spread`] keeps the rate that was asked for.
//!
//! [aws]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

mod backoff;
mod error;

pub use backoff::{Backoff, BackoffBuilder, Growth, Jitter, spread};
pub use error::InvalidBackoff;
pub use fastrand::Rng;
