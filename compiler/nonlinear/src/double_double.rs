//! Numbers of about 106 bits: an unevaluated sum of two doubles (T. J. Dekker, "A floating-point technique for extending
//! the available precision", 1971; with fused multiply-add for the error of a product).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// high + low, with |low| at most half a unit in the last place of high.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DoubleDouble {
    high: f64,
    low: f64,
}

impl DoubleDouble {
    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        self.high + self.low
    }

    /// The sum of any two doubles, without rounding (Knuth).
    fn two_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let part = high - a;
        DoubleDouble { high, low: (a - (high - part)) + (b - part) }
    }

    /// The same where |a| ≥ |b|.
    fn quick_two_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        DoubleDouble { high, low: b - (high - a) }
    }
}

impl From<f64> for DoubleDouble {
    fn from(high: f64) -> Self {
        DoubleDouble { high, low: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (high, low) = (Self::two_sum(self.high, other.high), Self::two_sum(self.low, other.low));
        let sum = Self::quick_two_sum(high.high, high.low + low.high);
        Self::quick_two_sum(sum.high, sum.low + low.low)
    }
}

impl Neg for DoubleDouble {
    type Output = Self;
    fn neg(self) -> Self {
        DoubleDouble { high: -self.high, low: -self.low }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for DoubleDouble {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let high = self.high * other.high;
        let low = libm::fma(self.high, other.high, -high) + (self.high * other.low + self.low * other.high);
        Self::quick_two_sum(high, low)
    }
}

impl Div for DoubleDouble {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * first.into();
        let second = rest.high / other.high;
        let rest = rest - other * second.into();
        Self::quick_two_sum(first, second) + (rest.high / other.high).into()
    }
}

/// The solution of a square system, a row of `rows` being the coefficients and then the right side (Gaussian elimination
/// with row exchanges). `None` if it is singular.
pub fn solve(mut rows: Vec<Vec<DoubleDouble>>) -> Option<Vec<DoubleDouble>> {
    let n = rows.len();
    for column in 0..n {
        let size = |row: &Vec<DoubleDouble>| row[column].high.abs();
        let pivot = (column..n).max_by(|&a, &b| size(&rows[a]).total_cmp(&size(&rows[b])))?;
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let top = &above[column];
        if top[column].high == 0.0 || !top[column].high.is_finite() {
            return None;
        }
        for row in below {
            let factor = row[column] / top[column];
            for (entry, &upper) in row.iter_mut().zip(top).skip(column) {
                *entry = *entry - factor * upper;
            }
        }
    }
    let mut solution = vec![DoubleDouble::default(); n];
    for i in (0..n).rev() {
        let known = (i + 1..n).fold(rows[i][n], |sum, j| sum - rows[i][j] * solution[j]);
        solution[i] = known / rows[i][i];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_keeps_a_hundred_bits() {
        let (one, three) = (DoubleDouble::from(1.0), DoubleDouble::from(3.0));
        let third = one / three;
        let error = third * three - one;
        assert!(error.to_f64().abs() < 1e-31, "{error:?}");
        let tiny = DoubleDouble::from(1e-25);
        assert_eq!((one + tiny - one).to_f64(), 1e-25);
        let square = (one + tiny) * (one + tiny) - one;
        assert!((square.to_f64() - 2e-25).abs() < 1e-31);
    }

    #[test]
    fn a_hilbert_system_of_ten_equations_is_solved() {
        // Its condition number is 10^13: in double precision three digits would be left.
        let n = 10;
        let entry = |i: usize, j: usize| DoubleDouble::from(1.0) / DoubleDouble::from((i + j + 1) as f64);
        let row = |i: usize| {
            let sum = (0..n).fold(DoubleDouble::default(), |s, j| s + entry(i, j));
            (0..n).map(|j| entry(i, j)).chain([sum]).collect()
        };
        let solution = solve((0..n).map(row).collect()).expect("it is regular");
        assert!(solution.iter().all(|x| (x.to_f64() - 1.0).abs() < 1e-15), "{solution:?}");
        assert_eq!(solve(vec![vec![DoubleDouble::default(), DoubleDouble::from(1.0)]]), None);
    }
}
