//! Bodies that stream, on tokio's paused clock.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_clock::Clock;
use bartizan_protocol::sse::Event;
use bartizan_transport::stream::{
    Capped, CappedError, EventStream, Idle, IdleError, IdleLimits, KeepAlive, KeepAliveInterval,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::{sync::mpsc, time::advance};

type Messages<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

fn channel<T: Send + 'static>() -> (mpsc::Sender<T>, Messages<T>) {
    let (sender, receiver) = mpsc::channel(8);
    let messages = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|message| (message, receiver))
    });
    (sender, messages.boxed())
}

type Chunks = mpsc::Sender<&'static [u8]>;
type ChunkBody = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

fn chunks() -> (Chunks, ChunkBody) {
    let (sender, chunks) = channel::<&'static [u8]>();
    let frames = chunks.map(|chunk| Ok(Frame::data(Bytes::from_static(chunk))));
    (sender, Box::pin(StreamBody::new(frames)))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn every(interval: u64) -> KeepAliveInterval {
    KeepAliveInterval::new(seconds(interval)).unwrap()
}

/// The next frame, if there is one without waiting; `Some(None)` is the end.
async fn now<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
) -> Option<Option<Result<Bytes, B::Error>>> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => {
                Some(frame.map(|frame| frame.map(|f| f.into_data().ok().unwrap())))
            }
            Poll::Pending => None,
        })
    })
    .await
}

async fn text<B: Body<Data = Bytes, Error = Infallible> + Unpin>(body: &mut B) -> Option<Bytes> {
    let Ok(data) = now(body).await??;
    Some(data)
}

const COMMENT: &[u8] = b": keepalive\n\n";

/// Lesson 12: an idle stream is closed after minutes, and a client leaves after 60 s without a
/// first byte.
#[tokio::test(start_paused = true)]
async fn a_stream_without_a_first_message_is_kept_alive() {
    let (sender, messages) = channel::<Bytes>();
    let mut body = Box::pin(EventStream::new(
        messages,
        KeepAliveInterval::default(),
        Clock::tokio(),
    ));
    for _ in 0..20 {
        assert_eq!(text(&mut body).await, None);
        advance(Duration::from_millis(14_990)).await;
        assert_eq!(text(&mut body).await, None);
        advance(Duration::from_millis(11)).await;
        assert_eq!(text(&mut body).await.unwrap(), COMMENT);
    }
    sender
        .send(Bytes::from_static(b"{\"id\":1}"))
        .await
        .unwrap();
    assert_eq!(text(&mut body).await.unwrap(), "data: {\"id\":1}\n\n");
    drop(sender);
    assert!(matches!(now(&mut body).await, Some(None)));
    assert!(body.is_end_stream());
    assert!(matches!(now(&mut body).await, Some(None)));
}

#[tokio::test(start_paused = true)]
async fn the_default_wakes_the_client_in_time() {
    let (_sender, messages) = channel::<Bytes>();
    let mut body = Box::pin(EventStream::new(
        messages,
        KeepAliveInterval::default(),
        Clock::tokio(),
    ));
    let clock = Clock::tokio();
    let start = clock.now();
    assert!(body.frame().await.is_some());
    assert!(clock.now() - start <= seconds(25));
}

#[tokio::test(start_paused = true)]
async fn messages_postpone_the_comment() {
    let (sender, messages) = channel::<Bytes>();
    let mut body = Box::pin(EventStream::new(messages, every(10), Clock::tokio()));
    for _ in 0..5 {
        assert_eq!(text(&mut body).await, None);
        advance(seconds(9)).await;
        sender.send(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(text(&mut body).await.unwrap(), "data: {}\n\n");
    }
    assert_eq!(text(&mut body).await, None);
    advance(seconds(9)).await;
    assert_eq!(text(&mut body).await, None, "nine seconds after the last");
    advance(seconds(2)).await;
    assert_eq!(text(&mut body).await.unwrap(), COMMENT);
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_woken_for_the_comment() {
    let (sender, messages) = channel::<Bytes>();
    let mut body = Box::pin(EventStream::new(messages, every(10), Clock::tokio()));
    let reader = tokio::spawn(async move {
        let mut frames = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            frames.push(frame.into_data().unwrap());
        }
        frames
    });
    tokio::time::sleep(seconds(35)).await;
    drop(sender);
    assert_eq!(reader.await.unwrap(), vec![COMMENT; 3]);
}

#[tokio::test]
async fn a_message_of_several_lines_is_one_event() {
    let messages = stream::iter([Bytes::from_static(b"{\r\n}"), Bytes::new()]);
    let body = EventStream::new(messages, every(10), Clock::tokio());
    let text = body.collect().await.unwrap().to_bytes();
    assert_eq!(text, "data: {\ndata: }\n\ndata: \n\n");
}

#[tokio::test]
async fn events_keep_their_ids() {
    let messages = stream::iter([Event::message("{}").with_id("7")]);
    let mut body = Box::pin(EventStream::new(messages, every(10), Clock::tokio()));
    assert!(!body.is_end_stream());
    assert_eq!(text(&mut body).await.unwrap(), "id: 7\ndata: {}\n\n");
    assert!(body.is_end_stream(), "the stream knew that it was its last");
}

#[tokio::test]
async fn a_body_that_ended_has_dropped_its_stream() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let mut body = Box::pin(EventStream::new(
        stream::iter(0..1).map(move |_| {
            let _held = &held;
            Bytes::new()
        }),
        every(10),
        Clock::tokio(),
    ));
    assert!(body.frame().await.is_some() && body.frame().await.is_none());
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn events_of_another_are_passed_on_with_comments_between_them() {
    let (sender, body) = chunks();
    let mut body = Box::pin(KeepAlive::new(body, every(10), Clock::tokio()));
    let send = async |chunk| sender.send(chunk).await.unwrap();

    assert_eq!(text(&mut body).await, None);
    advance(seconds(11)).await;
    assert_eq!(text(&mut body).await.unwrap(), COMMENT, "before the first");

    send(b"id: 1\r\ndata: {\"a\":1.10}\r\n").await;
    assert_eq!(
        text(&mut body).await.unwrap(),
        "id: 1\r\ndata: {\"a\":1.10}\r\n"
    );
    for _ in 0..5 {
        assert_eq!(text(&mut body).await, None);
        advance(seconds(11)).await;
        assert_eq!(text(&mut body).await, None, "within an event");
    }
    send(b"\r").await;
    assert_eq!(text(&mut body).await.unwrap(), "\r");
    send(b"\n").await;
    assert_eq!(text(&mut body).await.unwrap(), "\n");
    assert_eq!(text(&mut body).await, None);
    advance(seconds(11)).await;
    assert_eq!(text(&mut body).await.unwrap(), COMMENT, "after it");

    drop(sender);
    assert!(matches!(now(&mut body).await, Some(None)));
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_is_only_left_at_the_beginning() {
    let (sender, body) = chunks();
    let mut kept = Box::pin(KeepAlive::new(body, every(10), Clock::tokio()));
    sender.send(b"\xef\xbb\xbfdata: 1\n\n").await.unwrap();
    assert_eq!(
        &text(&mut kept).await.unwrap()[..],
        b"\xef\xbb\xbfdata: 1\n\n"
    );
    sender.send(b"\xef\xbb\xbfdata: 1\n\n").await.unwrap();
    assert_eq!(
        &text(&mut kept).await.unwrap()[..],
        b"\xef\xbb\xbfdata: 1\n\n"
    );

    let (sender, body) = chunks();
    let mut kept = Box::pin(KeepAlive::new(body, every(10), Clock::tokio()));
    assert_eq!(text(&mut kept).await, None);
    advance(seconds(11)).await;
    assert_eq!(text(&mut kept).await.unwrap(), COMMENT);
    sender.send(b"\xef\xbb\xbfdata: 1\n\n").await.unwrap();
    assert_eq!(text(&mut kept).await.unwrap(), "data: 1\n\n");
}

#[tokio::test]
async fn a_kept_body_does_not_promise_a_length() {
    let body = KeepAlive::new(
        Full::new(Bytes::from_static(b"data: 1\n\n")),
        every(10),
        Clock::tokio(),
    );
    assert_eq!(body.size_hint().exact(), None);
    assert_eq!(body.size_hint().lower(), 9);
}

/// Lesson 25: no cap on responses, and out of memory.
#[tokio::test]
async fn a_body_longer_than_its_cap_fails_and_is_dropped() {
    let (sender, body) = chunks();
    let mut body = Box::pin(Capped::new(body, 6));
    sender.send(b"abc").await.unwrap();
    assert_eq!(now(&mut body).await.unwrap().unwrap().unwrap(), "abc");
    sender.send(b"def").await.unwrap();
    assert_eq!(now(&mut body).await.unwrap().unwrap().unwrap(), "def");
    assert!(now(&mut body).await.is_none());
    sender.send(b"g").await.unwrap();
    let error = now(&mut body).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, CappedError::TooLong { cap: 6 });
    assert!(error.to_string().contains("6 bytes"));
    assert!(sender.is_closed(), "the sender is told to stop");
    assert!(matches!(now(&mut body).await, Some(None)));
}

#[tokio::test]
async fn a_body_that_announces_too_much_fails_before_its_first_byte() {
    /// Says that it is seven bytes long, and would wait for ever for the first.
    struct Announced;
    impl Body for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }
    assert!(
        now(&mut Box::pin(Capped::new(Announced, 7)))
            .await
            .is_none()
    );
    let mut body = Box::pin(Capped::new(Announced, 6));
    let error = now(&mut body).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, CappedError::TooLong { cap: 6 });
}

/// Lesson 13: a total timeout kills long streams. A stream that talks lives.
#[tokio::test(start_paused = true)]
async fn a_body_lives_as_long_as_it_is_not_silent() {
    let (sender, body) = chunks();
    let limits = IdleLimits::silence(seconds(10));
    let mut body = Box::pin(Idle::new(body, limits, Clock::tokio()));
    for _ in 0..1000 {
        sender.send(b"x").await.unwrap();
        assert_eq!(now(&mut body).await.unwrap().unwrap().unwrap(), "x");
        assert!(now(&mut body).await.is_none());
        advance(seconds(9)).await;
        assert!(now(&mut body).await.is_none());
    }
    advance(seconds(2)).await;
    let error = now(&mut body).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, IdleError::Silent { limit: seconds(10) });
    assert!(sender.is_closed(), "the sender is told to stop");
    assert!(matches!(now(&mut body).await, Some(None)));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_first_byte_ends_its_readers_wait() {
    let (_sender, body) = chunks();
    let clock = Clock::tokio();
    let start = clock.now();
    let limits = IdleLimits::silence(seconds(60));
    let error = Box::pin(Idle::new(body, limits, clock)).frame().await;
    assert_eq!(
        error.unwrap().unwrap_err(),
        IdleError::Silent { limit: seconds(60) }
    );
    assert!(clock.now() - start < seconds(61));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_ends_when_its_reader_has_waited_long_enough() {
    let limits = IdleLimits {
        silence: seconds(10),
        in_all: seconds(60),
    };
    let (sender, body) = chunks();
    let mut body = Box::pin(Idle::new(body, limits, Clock::tokio()));
    for _ in 0..7 {
        sender.send(b"x").await.unwrap();
        assert!(now(&mut body).await.unwrap().is_some());
        assert!(now(&mut body).await.is_none());
        advance(seconds(8)).await;
    }
    // Nobody asks, so nobody waits.
    sender.send(b"y").await.unwrap();
    assert!(now(&mut body).await.unwrap().is_some());
    advance(seconds(600)).await;
    assert!(now(&mut body).await.is_none());
    advance(seconds(3)).await;
    assert!(now(&mut body).await.is_none(), "59 of 60");
    advance(seconds(2)).await;
    let error = now(&mut body).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, IdleError::Slow { limit: seconds(60) });
    assert!(sender.is_closed(), "the sender is told to stop");
}

#[tokio::test(start_paused = true)]
async fn the_slowness_of_a_reader_is_not_the_senders_silence() {
    let (sender, body) = chunks();
    let limits = IdleLimits::silence(seconds(10));
    let mut body = Box::pin(Idle::new(body, limits, Clock::tokio()));
    sender.send(b"x").await.unwrap();
    assert!(now(&mut body).await.unwrap().is_some());
    assert!(now(&mut body).await.is_none());
    sender.send(b"y").await.unwrap();
    assert!(now(&mut body).await.unwrap().is_some());
    advance(seconds(600)).await;
    assert!(now(&mut body).await.is_none(), "nobody had asked");
    advance(seconds(9)).await;
    sender.send(b"z").await.unwrap();
    assert!(now(&mut body).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn they_nest() {
    let (sender, body) = chunks();
    let clock = Clock::tokio();
    let body = Capped::new(Idle::new(body, IdleLimits::default(), clock), 100);
    let mut body = Box::pin(KeepAlive::new(body, every(20), clock));
    for _ in 0..14 {
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            COMMENT
        );
    }
    let error = loop {
        if let Err(error) = body.frame().await.unwrap() {
            break error;
        }
    };
    assert_eq!(
        error,
        CappedError::Inner(IdleError::Silent {
            limit: seconds(300)
        })
    );
    assert!(sender.is_closed());
}
