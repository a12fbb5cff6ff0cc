//! Where a scalar function is defined.

use std::fmt;

/// The numbers for which a function has a finite value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Every number.
    All,
    /// x > 0
    Positive,
    /// x ≥ 0
    NonNegative,
    /// x < 0 or x > 0: two intervals, and a range lies in one of them.
    NonZero,
}

impl Domain {
    /// Whether all numbers from `lo` to `hi` belong to it.
    pub fn contains(self, lo: f64, hi: f64) -> bool {
        match self {
            Domain::All => true,
            Domain::Positive => lo > 0.0,
            Domain::NonNegative => lo >= 0.0,
            Domain::NonZero => lo > 0.0 || hi < 0.0,
        }
    }

    /// A range from `lo` to `hi` that belongs to it, widened by `padding` on each side as far as it reaches.
    ///
    /// An end of the domain at which the function grows without bound is approached by a ratio, `1 + nearer`, instead.
    pub fn widen(self, (lo, hi): (f64, f64), padding: f64, nearer: f64) -> (f64, f64) {
        let (low, high) = (lo - padding, hi + padding);
        match self {
            Domain::All => (low, high),
            Domain::NonNegative => (low.max(0.0), high),
            Domain::NonZero if hi < 0.0 => (low, high.min(hi / (1.0 + nearer))),
            Domain::Positive | Domain::NonZero => (low.max(lo / (1.0 + nearer)), high),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Domain::All => "all numbers",
            Domain::Positive => "positive numbers",
            Domain::NonNegative => "numbers from 0 on",
            Domain::NonZero => "numbers of one sign",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_stays_inside() {
        assert_eq!(Domain::All.widen((-1.0, 1.0), 0.5, 1.0), (-1.5, 1.5));
        assert_eq!(Domain::NonNegative.widen((0.25, 1.0), 0.5, 1.0), (0.0, 1.5));
        assert_eq!(Domain::Positive.widen((0.25, 1.0), 0.5, 1.0), (0.125, 1.5));
        assert_eq!(Domain::Positive.widen((8.0, 9.0), 0.5, 1.0), (7.5, 9.5));
        assert_eq!(Domain::NonZero.widen((-1.0, -0.25), 0.5, 1.0), (-1.5, -0.125));
        for domain in [Domain::Positive, Domain::NonNegative, Domain::NonZero] {
            for range in [(1e-3, 1.0), (2.0, 3.0), (5.0, 5.0)] {
                let (lo, hi) = domain.widen(range, 0.3, 0.2);
                assert!(domain.contains(lo, hi) && lo <= range.0 && hi >= range.1);
            }
        }
        assert!(!Domain::NonZero.contains(-1.0, 1.0) && Domain::NonZero.contains(-2.0, -1.0));
        assert!(!Domain::Positive.contains(0.0, 1.0) && Domain::NonNegative.contains(0.0, 1.0));
    }
}
