//! Re-fitting a linear layer to what the original network computes there.
//!
//! The layer sees inputs that differ from the original network's, because the functions before it are polynomials now.
//! What is linear in that difference can be made good: the change of the weight and of the bias is the ridge regression
//! of what is missing at the layer's end on the layer's inputs. The penalty draws towards the original weight, so that
//! few samples change little; how strong it is, and whether anything is changed at all, is decided on samples that the
//! regression has not seen.

use crate::moments::{Affine, Covariance, Moments, Rows};
use crate::network::{Front, RunError, Values};
use crate::report::{Correction, Method};
use crate::unit::Unit;
use hec_ir::tensor::{Constants, ConvAttributes, Graph, LinearStep, Op, Shape, ShapeError, Tensor, ValueId};
use std::ops::Range;

/// Penalties relative to the mean variance of the inputs, from the one that trusts the samples most.
const RIDGES: [f64; 5] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Rows of the regression for each unknown of an output, and their least number; validation gets a quarter.
const ROWS_FOR_EACH_INPUT: usize = 40;
const LEAST_ROWS: usize = 16_384;

/// More inputs than this would make a matrix that takes longer to solve than it is worth.
const MOST_INPUTS: usize = 2304;

/// Samples whose error is more than this many times the median count less, in proportion.
const OUTLIER: f64 = 9.0;

/// A change for the better must be at least this share of the error.
const LEAST_GAIN: f64 = 1e-3;

/// Samples whose rows are collected before they are added up.
const SAMPLES_AT_ONCE: usize = 32;

/// The layer as a matrix: which inputs each output is a combination of.
struct Design {
    before: Vec<LinearStep>,
    weighted: Weighted,
    weight: Tensor,
    /// Independent parts of the matrix.
    groups: usize,
    /// Inputs and outputs of each.
    inputs: usize,
    outputs: usize,
}

#[derive(Clone, Copy)]
enum Weighted {
    Conv(ConvAttributes),
    MatMul,
}

/// A change of the layer.
struct Change {
    weight: Tensor,
    /// In a shape that broadcasts to the layer's result.
    bias: Tensor,
}

/// What is known of one sample.
struct Sample<'a> {
    /// The layer's input, after the steps before its weight.
    input: &'a Tensor,
    /// The original network's value of the unit's end, and that of the network so far.
    target: &'a Tensor,
    found: &'a Tensor,
}

/// How many samples there are, and how many of them, the first ones, are for fitting.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// For fitting.
    pub fitting: usize,
    /// All.
    pub all: usize,
}

/// Where the values of the samples are: the layer's input, the unit's end, what the end should be.
type Places<'a> = Values<'a, 3>;

/// Re-fit a unit of `graph`; `target` is where the original network's values of its end are. Returns the value that now
/// stands for the end, and what was done.
///
/// # Errors
/// When the layer is ill-formed, or the samples cannot be read.
pub fn correct(
    graph: &mut Graph,
    front: &mut Front,
    unit: &Unit,
    target: (&Front, ValueId),
    samples: Samples,
    caution: f64,
) -> Result<(ValueId, Option<Correction>), RunError> {
    let nothing = Ok((unit.end, None));
    let Some(design) = Design::of(graph, unit) else { return nothing };
    let input = graph.nodes[unit.linear].args[0];
    if !front.has(input) || !front.has(unit.end) || samples.all <= samples.fitting {
        return nothing;
    }
    let places = Values([(&*front, input), (&*front, unit.end), target]);
    let Some(choice) = design.choose(graph.shape(unit.end), &places, samples, caution)? else { return nothing };
    let mut report = Correction { layer: graph.nodes[unit.linear].origin.layer().to_owned(), ..choice.report };
    let Some(change) = design.change(&choice.parts, graph.shape(unit.linear)) else {
        report.method = Method::None;
        return Ok((unit.end, Some(report)));
    };
    let end = design.write(graph, unit, &change)?;
    let addition = design.addition(&change);
    front.update(graph, (unit.end, end), input, |x, value| addition.to(&design.prepared(x)?, value))?;
    Ok((end, Some(report)))
}

/// What validation chose for each group.
struct Chosen {
    parts: Vec<Option<Affine>>,
    report: Correction,
}

impl Design {
    fn of(graph: &Graph, unit: &Unit) -> Option<Self> {
        let Op::Linear(steps) = &graph.nodes[unit.linear].op else { return None };
        let (last, before) = steps.split_last()?;
        let weight = graph.constants.tensor(unit.weight).as_ref().clone();
        let (weighted, groups, inputs, outputs) = match (last, weight.shape.dims()) {
            (LinearStep::Conv { attributes, .. }, &[out, channels, kh, kw]) => {
                let groups = attributes.groups.max(1);
                (Weighted::Conv(*attributes), groups, channels * kh * kw, out / groups)
            }
            (LinearStep::MatMul { .. }, &[rows, columns]) => (Weighted::MatMul, 1, rows, columns),
            _ => return None,
        };
        (inputs > 0 && outputs > 0).then(|| Design {
            before: before.to_vec(),
            weighted,
            weight,
            groups,
            inputs,
            outputs,
        })
    }

    /// Positions of the result for which there is a row each.
    fn positions(&self, result: &Shape) -> usize {
        result.elements() / (self.groups * self.outputs)
    }

    /// The row of a group at a position: inputs, then what is missing of the outputs.
    fn row(&self, sample: &Sample<'_>, result: &Shape, group: usize, position: usize, row: &mut Vec<f64>) {
        let missing = |at: usize| sample.target.data[at] - sample.found.data[at];
        match self.weighted {
            Weighted::MatMul => {
                row.extend_from_slice(&sample.input.data[position * self.inputs..][..self.inputs]);
                row.extend((0..self.outputs).map(|o| missing(position * self.outputs + o)));
            }
            Weighted::Conv(a) => {
                let (size, from, kernel) = (result.dims(), sample.input.shape.dims(), self.weight.shape.dims());
                let (oy, ox) = (position / size[3] % size[2], position % size[3]);
                let item = position / (size[2] * size[3]);
                let inside = |o: usize, tap: usize, axis: usize| {
                    (o * a.strides[axis] + tap * a.dilations[axis])
                        .checked_sub(a.pads[axis])
                        .filter(|&i| i < from[axis + 2])
                };
                for c in 0..kernel[1] {
                    let plane = ((item * self.groups + group) * kernel[1] + c) * from[2] * from[3];
                    for ky in 0..kernel[2] {
                        let y = inside(oy, ky, 0);
                        row.extend((0..kernel[3]).map(|kx| match (y, inside(ox, kx, 1)) {
                            (Some(y), Some(x)) => sample.input.data[plane + y * from[3] + x],
                            _ => 0.0,
                        }));
                    }
                }
                let first = (item * self.groups + group) * self.outputs;
                row.extend((0..self.outputs).map(|o| missing(((first + o) * size[2] + oy) * size[3] + ox)));
            }
        }
    }

    /// Moments of each group over samples, of evenly spaced rows where there are too many.
    fn moments(
        &self,
        places: &Places<'_>,
        (range, weights): (Range<usize>, &[f64]),
        result: &Shape,
        rows: usize,
    ) -> Result<Vec<Covariance>, RunError> {
        let positions = self.positions(result);
        let each = rows.div_ceil(range.len().max(1)).clamp(1, positions);
        let mut moments: Vec<Moments> = (0..self.groups).map(|_| Moments::new(self.inputs, self.outputs)).collect();
        // Every sample starts elsewhere.
        let position = |i: usize, j: usize| (i * 7919 + j * positions / each) % positions;
        let taken = |i: usize, [x, found, target]: [&Tensor; 3]| -> Result<Option<Vec<Vec<f64>>>, ShapeError> {
            // What has diverged has no weight, and its numbers would not be finite.
            if weights[i] <= 0.0 {
                return Ok(None);
            }
            let input = self.prepared(x)?;
            let sample = Sample { input: &input, target, found };
            let rows = |group: usize| {
                let mut data = Vec::with_capacity(each * (self.inputs + self.outputs));
                (0..each).for_each(|j| self.row(&sample, result, group, position(i, j), &mut data));
                data
            };
            Ok(Some((0..self.groups).map(rows).collect()))
        };
        for first in range.clone().step_by(SAMPLES_AT_ONCE) {
            let part = first..(first + SAMPLES_AT_ONCE).min(range.end);
            let data = places.map(part.clone(), taken)?.into_iter().collect::<Result<Vec<_>, _>>()?;
            let kept = part.filter(|&i| weights[i] > 0.0);
            let weights: Vec<f64> = kept.flat_map(|i| std::iter::repeat_n(weights[i], each)).collect();
            for (group, moments) in moments.iter_mut().enumerate() {
                let data = data.iter().flatten().flat_map(|groups| &groups[group]).copied().collect();
                moments.add(&Rows { data, weights: weights.clone() });
            }
        }
        Ok(moments.iter().map(Moments::covariance).collect())
    }

    /// The change that does most for the validation samples.
    fn choose(
        &self,
        result: &Shape,
        places: &Places<'_>,
        samples: Samples,
        caution: f64,
    ) -> Result<Option<Chosen>, RunError> {
        let (weights, energy) = weigh(places, samples.all)?;
        let rows = (ROWS_FOR_EACH_INPUT * self.inputs).max(LEAST_ROWS);
        let fitted = self.moments(places, (0..samples.fitting, &weights), result, rows)?;
        let held_out = self.moments(places, (samples.fitting..samples.all, &weights), result, rows / 4)?;
        let (mut before, mut after, mut method) = (0.0, 0.0, Method::None);
        let mut parts = Vec::new();
        for (seen, unseen) in fitted.iter().zip(&held_out) {
            let error = unseen.error(&seen.zero());
            if !error.is_finite() || error <= f64::EPSILON * f64::EPSILON * energy {
                return Ok(None);
            }
            let ridges: &[f64] = if self.inputs <= MOST_INPUTS { &RIDGES } else { &[] };
            let fits = ridges.iter().filter_map(|&r| Some((Method::Ridge(r), seen.ridge(r)?)));
            // From the boldest to the most careful.
            let tried = fits.chain(std::iter::once((Method::Bias, seen.offsets())));
            let tried: Vec<_> = tried.map(|(method, affine)| (unseen.error(&affine), method, affine)).collect();
            let least = tried.iter().map(|t| t.0).fold(f64::INFINITY, f64::min);
            let enough = (error * (1.0 - LEAST_GAIN)).min(least * (1.0 + caution));
            let chosen = tried.into_iter().rev().find(|t| t.0 <= enough);
            before += error;
            after += chosen.as_ref().map_or(error, |t| t.0);
            if let Some((_, own, _)) = chosen
                && own > method
            {
                method = own;
            }
            parts.push(chosen.map(|t| t.2));
        }
        let share =
            |e: f64| libm::sqrt(e.max(0.0) / (energy * (self.groups * self.outputs) as f64).max(f64::MIN_POSITIVE));
        let report = Correction { layer: String::new(), method, before: share(before), after: share(after) };
        Ok(Some(Chosen { parts, report }))
    }

    /// The parts as tensors; `None` where nothing changes.
    fn change(&self, parts: &[Option<Affine>], result: &Shape) -> Option<Change> {
        if parts.iter().all(Option::is_none) {
            return None;
        }
        let mut weight = vec![0.0; self.weight.data.len()];
        let mut bias = vec![0.0; self.groups * self.outputs];
        for (group, part) in parts.iter().enumerate() {
            let Some(part) = part else { continue };
            for (o, (slopes, offset)) in part.slopes.iter().zip(&part.offsets).enumerate() {
                let output = group * self.outputs + o;
                bias[output] = *offset;
                for (i, slope) in slopes.iter().enumerate() {
                    let at = match self.weighted {
                        Weighted::Conv(_) => output * self.inputs + i,
                        Weighted::MatMul => i * self.outputs + o,
                    };
                    weight[at] = *slope;
                }
            }
        }
        let mut dims = vec![1; result.rank()];
        let axis = match self.weighted {
            Weighted::Conv(_) => 1,
            Weighted::MatMul => result.rank() - 1,
        };
        dims[axis] = bias.len();
        let weight = Tensor { shape: self.weight.shape.clone(), data: weight };
        Some(Change { weight, bias: Tensor { shape: Shape::new(dims), data: bias } })
    }

    /// Write a change into the graph; returns the value that stands for the unit's end.
    fn write(&self, graph: &mut Graph, unit: &Unit, change: &Change) -> Result<ValueId, ShapeError> {
        let sum = |a: &Tensor, b: &Tensor| Tensor {
            shape: a.shape.clone(),
            data: a.data.iter().zip(&b.data).map(|(a, b)| a + b).collect(),
        };
        let name = format!("{}.corrected", graph.constants.name(unit.weight));
        let corrected = graph.constants.add(&name, sum(&self.weight, &change.weight));
        if let Op::Linear(steps) = &mut graph.nodes[unit.linear].op
            && let Some(LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight }) = steps.last_mut()
        {
            *weight = corrected;
        }
        let Some(bias) = unit.bias else {
            let name = format!("{name}.bias");
            let constant = graph.constants.add(&name, change.bias.clone());
            let origin = graph.nodes[unit.linear].origin.clone();
            return graph.push(Op::AddConstant(constant), [unit.end], origin);
        };
        if let Op::AddConstant(old) = graph.nodes[bias].op {
            let constant = graph.constants.tensor(old).clone();
            let shape = constant.shape.broadcast(&change.bias.shape);
            let both = shape.and_then(|s| Some(sum(&constant.broadcast_to(&s)?, &change.bias.broadcast_to(&s)?)));
            if let Some(both) = both {
                let name = format!("{}.corrected", graph.constants.name(old));
                graph.nodes[bias].op = Op::AddConstant(graph.constants.add(&name, both));
            }
        }
        Ok(unit.end)
    }

    /// A change as a network of its own.
    fn addition(&self, change: &Change) -> Addition {
        let mut constants = Constants::default();
        let weight = constants.add("weight", change.weight.clone());
        let step = match self.weighted {
            Weighted::Conv(attributes) => LinearStep::Conv { weight, attributes },
            Weighted::MatMul => LinearStep::MatMul { weight },
        };
        Addition { step, constants, bias: change.bias.clone() }
    }

    /// The layer's input after the steps before its weight; these have no constants.
    fn prepared(&self, x: &Tensor) -> Result<Tensor, ShapeError> {
        let constants = Constants::default();
        self.before.iter().try_fold(x.clone(), |x, step| step.apply(&x, &constants))
    }
}

/// What a change adds to the value of the unit's end.
struct Addition {
    step: LinearStep,
    constants: Constants,
    bias: Tensor,
}

impl Addition {
    fn to(&self, input: &Tensor, mut value: Tensor) -> Result<Tensor, ShapeError> {
        let slopes = self.step.apply(input, &self.constants)?;
        let offsets = self.bias.broadcast_to(&value.shape).expect("the bias has the rank of the result");
        for ((value, slope), offset) in value.data.iter_mut().zip(slopes.data).zip(offsets.data) {
            *value += slope + offset;
        }
        Ok(value)
    }
}

/// Weights of samples by how far off they are, so that a few that have gone astray do not decide; and the mean square of
/// the targets.
fn weigh(places: &Places<'_>, samples: usize) -> Result<(Vec<f64>, f64), RunError> {
    let measured = places.map(0..samples, |_, [_, found, target]| {
        let pairs = || target.data.iter().zip(&found.data);
        let error: f64 = pairs().map(|(t, f)| (t - f) * (t - f)).sum();
        (error, pairs().map(|(t, _)| t * t).sum::<f64>() / target.data.len().max(1) as f64)
    })?;
    let mut errors: Vec<f64> = measured.iter().map(|m| m.0).collect();
    errors.sort_by(f64::total_cmp);
    let most = OUTLIER * errors[errors.len() / 2];
    let weight = |&(error, _): &(f64, f64)| match error {
        _ if most <= 0.0 => 1.0,
        error if error.is_finite() && error < 1e100 => (most / error.max(most)).min(1.0),
        _ => 0.0,
    };
    let energy = measured.iter().map(|m| m.1).sum::<f64>() / measured.len() as f64;
    Ok((measured.iter().map(weight).collect(), energy))
}
