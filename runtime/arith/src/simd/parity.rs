//! Every backend gives the bits of the portable one.

use crate::*;
use hec_params::{LogN, nearest_ntt_prime};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

fn bits(limb: &[f64]) -> Vec<u64> {
    limb.iter().map(|r| r.to_bits()).collect()
}

/// Reduced residues, every other one at the limit.
fn limb(n: usize, m: Modulus, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut limb = vec![0.0; n];
    sample::uniform(m, &mut rng, &mut limb);
    let limit = (REDUCED * m.p).floor();
    for r in limb.iter_mut().step_by(2) {
        *r = if rng.next_u64() & 1 == 0 { limit } else { -limit };
    }
    limb
}

fn same_on_every_backend(what: &str, body: impl Fn() -> Vec<f64>) {
    let expected = bits(&with_backend(Backend::Portable, &body).unwrap());
    for &backend in Backend::available() {
        assert_eq!(bits(&with_backend(backend, &body).unwrap()), expected, "{what} on {backend:?}");
    }
}

#[test]
fn transforms() {
    for log_n in (4..=14).map(LogN) {
        for target in [30, 45, 48, 50] {
            let p = nearest_ntt_prime((1u64 << target) as f64 * 0.999, log_n, &[]).unwrap();
            let table = NttTable::new(log_n, p).unwrap();
            let x = limb(log_n.degree(), table.modulus(), 5);
            let transformed = |f: &dyn Fn(&mut [f64])| {
                let mut y = x.clone();
                f(&mut y);
                y
            };
            same_on_every_backend("forward", || transformed(&|y| table.forward(y)));
            same_on_every_backend("inverse", || transformed(&|y| table.inverse(y)));
        }
    }
}

#[test]
fn element_wise_and_conversion() {
    let primes = [50, 45, 30].map(|b| nearest_ntt_prime((1u64 << b) as f64 * 0.999, LogN(8), &[]).unwrap());
    // Odd lengths end in a part of a vector.
    for n in [1, 3, 8, 31, 64, 129, 1000] {
        let limbs = primes.map(|p| limb(n, Modulus::new(p), p));
        let m = Modulus::new(primes[2]);
        let (a, b) = (limb(n, m, 1), limb(n, m, 2));
        let updated = |f: &dyn Fn(&mut [f64])| {
            let mut y = a.clone();
            f(&mut y);
            y
        };
        same_on_every_backend("add", || updated(&|y| add_assign(m, y, &b)));
        same_on_every_backend("sub", || updated(&|y| sub_assign(m, y, &b)));
        same_on_every_backend("mul", || updated(&|y| mul_assign(m, y, &b)));
        same_on_every_backend("sum_of_products", || updated(&|y| sum_of_products(m, y, &[(&a[..], &b[..]); 14])));
        let terms = [(&a[..], [&b[..], &a[..]]); 13];
        let addends = [Some((&b[..], 777.0)), None];
        for part in [0, 1] {
            same_on_every_backend("inner_products", || {
                let mut products = [a.clone(), a.clone()];
                let [first, second] = &mut products;
                inner_products(m, [first, second], &terms, addends);
                products[part].clone()
            });
            same_on_every_backend("add_inner_products", || {
                let mut sums = [a.clone(), b.clone()];
                let [first, second] = &mut sums;
                add_inner_products(m, [first, second], &terms);
                if n == 64 {
                    add_inner_products(m, [first, second], &[(&b[..n / 8], [&a[..], &b[..]]); 13]);
                }
                sums[part].clone()
            });
        }
        same_on_every_backend("mul_scalar", || updated(&|y| mul_scalar_assign(m, y, 12345.0)));
        same_on_every_backend("sub_mul", || updated(&|y| sub_mul_scalar_assign(m, y, &b, 12345.0)));
        same_on_every_backend("embed", || updated(&|y| embed_f64(m, &limbs[0], y).unwrap()));
        let converter = BaseConverter::new(&primes[..2], &primes[2..]).unwrap();
        same_on_every_backend("convert", || updated(&|y| converter.convert(0..1, &[&limbs[0], &limbs[1]], &mut [y])));
    }
}

#[test]
fn automorphisms() {
    for log_n in [4, 6, 10].map(LogN) {
        let m = Modulus::new(nearest_ntt_prime((1u64 << 50) as f64 * 0.999, log_n, &[]).unwrap());
        let n = log_n.degree();
        let (a, b) = (limb(n, m, 1), limb(n, m, 2));
        let automorphism = Automorphism::new(log_n, 25).unwrap();
        let image = |f: &dyn Fn(&mut [f64])| {
            let mut y = vec![0.0; n];
            f(&mut y);
            y
        };
        same_on_every_backend("apply", || image(&|y| automorphism.apply(&a, y)));
        same_on_every_backend("apply_sub_mul_scalar", || {
            image(&|y| automorphism.apply_sub_mul_scalar(m, y, (&a, &b, 12345.0)))
        });
    }
}

#[test]
fn complex_stages() {
    for log in 0..8 {
        let part = |seed| limb(512, Modulus::new(97), seed);
        let (re, im, w) = (part(1), part(2), (part(3), part(4)));
        let roots = (&w.0[..1 << log], &w.1[..1 << log]);
        for stage in [fft_forward, fft_inverse] {
            same_on_every_backend("a stage", || {
                let (mut re, mut im) = (re.clone(), im.clone());
                stage(&mut re, &mut im, roots);
                re.extend(im);
                re
            });
        }
    }
}
