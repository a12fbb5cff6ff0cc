//! Times of the kernels on every backend of this machine: the least of many runs, on one thread.
//!
//! `cargo bench -p hec-arith`

use hec_arith::*;
use hec_params::{LogN, nearest_ntt_prime};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::{Duration, Instant};

/// The least time of one call, in nanoseconds, over at least 20 ms and 5 calls.
fn least_ns(mut body: impl FnMut()) -> f64 {
    let (start, mut least, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < 5 || start.elapsed() < Duration::from_millis(20) {
        let begin = Instant::now();
        body();
        least = least.min(begin.elapsed().as_nanos() as f64);
        calls += 1;
    }
    least
}

/// One line: the time per unit on each backend, and how much faster the last is than the others.
fn line(what: &str, units: f64, mut body: impl FnMut()) {
    let times: Vec<f64> = Backend::available()
        .iter()
        .map(|&b| with_backend(b, || least_ns(&mut body)).expect("an available backend") / units)
        .collect();
    let fastest = times[times.len() - 1];
    print!("{what:<34}");
    for t in &times {
        print!("{t:>11.3}");
    }
    for t in &times[..times.len() - 1] {
        print!("{:>9.2}x", t / fastest);
    }
    println!();
}

fn main() {
    print!("{:<34}", "");
    for backend in Backend::available() {
        print!("{:>11}", format!("{backend:?}"));
    }
    println!("   ratio to the last");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for (log_n, bits) in [(12, 47), (12, 50), (13, 47), (14, 47), (14, 50), (15, 47), (16, 47), (16, 50)] {
        let log_n = LogN(log_n);
        let p = nearest_ntt_prime((1u64 << bits) as f64 * 0.9999, log_n, &[]).expect("a prime");
        let table = NttTable::new(log_n, p).expect("a table");
        let mut x = vec![0.0; log_n.degree()];
        sample::uniform(table.modulus(), &mut rng, &mut x);
        let butterflies = (log_n.degree() / 2) as f64 * log_n.0 as f64;
        line(&format!("forward 2^{} {bits} bit, ns/butterfly", log_n.0), butterflies, || table.forward(&mut x));
        line(&format!("inverse 2^{} {bits} bit, ns/butterfly", log_n.0), butterflies, || table.inverse(&mut x));
    }
    element_wise(&mut rng);
}

/// Kernels on limbs of 2^13 residues, in nanoseconds per residue.
fn element_wise(rng: &mut ChaCha20Rng) {
    let log_n = LogN(13);
    let n = log_n.degree();
    let mut primes = vec![];
    for _ in 0..10 {
        primes.push(nearest_ntt_prime((1u64 << 47) as f64, log_n, &primes).expect("a prime"));
    }
    let m = Modulus::new(primes[0]);
    let limbs: Vec<Vec<f64>> = (0..8)
        .map(|_| {
            let mut limb = vec![0.0; n];
            sample::uniform(m, rng, &mut limb);
            limb
        })
        .collect();
    let mut out = limbs[0].clone();
    line("add, ns/residue", n as f64, || add_assign(m, &mut out, &limbs[1]));
    line("mul, ns/residue", n as f64, || mul_assign(m, &mut out, &limbs[1]));
    let w = limbs[2][0];
    line("mul_scalar_add, ns/residue", n as f64, || mul_scalar_add_assign(m, &mut out, &limbs[1], w));
    line("sub_mul_scalar, ns/residue", n as f64, || sub_mul_scalar_assign(m, &mut out, &limbs[1], w));
    let terms: Vec<(&[f64], [&[f64]; 2])> =
        (0..4).map(|i| (&limbs[i][..], [&limbs[i + 4][..], &limbs[i][..]])).collect();
    let mut second = out.clone();
    line("inner_products, ns/product", 8.0 * n as f64, || {
        inner_products(m, [&mut out, &mut second], &terms, [None, None]);
    });
    let short: Vec<(&[f64], [&[f64]; 2])> = terms.iter().map(|&(a, others)| (&a[..n / 8], others)).collect();
    line("inner_products, short, ns/product", 8.0 * n as f64, || {
        add_inner_products(m, [&mut out, &mut second], &short);
    });
    let converter = BaseConverter::new(&primes[..4], &primes[4..]).expect("a converter");
    let src: Vec<&[f64]> = limbs[..4].iter().map(Vec::as_slice).collect();
    let mut dst = vec![vec![0.0; n]; 6];
    line("convert 4 to 6, ns/product", 24.0 * n as f64, || {
        converter.convert(0..6, &src, &mut dst.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
    });
    let automorphism = Automorphism::new(log_n, 5).expect("an odd element");
    line("automorphism, ns/residue", n as f64, || automorphism.apply(&limbs[0], &mut out));
    let integers: Vec<i64> = (0..n as i64).map(|i| i * 123_456_789).collect();
    line("embed_i64, ns/residue", n as f64, || embed_i64(m, &integers, &mut out));
    let floats: Vec<f64> = integers.iter().map(|&i| i as f64 * 4096.0).collect();
    line("embed_f64, ns/residue", n as f64, || embed_f64(m, &floats, &mut out).expect("integers"));
    line("uniform, ns/residue", n as f64, || sample::uniform(m, rng, &mut out));
}
