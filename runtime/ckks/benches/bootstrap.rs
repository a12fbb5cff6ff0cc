//! What a bootstrap takes and gives: time, precision, levels, keys, memory.
//!
//! `cargo bench -p hec-ckks --bench bootstrap -- [--threads 1,2] [--runs COUNT] [--chain COUNT] [SET..]`

use std::sync::Arc;
use std::time::Instant;

use hec_ckks::{
    Bootstrapper, Ciphertext, Complex, Content, Context, Encoder, EvaluationKeys, Evaluator, KeyRequest,
    PrecisionStats, SecretKey,
};
use hec_params::{BootstrapLiteral, Depth, LogN, Order, Slots};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Name, what is asked, and whether the ring may be insecure.
fn sets() -> Vec<(&'static str, BootstrapLiteral)> {
    let ask = |log_n, log_slots: u32, bits, levels| {
        BootstrapLiteral::new(LogN(log_n), Slots(1 << log_slots), bits, Depth(levels))
    };
    vec![
        ("full", ask(16, 15, 19.0, 9)),
        ("full_precise", BootstrapLiteral { key_bytes: 4e9, ..ask(16, 15, 22.0, 9) }),
        (
            "full_coeffs_last",
            BootstrapLiteral { order: Some(Order::CoeffsLast), key_bytes: 4e9, ..ask(16, 15, 15.0, 9) },
        ),
        ("slots_4096", ask(16, 12, 19.0, 10)),
        ("n15_slots_4096", ask(15, 12, 15.0, 2)),
        ("n15_slots_64", ask(15, 6, 15.0, 3)),
        ("toy", BootstrapLiteral { insecure_toy: true, ..ask(10, 9, 19.0, 1) }),
    ]
}

fn main() -> Outcome<()> {
    let (mut threads, mut runs, mut chain, mut names) = (vec![1usize], 2usize, 0usize, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo adds it.
            "--bench" => {}
            "--threads" => threads = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--runs" => runs = value()?.parse()?,
            "--chain" => chain = value()?.parse()?,
            name => names.push(name.to_owned()),
        }
    }
    for (name, literal) in sets() {
        if names.contains(&name.to_owned()) {
            run(name, &literal, &threads, runs, chain)?;
        }
    }
    Ok(())
}

/// CPU time of the process: with one thread, the time without whatever else runs on the machine.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn gib(bytes: usize) -> f64 {
    bytes as f64 / (1u64 << 30) as f64
}

/// Largest resident memory of the process so far, where the system tells.
fn peak_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / (1u64 << 20) as f64)
}

fn run(name: &str, literal: &BootstrapLiteral, threads: &[usize], runs: usize, chain: usize) -> Outcome<()> {
    let start = Instant::now();
    let parameters = literal.search()?;
    println!("{name}: {}", parameters.parameters().security());
    let (choice, error) = (parameters.choice(), parameters.error());
    println!(
        "  {:?}, {:?}, primes of 2^{}, digits of {}",
        choice.order, choice.sine, choice.eval_bits, choice.digit_size
    );
    println!("  radices {:?} and {:?}", choice.coeffs_to_slots, choice.slots_to_coeffs);
    println!("  failure 2^{:.1}; {}", parameters.log2_failure(), parameters.encapsulation_report());
    println!(
        "  predicted: noise 2^{:.1}, systematic 2^{:.1}, {:.1} bits",
        error.noise.log2(),
        error.systematic.log2(),
        error.bits()
    );
    let context = Context::new(parameters.parameters().clone())?;
    let bootstrapper = Bootstrapper::new(&context, &parameters)?;
    println!("  set up in {:.1} s, {:.2} GiB of diagonals", start.elapsed().as_secs_f64(), gib(bootstrapper.bytes()));
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let secret = SecretKey::generate(&context, rng);
    let mut request = KeyRequest::default();
    request.bootstrap(&parameters);
    let keys = Arc::new(EvaluationKeys::generate(&context, &secret, &request, rng)?);
    println!("  {} rotation keys, {:.2} GiB of keys", request.rotations.len(), gib(keys.bytes(&context)));
    let evaluator = Evaluator::new(&context, &keys)?;
    let encoder = Encoder::new(&context);
    let level = parameters.input_level();
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
    let values: Vec<f64> = (0..parameters.choice().slots.0).map(|_| uniform()).collect();
    let values: Vec<f64> = values.iter().copied().cycle().take(context.parameters().slots().0).collect();
    let encrypt = |im: bool, rng: &mut ChaCha20Rng| -> Outcome<Ciphertext> {
        let n = values.len();
        let z: Vec<Complex> =
            (0..n).map(|i| Complex { re: values[i], im: if im { values[n - 1 - i] } else { 0.0 } }).collect();
        let plaintext = encoder.encode_complex(&z, level, context.scale(level)?)?;
        Ok(secret.encrypt(&context, &plaintext, rng)?.expand(&context)?)
    };
    let real = encrypt(false, rng)?;
    let complex = encrypt(true, rng)?;
    let pools: Vec<_> =
        threads.iter().map(|&t| rayon::ThreadPoolBuilder::new().num_threads(t).build()).collect::<Result<_, _>>()?;
    let precision = |a: &Ciphertext| -> Outcome<PrecisionStats> {
        Ok(PrecisionStats::of(&encoder.decode(&secret.decrypt(&context, a)?)?, &values))
    };
    for (&count, pool) in threads.iter().zip(&pools) {
        for (kind, input) in [(Content::Real, &real), (Content::Complex, &complex)] {
            let (mut best, mut least) = (f64::INFINITY, f64::INFINITY);
            let mut out = None;
            for _ in 0..runs {
                let (start, before) = (Instant::now(), cpu());
                let result = pool.install(|| bootstrapper.bootstrap(&evaluator, input, kind))?;
                best = best.min(start.elapsed().as_secs_f64());
                least = least.min(cpu() - before);
                out = Some(result);
            }
            let Some(out) = out else { continue };
            let left = out.level().0 - level.0;
            println!(
                "  {kind:?} on {count} threads: {best:.2} s, CPU {least:.2} s, {left} levels left, {}",
                precision(&out)?
            );
        }
    }
    let mut a = real;
    for i in 1..=chain {
        a = bootstrapper.bootstrap(&evaluator, &a, Content::Real)?;
        if i <= 20 || i % 100 == 0 {
            let walk = error.noise * (i as f64).sqrt();
            println!("  after {i} bootstraps: {}, random walk 2^{:.1}", precision(&a)?, walk.log2());
        }
    }
    println!("  peak memory {:.2} GiB", peak_gib());
    Ok(())
}
