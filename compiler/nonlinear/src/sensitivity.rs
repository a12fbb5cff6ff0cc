//! How far an error of one layer moves what comes after it.
//!
//! What it is: the float network is run on with one function's values changed by the error that a replacement makes there;
//! how far the inputs of later functions and the outputs move is what that layer does to them. All errors are root mean
//! squares, relative to the root mean square of the float network's values at the same place.
//! Core concept: *the sum over the layers*. With h₀ the float network and hₙ the network in which the first n functions
//! are replaced, the error of the whole is Σ (hₙ − hₙ₋₁), without a linearisation. Its norm is at most the sum of the
//! norms, however the layers' errors are correlated, and the root of the sum of their squares if they are not. It is in
//! between (`docs/DESIGN.md` has the figures), and so is the sum that is predicted.
//! Start at [`predict_errors`] for a network that is built, at [`Sensitivity`] before it is.
//! Invariant: results are the same for any number of threads; what is random has a fixed seed.
//! Non-goal: the rare input that leaves the range of its polynomial by far. No finite sample shows it, and the error of a
//! polynomial there is orders of magnitude larger than anywhere else: see `outside` and `growth` of a replacement.

mod alone;
mod carried;
mod points;
mod slice;
mod stages;

pub use points::{MeasuredError, functions, measured_errors};
pub use stages::predict_errors;

pub(crate) use carried::share;

use crate::{Calibration, NonlinearError, Options};
use alone::Alone;
use carried::{Carried, MARGIN, bounded, capped, distance, relative, square, together};
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{Graph, InterpretError, Tensor, ValueId};
use points::Points;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use slice::Slice;

/// Samples on which errors are carried on, at most.
const MOST_SAMPLES: usize = 32;

/// What one replaced layer does to the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// The layer's name.
    pub layer: String,
    /// Predicted error of its input: what all layers before it do there.
    pub input: f64,
    /// What this layer alone adds to the error of the outputs.
    pub adds: f64,
}

/// The error of a polynomial network, predicted from those of its layers.
///
/// Root mean squares on inputs like the calibration data, relative to the float network's values at the same place, with
/// two standard errors for the finite sample and a margin for choices that were made on it. They are of typical inputs: one
/// that is far off counts at most nine times as much as the median one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedErrors {
    /// Replaced layers in the order of the network.
    pub layers: Vec<LayerError>,
    /// Error of all outputs: what the layers add together.
    pub outputs: f64,
    /// Samples that it rests on.
    pub samples: usize,
}

impl PredictedErrors {
    /// `shares[n][p]` is what layer n adds to the error at point p, the outputs last.
    fn new(graph: &Graph, layers: &[ValueId], shares: &[Vec<f64>], samples: usize) -> Self {
        let outputs = layers.len();
        let sum = |point: usize| bounded(together(shares.iter().map(|s| s[point])));
        let layer = |(n, &id): (usize, &ValueId)| LayerError {
            layer: graph.nodes[id].origin.layer().to_owned(),
            input: sum(n),
            adds: bounded(shares[n][outputs]),
        };
        PredictedErrors { layers: layers.iter().enumerate().map(layer).collect(), outputs: sum(outputs), samples }
    }

    /// The errors in the order of [`measured_errors`]: the inputs of the functions, then the outputs.
    pub fn points(&self) -> impl Iterator<Item = f64> {
        self.layers.iter().map(|l| l.input).chain([self.outputs])
    }
}

/// By how much errors grow from each function of a float network to what comes after it. Measured once, it predicts the
/// error of any choice of replacements.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    functions: Vec<ValueId>,
    gains: Vec<Vec<Gain>>,
    samples: usize,
}

/// How much larger the relative error is at a point than at the function where it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gain {
    /// On the samples.
    pub mean: f64,
    /// With two standard errors.
    pub bound: f64,
}

impl Sensitivity {
    /// Replace each function by itself as the options pin it, else by a cubic, and run the float network on from there.
    /// The first 80 % of the samples are for fitting, errors are carried on the others. An error of white noise stands
    /// for a function whose replacement is exact.
    ///
    /// Gains depend little on what the error looks like: between degrees 2 and 15 by a third.
    ///
    /// # Errors
    /// When the samples do not fit the network, or a function cannot be replaced.
    pub fn measure(graph: &Graph, calibration: &Calibration, options: &Options) -> Result<Self, NonlinearError> {
        let local = Local::new(graph, calibration, options)?;
        let points = Points::of(graph);
        let tails: Vec<Slice> =
            local.functions.iter().map(|&f| Slice::after(graph, slice::next(f), points.values())).collect();
        let carry = |(number, sample): (usize, &&[Tensor])| -> Result<_, InterpretError> {
            let float = graph.interpret(sample)?;
            let mut squares = Vec::new();
            let mut errors = Vec::new();
            for ((alone, tail), &function) in local.alone.iter().zip(&tails).zip(&local.functions) {
                let changed = alone.probe(&float, number as u64)?;
                let at = |id: ValueId| if id == function { &changed } else { &float[id] };
                let after = tail.run(at)?;
                let now = |id: ValueId| after.get(&id).unwrap_or_else(|| at(id));
                squares.push(points.sum(|id| distance(now(id), &float[id])));
                errors.push([distance(&changed, &float[function]), square(&float[function])]);
            }
            Ok((squares, points.sum(|id| square(&float[id])), errors))
        };
        let results: Vec<_> = local.probes.par_iter().enumerate().map(carry).collect();
        let mut carried = Carried::default();
        let mut own = Vec::new();
        for result in results {
            let (squares, sizes, errors) = result.map_err(|e| interpret(graph, e))?;
            carried.push(squares, sizes);
            own.push(errors);
        }
        let own = typical(&own);
        let gain = |layer: usize, point: usize| {
            let local = own[layer];
            let over = |share: f64| if local > 0.0 { bounded(share / local) } else { 0.0 };
            Gain { mean: over(carried.mean(layer, point)), bound: over(carried.bound(layer, point)) }
        };
        let rows = |layer: usize| (0..=local.functions.len()).map(|point| gain(layer, point)).collect();
        let gains = (0..local.functions.len()).map(rows).collect();
        Ok(Sensitivity { gains, samples: local.probes.len(), functions: local.functions })
    }

    /// The functions, in the order of the network.
    pub fn functions(&self) -> &[ValueId] {
        &self.functions
    }

    /// From the n-th function to each point: the inputs of all functions, in order, then the outputs.
    pub fn gains(&self, function: usize) -> &[Gain] {
        &self.gains[function]
    }

    /// What replacements with these errors do to the network. `errors` has the relative rms error of each function's
    /// candidate, as in [`crate::Errors::relative`] or by [`local_errors`]; functions without one count as exact.
    pub fn predict(&self, graph: &Graph, errors: &[f64]) -> PredictedErrors {
        let errors = errors.iter().copied().chain(std::iter::repeat(0.0));
        let share = |(gains, error): (&Vec<Gain>, f64)| gains.iter().map(|g| MARGIN * g.bound * error).collect();
        let shares: Vec<Vec<f64>> = self.gains.iter().zip(errors).map(share).collect();
        PredictedErrors::new(graph, &self.functions, &shares, self.samples)
    }
}

/// The relative rms error of each function when it alone is replaced as the options pin it, else by a cubic, on samples
/// that the fit has not seen.
///
/// # Errors
/// When the samples do not fit the network, or a function cannot be replaced.
pub fn local_errors(graph: &Graph, calibration: &Calibration, options: &Options) -> Result<Vec<f64>, NonlinearError> {
    let local = Local::new(graph, calibration, options)?;
    let measure = |sample: &&[Tensor]| -> Result<Vec<[f64; 2]>, InterpretError> {
        let float = graph.interpret(sample)?;
        let pair =
            |(alone, &id): (&Alone, &ValueId)| Ok([distance(&alone.replaced(&float)?, &float[id]), square(&float[id])]);
        local.alone.iter().zip(&local.functions).map(pair).collect()
    };
    let results: Vec<_> = local.probes.par_iter().map(measure).collect();
    let results = results.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| interpret(graph, e))?;
    Ok(typical(&results))
}

/// The relative error of each function, of squared errors and sizes by sample and function.
fn typical(samples: &[Vec<[f64; 2]>]) -> Vec<f64> {
    let error = |function: usize| {
        let squares = capped(samples.iter().map(|s| s[function][0]).collect());
        let size = samples.iter().map(|s| s[function][1]).sum();
        bounded(relative(squares.iter().sum(), size))
    };
    (0..samples.first().map_or(0, Vec::len)).map(error).collect()
}

/// Functions replaced one by one, and the samples to look at them.
struct Local<'a> {
    functions: Vec<ValueId>,
    alone: Vec<Alone>,
    probes: Vec<&'a [Tensor]>,
}

impl<'a> Local<'a> {
    fn new(graph: &Graph, calibration: &'a Calibration, options: &Options) -> Result<Self, NonlinearError> {
        let samples: Vec<&[Tensor]> = calibration.samples.iter().map(Vec::as_slice).collect();
        let held_out = if samples.len() > 1 { samples.len().div_ceil(5) } else { 0 };
        let (fitting, probes) = samples.split_at(samples.len() - held_out);
        let probes = if probes.is_empty() { fitting } else { probes };
        let functions = functions(graph);
        let alone = Alone::all(graph, &functions, fitting, options)?;
        Ok(Local { functions, alone, probes: spread(probes) })
    }
}

/// At most so many samples as errors are carried on, evenly spaced.
fn spread<T: Copy>(samples: &[T]) -> Vec<T> {
    let most = samples.len().min(MOST_SAMPLES);
    (0..most).map(|i| samples[i * samples.len() / most]).collect()
}

fn interpret(graph: &Graph, reason: InterpretError) -> NonlinearError {
    NonlinearError::Interpret { layer: graph.name.clone(), reason }
}

/// What a network computes at each node.
type Values = EntityVec<ValueId, Tensor>;
