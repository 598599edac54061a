//! The name that was probably meant.

/// The only candidate that goes on where `name` ends; failing that, the closest, if it is close
/// enough to be a slip of the hand: at most three edits, and one in four letters.
pub(crate) fn closest(name: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    // A variable's name has some thirty letters. What is much longer is no slip, and the
    // distance takes time in the product of both lengths.
    const MAX_LENGTH: usize = 256;

    if name.len() > MAX_LENGTH {
        return None;
    }
    let limit = (name.len() / 4).min(3);
    let (mut closest, mut longer) = (None, Vec::new());
    for candidate in candidates {
        let goes_on = candidate
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('_'));
        if candidate.len().abs_diff(name.len()) <= limit {
            let distance = distance(name, &candidate);
            if distance <= limit && closest.as_ref().is_none_or(|(least, _)| distance < *least) {
                closest = Some((distance, candidate));
            }
        } else if goes_on {
            longer.push(candidate);
        }
    }
    match longer.len() {
        1 => longer.pop(),
        _ => closest.map(|(_, candidate)| candidate),
    }
}

/// The Levenshtein distance in bytes, with two rows.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 2);
    }

    #[test]
    fn the_only_name_that_goes_on_is_meant() {
        let names = ["MCP_GATEWAY_CORS_ORIGINS", "MCP_GATEWAY_PORT"].map(str::to_owned);
        let closest = closest("MCP_GATEWAY_CORS", names);
        assert_eq!(closest.unwrap(), "MCP_GATEWAY_CORS_ORIGINS");
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let names = || ["MCP_GATEWAY_HOST", "MCP_GATEWAY_PORT"].map(str::to_owned);
        let closest = |name| closest(name, names());
        assert_eq!(closest("MCP_GATEWAY_HOTS").unwrap(), "MCP_GATEWAY_HOST");
        assert_eq!(closest("MCP_GATEWAY_PROT").unwrap(), "MCP_GATEWAY_PORT");
        assert_eq!(closest("SOMETHING_ELSE"), None);
        assert_eq!(closest("MCP_GATEWAY"), None, "two go on from here");
        assert_eq!(closest("MCP"), None);
        assert_eq!(closest(&"M".repeat(100_000)), None);
    }
}
