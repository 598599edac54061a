use std::{
    io::{self, Read as _},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes, buf::Reader};
use flate2::read::GzDecoder;
use http_body::{Body, Frame, SizeHint};

/// What is inflated at a time. A client that takes no gzip and reads slowly costs this and the
/// 32 KiB window of the format, and not the whole of what it asked for.
const PIECE: usize = 16 * 1024;

/// The body of an answer: compressed as it is stored, or inflated as it is read.
#[derive(Debug)]
pub struct Content(Form);

#[derive(Debug)]
enum Form {
    Stored(Bytes),
    Inflated {
        // Boxed because it is large and rare: browsers take gzip.
        decoder: Box<GzDecoder<Reader<Bytes>>>,
        remaining: u64,
    },
}

impl Content {
    pub(crate) fn stored(bytes: Bytes) -> Self {
        Self(Form::Stored(bytes))
    }

    /// What `gzip` holds, which is `length` bytes long.
    pub(crate) fn inflated(gzip: Bytes, length: usize) -> Self {
        Self(Form::Inflated {
            decoder: Box::new(GzDecoder::new(gzip.reader())),
            remaining: length as u64,
        })
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.0 {
            Form::Stored(bytes) => std::mem::take(bytes),
            Form::Inflated { decoder, remaining } => {
                let mut piece = vec![0; PIECE];
                let read = match decoder.read(&mut piece) {
                    Ok(read) => read,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                *remaining = remaining.saturating_sub(read as u64);
                piece.truncate(read);
                Bytes::from(piece)
            }
        };
        Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Form::Stored(bytes) => bytes.is_empty(),
            Form::Inflated { remaining, .. } => *remaining == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.0 {
            Form::Stored(bytes) => bytes.len() as u64,
            Form::Inflated { remaining, .. } => *remaining,
        })
    }
}
