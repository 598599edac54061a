//! The name that was probably meant.

use std::mem;

/// A variable's name has some thirty letters. What is much longer is no slip, and to compare names
/// takes time in the product of both lengths.
const MAX_LENGTH: usize = 256;

/// The only candidate that goes on where `name` ends; failing that, the closest, if it is close
/// enough to be a slip of the hand: at most three edits, one in four letters, and one in three of
/// a word. That two names begin alike says nothing of what stands at their ends.
pub(crate) fn closest(name: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
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
            if distance <= limit
                && closest.as_ref().is_none_or(|(least, _)| distance < *least)
                && is_slip(name, &candidate)
            {
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

/// The candidate that has all words of `name` in their order, its last at the end, and the fewest
/// others; none if there are several.
pub(crate) fn containing(
    name: &str,
    candidates: impl IntoIterator<Item = String>,
) -> Option<String> {
    if name.len() > MAX_LENGTH {
        return None;
    }
    let last = name.rsplit('_').next();
    let mut found: Option<(usize, String)> = None;
    let mut is_only = true;
    for candidate in candidates {
        let mut words = candidate.split('_');
        let has_all = name.split('_').all(|word| words.any(|it| it == word));
        if !has_all || candidate.rsplit('_').next() != last {
            continue;
        }
        let count = candidate.split('_').count();
        match &found {
            Some((least, _)) if *least < count => {}
            Some((least, _)) if *least == count => is_only = false,
            _ => {
                found = Some((count, candidate));
                is_only = true;
            }
        }
    }
    found.filter(|_| is_only).map(|(_, candidate)| candidate)
}

/// Whether the words of two names that are close are so as well.
fn is_slip(name: &str, candidate: &str) -> bool {
    if name.split('_').count() != candidate.split('_').count() {
        // An underscore is missing, or there is one too many.
        return distance(name, candidate) <= 2;
    }
    let words = name.split('_').zip(candidate.split('_'));
    let mut changed = words.filter(|(one, other)| one != other);
    changed.all(|(one, other)| distance(one, other) <= (one.len().max(other.len()) / 3).max(1))
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
        let names = || ["MCP_GATEWAY_DOCS", "MCP_SERVICE_A_ARGS"].map(str::to_owned);
        for stranger in ["MCP_GATEWAY_KEYS", "MCP_SERVICE_A_RPM"] {
            assert_eq!(super::closest(stranger, names()), None, "{stranger}");
        }
        let joined = super::closest("MCP_GATEWAYDOCS", names());
        assert_eq!(joined.unwrap(), "MCP_GATEWAY_DOCS");
    }

    #[test]
    fn a_name_may_leave_words_out() {
        let names =
            || ["A_RATE_LIMIT_RPM", "A_TLS_KEY", "A_API_KEY", "A_MY_API_KEY"].map(str::to_owned);
        let containing = |name| containing(name, names());
        assert_eq!(containing("A_RPM").unwrap(), "A_RATE_LIMIT_RPM");
        assert_eq!(containing("A_API").as_deref(), None, "it ends otherwise");
        assert_eq!(containing("A_KEY"), None, "there are two");
        assert_eq!(containing("A_MY_KEY").unwrap(), "A_MY_API_KEY");
        assert_eq!(containing("KEY_A"), None);
    }
}
