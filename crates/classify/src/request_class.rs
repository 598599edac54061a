use http::Method;

/// What a request may suffer: whether sending it twice can do harm.
///
/// One class decides repetition everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequestClass {
    /// Changes nothing; may be sent any number of times.
    Safe,
    /// Changes something, but twice has the effect of once.
    Idempotent,
    /// Twice may do harm, or nobody knows. Never sent again once a byte may have left.
    #[default]
    Unsafe,
}

impl RequestClass {
    /// Whether the request may be sent again although it may have arrived already.
    #[must_use]
    pub const fn may_repeat(self) -> bool {
        matches!(self, Self::Safe | Self::Idempotent)
    }
}

impl From<&Method> for RequestClass {
    /// The class by [RFC 9110, section 9.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2).
    fn from(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Self::Safe,
            Method::PUT | Method::DELETE => Self::Idempotent,
            _ => Self::Unsafe,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_class_of_the_standard() {
        assert_eq!(RequestClass::from(&Method::GET), RequestClass::Safe);
        assert_eq!(
            RequestClass::from(&Method::DELETE),
            RequestClass::Idempotent
        );
        assert_eq!(RequestClass::from(&Method::POST), RequestClass::Unsafe);
        assert_eq!(RequestClass::from(&Method::PATCH), RequestClass::Unsafe);
        let unknown = Method::from_bytes(b"BREW").unwrap();
        assert_eq!(RequestClass::from(&unknown), RequestClass::Unsafe);
    }

    #[test]
    fn only_unsafe_requests_must_not_repeat() {
        assert!(RequestClass::Safe.may_repeat());
        assert!(RequestClass::Idempotent.may_repeat());
        assert!(!RequestClass::default().may_repeat());
    }
}
