//! The kernels run on bounds: a proof, by execution, that no operation of a transform leaves its exact range.
//!
//! The kernels have no branch on data, so that running one with [`Bound`] in place of an instruction set, every element being
//! the bound of its magnitude, checks the worst case of all inputs at once.

use super::field::{Factor, Field, Residues};
use super::instructions::Simd;
use super::ntt;
use crate::{NttTable, REDUCED};
use hec_params::{LogN, nearest_ntt_prime};

/// An instruction set whose vector is one bound on a magnitude.
#[derive(Clone, Copy)]
struct Bound {
    p: f64,
}

impl Simd for Bound {
    const LANES: usize = 1;
    type Vector = f64;

    fn splat(self, x: f64) -> f64 {
        x.abs()
    }
    fn load(self, src: &[f64]) -> f64 {
        src[0].abs()
    }
    fn store(self, dst: &mut [f64], v: f64) {
        dst[0] = v;
    }
    fn add(self, a: f64, b: f64) -> f64 {
        assert!(a + b <= 2f64.powi(53), "a sum of {a} and {b}");
        a + b
    }
    fn sub(self, a: f64, b: f64) -> f64 {
        self.add(a, b)
    }
    fn load_transposed(self, src: &[f64]) -> [f64; 8] {
        std::array::from_fn(|k| src[k])
    }
    fn store_transposed(self, dst: &mut [f64], columns: [f64; 8]) {
        dst[..8].copy_from_slice(&columns);
    }
    // Modular operations have their own rules below; a kernel of bounds has no use for these.
    fn mul(self, a: f64, b: f64) -> f64 {
        a * b
    }
    fn mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    fn mul_sub(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    fn neg_mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    fn round(self, a: f64) -> f64 {
        a + 0.5
    }
    fn abs(self, a: f64) -> f64 {
        a
    }
    fn max(self, a: f64, b: f64) -> f64 {
        if a > b { a } else { b }
    }
}

impl Residues for Bound {
    fn reduce(self, _: &Field<f64>, a: f64) -> f64 {
        assert!(a <= 2f64.powi(53) && a / self.p < 2f64.powi(51), "reduction of {a}");
        self.p * 0.5 + a * 2f64.powi(-53)
    }
    fn mul_factor(self, _: &Field<f64>, a: f64, _: Factor<f64>) -> f64 {
        assert!(a < 2f64.powi(52), "a factor's operand is {a} = {}p", a / self.p);
        self.p * (0.5 + a * 0.75 * 2f64.powi(-53))
    }
}

#[test]
fn transforms_stay_exact_in_the_worst_case() {
    for log_n in (6..=17).map(LogN) {
        // The largest primes of the tight and of the roomy kernels, and a small one.
        for (limit, tight) in [(1u64 << 50, true), (1 << 48, false), (1 << 30, false)] {
            let p = (0..4)
                .scan(vec![], |taken, _| {
                    let p = nearest_ntt_prime(limit as f64, log_n, taken)?;
                    taken.push(p);
                    Some(p)
                })
                .find(|&p| p < limit)
                .unwrap();
            assert_eq!(p < 1 << 48, !tight);
            let table = NttTable::new(log_n, p).unwrap();
            let bound = Bound { p: p as f64 };
            for direction in ["forward", "inverse"] {
                let mut x = vec![REDUCED * p as f64; log_n.degree()];
                match direction {
                    "forward" => ntt::forward(bound, &mut x, table.modulus(), &table.forward),
                    _ => ntt::inverse(bound, &mut x, table.modulus(), &table.inverse, table.inverse_n),
                }
                let worst = x.iter().fold(0.0, |a: f64, &b| a.max(b)) / p as f64;
                assert!(worst <= REDUCED, "{direction} {log_n:?} {p}: {worst}");
            }
        }
    }
}
