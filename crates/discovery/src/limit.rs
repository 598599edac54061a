/// More addresses or records than this behind one name are ignored.
pub(crate) const MAX_PER_NAME: usize = 1_024;

/// More instances than this of one service are ignored: what everything here is measured with.
#[cfg(feature = "json-api")]
pub(crate) const MAX_PER_SERVICE: usize = 10_000;

/// How much a source takes of what it finds.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    most: usize,
    /// What it is that the source finds, in the plural.
    what: &'static str,
    /// How many there were when the log was told last that they are too many; zero if they are
    /// not.
    told: usize,
}

impl Limit {
    pub(crate) const fn new(most: usize, what: &'static str) -> Self {
        Self {
            most,
            what,
            told: 0,
        }
    }

    /// Leaves out what is beyond the limit of all that was found of `name`, from the end.
    ///
    /// The log is told when that begins, and when there are more or fewer than the last time: a
    /// source looks every few seconds.
    pub(crate) fn cut<T>(&mut self, name: &str, found: &mut Vec<T>) {
        if self.is_news(found.len()) {
            let Self { most, what, told } = self;
            tracing::warn!(name, found = told, "too many {what}, using {most}");
        }
        found.truncate(self.most);
    }

    fn is_news(&mut self, found: usize) -> bool {
        let excess = if found > self.most { found } else { 0 };
        std::mem::replace(&mut self.told, excess) != excess && excess != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_it_is_left_out_from_the_end() {
        let mut limit = Limit::new(3, "numbers");
        for (found, expected) in [
            (vec![], vec![]),
            (vec![1, 2, 3], vec![1, 2, 3]),
            (vec![1, 2, 3, 4, 5], vec![1, 2, 3]),
        ] {
            let mut cut = found;
            limit.cut("a", &mut cut);
            assert_eq!(cut, expected);
        }
    }

    #[test]
    fn it_is_told_once_for_as_long_as_there_are_as_many() {
        let mut limit = Limit::new(3, "numbers");
        let told = [0, 3, 4, 4, 4, 5, 4, 2, 2, 4].map(|found| limit.is_news(found));
        let expected = [
            false, false, true, false, false, true, true, false, false, true,
        ];
        assert_eq!(told, expected);
    }
}
