//! Lines: the way a stream is cut into chunks changes nothing, and decoding undoes encoding.
#![no_main]

use bartizan_protocol::lines::{self, Decoder};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64;

fn decode(chunks: &[&[u8]]) -> Vec<Option<Bytes>> {
    let mut decoder = Decoder::new(LIMIT);
    let mut lines = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        lines.extend(decoder.by_ref().map(Result::ok));
    }
    lines.extend(decoder.finish().map(Some));
    lines
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else {
        return;
    };
    let whole = decode(&[data]);
    for line in whole.iter().flatten() {
        assert!(line.len() <= LIMIT + 1);
        assert!(!line.contains(&b'\n'));
        assert!(!line.iter().all(u8::is_ascii_whitespace));
    }
    let pieces: Vec<&[u8]> = data.chunks(usize::from(cut % 17) + 1).collect();
    assert_eq!(decode(&pieces), whole);

    let encoded = lines::encode(Bytes::copy_from_slice(data));
    assert_eq!(encoded.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert!(encoded.ends_with(b"\n"));
    let again: Vec<_> = decode(&[&encoded]);
    let mark = if data.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let line = encoded.slice(mark..encoded.len() - 1);
    let blank = line.iter().all(u8::is_ascii_whitespace);
    if line.len() <= LIMIT && !blank {
        assert_eq!(again, [Some(line)]);
    }
});
