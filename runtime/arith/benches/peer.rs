//! Transforms against the crate `tfhe-ntt` (64-bit integers), interleaved on one thread.
//!
//! `cargo bench -p hec-arith --features peer --bench peer`. Two of its kernels: the one it takes for a prime below 2^50 on this machine
//! (with IFMA instructions where there are any), and its plain AVX-512 or AVX2 one, which it takes for primes above 2^52
//! everywhere and for all primes on machines without IFMA. Its inverse leaves out the factor 1/N; ours has it.

use hec_arith::*;
use hec_params::{LogN, nearest_ntt_prime};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::hint::black_box;
use std::time::Instant;
use tfhe_ntt::prime64::Plan;

fn prime(bits: u32, log_n: LogN) -> u64 {
    nearest_ntt_prime((1u64 << bits) as f64 * 0.9999, log_n, &[]).expect("a prime")
}

fn time_ns(body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_nanos() as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds a butterfly, ours and both of theirs at best, and the median of both ratios within each repetition.
fn compare(repetitions: usize, butterflies: f64, mut runs: [&mut dyn FnMut(); 3]) {
    let mut times = [(); 3].map(|()| vec![]);
    for _ in 0..repetitions {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            times.push(time_ns(run));
        }
    }
    let least = times.each_ref().map(|t| t.iter().copied().fold(f64::INFINITY, f64::min));
    let ratio = |peer: usize| median(times[peer].iter().zip(&times[0]).map(|(theirs, ours)| theirs / ours).collect());
    print!("{:>8.3}{:>8.3}{:>8.3}", least[0] / butterflies, least[1] / butterflies, least[2] / butterflies);
    println!("{:>9.2}x{:>8.2}x{:>9.2}x{:>8.2}x", ratio(1), ratio(2), least[1] / least[0], least[2] / least[0]);
}

/// A slice of `n` elements from a cache line on, as the limbs of the runtime are: both sides get one.
fn aligned<T: Copy + Default>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    const LINE: usize = 64;
    buffer.resize(n + LINE / size_of::<T>(), T::default());
    let start = buffer.as_ptr().align_offset(LINE);
    &mut buffer[start..start + n]
}

fn main() {
    println!("{:<16}{:>24}{:>18}{:>18}", "", "ns/butterfly", "ratio, medians", "ratio, minima");
    println!(
        "{:<16}{:>8}{:>8}{:>8}{:>10}{:>9}{:>10}{:>9}",
        "", "ours", "50 bit", "plain", "50 bit", "plain", "50 bit", "plain"
    );
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for log_n in (12..=16).map(LogN) {
        let n = log_n.degree();
        let (p, wide) = (prime(50, log_n), prime(60, log_n));
        let table = NttTable::new(log_n, p).expect("a table");
        let [narrow_plan, wide_plan] = [p, wide].map(|p| Plan::try_new(n, p).expect("a plan"));
        let (mut ours, mut narrow, mut plain) = (vec![], vec![], vec![]);
        let (x, y, z) = (aligned(&mut ours, n), aligned(&mut narrow, n), aligned(&mut plain, n));
        sample::uniform(table.modulus(), &mut rng, x);
        y.fill_with(|| rng.next_u64() % p);
        z.fill_with(|| rng.next_u64() % wide);
        let butterflies = (n / 2) as f64 * log_n.0 as f64;
        let repetitions = (1 << 23) / n;
        print!("forward 2^{:<6}", log_n.0);
        compare(
            repetitions,
            butterflies,
            [&mut || table.forward(black_box(&mut *x)), &mut || narrow_plan.fwd(black_box(&mut *y)), &mut || {
                wide_plan.fwd(black_box(&mut *z))
            }],
        );
        print!("inverse 2^{:<6}", log_n.0);
        compare(
            repetitions,
            butterflies,
            [&mut || table.inverse(black_box(&mut *x)), &mut || narrow_plan.inv(black_box(&mut *y)), &mut || {
                wide_plan.inv(black_box(&mut *z))
            }],
        );
    }
}
