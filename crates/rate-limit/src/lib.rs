//! Limits the rate of calls: one bucket for all of them, or one for each key.

mod acquire;
mod allowed;
mod bucket;
mod cell;
mod deadline;
mod error;
mod future;
mod keyed;
mod layer;
mod limit;
mod limiter;
mod moment;
mod pace;
mod priority;
mod queue;
mod quota;
mod service;
mod shard;
mod snapshot;
mod sync;
mod waiter;
mod waiting;

pub use acquire::Acquire;
pub use allowed::Allowed;
pub use deadline::{DeadlineOf, NoDeadline};
pub use error::{Error, InvalidQuota, RateLimited};
pub use future::ResponseFuture;
pub use keyed::KeyedRateLimiter;
pub use layer::RateLimitLayer;
pub use limit::{ByKey, ByKeyRef, Limit};
pub use limiter::RateLimiter;
pub use priority::{Priority, PriorityOf, SamePriority};
pub use quota::{Quota, QuotaBuilder};
pub use service::RateLimit;
pub use snapshot::Snapshot;
pub use waiting::{Patience, Waiting};
