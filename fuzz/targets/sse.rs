//! Event streams: the way a stream is cut into chunks changes nothing, and decoding undoes
//! encoding.
#![no_main]

use bartizan_protocol::sse::{self, Decoder, Event};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64;

fn decode(limit: usize, chunks: &[&[u8]]) -> Vec<Option<Event>> {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        events.extend(decoder.by_ref().map(Result::ok));
    }
    events
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else {
        return;
    };
    let whole = decode(LIMIT, &[data]);
    for event in whole.iter().flatten() {
        assert!(event.data.len() <= LIMIT);
        let encoded = sse::encode(event);
        let again = decode(usize::MAX, &[&encoded]);
        if event.has_data || event.id.is_some() || event.retry.is_some() {
            let mut expected = event.clone();
            // An empty type is the same as none.
            expected.event = expected.event.filter(|name| !name.is_empty());
            let mut again = again.into_iter().map(Option::unwrap);
            let mut once = again.next().expect("an event was written");
            once.event = once.event.filter(|name| !name.is_empty());
            assert_eq!(once, expected);
            assert_eq!(again.next(), None);
        }
    }
    let pieces: Vec<&[u8]> = data.chunks(usize::from(cut % 17) + 1).collect();
    assert_eq!(decode(LIMIT, &pieces), whole);

    // Whatever is sent as a message arrives as one event.
    let message = sse::message(data);
    let events = decode(usize::MAX, &[&message]);
    assert_eq!(events.len(), 1);
    let comment = sse::comment(data);
    assert!(decode(LIMIT, &[&comment]).is_empty());
});
