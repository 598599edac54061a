use http::{HeaderMap, header::ACCEPT};

/// Which of the two forms of an answer a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// `application/json`.
    pub json: bool,
    /// `text/event-stream`.
    pub event_stream: bool,
}

impl Accepted {
    /// Whether both are, as the protocol demands of clients that send requests.
    #[must_use]
    pub fn both(&self) -> bool {
        self.json && self.event_stream
    }
}

/// What the `Accept` headers of a request accept.
///
/// Without any such header, everything is accepted (RFC 9110, section 12.5.1). Of several ranges
/// that match, the most precise one counts; `q=0` excludes. A range that cannot be read matches
/// nothing.
#[must_use]
pub fn accepts(headers: &HeaderMap) -> Accepted {
    if !headers.contains_key(ACCEPT) {
        return Accepted {
            json: true,
            event_stream: true,
        };
    }
    let (mut json, mut event_stream) = (Best::default(), Best::default());
    for value in headers.get_all(ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in split(value, b',') {
            let media = range.split(';').next().unwrap_or_default().trim();
            let Some(accepted) = quality(range) else {
                continue;
            };
            json.offer(media, "application", "json", accepted);
            event_stream.offer(media, "text", "event-stream", accepted);
        }
    }
    Accepted {
        json: json.accepted,
        event_stream: event_stream.accepted,
    }
}

/// The most precise range that matched so far.
#[derive(Debug, Default)]
struct Best {
    precision: u8,
    accepted: bool,
}

impl Best {
    fn offer(&mut self, media: &str, kind: &str, subtype: &str, accepted: bool) {
        let Some((of_kind, of_subtype)) = media.split_once('/') else {
            return;
        };
        let precision = match (of_kind, of_subtype) {
            ("*", "*") => 1,
            (of, "*") if of.eq_ignore_ascii_case(kind) => 2,
            (of, sub) if of.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 3,
            _ => return,
        };
        if precision > self.precision {
            *self = Self {
                precision,
                accepted,
            };
        } else if precision == self.precision {
            self.accepted |= accepted;
        }
    }
}

/// Whether a range's quality is above zero; `None` if the quality cannot be read.
fn quality(range: &str) -> Option<bool> {
    let quality = split(range, b';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then_some(value.trim())
    });
    match quality {
        None => Some(true),
        Some(value) => match value.parse::<f32>() {
            Ok(quality) if (0.0..=1.0).contains(&quality) => Some(quality > 0.0),
            _ => None,
        },
    }
}

/// Splits at a separator that does not stand in a quoted string.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return byte == separator && !quoted,
            }
            false
        });
        match end {
            Some(end) => {
                rest = Some(&text[end + 1..]);
                Some(&text[..end])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> (bool, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        let accepted = accepts(&headers);
        assert_eq!(accepted.both(), accepted.json && accepted.event_stream);
        (accepted.json, accepted.event_stream)
    }

    #[test]
    fn ranges() {
        for (values, expected) in [
            (&[][..], (true, true)),
            (&["application/json, text/event-stream"], (true, true)),
            (&["application/json", "text/event-stream"], (true, true)),
            (&["APPLICATION/JSON;charset=utf-8"], (true, false)),
            (&["text/event-stream"], (false, true)),
            (&["*/*"], (true, true)),
            (&["text/*"], (false, true)),
            (&["text/html"], (false, false)),
            (&[""], (false, false)),
            (&["application/json;q=0, */*"], (false, true)),
            (&["*/*, application/json; Q=0.000"], (false, true)),
            (&["*/*;q=0, text/event-stream;q=0.001"], (false, true)),
            (&["application/*;q=0, application/json"], (true, false)),
            (&["application/json;q=nonsense"], (false, false)),
            (&["application/json;q=2"], (false, false)),
            (
                &["application/json;a=\",text/event-stream\""],
                (true, false),
            ),
            (&["application/json;a=\"\\\";q=0\""], (true, false)),
            (
                &["application/json-seq, text/event-streams"],
                (false, false),
            ),
            (&["json"], (false, false)),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }
}
