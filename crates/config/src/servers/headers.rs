use bartizan_auth::Secret;
use http::HeaderName;
use jsonc_parser::ast::{ObjectProp, Value};

use super::server::Reading;
use crate::{Origin, mcp::is_of_the_transport};

impl Reading<'_, '_, '_> {
    pub(super) fn headers(&mut self, member: Option<&ObjectProp<'_>>) {
        let Some(member) = member else {
            return;
        };
        let Value::Object(headers) = &member.value else {
            let origin = self.origin(member);
            return self.file.wrong(&origin, "must be an object of texts");
        };
        // The case of their letters means nothing.
        for each in self.last(member, headers, str::to_ascii_lowercase) {
            if !matches!(each.value, Value::NullKeyword(_)) {
                let origin = self.inner(member, each);
                self.header(each, origin);
            }
        }
    }

    fn header(&mut self, member: &ObjectProp<'_>, origin: Origin) -> Option<()> {
        let name = member.name.as_str();
        let parsed = HeaderName::from_bytes(name.as_bytes());
        if parsed.as_ref().is_ok_and(is_of_the_transport) {
            // Clients accept it, and many files have a content type.
            self.file
                .doubt(&origin, "is written by the gateway itself; passed over");
            return None;
        }
        if parsed.is_ok_and(|it| it == http::header::AUTHORIZATION) {
            return self.authorization(&member.value, origin);
        }
        // What the environment would have to call it.
        let settable = format!("HEADER_{}", name.to_ascii_uppercase().replace('-', "_"));
        let text = self.value(&member.value, &origin, &settable)?;
        self.set(&format!("HEADER_{name}"), text, origin);
        Some(())
    }

    /// A bearer token becomes the service's authentication, whatever else stays a header.
    fn authorization(&mut self, value: &Value<'_>, origin: Origin) -> Option<()> {
        // The environment may say how the gateway proves itself, and then with what.
        if self.file.is_set(&self.scope, "AUTH_TYPE") || self.file.is_set(&self.scope, "TOKEN_FILE")
        {
            self.file.note(&origin, "gives way to the environment");
            if self.file.is_set(&self.scope, "TOKEN_FILE") {
                self.set("AUTH_TYPE", Secret::new("bearer"), origin);
            }
            return None;
        }
        if self.file.is_set(&self.scope, "TOKEN") {
            self.set("AUTH_TYPE", Secret::new("bearer"), origin);
            return None;
        }
        let text = self.value(value, &origin, "TOKEN")?;
        let (scheme, token) = text.expose().split_once(' ').unwrap_or((text.expose(), ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            self.set("AUTH_TYPE", Secret::new("bearer"), origin.clone());
            self.set("TOKEN", Secret::new(token.trim()), origin);
        } else {
            self.set("HEADER_Authorization", text, origin);
        }
        Some(())
    }
}
