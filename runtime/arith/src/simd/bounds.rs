//! The kernels run on bounds: a proof, by execution, that no operation leaves its exact range.
//!
//! The kernels have no branch on data, so that running one with [`Bound`] in place of an instruction set, every element being
//! the bound of its magnitude, checks the worst case of all inputs at once.

use super::field::{Factor, Field, Residues};
use super::instructions::Simd;
use super::sums::{Sum, Sums};
use super::{conversion, inner, ntt, permute, pointwise};
use crate::automorphism::Permutation;
use crate::{BaseConverter, Modulus, NttTable, REDUCED};
use hec_params::{LogN, nearest_ntt_prime};

/// An instruction set whose vector is one bound on a magnitude.
#[derive(Clone, Copy)]
struct Bound;

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
    fn prefetch(self, _: &[f64]) {}
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
    fn reduce(self, m: &Field<f64>, a: f64) -> f64 {
        assert!(a <= 2f64.powi(53) && a / m.p < 2f64.powi(51), "reduction of {a}");
        m.p * 0.5 + a * 2f64.powi(-53)
    }
    fn mul_factor(self, m: &Field<f64>, a: f64, _: Factor<f64>) -> f64 {
        assert!(a < 2f64.powi(52), "a factor's operand is {a} = {}p", a / m.p);
        m.p * (0.5 + a * 0.75 * 2f64.powi(-53))
    }
    fn mul_once(self, m: &Field<f64>, a: f64, _: Factor<f64>) -> f64 {
        assert!(a < 2f64.powi(52), "a factor's operand is {a} = {}p", a / m.p);
        m.p * (0.5 + a * 2f64.powi(-53))
    }
    fn mul_mod(self, m: &Field<f64>, a: f64, b: f64) -> f64 {
        assert!(a / m.p * b < 2f64.powi(51), "a product of {a} and {b}");
        m.p * (0.5 + a / m.p * b * 2f64.powi(-52))
    }
}

/// The upper part is the bound of Σ a·w, whose start is left out.
impl Sums for Bound {
    fn sum(self, start: f64) -> Sum<f64> {
        Sum { high: 0.0, low: start }
    }
    fn add_product(self, sum: Sum<f64>, a: f64, w: f64) -> Sum<f64> {
        let rounding = 2f64.powi(49);
        let high = sum.high + a * w + rounding;
        assert!(high < 2f64.powi(101), "a sum of products of {high}");
        Sum { high, low: self.add(sum.low, rounding) }
    }
    fn total(self, m: &Field<f64>, sum: Sum<f64>) -> f64 {
        let rest = m.p * (0.5 + sum.high / m.p * 2f64.powi(-52));
        self.reduce(m, self.add(rest, sum.low))
    }
}

/// The largest prime below `limit` that has a transform of the degree.
fn largest_prime(limit: u64, log_n: LogN) -> u64 {
    let mut taken = vec![];
    loop {
        let p = nearest_ntt_prime(limit as f64, log_n, &taken).unwrap();
        if p < limit {
            return p;
        }
        taken.push(p);
    }
}

fn assert_reduced(x: &[f64], p: u64, what: &str) {
    let worst = x.iter().fold(0.0, |a: f64, &b| a.max(b)) / p as f64;
    assert!(worst > 0.0 && worst <= REDUCED, "{what} modulo {p}: {worst}");
}

#[test]
fn transforms() {
    for log_n in (6..=17).map(LogN) {
        // The largest primes of the tight and of the roomy kernels, and a small one.
        for limit in [1u64 << 50, 1 << 48, 1 << 30] {
            let p = largest_prime(limit, log_n);
            let table = NttTable::new(log_n, p).unwrap();
            let reduced = vec![REDUCED * p as f64; log_n.degree()];
            let mut x = reduced.clone();
            ntt::forward(Bound, &mut x, table.modulus(), &table.forward);
            assert_reduced(&x, p, &format!("forward {log_n:?}"));
            let mut x = reduced;
            ntt::inverse(Bound, &mut x, table.modulus(), &table.inverse, table.inverse_n);
            assert_reduced(&x, p, &format!("inverse {log_n:?}"));
        }
    }
}

#[test]
fn element_wise() {
    for limit in [1u64 << 50, 1 << 30] {
        let p = largest_prime(limit, LogN(4));
        let m = Modulus::new(p);
        let limb = vec![REDUCED * m.p; 9];
        let check = |what: &str, f: &dyn Fn(&mut [f64])| {
            let mut x = limb.clone();
            f(&mut x);
            assert_reduced(&x, p, what);
        };
        check("add", &|x| pointwise::add_assign(Bound, m, x, &limb));
        check("sub", &|x| pointwise::sub_assign(Bound, m, x, &limb));
        check("mul", &|x| pointwise::mul_assign(Bound, m, x, &limb));
        let pairs = [(&limb[..], &limb[..]); 37];
        check("sum_of_products", &|x| inner::sum_of_products(Bound, m, x, &pairs));
        let terms = [(&limb[..], [&limb[..]; 2]); 37];
        let addends = [Some((&limb[..], limb[0])); 2];
        check("first inner product", &|x| {
            inner::inner_products(Bound, m, [x, &mut limb.clone()], &terms, addends);
        });
        check("second inner product", &|x| {
            inner::inner_products(Bound, m, [&mut limb.clone(), x], &terms, addends);
        });
        check("added inner product", &|x| inner::add_inner_products(Bound, m, [x, &mut limb.clone()], &terms));
        check("mul_scalar", &|x| pointwise::mul_scalar_assign(Bound, m, x, 3.0));
        check("mul_scalar_add", &|x| pointwise::mul_scalar_add_assign(Bound, m, x, &limb, 3.0));
        check("sub_mul_scalar", &|x| pointwise::sub_mul_scalar_assign(Bound, m, x, &limb, 3.0));
        let sources: Vec<u32> = (0..64).collect();
        let block = vec![limb[0]; 64];
        let mut image = block.clone();
        permute::sub_mul_scalar_permute(Bound, m, &Permutation::new(&sources), &mut image, (&block, &block, 3.0));
        assert_reduced(&image, p, "sub_mul_scalar_permute");
        check("reduce", &|x| {
            x.fill(2f64.powi(53));
            pointwise::reduce_assign(Bound, m, x)
        });
    }
}

#[test]
fn base_conversion_from_many_primes() {
    let mut primes: Vec<u64> = vec![];
    for _ in 0..31 {
        primes.push(nearest_ntt_prime(2f64.powi(50) * 0.9999, LogN(12), &primes).unwrap());
    }
    let to = [primes[30], largest_prime(1 << 49, LogN(12)), largest_prime(1 << 30, LogN(12))];
    let converter = BaseConverter::new(&primes[..30], &to).unwrap();
    let limbs: Vec<Vec<f64>> = primes[..30].iter().map(|&p| vec![REDUCED * p as f64; 5]).collect();
    let scaled: Vec<&[f64]> = limbs.iter().map(Vec::as_slice).collect();
    let (mut x, mut y, mut z) = (vec![0.0; 5], vec![0.0; 5], vec![0.0; 5]);
    let mut scratch = vec![0.0; 31 * conversion::CONVERSION_BLOCK];
    let (sources, mut targets) = (&converter.from, converter.to.clone());
    // As large as balanced factors can be.
    targets.iter_mut().for_each(|target| target.factors.fill(target.modulus.p / 2.0));
    conversion::convert(Bound, sources, &targets, &scaled, &mut [&mut x, &mut y, &mut z], &mut scratch);
    for (limb, p) in [x, y, z].iter().zip(to) {
        assert_reduced(limb, p, "conversion");
    }
}
