use bytes::{BufMut, Bytes, BytesMut};

/// Joins the answers to a batch of 2025-03-26 into the one array that answers it.
///
/// Each answer stays byte for byte. No answers, a batch of nothing but notifications, give
/// `None`: JSON-RPC 2.0 §6 forbids an empty array, and HTTP answers `202` instead.
///
/// # Errors
///
/// [`BatchTooLarge`] if the array would pass `limit` bytes; answers are then dropped unread.
pub fn join(
    answers: impl IntoIterator<Item = Bytes>,
    limit: usize,
) -> Result<Option<Bytes>, BatchTooLarge> {
    let mut array = BytesMut::new();
    for answer in answers {
        // One byte before each answer, bracket or comma, and the closing bracket.
        if array.len() + 1 + answer.len() + 1 > limit {
            return Err(BatchTooLarge { limit });
        }
        array.put_u8(if array.is_empty() { b'[' } else { b',' });
        array.extend_from_slice(&answer);
    }
    if array.is_empty() {
        return Ok(None);
    }
    array.put_u8(b']');
    Ok(Some(array.freeze()))
}

/// The answers to a batch come to more bytes than one message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answers to this batch pass {limit} bytes")]
pub struct BatchTooLarge {
    /// The bound, in bytes.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":{"n":1.10}}"#);
    const TWO: Bytes = Bytes::from_static(b"{ \"jsonrpc\":\"2.0\", \"id\":\"b\", \"result\":{} }");

    #[test]
    fn answers_stay_byte_for_byte() {
        let array = join([ONE, TWO], 1024).unwrap().unwrap();
        let expected = [b"[", &ONE[..], b",", &TWO[..], b"]"].concat();
        assert_eq!(array, expected);
    }

    #[test]
    fn nothing_to_answer_is_no_array() {
        assert_eq!(join([], 1024), Ok(None));
    }

    #[test]
    fn the_bound_is_exact() {
        let whole = ONE.len() + TWO.len() + 3;
        assert!(join([ONE, TWO], whole).is_ok());
        let limit = whole - 1;
        assert_eq!(join([ONE, TWO], limit), Err(BatchTooLarge { limit }));
    }
}
