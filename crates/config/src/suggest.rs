//! The name that was probably meant.

use std::mem;

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

/// The distance of Levenshtein in bytes, where two neighbours that changed places, the commonest
/// slip, count once and not twice (optimal string alignment). With three rows.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let (mut above, mut twice_above) = (row.clone(), row.clone());
    for (i, a) in left.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = above[j] + usize::from(a != b);
            let mut least = substituted.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && *b == left[i - 1] {
                least = least.min(twice_above[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        mem::swap(&mut twice_above, &mut above);
        mem::swap(&mut above, &mut row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("abcd", "badc"), 2);
        assert_eq!(distance("ca", "abc"), 3);
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
        let docs = || ["MCP_GATEWAY_DOCS", "MCP_GATEWAY_HOST"].map(str::to_owned);
        let swapped = super::closest("MCP_GATEWAY_HOTS", docs());
        assert_eq!(swapped.unwrap(), "MCP_GATEWAY_HOST");
        assert_eq!(closest("SOMETHING_ELSE"), None);
        assert_eq!(closest("MCP_GATEWAY"), None, "two go on from here");
        assert_eq!(closest("MCP"), None);
        assert_eq!(closest(&"M".repeat(100_000)), None);
    }
}
