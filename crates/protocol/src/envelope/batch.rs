use crate::scan::Scanner;

use super::{InvalidEnvelope, InvalidEnvelopeReason};

/// The messages of a batch, which only the revision 2025-03-26 knows.
///
/// ```
/// use bartizan_protocol::{Batch, Envelope, is_batch};
///
/// let body = br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},
///     {"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
/// assert!(is_batch(body));
/// for message in &Batch::read(body)? {
///     Envelope::read(message)?;
/// }
/// # Ok::<(), bartizan_protocol::InvalidEnvelope>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    messages: Vec<&'a [u8]>,
}

impl<'a> Batch<'a> {
    /// The most messages that [`Batch::read`] accepts: 100. The protocol names no bound; ten times
    /// what clients were seen to send.
    pub const DEFAULT_LIMIT: usize = 100;

    /// Reads a batch of at most [`Batch::DEFAULT_LIMIT`] messages.
    ///
    /// # Errors
    ///
    /// [`InvalidEnvelope`] if `bytes` are not a JSON array, or it is empty or too long. What its
    /// elements are is for [`Envelope::read`](super::Envelope::read) to find out.
    pub fn read(bytes: &'a [u8]) -> Result<Self, InvalidEnvelope> {
        Self::read_at_most(bytes, Self::DEFAULT_LIMIT)
    }

    /// Reads a batch of at most `limit` messages.
    ///
    /// # Errors
    ///
    /// As [`Batch::read`].
    pub fn read_at_most(bytes: &'a [u8], limit: usize) -> Result<Self, InvalidEnvelope> {
        let mut messages = Vec::new();
        Scanner::from_bytes(bytes)
            .map_err(InvalidEnvelopeReason::from)
            .and_then(|mut scanner| {
                scanner.array(|scanner| {
                    if messages.len() == limit {
                        return Err(InvalidEnvelopeReason::LargeBatch(limit));
                    }
                    messages.push(scanner.value()?.as_bytes());
                    Ok(())
                })?;
                scanner.end()?;
                if messages.is_empty() {
                    return Err(InvalidEnvelopeReason::EmptyBatch);
                }
                Ok(())
            })
            .map_err(|reason| InvalidEnvelope::new(reason, None, false))?;
        Ok(Self { messages })
    }

    /// The raw messages, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        self.messages.iter().copied()
    }

    /// How many messages there are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.messages.len()
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = &'a [u8];
    type IntoIter = std::vec::IntoIter<&'a [u8]>;

    fn into_iter(self) -> Self::IntoIter {
        self.messages.into_iter()
    }
}

impl<'a, 'b> IntoIterator for &'b Batch<'a> {
    type Item = &'a [u8];
    type IntoIter = std::iter::Copied<std::slice::Iter<'b, &'a [u8]>>;

    fn into_iter(self) -> Self::IntoIter {
        self.messages.iter().copied()
    }
}

/// Whether the first byte that is not white space begins an array.
#[must_use]
pub fn is_batch(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .find(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
        == Some(&b'[')
}
