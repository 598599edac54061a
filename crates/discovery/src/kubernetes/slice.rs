//! What the API server says of the endpoints of a Service, as far as it matters here.

use serde::{Deserialize, Deserializer};

/// A page of the slices of a Service.
#[derive(Debug, Deserialize)]
pub(super) struct SliceList {
    pub(super) metadata: ListMetadata,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) items: Vec<Slice>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMetadata {
    #[serde(default)]
    pub(super) resource_version: String,
    /// Says where the next page begins, if there is one.
    #[serde(default, rename = "continue")]
    pub(super) next: String,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a serde_json::value::RawValue,
}

/// The object of a bookmark, and what every object has.
#[derive(Debug, Deserialize)]
pub(super) struct Bookmark {
    pub(super) metadata: Metadata,
}

/// The object of an event that says what is wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) code: u16,
    #[serde(default)]
    pub(super) message: String,
}

/// Some of the endpoints of a Service: those of one family of addresses with the same ports.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) address_type: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ports: Vec<Port>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) resource_version: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    #[serde(default, deserialize_with = "or_null")]
    pub(super) addresses: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) conditions: Conditions,
    pub(super) target_ref: Option<Target>,
    pub(super) node_name: Option<String>,
    pub(super) zone: Option<String>,
}

/// What is not said is not known.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

impl Conditions {
    /// Not known is to be taken for ready, the API says.
    pub(super) fn is_ready(self) -> bool {
        self.ready.unwrap_or(true)
    }

    /// Ends and still answers.
    pub(super) fn is_leaving(self) -> bool {
        self.serving.unwrap_or(false) && self.terminating.unwrap_or(false)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) uid: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Port {
    /// Empty if the Service has only one.
    #[serde(default, deserialize_with = "or_null")]
    pub(super) name: String,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<String>,
}

impl Port {
    /// Its number, if TCP is spoken there.
    pub(super) fn tcp(&self) -> Option<u16> {
        let is_tcp = self.protocol.as_deref().is_none_or(|it| it == "TCP");
        self.port.filter(|port| is_tcp && *port != 0)
    }
}

/// The API server writes `null` for what is empty.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
