use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde::de::IgnoredAny;

/// The body of an answer: up to three chunks of known length, handed on without copying.
#[derive(Debug, Default)]
pub(crate) struct Body {
    chunks: [Bytes; 3],
}

impl Body {
    pub(crate) fn chunks(chunks: [Bytes; 3]) -> Self {
        Self { chunks }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::chunks([bytes.into(), Bytes::new(), Bytes::new()])
    }
}

/// Whether this is one JSON value. Read as a slice alone, it may have strings that are no text.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.chunks.iter_mut().find(|chunk| !chunk.is_empty());
        Poll::Ready(next.map(|chunk| Ok(Frame::data(mem::take(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.chunks.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

/// The body of an answer of many chunks, none of them empty, handed on without copying.
#[derive(Debug)]
pub(crate) struct Pieces {
    chunks: vec::IntoIter<Bytes>,
    remaining: u64,
}

impl From<Vec<Bytes>> for Pieces {
    fn from(chunks: Vec<Bytes>) -> Self {
        Self {
            remaining: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            chunks: chunks.into_iter(),
        }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.chunks.next();
        self.remaining -= next.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Poll::Ready(next.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn chunks_come_in_order_and_empty_ones_not_at_all() {
        let body = Body::chunks([Bytes::from("a"), Bytes::new(), Bytes::from("bc")]);
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert!(Body::default().is_end_stream());
    }

    #[tokio::test]
    async fn pieces_know_how_much_is_left() {
        let mut body = Pieces::from(vec![Bytes::from("ab"), Bytes::from("c")]);
        assert_eq!(body.size_hint().exact(), Some(3));
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(
            (&first[..], body.size_hint().exact()),
            (&b"ab"[..], Some(1))
        );
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "c");
        assert!(Pieces::from(Vec::new()).is_end_stream());
    }
}
