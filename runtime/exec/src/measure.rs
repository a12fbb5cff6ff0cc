//! How fast this machine is: primitives of the scheme, and the cost table that the planner reads.

use crate::{Progress, RunError};
use hec_arith::{Modulus, NttTable, sample};
use hec_ckks::{Ciphertext, Context, Encoder, EvaluationKeys, Evaluator, KeyRequest, Plaintext, SecretKey, os_rng};
use hec_ir::cost::{CostTable, RingSize};
use hec_ir::{Level, LogN, Parameters, ParametersLiteral, Rotation};
use hec_params::{ChainRequest, Depth, nearest_ntt_prime};
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPoolBuilder;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The median time of one operation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measurement {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Primes of the ciphertext.
    pub primes: usize,
    /// What was measured.
    pub operation: &'static str,
    /// Seconds, on all threads.
    pub seconds: f64,
}

/// A cost predicted by a table against the time measured, on one thread.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// What was measured.
    pub operation: &'static str,
    /// Seconds by the table.
    pub predicted: f64,
    /// Median of the seconds measured.
    pub measured: f64,
}

/// A measured table, and how well it predicts operations that it was not made from.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// The table.
    pub table: CostTable,
    /// Its check, at N = 2^14.
    pub predictions: Vec<Prediction>,
}

/// Median of at least 5 runs and 100 ms, after one run that is not counted.
fn median(mut body: impl FnMut()) -> f64 {
    body();
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || (start.elapsed() < Duration::from_millis(100) && times.len() < 10_000) {
        let begin = Instant::now();
        body();
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Keys and operands at the top level of a secure parameter set.
struct Bench {
    context: Arc<Context>,
    encoder: Encoder,
    secret: SecretKey,
    evaluator: Evaluator,
    values: Vec<f64>,
    plaintext: Plaintext,
    ciphertext: Ciphertext,
    rng: ChaCha20Rng,
}

/// Rotations that share a decomposition.
const HOISTED: u32 = 8;

impl Bench {
    /// Rings of 2^13, 2^14, 2^15 with as many levels as leave room at 128 bits.
    fn new(log_n: u32) -> Result<Self, RunError> {
        let (depth, scale_bits, digit_size) = match log_n {
            ..=13 => (3, 36.0, 1),
            14 => (7, 38.0, 2),
            _ => (14, 40.0, 3),
        };
        let request = ChainRequest {
            log_n: LogN(log_n),
            depth: Depth(depth),
            scale_bits,
            base_bits: scale_bits + 8.0,
            digit_size,
            insecure_toy: false,
        };
        let fail = |e: hec_ir::ParametersError| RunError::Program(e.to_string());
        let parameters = Parameters::check(ParametersLiteral::new(&request).map_err(fail)?).map_err(fail)?;
        let context = Context::new(parameters)?;
        let mut rng = os_rng()?;
        let secret = SecretKey::generate(&context, &mut rng);
        let top = context.parameters().top_level();
        let mut keys = KeyRequest { relinearize: Some(top), ..KeyRequest::default() };
        (1..=HOISTED).for_each(|r| keys.rotation(Rotation(r), top));
        let keys = Arc::new(EvaluationKeys::generate(&context, &secret, &keys, &mut rng)?);
        let encoder = Encoder::new(&context);
        let slots = context.parameters().slots().0;
        let values: Vec<f64> = (0..slots).map(|i| (i % 17) as f64 / 17.0).collect();
        let plaintext = encoder.encode(&values, top, context.scale(top)?)?;
        let ciphertext = secret.encrypt(&context, &plaintext, &mut rng)?.expand(&context)?;
        let evaluator = Evaluator::new(&context, &keys)?;
        Ok(Bench { context, encoder, secret, evaluator, values, plaintext, ciphertext, rng })
    }

    fn top(&self) -> Level {
        self.context.parameters().top_level()
    }

    /// Time an operation that was tried once, so that it cannot fail.
    fn time<T, E>(mut operation: impl FnMut() -> Result<T, E>) -> Result<f64, RunError>
    where
        RunError: From<E>,
    {
        operation()?;
        Ok(median(|| {
            // The same operation on the same operands succeeded above.
            let _ = std::hint::black_box(operation());
        }))
    }

    fn operations(&mut self) -> Result<Vec<(&'static str, f64)>, RunError> {
        let (e, x, p) = (&self.evaluator, &self.ciphertext, &self.plaintext);
        let (level, scale) = (self.top(), self.context.scale(self.top())?);
        let product = e.multiply(x, x)?;
        let decomposed = e.decompose(x)?;
        let (secret, context, encoder) = (&self.secret, &self.context, &self.encoder);
        Ok(vec![
            ("encode", Self::time(|| encoder.encode(&self.values, level, scale))?),
            ("encrypt", Self::time(|| secret.encrypt(context, p, &mut self.rng))?),
            ("decrypt and decode", Self::time(|| secret.decrypt(context, x).and_then(|p| encoder.decode(&p)))?),
            ("add", Self::time(|| e.add(x, x))?),
            ("multiply by plaintext", Self::time(|| e.mul_plain(x, p))?),
            ("multiply, relinearize", Self::time(|| e.multiply(x, x).and_then(|y| e.relinearize(&y)))?),
            ("multiply, relinearize, rescale", {
                Self::time(|| e.multiply(x, x).and_then(|y| e.relinearize_rescale(&y)))?
            }),
            ("rescale", Self::time(|| e.rescale(&product))?),
            ("rotate", Self::time(|| e.rotate(x, Rotation(1)))?),
            ("decompose", Self::time(|| e.decompose(x))?),
            ("rotate, decomposed", Self::time(|| e.rotate_decomposed(&decomposed, Rotation(1)))?),
            ("8 rotations, one decomposition", {
                Self::time(|| {
                    let shared = e.decompose(x)?;
                    (1..=HOISTED).map(|r| e.rotate_decomposed(&shared, Rotation(r))).collect::<Result<Vec<_>, _>>()
                })?
            }),
        ])
    }
}

/// One limb with its transform.
fn limb(log_n: LogN) -> Result<(NttTable, Vec<f64>), RunError> {
    let no_prime = || RunError::Program("no prime for the ring".to_owned());
    let prime = nearest_ntt_prime((1u64 << 45) as f64, log_n, &[]).ok_or_else(no_prime)?;
    let table = NttTable::new(log_n, prime).map_err(hec_ckks::CkksError::from)?;
    let mut residues = vec![0.0; log_n.degree()];
    sample::uniform(table.modulus(), &mut os_rng()?, &mut residues);
    Ok((table, residues))
}

/// Times of the primitives at N = 2^13, 2^14, 2^15, at the top level of a secure parameter set.
///
/// # Errors
/// No randomness.
pub fn bench(progress: &dyn Progress) -> Result<Vec<Measurement>, RunError> {
    let rings = [13u32, 14, 15];
    let mut all = Vec::new();
    for (done, &log_n) in rings.iter().enumerate() {
        progress.advance(done, rings.len(), &format!("N = 2^{log_n}"));
        let (table, mut residues) = limb(LogN(log_n))?;
        let ntt = median(|| table.forward(&mut residues));
        all.push(Measurement { log_n, primes: 1, operation: "NTT of one limb", seconds: ntt });
        let mut ring = Bench::new(log_n)?;
        let primes = ring.context.parameters().prime_count(ring.top());
        let times = ring.operations()?;
        all.extend(times.into_iter().map(|(operation, seconds)| Measurement { log_n, primes, operation, seconds }));
    }
    progress.advance(rings.len(), rings.len(), "");
    Ok(all)
}

/// Measure a cost table, on an otherwise idle machine.
///
/// # Errors
/// No randomness, or no thread.
pub fn calibrate(progress: &dyn Progress) -> Result<Calibration, RunError> {
    let log_n = 14;
    progress.advance(0, 3, "residues");
    let (butterfly, multiply_add, add) = residues(LogN(log_n))?;
    progress.advance(1, 3, "one thread");
    let ring = Bench::new(log_n)?;
    let (fft_butterfly, single) = on_threads(1, || Ok((fft_butterfly(&ring)?, composites(&ring)?)))?;
    progress.advance(2, 3, "all threads");
    let all = composites(&ring)?;
    // The geometric mean of the operations' speedups.
    let logs = single.iter().zip(&all).map(|((_, one), (_, all))| (one / all).log2());
    let parallel_speedup = (logs.sum::<f64>() / all.len() as f64).exp2().max(1.0);
    let table = CostTable { butterfly, multiply_add, add, fft_butterfly, parallel_speedup };
    progress.advance(3, 3, "");
    let size = RingSize::at(ring.context.parameters(), ring.top());
    let predicted = [table.key_switch(&size), table.rescale(&size), table.encode(&size, size.primes)];
    let predictions = single.iter().zip(predicted);
    let predictions =
        predictions.map(|(&(operation, measured), predicted)| Prediction { operation, predicted, measured });
    Ok(Calibration { predictions: predictions.collect(), table })
}

fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> Result<T, RunError> + Send) -> Result<T, RunError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| RunError::Usage(format!("no thread pool of {threads} threads: {e}")))?;
    pool.install(f)
}

/// Nanoseconds of an NTT butterfly, and of a multiply-add and an addition of residues that are not in a cache.
fn residues(log_n: LogN) -> Result<(f64, f64, f64), RunError> {
    /// 16 MiB at N = 2^14, as ciphertexts and keys are.
    const LIMBS: usize = 128;
    let (table, residues) = limb(log_n)?;
    let n = log_n.degree() as f64;
    let mut x = residues.clone();
    let butterfly = median(|| table.forward(&mut x)) / (n / 2.0 * f64::from(log_n.0));
    let m: Modulus = table.modulus();
    let factors = vec![residues.clone(); LIMBS];
    let mut sums = vec![residues.clone(); LIMBS];
    let count = LIMBS as f64 * n;
    let per_residue = |body: &mut dyn FnMut(usize, &mut [f64]), sums: &mut Vec<Vec<f64>>| {
        median(|| sums.iter_mut().enumerate().for_each(|(i, sum)| body(i, sum))) / count
    };
    let mut multiply = |i: usize, sum: &mut [f64]| hec_arith::mul_add_assign(m, sum, &factors[i], &residues);
    let multiply_add = per_residue(&mut multiply, &mut sums);
    let add = per_residue(&mut |i, sum| hec_arith::add_assign(m, sum, &factors[i]), &mut sums);
    Ok((butterfly * 1e9, multiply_add * 1e9, add * 1e9))
}

/// Nanoseconds of a butterfly of the encoding FFT, rounding included: N/4·(log N − 1) of them.
fn fft_butterfly(ring: &Bench) -> Result<f64, RunError> {
    let parameters = ring.context.parameters();
    let (level, scale) = (ring.top(), ring.context.scale(ring.top())?);
    let seconds = Bench::time(|| ring.encoder.encode_integers(&ring.values, level, scale))?;
    let butterflies = ring.context.degree() as f64 / 4.0 * f64::from(parameters.log_n().0 - 1);
    Ok(seconds / butterflies * 1e9)
}

fn composites(ring: &Bench) -> Result<Vec<(&'static str, f64)>, RunError> {
    let (e, x) = (&ring.evaluator, &ring.ciphertext);
    let product = e.mul_plain(x, &ring.plaintext)?;
    let (level, scale) = (ring.top(), ring.context.scale(ring.top())?);
    Ok(vec![
        ("rotate", Bench::time(|| e.rotate(x, Rotation(1)))?),
        ("rescale", Bench::time(|| e.rescale(&product))?),
        ("encode", Bench::time(|| ring.encoder.encode(&ring.values, level, scale))?),
    ])
}
