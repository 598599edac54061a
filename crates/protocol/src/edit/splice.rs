use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

/// A piece of the document and the text that takes its place.
#[derive(Debug)]
pub(super) struct Splice<'a> {
    pub(super) range: Range<usize>,
    pub(super) text: Cow<'a, str>,
}

/// The document with all splices applied, which are in order and do not overlap.
pub(super) fn apply(document: &[u8], splices: &[Splice<'_>]) -> Bytes {
    let removed: usize = splices.iter().map(|splice| splice.range.len()).sum();
    let added: usize = splices.iter().map(|splice| splice.text.len()).sum();
    let mut edited = Vec::with_capacity((document.len() + added).saturating_sub(removed));
    let mut at = 0;
    for splice in splices {
        edited.extend_from_slice(&document[at..splice.range.start]);
        edited.extend_from_slice(splice.text.as_bytes());
        at = splice.range.end;
    }
    edited.extend_from_slice(&document[at..]);
    edited.into()
}
