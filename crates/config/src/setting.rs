use std::ops::Deref;

use crate::Origin;

/// A value and where it came from.
///
/// Reads as the value itself: `*service.timeout` is the duration. Two settings are equal when
/// their values are; a line that moved within a file is no reason to rebuild a service's stack.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    value: T,
    origin: Origin,
}

impl<T> Setting<T> {
    /// A value from this origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Where the value came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The same setting with a value made from this one.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Setting<U> {
        Setting::new(make(self.value), self.origin)
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Setting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Setting<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_that_of_the_values() {
        let ours = Setting::new(1, Origin::Builder);
        assert_eq!(ours, Setting::new(1, Origin::Default("a test")));
        assert_ne!(ours, Setting::new(2, Origin::Builder));
    }
}
