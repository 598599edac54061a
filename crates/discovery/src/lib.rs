//! Where the instances of a service are.
//!
//! Every source of instances, whatever it reads, ends in the same thing: a [`Watch`] on a
//! [`Snapshot`] that holds the *whole* set. There are no increments to lose or to apply twice; a
//! reader that sleeps through three updates wakes to the right answer.
//!
//! Sources keep the last good set. A resolver that times out or answers with nothing leaves the
//! set as it was and flags it [`stale`](Snapshot::stale): a broken name server must not take
//! healthy services down with it.
//!
//! | source | for |
//! |---|---|
//! | [`Static`] | a list that never changes, such as one read from the environment by [`parse_endpoints`] |
//! | [`Dns`] | the addresses behind a host name, looked up again and again |
//! | [`Srv`] | the hosts and ports that SRV records list; name servers to ask come with feature `srv` |
//! | `RegistryFile` | services in a `registry.yaml` or `registry.json` (feature `registry`) |
//! | [`Registrations`] | instances that register themselves, with a time to live if they like |
//! | [`Merged`] | several of these at once, each with its own troubles |
//! | `Kubernetes` | the ready endpoints of a Service in a cluster (feature `kubernetes`) |
//! | `Docker` | the containers of an engine with a label (feature `docker`) |
//! | [`Publisher`] | everything else, such as a test |
//!
//! Sources of many services tell of each service by a [`Watch`] of its own, and of all together
//! by a [`RegistryWatch`]. `RegistryStore`, of the same feature, writes a `registry.json`.
//!
//! ```
//! use bartizan_discovery::{Discover, Static, parse_endpoints};
//!
//! let instances = parse_endpoints("http://10.0.0.1:8080;weight=3, http://10.0.0.2:8080")?;
//! let source = Static::new(instances);
//! let snapshot = source.watch().current();
//! assert_eq!(snapshot.instances.len(), 2);
//! assert_eq!(snapshot.instances[0].weight(), 3);
//! assert!(!snapshot.stale);
//! # Ok::<(), bartizan_discovery::InvalidEndpoints>(())
//! ```
//!
//! # When not to use it
//!
//! For a single upstream behind its own load balancer: give its URI to the client and let the
//! connection pool resolve the name.

#[cfg(feature = "json-api")]
mod api;
mod dns;
#[cfg(feature = "docker")]
mod docker;
mod endpoints;
#[cfg(feature = "registry")]
mod file;
mod instance;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod limit;
mod looking;
mod looks;
mod merged;
#[cfg(feature = "srv")]
mod name_servers;
mod publisher;
mod registrations;
mod registry;
mod resolve;
mod schedule;
mod snapshot;
mod srv;
mod static_list;
mod watch;

pub use dns::{Dns, DnsBuilder, HOST, InvalidDns};
#[cfg(all(feature = "docker", unix))]
pub use docker::EngineSocket;
#[cfg(feature = "docker")]
pub use docker::{CONTAINER, Docker, DockerBuilder, InvalidDocker};
pub use endpoints::{InvalidEndpoints, parse_endpoints};
#[cfg(feature = "registry")]
pub use file::{
    Changes, Format, InvalidRegistry, InvalidRegistryFile, Listed, RegistryFile,
    RegistryFileBuilder, RegistryStore, StoreError,
};
pub use instance::{HEALTH_URL, Instance, InvalidInstance, MAX_WEIGHT};
#[cfg(feature = "kubernetes")]
pub use kubernetes::{
    EndpointPort, InvalidKubernetes, Kubernetes, KubernetesBuilder, NODE, POD, ServiceAccount, ZONE,
};
pub use merged::{Merged, MergedBuilder, SourceState};
#[cfg(feature = "srv")]
pub use name_servers::NameServers;
pub use publisher::Publisher;
pub use registrations::{RegistrationError, Registrations, RegistrationsBuilder};
pub use registry::{
    Balancing, Entry, Launch, Recorded, RegisteredService, Registry, RegistryState, RegistryWatch,
    Remark, Tool, Transport,
};
pub use resolve::{Resolve, SystemResolver};
pub use snapshot::{Instances, Snapshot};
pub use srv::{ResolveSrv, Srv, SrvBuilder, SrvRecord};
pub use static_list::Static;
pub use watch::{Discover, Watch};
