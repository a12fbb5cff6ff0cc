//! One prime modulus and its scalar arithmetic.

/// A residue r modulo p is *reduced* if |r| ≤ `REDUCED`·p.
///
/// The bound is above 1/2 because a product is reduced by a rounded quotient; it is closed under multiplication:
/// for p < 2^50 a product of two reduced residues comes out at most (1/2 + (4/9)·2^-2)·p < 0.62p.
pub const REDUCED: f64 = 2.0 / 3.0;

/// 1.5·2^52: adding and subtracting it rounds any |x| < 2^51 to the nearest integer.
pub(crate) const ROUND: f64 = 6755399441055744.0;

/// An odd modulus below 2^50, in the forms the kernels need. Inverses assume that it is prime.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Modulus {
    value: u64,
    pub(crate) p: f64,
    pub(crate) inverse: f64,
}

impl Modulus {
    /// The modulus `p`.
    ///
    /// # Panics
    /// If `p` is even, below 3 or not below 2^50. Primes that come from outside are checked by
    /// [`NttTable::new`](crate::NttTable::new) and [`BaseConverter::new`](crate::BaseConverter::new), which give an error.
    pub fn new(p: u64) -> Self {
        assert!(Self::fits(p), "modulus {p} is not an odd number between 3 and 2^50");
        Modulus { value: p, p: p as f64, inverse: 1.0 / p as f64 }
    }

    pub(crate) fn fits(p: u64) -> bool {
        p % 2 == 1 && (3..1 << hec_params::PRIME_LIMIT_BITS).contains(&p)
    }

    /// p.
    pub fn value(self) -> u64 {
        self.value
    }

    /// The residue of an integer, as the representative of least magnitude.
    pub fn reduce_u64(self, x: u64) -> f64 {
        self.balance(x % self.value)
    }

    /// The residue of an integer, as the representative of least magnitude.
    pub fn from_i64(self, x: i64) -> f64 {
        self.balance(x.rem_euclid(self.value as i64) as u64)
    }

    /// From canonical (0 ≤ x < p) to balanced (|r| < p/2).
    pub(crate) fn balance(self, x: u64) -> f64 {
        // Selected, not branched on: for random residues the branch is a coin toss.
        let above = u64::from(x > self.value / 2);
        (x as i64 - (above * self.value) as i64) as f64
    }

    /// From reduced to balanced.
    pub(crate) fn balanced(self, r: f64) -> f64 {
        self.balance(self.to_u64(r))
    }

    /// The canonical representative, 0 ≤ x < p, of an exact integer of magnitude below 2^53.
    pub fn to_u64(self, r: f64) -> u64 {
        let (x, p) = (r as i64, self.value as i64);
        let lifted = x + p * i64::from(x < 0);
        // Reduced residues need no division.
        if (0..p).contains(&lifted) { lifted as u64 } else { x.rem_euclid(p) as u64 }
    }

    /// a·b, reduced.
    pub fn mul(self, a: f64, b: f64) -> f64 {
        self.balance(self.mul_u64(self.to_u64(a), self.to_u64(b)))
    }

    /// a^e, reduced.
    pub fn pow(self, a: f64, e: u64) -> f64 {
        self.balance(self.pow_u64(self.to_u64(a), e))
    }

    /// The inverse of `a` modulo the prime p, reduced; 0 for 0.
    pub fn inv(self, a: f64) -> f64 {
        self.pow(a, self.value - 2)
    }

    pub(crate) fn mul_u64(self, a: u64, b: u64) -> u64 {
        ((a as u128 * b as u128) % self.value as u128) as u64
    }

    pub(crate) fn pow_u64(self, mut base: u64, mut e: u64) -> u64 {
        let mut result = 1;
        while e > 0 {
            if e & 1 == 1 {
                result = self.mul_u64(result, base);
            }
            base = self.mul_u64(base, base);
            e >>= 1;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_agree_with_integers() {
        let m = Modulus::new(1125899906826241);
        let p = m.value() as i64;
        for x in [0, 1, -1, p / 2, p / 2 + 1, -p / 2, p, -p, i64::MAX, i64::MIN] {
            let r = m.from_i64(x);
            assert!(r.abs() <= m.p / 2.0);
            assert_eq!(m.to_u64(r), x.rem_euclid(p) as u64);
        }
        assert_eq!(m.to_u64(m.reduce_u64(u64::MAX)), u64::MAX % m.value());
    }

    #[test]
    fn inverse_times_itself_is_one() {
        let m = Modulus::new(1125899906826241);
        for a in [1.0, -1.0, 2.0, 12345678.0, 562949953413120.0] {
            assert_eq!(m.mul(a, m.inv(a)), 1.0);
        }
        assert_eq!(m.inv(0.0), 0.0);
    }
}
