use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The layout of a token, before it is written as text.
///
/// ```text
/// format (1) | key id (4) | nonce (12) | encrypted: expires (8) payload | tag (16)
/// ```
pub(super) const HEADER_BYTES: usize = 5;
pub(super) const NONCE_BYTES: usize = 12;
pub(super) const EXPIRES_BYTES: usize = 8;
pub(super) const TAG_BYTES: usize = 16;
pub(super) const SEALED_AT: usize = HEADER_BYTES + NONCE_BYTES;
pub(super) const PAYLOAD_AT: usize = SEALED_AT + EXPIRES_BYTES;
/// All that a token has besides its payload.
pub(super) const OVERHEAD_BYTES: usize = PAYLOAD_AT + TAG_BYTES;

/// The first byte of every token.
pub(super) const FORMAT: u8 = 1;

/// Three quarters of it are read while the whole is written, in a piece that fits the stack.
const PIECE_BYTES: usize = 48;

/// Room for the text of `len` bytes, and where in it the bytes belong to be written in place.
pub(super) fn room(len: usize) -> (Vec<u8>, usize) {
    let text_len = (len * 4).div_ceil(3);
    (vec![0; text_len], text_len - len)
}

/// Writes the bytes from `start` on as base64 over the whole buffer.
///
/// Works from the front: the text of the first bytes takes the room in front of them, which is
/// as much as the text is longer than the bytes, and so never overtakes what is still to be read.
pub(super) fn write(mut buffer: Vec<u8>, start: usize) -> String {
    let mut piece = [0; PIECE_BYTES];
    let (mut read, mut written) = (start, 0);
    while read < buffer.len() {
        let len = PIECE_BYTES.min(buffer.len() - read);
        piece[..len].copy_from_slice(&buffer[read..read + len]);
        read += len;
        written += URL_SAFE_NO_PAD
            .encode_slice(&piece[..len], &mut buffer[written..])
            .expect("the text of all bytes fits the buffer");
    }
    String::from_utf8(buffer).expect("base64 is ASCII")
}

/// Reads a text; `None` if it is not the text of any bytes.
pub(super) fn read(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_written_in_place_is_the_usual_text(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let (mut buffer, start) = room(bytes.len());
            buffer[start..].copy_from_slice(&bytes);
            let text = write(buffer, start);
            prop_assert_eq!(&text, &URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(read(&text), Some(bytes));
        }
    }
}
