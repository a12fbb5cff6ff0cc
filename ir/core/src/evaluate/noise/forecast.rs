//! How large errors get, those included that come from the same source.
//!
//! Variances of slots take errors of different slots to be independent. Once a linear map has spread an error to many
//! slots, they are not, and a later sum adds what is left of it up as it is and not as squares: in a deep network with
//! overlapping windows that is several bits. A sample of all errors that is carried through the program as it is knows;
//! so the errors of a few samples, over what their variances promise, correct the variances.

use super::super::layers::ByLayer;
use super::super::{Machine, SimulateError, pack_inputs, unpack_output};
use super::{LayerNoise, Noise, NoisyValue};
use crate::leveled::Scheme;
use crate::program::{Op, Program};
use crate::tensor::Tensor;

/// Standard deviations of the noise that count as its largest: one output in 10^9 is further off.
pub const DEVIATIONS: f64 = 6.0;

/// Errors of outputs that the correction rests on at least, as far as there are inputs.
const ELEMENTS: usize = 32;
/// Inputs that are run at least, as far as there are so many.
const LEAST_RUNS: usize = 3;
/// And at most.
const MOST_RUNS: usize = 8;
/// Inputs that show whether errors are far too large.
const FIRST_RUNS: usize = 2;
/// What is far: this many times the largest error that is asked for.
const FAR: f64 = 4.0;

/// The errors that a program is expected to have on inputs like those given.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The largest standard deviation of an element of an output, before client operations.
    pub output_std_dev: f64,
    /// The result of each layer, in the order of the program.
    pub layers: Vec<LayerNoise>,
}

/// Sums of squares over slots or elements.
#[derive(Clone, Copy, Debug, Default)]
struct Power {
    /// Of sampled errors.
    sampled: f64,
    /// Of standard deviations.
    predicted: f64,
}

impl Power {
    fn of(sampled: &[f64], exact: &[f64], variance: &[f64]) -> Self {
        let sampled = sampled.iter().zip(exact).map(|(s, e)| (s - e) * (s - e)).sum();
        Power { sampled, predicted: variance.iter().sum() }
    }

    fn add(&mut self, other: Power) {
        self.sampled += other.sampled;
        self.predicted += other.predicted;
    }

    /// How much larger errors are than predicted.
    fn ratio(self) -> f64 {
        match (self.sampled / self.predicted).sqrt() {
            _ if self.predicted == 0.0 => 1.0,
            ratio if ratio.is_nan() => f64::INFINITY,
            ratio => ratio,
        }
    }
}

/// The larger one; what has no size is no small error.
fn larger(a: f64, b: f64) -> f64 {
    if b.is_nan() { f64::INFINITY } else { a.max(b) }
}

/// One input: exact with variances, and with one sample of all errors.
struct Run {
    /// Of all outputs, with the largest standard deviation.
    outputs: Vec<(Power, f64)>,
    layers: Vec<(LayerNoise, Power)>,
}

/// Forecast the errors of a program that verifies, from as many of the inputs as it takes. Where the first ones show that
/// the outputs are much further off than by `most`, it stays at these.
///
/// # Errors
/// When the inputs do not fit.
pub fn forecast(program: &Program, inputs: &[Vec<Tensor>], most: f64) -> Result<Forecast, SimulateError> {
    let scheme = program.scheme()?;
    let elements: usize = program.outputs.iter().map(|o| o.layout.shape.elements()).sum();
    let count = ELEMENTS.div_ceil(elements.max(1)).clamp(LEAST_RUNS, MOST_RUNS).min(inputs.len());
    let numbered: Vec<(u64, &Vec<Tensor>)> = (0..).zip(&inputs[..count]).collect();
    let (first, others) = numbered.split_at(count.min(FIRST_RUNS));
    let mut runs = all(program, &scheme, first)?;
    let soon = combine(&runs, count);
    if soon.output_std_dev > FAR * most {
        return Ok(soon);
    }
    runs.extend(all(program, &scheme, others)?);
    Ok(combine(&runs, count))
}

/// Several inputs, each with the seed of its errors.
fn all(program: &Program, scheme: &Scheme, numbered: &[(u64, &Vec<Tensor>)]) -> Result<Vec<Run>, SimulateError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runs = std::thread::scope(|scope| {
        let several = |own: &[(u64, &Vec<Tensor>)]| -> Result<Vec<Run>, SimulateError> {
            own.iter().map(|&(seed, x)| run(program, scheme, x, seed)).collect()
        };
        let parts = numbered.chunks(numbered.len().div_ceil(threads).max(1));
        let tasks: Vec<_> = parts.map(|own| scope.spawn(move || several(own))).collect();
        // A panic goes on as it would without threads.
        let join = |task: std::thread::ScopedJoinHandle<'_, _>| match task.join() {
            Ok(runs) => runs,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        tasks.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(runs.into_iter().flatten().collect())
}

/// Powers of all inputs together, and the largest deviations of any, with the reserve of so many inputs.
fn combine(runs: &[Run], count: usize) -> Forecast {
    // One error is amplified into all elements of an output: it is the inputs that are independent. What chance gives
    // so many of them is no sign of anything, and what is beyond it may be more by as much.
    let chance = 1.0 + 1.0 / (count.max(1) as f64).sqrt();
    let largest = |parts: Vec<(Power, f64)>| {
        let mut all = Power::default();
        parts.iter().for_each(|part| all.add(part.0));
        let ratio = all.ratio();
        let std_dev = parts.iter().map(|part| part.1).fold(0.0, larger);
        if ratio > chance { std_dev * ratio * chance } else { std_dev }
    };
    let outputs = runs.first().map_or(0, |run| run.outputs.len());
    let output = |o: usize| largest(runs.iter().map(|run| run.outputs[o]).collect());
    let layers = runs.first().map_or(0, |run| run.layers.len());
    let layer = |l: usize| {
        let each = runs.iter().map(|run| (run.layers[l].1, run.layers[l].0.std_dev)).collect();
        let range = runs.iter().map(|run| run.layers[l].0.range).fold(0.0, f64::max);
        LayerNoise { layer: runs[0].layers[l].0.layer.clone(), std_dev: largest(each), range }
    };
    Forecast { output_std_dev: (0..outputs).map(output).fold(0.0, larger), layers: (0..layers).map(layer).collect() }
}

fn run(program: &Program, scheme: &Scheme, inputs: &[Tensor], seed: u64) -> Result<Run, SimulateError> {
    let (mut exact, mut sampled) = (Noise::predict(scheme), Noise::sample_alone(scheme, seed));
    let fresh = |noise: &mut Noise| -> Result<Vec<NoisyValue>, SimulateError> {
        let packed = pack_inputs(&program.inputs, inputs)?;
        packed.into_iter().map(|slots| noise.encrypt(slots)).collect()
    };
    let mut exactly = Machine::new(program, fresh(&mut exact)?);
    let mut noisily = Machine::new(program, fresh(&mut sampled)?);
    let mut powers: ByLayer<Power> = ByLayer::new();
    for instruction in &program.instructions {
        exactly.step(&mut exact)?;
        noisily.step(&mut sampled)?;
        powers.enter(&instruction.origin, instruction.op.name());
        let values = (exactly.register(instruction.destination), noisily.register(instruction.destination));
        let ((Some(exact), Some(sampled)), Some(power)) = (values, powers.current()) else { continue };
        // As the noise of a layer, its power is that of its last operation.
        if !matches!(instruction.op, Op::Decompose | Op::Forget | Op::Load(_)) {
            *power = Power::default();
            let vectors = sampled.slots.iter().zip(exact.slots.iter()).zip(exact.variance.iter());
            vectors.for_each(|((s, e), v)| power.add(Power::of(s, e, v)));
        }
    }
    let output = |((o, exact), sampled): ((&crate::circuit::Output<_>, NoisyValue), NoisyValue)| {
        let variance = unpack_output(o, &exact.variance).data;
        let power = Power::of(&unpack_output(o, &sampled.slots).data, &unpack_output(o, &exact.slots).data, &variance);
        (power, variance.into_iter().fold(0.0, larger).sqrt())
    };
    let outputs = program.outputs.iter().zip(exactly.outputs()).zip(noisily.outputs()).map(output).collect();
    let powers: std::collections::BTreeMap<_, _> = powers.into_entries().into_iter().collect();
    let with_power = |noise: LayerNoise| {
        let power = powers.get(&noise.layer).copied().unwrap_or_default();
        (noise, power)
    };
    Ok(Run { outputs, layers: exact.layers().into_iter().map(with_power).collect() })
}
