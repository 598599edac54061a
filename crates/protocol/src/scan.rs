//! A scanner that steps over JSON text: it checks the grammar, decodes nothing and allocates
//! nothing.
//!
//! serde_json's own way of ignoring a value does nearly this, but puts no limit on depth,
//! keeps a heap-allocated stack, and does not say where things stand, which editing must know.

mod raw_string;

use crate::syntax_error::{SyntaxError, SyntaxErrorReason};

pub(crate) use raw_string::RawString;

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    /// A scanner before the first value of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut scanner = Self {
            text,
            at: 0,
            depth: 0,
        };
        scanner.space();
        scanner
    }

    /// The same over bytes, which must be UTF-8.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Result<Self, SyntaxError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(text)),
            Err(error) => Err(SyntaxError::new(
                error.valid_up_to(),
                SyntaxErrorReason::Utf8,
            )),
        }
    }

    /// The offset of the next byte.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The text between two offsets.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a str {
        &self.text[from..to]
    }

    /// The next byte.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Fails unless nothing but white space follows.
    pub(crate) fn end(&mut self) -> Result<(), SyntaxError> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.error(SyntaxErrorReason::Trailing))
        }
    }

    /// Steps over an object, calling `each` at the value of every member; `each` must step over
    /// that value.
    pub(crate) fn object<E: From<SyntaxError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, RawString<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.peek() != Some(b'{') {
            return Err(self.error(SyntaxErrorReason::Object).into());
        }
        self.enter()?;
        if self.peek() == Some(b'}') {
            self.leave();
            return Ok(());
        }
        loop {
            let key = self.key()?;
            each(self, key)?;
            self.space();
            match self.peek() {
                Some(b',') => self.step(),
                Some(b'}') => break self.leave(),
                _ => return Err(self.error(SyntaxErrorReason::Comma).into()),
            }
        }
        Ok(())
    }

    /// Steps over an array, calling `each` at every element; `each` must step over it.
    pub(crate) fn array<E: From<SyntaxError>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.peek() != Some(b'[') {
            return Err(self.error(SyntaxErrorReason::Array).into());
        }
        self.enter()?;
        if self.peek() == Some(b']') {
            self.leave();
            return Ok(());
        }
        loop {
            each(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.step(),
                Some(b']') => break self.leave(),
                _ => return Err(self.error(SyntaxErrorReason::Comma).into()),
            }
        }
        Ok(())
    }

    /// Steps over one value and returns its text.
    ///
    /// Containers are kept in the bits of one number rather than on the stack: what nests to the
    /// limit costs no more than what does not.
    pub(crate) fn value(&mut self) -> Result<&'a str, SyntaxError> {
        let (start, outer) = (self.at, self.depth);
        let mut objects: u128 = 0;
        'value: loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    self.enter()?;
                    if self.peek() == Some(b'}') {
                        self.leave();
                    } else {
                        objects = objects << 1 | 1;
                        self.key()?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.enter()?;
                    if self.peek() == Some(b']') {
                        self.leave();
                    } else {
                        objects <<= 1;
                        continue 'value;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.error(SyntaxErrorReason::Value)),
            }
            loop {
                if self.depth == outer {
                    return Ok(&self.text[start..self.at]);
                }
                self.space();
                let object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.step();
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if object => self.leave(),
                    Some(b']') if !object => self.leave(),
                    _ => return Err(self.error(SyntaxErrorReason::Comma)),
                }
                objects >>= 1;
            }
        }
    }

    /// Steps over a member's name, the colon and the space after it.
    fn key(&mut self) -> Result<RawString<'a>, SyntaxError> {
        if self.peek() != Some(b'"') {
            return Err(self.error(SyntaxErrorReason::Key));
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.error(SyntaxErrorReason::Colon));
        }
        self.step();
        Ok(key)
    }

    /// Steps over a string whose quote is next.
    pub(crate) fn string(&mut self) -> Result<RawString<'a>, SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(RawString {
                        raw: &self.text[start..self.at],
                        start,
                        escaped,
                    });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.error(SyntaxErrorReason::Control)),
                None => return Err(self.error(SyntaxErrorReason::End)),
            }
        }
    }

    /// Steps to the next quote, backslash or control character, eight bytes at a time, and over
    /// the middle of long strings faster.
    #[inline]
    fn plain(&mut self) {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
        let bytes = self.text.as_bytes();
        // Without a branch a byte, which the compiler makes vector instructions of.
        while let Some(block) = bytes[self.at..].first_chunk::<32>() {
            let ends = block.iter().fold(0, |found, byte| {
                found | u8::from(*byte < 0x20) | u8::from(*byte == b'"') | u8::from(*byte == b'\\')
            });
            if ends != 0 {
                break;
            }
            self.at += block.len();
        }
        while let Some(chunk) = bytes[self.at..].first_chunk::<8>() {
            // The classic test for a byte below a limit: subtracting sets the high bit of every
            // byte that was smaller. Borrows only disturb bytes above the first hit.
            let word = u64::from_le_bytes(*chunk);
            let control = word.wrapping_sub(ONES * 0x20) & !word;
            let quote = word ^ (ONES * 0x22);
            let quote = quote.wrapping_sub(ONES) & !quote;
            let backslash = word ^ (ONES * 0x5c);
            let backslash = backslash.wrapping_sub(ONES) & !backslash;
            let hits = (control | quote | backslash) & HIGH;
            if hits != 0 {
                self.at += hits.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.peek() {
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match bytes.get(self.at + 2..self.at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                    self.at += 6;
                    Ok(())
                }
                Some(_) => Err(self.error(SyntaxErrorReason::Escape)),
                None => Err(self.error(SyntaxErrorReason::End)),
            },
            Some(_) => Err(self.error(SyntaxErrorReason::Escape)),
            None => Err(self.error(SyntaxErrorReason::End)),
        }
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.error(SyntaxErrorReason::Number)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        match self.peek() {
            Some(b'0'..=b'9') => Err(self.error(SyntaxErrorReason::Number)),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error(SyntaxErrorReason::Number));
        }
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Result<(), SyntaxError> {
        if self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            self.at += literal.len();
            Ok(())
        } else {
            Err(self.error(SyntaxErrorReason::Value))
        }
    }

    /// Steps over the bracket that opens an array or object, and the space after it.
    fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.depth == SyntaxError::MAX_DEPTH {
            return Err(self.error(SyntaxErrorReason::Depth));
        }
        self.depth += 1;
        self.step();
        Ok(())
    }

    /// Steps over the bracket that closes one.
    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Steps over one byte and the space after it.
    #[inline]
    fn step(&mut self) {
        self.at += 1;
        self.space();
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    fn error(&self, reason: SyntaxErrorReason) -> SyntaxError {
        let reason = match self.peek() {
            None => SyntaxErrorReason::End,
            Some(_) => reason,
        };
        SyntaxError::new(self.at, reason)
    }
}

#[cfg(test)]
mod tests;
