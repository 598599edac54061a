use bytes::{Buf, Bytes};

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// `json` without the byte order mark that some programs of Windows put before it.
///
/// Nobody may send one, and who receives one may ignore it (RFC 8259, section 8.1). Whoever reads a
/// message of another program as a whole does so with this; decoders of streams do it themselves.
///
/// ```
/// # use bytes::Bytes;
/// # use bartizan_protocol::unmarked;
/// assert_eq!(unmarked(Bytes::from_static(b"\xEF\xBB\xBF{}")), "{}");
/// assert_eq!(unmarked(Bytes::from_static(b"{}")), "{}");
/// ```
#[must_use]
pub fn unmarked(mut json: Bytes) -> Bytes {
    if json.starts_with(BYTE_ORDER_MARK) {
        json.advance(BYTE_ORDER_MARK.len());
    }
    json
}
