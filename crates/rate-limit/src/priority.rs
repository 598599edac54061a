/// Who goes first when calls wait, and who stays when the queue is full.
///
/// Within one priority the first to come is the first to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Admitted last, shed first: background work.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Admitted first, shed last: somebody is looking at a screen.
    High,
}

impl Priority {
    /// How many priorities there are.
    pub(crate) const COUNT: usize = 3;

    /// The place in an array of one entry a priority, lowest first.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Tells the [`Priority`] of a request.
///
/// Implemented by functions from `&Req` to [`Priority`], and by [`SamePriority`].
pub trait PriorityOf<Req> {
    /// The priority of `request`; asked only when no token is there.
    fn priority_of(&self, request: &Req) -> Priority;
}

impl<F, Req> PriorityOf<Req> for F
where
    F: Fn(&Req) -> Priority,
{
    #[inline]
    fn priority_of(&self, request: &Req) -> Priority {
        self(request)
    }
}

/// Gives every request the same, normal, priority.
#[derive(Clone, Copy, Debug, Default)]
pub struct SamePriority;

impl<Req> PriorityOf<Req> for SamePriority {
    #[inline]
    fn priority_of(&self, _: &Req) -> Priority {
        Priority::Normal
    }
}
