//! Registries that are files.

mod changes;
mod edit;
mod fields;
mod invalid;
mod json;
mod lock;
mod native;
mod read;
mod reader;
mod reading;
mod replace;
mod source;
mod store;
mod store_error;
mod yaml;

pub use changes::Changes;
pub use invalid::InvalidRegistry;
pub use source::{Format, InvalidRegistryFile, RegistryFile, RegistryFileBuilder};
pub use store::{Listed, RegistryStore};
pub use store_error::StoreError;
