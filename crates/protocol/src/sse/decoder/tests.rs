use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest},
};

use super::{Bytes, Decoder, Duration, Event, TooLarge};
use crate::sse::encode;

type Items = Vec<Result<Event, TooLarge>>;

fn decode(stream: &[u8], limit: usize) -> Items {
    chunked(stream, &[], limit)
}

/// Decodes `stream` cut at the given places, taking events after every push.
fn chunked(stream: &[u8], cuts: &[usize], limit: usize) -> Items {
    let mut decoder = Decoder::new(limit);
    let mut items = Vec::new();
    let mut from = 0;
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(stream.len());
    for cut in cuts {
        decoder.push(Bytes::copy_from_slice(&stream[from..cut]));
        items.extend(decoder.by_ref());
        from = cut;
    }
    items
}

fn data(stream: &[u8]) -> Vec<Bytes> {
    let events = decode(stream, 1024).into_iter();
    events.map(|event| event.unwrap().data).collect()
}

#[test]
fn every_line_end() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("data: a{end}data: b{end}{end}data: c{end}{end}");
        assert_eq!(data(stream.as_bytes()), ["a\nb", "c"], "{end:?}");
    }
    assert_eq!(data(b"data: a\r\ndata: b\r\r\ndata: c\n\r"), ["a\nb", "c"]);
}

#[test]
fn an_event_is_complete_at_its_last_return() {
    let mut decoder = Decoder::new(1024);
    decoder.push(Bytes::from_static(b"data: a\r\r"));
    assert_eq!(decoder.next(), Some(Ok(Event::message("a"))));
    decoder.push(Bytes::from_static(b"\ndata: b\r\n\r\n"));
    assert_eq!(decoder.next(), Some(Ok(Event::message("b"))));
    assert_eq!(decoder.next(), None);
}

#[test]
fn the_examples_of_the_specification() {
    assert_eq!(
        data(b"data: YHOO\ndata: +2\ndata: 10\n\n"),
        ["YHOO\n+2\n10"]
    );
    let stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
    assert_eq!(
        decode(stream, 1024),
        [
            Ok(Event::message("first event").with_id("1")),
            Ok(Event::message("second event").with_id("")),
        ]
    );
    assert_eq!(data(b"data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(data(b"data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn fields_that_do_not_count() {
    assert_eq!(
        data(b"DATA: a\n data: b\nunknown: c\n:data: d\n\n"),
        [""; 0]
    );
    let ignored = b"data: x\nid: a\0b\nretry: 1.5\nretry: -1\nretry:\nretry: 99999999999999999999\nevent:\n\n";
    assert_eq!(decode(ignored, 1024), [Ok(Event::message("x"))]);
}

#[test]
fn an_event_without_data_still_tells_its_id_and_delay() {
    let expected = Event {
        id: Some("5".into()),
        retry: Some(Duration::from_secs(3)),
        ..Event::default()
    };
    assert_eq!(decode(b"id: 5\nretry: 3000\n\n", 1024), [Ok(expected)]);
    // The event that 2025-11-25 begins a stream with has an empty data line instead.
    let primed = decode(b"id: 5\ndata:\n\n", 1024);
    assert_eq!(primed, [Ok(Event::message("").with_id("5"))]);
}

#[test]
fn a_byte_order_mark_is_skipped_once_however_it_is_cut() {
    let stream = b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\n";
    for cut in 0..5 {
        assert_eq!(
            chunked(stream, &[cut, cut + 1], 99),
            [Ok(Event::message("a"))],
            "{cut}"
        );
    }
    let almost = b"\xEF\xBBdata: a\n\ndata: b\n\n";
    for cut in 0..4 {
        assert_eq!(
            chunked(almost, &[1, cut], 99),
            [Ok(Event::message("b"))],
            "{cut}"
        );
    }
}

#[test]
fn data_of_one_line_is_a_slice_of_its_chunk() {
    let chunk = Bytes::from(b"event: message\ndata: {\"id\":1}\n\ndata: tail".to_vec());
    let mut decoder = Decoder::new(1024);
    decoder.push(chunk.clone());
    let event = decoder.next().unwrap().unwrap();
    assert_eq!(event.data.as_ptr(), chunk[21..].as_ptr());
    assert_eq!(event.data, "{\"id\":1}");
}

#[test]
fn an_event_above_the_limit_is_skipped_and_the_next_one_read() {
    let limit = "data: 12345".len();
    let stream = b"data: 12345\n\ndata: 123456\ndata: more\n\ndata: ok\n\n";
    let expected = [
        Ok(Event::message("12345")),
        Err(TooLarge { limit }),
        Ok(Event::message("ok")),
    ];
    assert_eq!(decode(stream, limit), expected);
    for cut in 0..stream.len() {
        assert_eq!(chunked(stream, &[cut], limit), expected, "{cut}");
    }
}

#[test]
fn what_is_too_large_is_not_kept() {
    let mut decoder = Decoder::new(1000);
    let mut errors = 0;
    decoder.push(Bytes::from_static(b"data: "));
    for _ in 0..1000 {
        decoder.push(Bytes::from(vec![b'x'; 100]));
        errors += decoder.by_ref().filter(Result::is_err).count();
        assert!(decoder.partial.capacity() <= 2000);
    }
    assert_eq!(errors, 1, "reported once, and early");
}

#[test]
fn what_is_too_large_is_told_at_its_end_if_its_beginning_does_not_tell() {
    let told = |stream: &[u8], cut: usize| {
        let mut decoder = Decoder::new(20).telling_ends();
        let mut told = Vec::new();
        for chunk in [&stream[..cut], &stream[cut..]] {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = decoder.next() {
                told.push(match event {
                    Ok(event) => event.data,
                    Err(_) => [decoder.skipped(), b"..", decoder.skipped_end()]
                        .concat()
                        .into(),
                });
            }
        }
        told
    };
    let large = "{\"result\":[1,2,3,4,5],\"id\":7}";
    for after in ["", "retry: 1\n", "id: 5\n", ": comment\n"] {
        let stream = format!("id: 4\ndata: {large}\n{after}\ndata: ok\n\n");
        for cut in 0..stream.len() {
            let told = told(stream.as_bytes(), cut);
            let [first, last] = &told[..] else {
                panic!("{cut}: {told:?}");
            };
            let text = String::from_utf8_lossy(first);
            assert!(text.contains("5],\"id\":7"), "{cut}: {text}");
            assert_eq!(last, "ok");
        }
    }
    // Only the data as a whole says what its end is.
    let stream = format!("data: {large}\ndata: }}\n\n");
    for cut in 0..stream.len() {
        let told = told(stream.as_bytes(), cut);
        let text = String::from_utf8_lossy(&told[0]);
        let is_told_at_once = text.split("..").next().unwrap().contains("\"id\"");
        assert!(is_told_at_once || text.ends_with(".."), "{cut}: {text}");
    }
}

#[test]
fn a_comment_may_be_of_any_length() {
    let mut decoder = Decoder::new(10);
    for chunk in [&b":"[..], &[b'x'; 100], b"\n", b"data: a\n", b"\n"] {
        decoder.push(Bytes::copy_from_slice(chunk));
    }
    assert_eq!(decoder.next(), Some(Ok(Event::message("a"))));
}

fn text() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            Just('\n'),
            Just(':'),
            Just(' '),
            Just('ä'),
            Just('\u{FEFF}'),
            any::<char>()
        ],
        0..12,
    )
    .prop_map(|chars| chars.into_iter().filter(|c| *c != '\r').collect())
}

fn name() -> impl Strategy<Value = Option<Bytes>> {
    let name = text().prop_map(|text| text.replace(['\n', '\0'], "").into());
    prop::option::of(name)
}

fn event() -> impl Strategy<Value = Event> {
    let retry = prop::option::of(any::<u64>().prop_map(Duration::from_millis));
    (prop::option::of(text()), name(), name(), retry).prop_map(|(data, event, id, retry)| Event {
        has_data: data.is_some(),
        data: data.unwrap_or_default().into(),
        event: event.filter(|event| !event.is_empty()),
        id,
        retry,
    })
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(event in event(), cuts in vec(any::<usize>(), 0..6)) {
        let stream = encode(&event);
        let empty = event == Event::default();
        let expected = if empty { vec![] } else { vec![Ok(event)] };
        prop_assert_eq!(chunked(&stream, &cuts, 4096), expected);
    }

    #[test]
    fn many_events_in_a_row(events in vec(event(), 0..6), cuts in vec(any::<usize>(), 0..9)) {
        let mut stream = bytes::BytesMut::new();
        for event in &events {
            stream.extend_from_slice(&encode(event));
        }
        let expected: Items = events.into_iter().filter(|e| *e != Event::default()).map(Ok).collect();
        prop_assert_eq!(chunked(&stream, &cuts, 4096), expected);
    }

    #[test]
    fn chunking_changes_nothing(
        stream in vec(prop_oneof![
            Just(b"data: x".to_vec()), Just(b"\n".to_vec()), Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()), Just(b"id: 1".to_vec()), Just(b": c".to_vec()),
            Just(b"\xEF".to_vec()), Just(b"\xBB\xBF".to_vec()), vec(any::<u8>(), 0..4),
        ], 0..40),
        cuts in vec(any::<usize>(), 0..12),
        limit in 0_usize..40,
    ) {
        let stream = stream.concat();
        prop_assert_eq!(chunked(&stream, &cuts, limit), decode(&stream, limit));
    }
}
