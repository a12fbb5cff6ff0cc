//! How fast this machine is: primitives of the scheme, and the cost table that the planner reads.

use crate::{Progress, RunError};
use hec_arith::{NttTable, sample};
use hec_ckks::{
    Ciphertext, CkksError, Context, EncodedDiagonals, Encoder, EvaluationKeys, Evaluator, KeyRequest, LinearPlan,
    LinearTerm, MemoryBudget, Plaintext, REFERENCE_SETS, ReferenceSet, RotationKeys, SecretKey, os_rng,
};
use hec_ir::cost::{CostTable, LinearShape, RingSize};
use hec_ir::{Level, LogN, Parameters, ParametersLiteral, Rotation};
use hec_params::nearest_ntt_prime;
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPoolBuilder;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The median time of one operation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measurement {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Primes of a ciphertext.
    pub primes: usize,
    /// What was measured.
    pub operation: &'static str,
    /// Seconds, on all threads.
    pub seconds: f64,
}

/// A cost predicted by a table against the least time measured, on one thread.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// What was measured.
    pub operation: &'static str,
    /// Seconds by the table.
    pub predicted: f64,
    /// Seconds measured.
    pub measured: f64,
}

/// A measured table, and how well it predicts operations: those that it was fitted to, and others.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// The table.
    pub table: CostTable,
    /// Its check, at N = 2^14.
    pub predictions: Vec<Prediction>,
    /// How much longer than the least time operations took in the median, at most: little above 1 where nothing else
    /// runs.
    pub disturbance: f64,
}

impl Calibration {
    /// Whether something else took so much of the processors that the table says little about them.
    pub fn is_disturbed(&self) -> bool {
        self.disturbance > DISTURBED
    }
}

/// Beyond this disturbance a table is not to be relied on. Measured: 1.02 to 1.15 on two idle cores, 1.6 and more beside
/// one other thread.
const DISTURBED: f64 = 1.4;

/// Seconds of each of at least 5 runs and 100 ms, in ascending order, after one run that is not counted.
fn times(mut body: impl FnMut()) -> Vec<f64> {
    body();
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || (start.elapsed() < Duration::from_millis(100) && times.len() < 10_000) {
        let begin = Instant::now();
        body();
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times
}

fn median(body: impl FnMut()) -> f64 {
    let times = times(body);
    times[times.len() / 2]
}

/// The least time, which is what the machine can do as long as some run is undisturbed, and the median over it.
fn least(body: impl FnMut()) -> (f64, f64) {
    let times = times(body);
    (times[0], times[times.len() / 2] / times[0])
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

/// Rotations that share a decomposition; few, since their keys are most of the memory that a measurement takes.
const HOISTED: u32 = 4;

impl Bench {
    /// With keys for products and for rotations up to `rotations`.
    fn new(set: &ReferenceSet, rotations: u32) -> Result<Self, RunError> {
        let fail = |e: hec_ir::ParametersError| RunError::Program(e.to_string());
        let parameters = Parameters::check(ParametersLiteral::new(&set.request).map_err(fail)?).map_err(fail)?;
        let context = Context::new(parameters)?;
        let mut rng = os_rng()?;
        let secret = SecretKey::generate(&context, &mut rng);
        let top = context.parameters().top_level();
        let mut keys = KeyRequest { relinearize: Some(top), ..KeyRequest::default() };
        (1..=rotations).for_each(|r| keys.rotation(Rotation(r), top));
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
        let relinearized = e.relinearize(&e.multiply(x, x)?)?;
        let decomposed = e.decompose(x)?;
        let (secret, context, encoder) = (&self.secret, &self.context, &self.encoder);
        let key = KeyRequest { relinearize: Some(level), ..KeyRequest::default() };
        let hoisted = || {
            let shared = e.decompose(x)?;
            (1..=HOISTED).map(|r| e.rotate_decomposed(&shared, Rotation(r))).collect::<Result<Vec<_>, _>>()
        };
        Ok(vec![
            ("make a key", Self::time(|| EvaluationKeys::generate(context, secret, &key, &mut self.rng))?),
            ("encode", Self::time(|| encoder.encode(&self.values, level, scale))?),
            ("encrypt", Self::time(|| secret.encrypt(context, p, &mut self.rng))?),
            ("decrypt and decode", Self::time(|| secret.decrypt(context, x).and_then(|p| encoder.decode(&p)))?),
            ("add", Self::time(|| e.add(x, x))?),
            ("multiply by plaintext", Self::time(|| e.mul_plain(x, p))?),
            ("multiply, relinearize", Self::time(|| e.multiply(x, x).and_then(|y| e.relinearize(&y)))?),
            ("multiply, relinearize, rescale", {
                Self::time(|| e.multiply(x, x).and_then(|y| e.relinearize_rescale(&y)))?
            }),
            ("rescale", Self::time(|| e.rescale(&relinearized))?),
            ("rotate", Self::time(|| e.rotate(x, Rotation(1)))?),
            ("decompose", Self::time(|| e.decompose(x))?),
            ("rotate, decomposed", Self::time(|| e.rotate_decomposed(&decomposed, Rotation(1)))?),
            ("4 rotations, one decomposition", Self::time(hoisted)?),
        ])
    }
}

/// One limb with its transform.
fn limb(log_n: LogN) -> Result<(NttTable, Vec<f64>), RunError> {
    let no_prime = || RunError::Program("no prime for the ring".to_owned());
    let prime = nearest_ntt_prime((1u64 << 45) as f64, log_n, &[]).ok_or_else(no_prime)?;
    let table = NttTable::new(log_n, prime).map_err(CkksError::from)?;
    let mut residues = vec![0.0; log_n.degree()];
    sample::uniform(table.modulus(), &mut os_rng()?, &mut residues);
    Ok((table, residues))
}

/// The rings that [`bench`] measures: log2 of the degrees.
pub fn bench_rings() -> Vec<u32> {
    REFERENCE_SETS.iter().map(|set| set.request.log_n.0).collect()
}

/// Times of the primitives at each of the rings, at the top level of its reference set.
///
/// # Errors
/// A ring without a reference set, no randomness.
pub fn bench(rings: &[u32], progress: &dyn Progress) -> Result<Vec<Measurement>, RunError> {
    let sets = rings.iter().map(|&log_n| reference(log_n)).collect::<Result<Vec<_>, _>>()?;
    let mut all = Vec::new();
    for (done, set) in sets.iter().enumerate() {
        let LogN(log_n) = set.request.log_n;
        progress.advance(done, rings.len(), &format!("N = 2^{log_n}"));
        let (table, mut residues) = limb(set.request.log_n)?;
        let ntt = median(|| table.forward(&mut residues));
        let mut ring = Bench::new(set, HOISTED)?;
        let primes = ring.context.parameters().prime_count(ring.top());
        let times = [("NTT of one limb", ntt)].into_iter().chain(ring.operations()?);
        all.extend(times.map(|(operation, seconds)| Measurement { log_n, primes, operation, seconds }));
    }
    progress.advance(rings.len(), rings.len(), "");
    Ok(all)
}

/// The set for a ring.
fn reference(log_n: u32) -> Result<&'static ReferenceSet, RunError> {
    let found = REFERENCE_SETS.iter().find(|set| set.request.log_n.0 == log_n);
    found.ok_or_else(|| RunError::Usage(format!("no ring 2^{log_n} is measured: there are {:?}", bench_rings())))
}

/// Measure a cost table: the butterfly alone, the rest so that the table predicts whole operations on one thread.
///
/// # Errors
/// No randomness, or no thread.
pub fn calibrate(progress: &dyn Progress) -> Result<Calibration, RunError> {
    const STEPS: usize = 3;
    let log_n = LogN(14);
    progress.advance(0, STEPS, "transforms");
    let (ntt, mut residues) = limb(log_n)?;
    let butterflies = log_n.degree() as f64 / 2.0 * f64::from(log_n.0);
    let (transform, disturbed) = least(|| ntt.forward(&mut residues));
    let butterfly = transform / butterflies * 1e9;
    progress.advance(1, STEPS, "one thread");
    let ring = Bench::new(reference(log_n.0)?, LINEAR.babies as u32)?;
    let (single, of_single) = on_threads(1, || Composites::measure(&ring))?;
    progress.advance(2, STEPS, "all threads");
    let (all, of_all) = Composites::measure(&ring)?;
    let size = RingSize::at(ring.context.parameters(), ring.top());
    // Linear maps are most of what programs do.
    let parallel_speedup = (single.linear / all.linear).max(1.0);
    let table = single.fit(&size, CostTable { butterfly, parallel_speedup, ..CostTable::default() });
    progress.advance(STEPS, STEPS, "");
    let disturbance = [disturbed, of_single, of_all].into_iter().fold(1.0, f64::max);
    Ok(Calibration { predictions: single.check(&size, &table), table, disturbance })
}

fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> Result<T, RunError> + Send) -> Result<T, RunError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| RunError::Usage(format!("no thread pool of {threads} threads: {e}")))?;
    pool.install(f)
}

/// Least seconds of whole operations.
struct Composites {
    add: f64,
    encode: f64,
    rescale: f64,
    rotate: f64,
    linear: f64,
}

/// The linear map that is measured.
const LINEAR: LinearShape = LinearShape { inputs: 1, outputs: 1, diagonals: 32, babies: 7, giants: 3 };

impl Composites {
    /// With the largest disturbance.
    fn measure(ring: &Bench) -> Result<(Self, f64), RunError> {
        let (e, x) = (&ring.evaluator, &ring.ciphertext);
        let product = e.mul_plain(x, &ring.plaintext)?;
        let (level, scale) = (ring.top(), ring.context.scale(ring.top())?);
        let term = |diagonal: usize| {
            let (giant, baby) = (Rotation(diagonal as u32 / 8), Rotation(diagonal as u32 % 8));
            LinearTerm { output: 0, input: 0, giant, baby, diagonal }
        };
        let plan = LinearPlan {
            inputs: 1,
            outputs: 1,
            terms: (0..LINEAR.diagonals).map(term).collect(),
            keys: RotationKeys::Each,
        };
        let diagonal = |_| Cow::Borrowed(&ring.values[..]);
        let diagonals = EncodedDiagonals::residues(&ring.encoder, level, LINEAR.diagonals, diagonal)?;
        let mut disturbance = 1.0f64;
        let mut time = |operation: &dyn Fn() -> Result<(), CkksError>| {
            operation()?;
            // The same operation on the same operands succeeded above.
            let (seconds, disturbed) = least(|| drop(operation()));
            disturbance = disturbance.max(disturbed);
            Ok::<_, CkksError>(seconds)
        };
        let measured = Composites {
            add: time(&|| e.add(x, x).map(drop))?,
            encode: time(&|| ring.encoder.encode(&ring.values, level, scale).map(drop))?,
            rescale: time(&|| e.rescale(&product).map(drop))?,
            rotate: time(&|| e.rotate(x, Rotation(1)).map(drop))?,
            linear: time(&|| e.linear(&plan, &[x], &diagonals, MemoryBudget::default()).map(drop))?,
        };
        Ok((measured, disturbance))
    }

    /// Costs are linear in each entry of the table: one that makes a prediction equal what was measured.
    fn fit(&self, size: &RingSize, start: CostTable) -> CostTable {
        let solve = |table: &CostTable, measured: f64, entry: Entry, cost: &dyn Fn(&CostTable) -> f64| {
            let at = |value: f64| {
                let mut table = table.clone();
                *entry(&mut table) = value;
                cost(&table)
            };
            let mut solved = table.clone();
            // No measurement, however disturbed, makes an operation free.
            *entry(&mut solved) = ((measured - at(0.0)) / (at(1.0) - at(0.0))).max(0.01);
            solved
        };
        let table = solve(&start, self.add, |t| &mut t.add, &|t| t.addition(size));
        let table = solve(&table, self.rotate, |t| &mut t.multiply_add, &|t| t.key_switch(size));
        solve(&table, self.encode, |t| &mut t.fft_butterfly, &|t| t.encode(size, size.primes))
    }

    fn check(&self, size: &RingSize, table: &CostTable) -> Vec<Prediction> {
        let check = |operation, predicted, measured| Prediction { operation, predicted, measured };
        vec![
            check("add", table.addition(size), self.add),
            check("encode", table.encode(size, size.primes), self.encode),
            check("rotate", table.key_switch(size), self.rotate),
            check("rescale", table.rescale(size), self.rescale),
            check("linear map", table.linear_shape(size, &LINEAR), self.linear),
        ]
    }
}

/// An entry of a cost table.
type Entry = fn(&mut CostTable) -> &mut f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_recovered_from_the_costs_that_it_predicts() {
        let size = RingSize { log_n: 14, primes: 8, special: 2, digit_size: 2 };
        let table =
            CostTable { butterfly: 0.25, multiply_add: 0.6, add: 0.35, fft_butterfly: 2.5, parallel_speedup: 1.8 };
        let measured = Composites {
            add: table.addition(&size),
            encode: table.encode(&size, size.primes),
            rescale: table.rescale(&size),
            rotate: table.key_switch(&size),
            linear: table.linear_shape(&size, &LINEAR),
        };
        let start = CostTable { butterfly: 0.25, parallel_speedup: 1.8, ..CostTable::default() };
        let fitted = measured.fit(&size, start.clone());
        for (a, b) in [
            (fitted.multiply_add, table.multiply_add),
            (fitted.add, table.add),
            (fitted.fft_butterfly, table.fft_butterfly),
        ] {
            assert!((a - b).abs() < 1e-9, "{fitted:?}");
        }
        assert!(measured.check(&size, &fitted).iter().all(|p| (p.predicted / p.measured - 1.0).abs() < 1e-9));
        // A measurement that cannot be gives no negative cost.
        let disturbed = Composites { rotate: 0.0, ..measured };
        assert!(disturbed.fit(&size, start).multiply_add > 0.0);
    }
}
