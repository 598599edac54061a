use std::fmt;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::{AnswerBody, Failure};

/// The lines of an answer that goes on, those together that arrived together.
pub(crate) struct Lines {
    body: AnswerBody,
    /// The beginning of a line.
    rest: BytesMut,
    max_line: usize,
}

impl Lines {
    pub(crate) fn new(body: AnswerBody, max_line: usize) -> Self {
        Self {
            body,
            rest: BytesMut::new(),
            max_line,
        }
    }

    /// At least one whole line that is not empty; `None` at the end of the answer.
    ///
    /// What comes after the last line break is no line, since it may be half of one.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<Bytes>, Failure>> {
        loop {
            let data = match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
                Err(failure) => return Some(Err(failure)),
            };
            let lines = self.push(&data);
            if self.rest.len() > self.max_line {
                return Some(Err(Failure::new("a line of the answer is too long")));
            }
            if !lines.is_empty() {
                return Some(Ok(lines));
            }
        }
    }

    fn push(&mut self, mut data: &[u8]) -> Vec<Bytes> {
        let mut lines = Vec::new();
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&data[..end]);
            data = &data[end + 1..];
            let line = self.rest.split().freeze();
            if !line.trim_ascii().is_empty() {
                lines.push(line);
            }
        }
        self.rest.extend_from_slice(data);
        lines
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("rest", &self.rest.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn lines(text: &'static str, max_line: usize) -> Lines {
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        Lines::new(body.boxed_unsync(), max_line)
    }

    #[tokio::test]
    async fn half_a_line_is_no_line() {
        let mut lines = lines("one\n\r\ntwo\nthr", 9);
        assert_eq!(lines.next().await.unwrap().unwrap(), ["one", "two"]);
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn lines_go_on_where_frames_end() {
        let mut lines = lines("", 9);
        assert!(lines.push(b"o").is_empty());
        assert_eq!(lines.push(b"ne\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\n"), ["two"]);
    }

    #[tokio::test]
    async fn a_line_has_a_bound() {
        let error = lines("longer than that", 9).next().await.unwrap();
        assert!(error.unwrap_err().to_string().contains("too long"));
    }
}
