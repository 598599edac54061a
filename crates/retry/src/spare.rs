use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

/// What the services of later attempts are cloned from.
///
/// Few calls come to a second attempt, but each must be able to, long after the service it came
/// in by has gone. A clone for each would count a reference for every layer inside, up and down
/// again, which in a stack of four costs more than all that the layers decide. So they share
/// one, and count one reference. A service without anything to count is simply copied.
#[derive(Debug)]
pub(crate) struct Prototype<S>(Option<Shared<S>>);

/// Never called. The lock is there because services need not be `Sync`; it is held for the
/// cloning that a second attempt begins with.
type Shared<S> = Arc<Mutex<S>>;

/// Where a call has the service of its next attempt from.
pub(crate) enum Spare<S> {
    /// There will be no next attempt.
    None,
    Own(S),
    Shared(Shared<S>),
}

impl<S: Clone> Prototype<S> {
    pub(crate) fn new(service: &S) -> Self {
        Self(mem::needs_drop::<S>().then(|| Arc::new(Mutex::new(service.clone()))))
    }

    #[inline]
    pub(crate) fn spare(&self, service: &S) -> Spare<S> {
        match &self.0 {
            Some(shared) => Spare::Shared(Arc::clone(shared)),
            None => Spare::Own(service.clone()),
        }
    }
}

impl<S> Clone for Prototype<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Clone> Spare<S> {
    /// A clone of the service that is this call's alone, the same every time; `None` if there
    /// will be no next attempt.
    pub(crate) fn service(&mut self) -> Option<&mut S> {
        if let Self::Shared(shared) = self {
            let clone = {
                let prototype = shared.lock().unwrap_or_else(PoisonError::into_inner);
                prototype.clone()
            };
            *self = Self::Own(clone);
        }
        match self {
            Self::Own(service) => Some(service),
            Self::None | Self::Shared(_) => None,
        }
    }
}
