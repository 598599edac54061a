use std::ops::Deref;

/// A value that shares its cache lines with nothing else.
///
/// Two lines wide, because x86 prefetches lines in pairs and recent ARM cores have lines of
/// 128 bytes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
