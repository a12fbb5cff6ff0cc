//! What the primitives take at the parameter sets that other libraries are measured at, on one and two threads.
//!
//! `cargo bench -p hec-ckks --bench primitives -- [--json] [--threads 1,2] [--only OP] [--digit SIZE] [SET..]`. Runs on different numbers of
//! threads alternate, so that both see the same machine. Operations are named as in scripts for other libraries, so
//! that lines can be joined; `linear_16` is 16 rotations of one ciphertext summed with plaintext products.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hec_arith::Modulus;
use hec_ckks::{
    Ciphertext, Context, DiagonalValues, EncodedDiagonals, Encoder, EvaluationKeys, Evaluator, KeyRequest, LinearPlan,
    LinearTerm, MemoryBudget, Plaintext, PrecisionStats, REFERENCE_SETS, ReferenceSet, RotationKeys, SecretKey, Stored,
};
use hec_params::{ChainRequest, Level, Parameters, ParametersLiteral, Rotation};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::ThreadPool;
use rayon::prelude::*;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Repetitions of one measurement end after this time, or when there are enough.
const PATIENCE: Duration = Duration::from_millis(1500);
const ENOUGH: usize = 41;
/// Rows and columns of the matrix that is multiplied with an encrypted vector.
const MATRIX: usize = 512;
/// Pairs of messages that errors are the mean of.
const MESSAGES: usize = 8;
/// Encoded diagonals that take more than this are kept as integers.
const RESIDUE_BYTES: usize = 512 << 20;

fn main() -> Outcome<()> {
    let mut options = Options { json: false, threads: vec![1, 2], digit_size: None, only: None, sets: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo adds it.
            "--bench" => {}
            "--json" => options.json = true,
            "--threads" => options.threads = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--only" => options.only = Some(value()?),
            "--digit" => options.digit_size = Some(value()?.parse()?),
            name => options.sets.push(name.to_owned()),
        }
    }
    let known = |name: &String| REFERENCE_SETS.iter().any(|set| set.name == name);
    if let Some(name) = options.sets.iter().find(|name| !known(name)) {
        return Err(format!("no parameter set {name}; there are {:?}", REFERENCE_SETS.map(|set| set.name)).into());
    }
    let wanted = |set: &ReferenceSet| options.sets.is_empty() || options.sets.iter().any(|name| name == set.name);
    for set in REFERENCE_SETS.iter().filter(|set| wanted(set)) {
        run(set, &options)?;
    }
    Ok(())
}

struct Options {
    json: bool,
    threads: Vec<usize>,
    digit_size: Option<usize>,
    /// One operation; the others run once.
    only: Option<String>,
    sets: Vec<String>,
}

/// Measures and prints.
struct Meter {
    set: &'static str,
    json: bool,
    only: Option<String>,
    pools: Vec<ThreadPool>,
}

impl Meter {
    /// Time `work` on each pool in turn; the result of the last run.
    fn time<T: Send>(&self, op: &str, work: impl Fn() -> Outcome<T> + Sync) -> Outcome<T> {
        self.time_at_most(ENOUGH, op, work)
    }

    fn time_at_most<T: Send>(&self, reps: usize, op: &str, work: impl Fn() -> Outcome<T> + Sync) -> Outcome<T> {
        let mut last = self.pools[0].install(&work)?;
        if self.only.as_ref().is_some_and(|only| only != op) {
            return Ok(last);
        }
        let mut times = vec![(Vec::new(), Vec::new()); self.pools.len()];
        let start = Instant::now();
        while times[0].0.len() < reps && (times[0].0.len() < 3 || start.elapsed() < PATIENCE) {
            for (pool, (wall, cpu)) in self.pools.iter().zip(&mut times) {
                let timed = || {
                    let (start, start_cpu) = (Instant::now(), thread_cpu_ms());
                    let result = work();
                    (result, start.elapsed().as_secs_f64() * 1e3, thread_cpu_ms() - start_cpu)
                };
                let (result, wall_ms, cpu_ms) = pool.install(timed);
                last = result?;
                wall.push(wall_ms);
                cpu.push(cpu_ms);
            }
        }
        let mut row = format!("{:<12} {op:<24}", self.set);
        for (pool, (wall, cpu)) in self.pools.iter().zip(&mut times) {
            let ((min, median), (cpu_min, cpu)) = (min_median(wall), min_median(cpu));
            row += &format!(" {min:>9.3} {median:>9.3} {cpu:>9.3}");
            if self.json {
                let (set, threads, n) = (self.set, pool.current_num_threads(), wall.len());
                let cpu = format!(r#""main_thread_ms":{cpu:.4},"main_thread_min_ms":{cpu_min:.4}"#);
                println!(
                    r#"{{"peer":"hec","set":"{set}","op":"{op}","threads":{threads},"median_ms":{median:.4},"min_ms":{min:.4},{cpu},"n":{n}}}"#
                );
            }
        }
        if !self.json {
            println!("{row}");
        }
        Ok(last)
    }

    /// The mean of log2 of the largest slot errors.
    fn error(&self, op: &str, errors: &[f64]) {
        let log2 = errors.iter().sum::<f64>() / errors.len() as f64;
        if self.json {
            println!(r#"{{"peer":"hec","set":"{}","op":"{op}","log2":{log2:.3}}}"#, self.set);
        } else {
            println!("{:<12} {op:<24} {log2:>10.2} log2 of the largest slot error", self.set);
        }
    }

    fn size(&self, op: &str, bytes: usize) {
        let mb = bytes as f64 / f64::from(1 << 20);
        if self.json {
            println!(r#"{{"peer":"hec","set":"{}","op":"{op}","mb":{mb:.2}}}"#, self.set);
        } else {
            println!("{:<12} {op:<24} {mb:>10.2} MiB", self.set);
        }
    }
}

fn min_median(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

/// What this thread has run so far: on a machine with other work, the truth about one thread.
fn thread_cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 * 1e-6
}

/// One client and one server.
struct Parties {
    context: Arc<Context>,
    encoder: Encoder,
    secret: SecretKey,
    top: Level,
    /// Slot values of modulus at most 1.
    values: Vec<f64>,
}

impl Parties {
    fn rng(&self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([7; 32])
    }

    fn encode(&self) -> Outcome<Plaintext> {
        Ok(self.encoder.encode(&self.values, self.top, self.context.scale(self.top)?)?)
    }

    fn encrypt(&self, plaintext: &Plaintext) -> Outcome<Ciphertext> {
        Ok(self.secret.encrypt(&self.context, plaintext, &mut self.rng())?.expand(&self.context)?)
    }

    fn keys(&self, request: &KeyRequest) -> Outcome<EvaluationKeys> {
        Ok(EvaluationKeys::generate(&self.context, &self.secret, request, &mut self.rng())?)
    }

    fn evaluator(&self, request: &KeyRequest) -> Outcome<Evaluator> {
        Ok(Evaluator::new(&self.context, &Arc::new(self.keys(request)?))?)
    }
}

fn run(set: &ReferenceSet, options: &Options) -> Outcome<()> {
    let digit_size = options.digit_size.unwrap_or(set.request.digit_size);
    let request = ChainRequest { digit_size, ..set.request.clone() };
    let parameters = Parameters::check(ParametersLiteral::new(&request)?)?;
    let pool = |&threads: &usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pools = options.threads.iter().map(pool).collect::<Result<_, _>>()?;
    let meter = Meter { set: set.name, json: options.json, only: options.only.clone(), pools };
    if !options.json {
        let special = parameters.special().len();
        println!("{}: {}, digit size {}, {special} special", set.name, parameters.security(), parameters.digit_size());
        let columns =
            options.threads.iter().map(|n| format!(" {:>9} {:>9} {:>9}", format!("min ms x{n}"), "median", "cpu"));
        println!("{:<37}{}", "", columns.collect::<String>());
    }
    let context = Context::new(parameters)?;
    let slots = context.parameters().slots().0;
    let parties = Parties {
        encoder: Encoder::new(&context),
        secret: SecretKey::generate(&context, &mut ChaCha20Rng::from_seed([1; 32])),
        top: context.parameters().top_level(),
        values: (0..slots).map(|i| (i as f64).sin()).collect(),
        context,
    };
    client(&meter, &parties)?;
    server(&meter, &parties)?;
    if options.only.as_ref().is_none_or(|only| only.starts_with("error")) {
        errors(&meter, &parties)?;
    }
    if options.only.as_ref().is_none_or(|only| only.starts_with("matvec")) { matrix(&meter, &parties) } else { Ok(()) }
}

fn client(meter: &Meter, parties: &Parties) -> Outcome<()> {
    let Parties { context, encoder, secret, top, .. } = parties;
    let relinearize = KeyRequest { relinearize: Some(*top), ..KeyRequest::default() };
    let key = meter.time("keygen_relin", || parties.keys(&relinearize))?;
    meter.size("relin_key_size", key.to_bytes(context, &[0; 32])?.len());
    meter.size("relin_key_memory", key.bytes(context));
    let mut rotations = KeyRequest::default();
    (1..=16).for_each(|r| rotations.rotation(Rotation(r), *top));
    meter.time_at_most(3, "keygen_16_rot", || parties.keys(&rotations))?;
    let plaintext = meter.time("encode", || parties.encode())?;
    meter.time("encrypt", || Ok(secret.encrypt(context, &plaintext, &mut parties.rng())?))?;
    let ciphertext = meter.time("encrypt_expand", || parties.encrypt(&plaintext))?;
    meter.time("decrypt_decode", || Ok(encoder.decode(&secret.decrypt(context, &ciphertext)?)?))?;
    Ok(())
}

fn server(meter: &Meter, parties: &Parties) -> Outcome<()> {
    let top = parties.top;
    let mut request = KeyRequest { relinearize: Some(top), ..KeyRequest::default() };
    (1..=16).for_each(|r| request.rotation(Rotation(r), top));
    let evaluator = &parties.evaluator(&request)?;
    let plaintext = parties.encode()?;
    let x = &parties.encrypt(&plaintext)?;
    meter.time("add_ct_ct", || Ok(evaluator.add(x, x)?))?;
    meter.time("mul_ct_pt", || Ok(evaluator.mul_plain(x, &plaintext)?))?;
    let product = &meter.time("mul_ct_ct_norelin", || Ok(evaluator.multiply(x, x)?))?;
    meter.time("relinearize", || Ok(evaluator.relinearize(product)?))?;
    meter.time("mul_ct_ct_relin", || Ok(evaluator.multiply_relinearize(x, x)?))?;
    meter.time("square_relin", || Ok(evaluator.relinearize(&evaluator.square(x)?)?))?;
    meter.time("relinearize_rescale", || Ok(evaluator.relinearize_rescale(product)?))?;
    let relinearized = evaluator.relinearize(product)?;
    meter.time("rescale", || Ok(evaluator.rescale(&relinearized)?))?;
    uniform_half(meter, parties)?;
    meter.time("rotate", || Ok(evaluator.rotate(x, Rotation(1))?))?;
    meter.time("decompose", || Ok(evaluator.decompose(x)?))?;
    let hoisted = || {
        let digits = evaluator.decompose(x)?;
        (1..=16).map(|r| Ok(evaluator.rotate_decomposed(&digits, Rotation(r))?)).collect::<Outcome<Vec<_>>>()
    };
    meter.time("hoisted_16_rot", hoisted)?;
    let term =
        |r: u32| LinearTerm { output: 0, input: 0, giant: Rotation(0), baby: Rotation(r), diagonal: r as usize - 1 };
    let plan = LinearPlan { inputs: 1, outputs: 1, terms: (1..=16).map(term).collect(), keys: RotationKeys::Each };
    let diagonals = EncodedDiagonals::residues(&parties.encoder, top, 16, |_| Cow::Borrowed(&parties.values))?;
    meter.time("linear_16", || Ok(evaluator.linear(&plan, &[x], &diagonals, MemoryBudget::default())?))?;
    Ok(())
}

/// The uniform half of one key: drawn from its seed, and read from memory (into a sum, as a key switch does). What is
/// between them is what a rotation would take longer if keys were held as seeds.
fn uniform_half(meter: &Meter, parties: &Parties) -> Outcome<()> {
    let literal = parties.context.parameters().literal();
    let primes: Vec<u64> = literal.levels.iter().flatten().chain(&literal.special).copied().collect();
    let digits = (primes.len() - literal.special.len()).div_ceil(literal.digit_size);
    let moduli: Vec<Modulus> = primes.iter().map(|&p| Modulus::new(p)).collect();
    let n = parties.context.degree();
    let draw = |limb: &mut [f64], j: usize, k: usize| {
        let mut rng = parties.rng();
        rng.set_stream((j << 32 | k) as u64);
        hec_arith::sample::uniform(moduli[k], &mut rng, limb);
    };
    // Each prime has a limb for every digit.
    let mut half = vec![vec![vec![0.0; n]; digits]; primes.len()];
    half.iter_mut().enumerate().for_each(|(k, limbs)| {
        limbs.iter_mut().enumerate().for_each(|(j, limb)| draw(limb, j, k));
    });
    let each = |work: &(dyn Fn(usize, &mut [f64]) + Sync)| {
        (0..primes.len()).into_par_iter().for_each_init(|| vec![0.0; n], |buffer, k| work(k, buffer));
    };
    meter.time("key_half_drawn", || {
        each(&|k, limb| (0..digits).for_each(|j| draw(limb, j, k)));
        Ok(())
    })?;
    meter.time("key_half_read", || {
        each(&|k, limb| half[k].iter().for_each(|x| hec_arith::add_assign(moduli[k], limb, x)));
        Ok(())
    })
}

/// Errors of fresh ciphertexts and of one operation on them; products are rescaled.
fn errors(meter: &Meter, parties: &Parties) -> Outcome<()> {
    let Parties { context, encoder, secret, top, values } = parties;
    let mut request = KeyRequest { relinearize: Some(*top), ..KeyRequest::default() };
    request.rotation(Rotation(1), *top);
    let evaluator = parties.evaluator(&request)?;
    let scale = context.scale(*top)?;
    let mut rng = parties.rng();
    let mut all: [Vec<f64>; 4] = Default::default();
    for _ in 0..MESSAGES {
        // Uniform in [−1, 1].
        let mut message = || -> Vec<f64> {
            values.iter().map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0).collect()
        };
        let (x, y) = (message(), message());
        let (px, py) = (encoder.encode(&x, *top, scale)?, encoder.encode(&y, *top, scale)?);
        let mut encrypt = |p| secret.encrypt(context, p, &mut rng)?.expand(context);
        let (cx, cy) = (encrypt(&px)?, encrypt(&py)?);
        let xy: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x * y).collect();
        let mut turned = x.clone();
        turned.rotate_left(1);
        let results = [
            (&cx, &x),
            (&evaluator.rescale(&evaluator.mul_plain(&cx, &py)?)?, &xy),
            (&evaluator.rescale(&evaluator.relinearize(&evaluator.multiply(&cx, &cy)?)?)?, &xy),
            (&evaluator.rotate(&cx, Rotation(1))?, &turned),
        ];
        for (errors, (ciphertext, expected)) in all.iter_mut().zip(results) {
            let decoded = encoder.decode(&secret.decrypt(context, ciphertext)?)?;
            errors.push(PrecisionStats::of(&decoded, expected).log2_max);
        }
    }
    for (op, errors) in ["error_encrypt", "error_mul_ct_pt", "error_mul_ct_ct_relin", "error_rotate"].iter().zip(&all) {
        meter.error(op, errors);
    }
    Ok(())
}

/// A dense matrix times an encrypted vector, which fills all slots by repetition: every diagonal, by baby steps of
/// one and giant steps of `BABIES`.
fn matrix(meter: &Meter, parties: &Parties) -> Outcome<()> {
    const BABIES: usize = 32;
    let top = parties.top;
    let term = |d: usize| LinearTerm {
        output: 0,
        input: 0,
        giant: Rotation((d / BABIES * BABIES) as u32),
        baby: Rotation((d % BABIES) as u32),
        diagonal: d,
    };
    let plan = LinearPlan { inputs: 1, outputs: 1, terms: (0..MATRIX).map(term).collect(), keys: RotationKeys::Each };
    let mut request = KeyRequest::default();
    plan.request_keys(top, &mut request);
    let evaluator = &parties.evaluator(&request)?;
    let x = &parties.encrypt(&parties.encode()?)?;
    let slots = parties.values.len();
    let diagonal = |d: usize| -> Cow<'static, [f64]> {
        (0..slots).map(|i| ((i % MATRIX * 31 + d * 17) as f64).cos()).collect::<Vec<_>>().into()
    };
    let linear =
        |diagonals: &dyn hec_ckks::Diagonals| Ok(evaluator.linear(&plan, &[x], diagonals, MemoryBudget::default())?);
    let literal = parties.context.parameters().literal();
    let primes = literal.levels.iter().flatten().count() + literal.special.len();
    if MATRIX * primes * parties.context.degree() * size_of::<f64>() <= RESIDUE_BYTES {
        let residues = EncodedDiagonals::residues(&parties.encoder, top, MATRIX, diagonal)?;
        meter.time("matvec_512_residues", || linear(&residues))?;
    }
    let integers = EncodedDiagonals::integers(&parties.encoder, top, MATRIX, diagonal)?;
    for (op, keys) in [
        ("matvec_512_integers", RotationKeys::Each),
        ("matvec_512_one_giant_key", RotationKeys::OneForGiants),
        ("matvec_512_two_keys", RotationKeys::TwoInAll),
    ] {
        let plan = LinearPlan { keys, ..plan.clone() };
        meter.time(op, || Ok(evaluator.linear(&plan, &[x], &integers, MemoryBudget::default())?))?;
    }
    if slots <= 1 << 13 {
        let values: Vec<_> = (0..MATRIX).map(diagonal).collect();
        let encoded_at_use = DiagonalValues::new(MATRIX, |d| Cow::Borrowed(&values[d]));
        meter.time("matvec_512_values", || linear(&encoded_at_use))?;
    }
    Ok(())
}
