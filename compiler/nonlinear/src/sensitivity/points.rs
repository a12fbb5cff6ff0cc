//! Where errors are looked at.

use super::carried::{bounded, capped, distance, relative, square};
use super::interpret;
use crate::{NonlinearError, Replaced};
use hec_ir::tensor::{Graph, InterpretError, Op, Tensor, ValueId};
use rayon::prelude::*;

/// The functions that must be replaced, in the order of the network.
pub fn functions(graph: &Graph) -> Vec<ValueId> {
    let function = |op: &Op| matches!(op, Op::Activation(_) | Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_));
    graph.nodes.iter().filter(|(_, node)| function(&node.op)).map(|(id, _)| id).collect()
}

/// The values at the input of each function, then those of all outputs.
pub struct Points(Vec<Vec<ValueId>>);

impl Points {
    pub fn of(graph: &Graph) -> Self {
        let inputs = functions(graph).into_iter().map(|id| graph.nodes[id].args.clone());
        Points(inputs.chain([graph.outputs.iter().map(|o| o.value).collect()]).collect())
    }

    /// All of them; some more than once.
    pub fn values(&self) -> impl Iterator<Item = ValueId> {
        self.0.iter().flatten().copied()
    }

    /// The sum of a measure at each point.
    pub fn sum(&self, measure: impl Fn(ValueId) -> f64) -> Vec<f64> {
        self.0.iter().map(|values| values.iter().map(|&id| measure(id)).sum()).collect()
    }
}

/// An error of a polynomial network on samples: root mean squares of the difference, relative to those of the original
/// network's values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasuredError {
    /// A sample that is far off counts at most nine times as much as the median one, as in [`crate::PredictedErrors`].
    pub typical: f64,
    /// All samples as they are.
    pub rms: f64,
}

/// The errors at the input of each function of the original network, in order, and at its outputs.
///
/// # Errors
/// When the samples do not fit the network.
pub fn measured_errors(
    original: &Graph,
    replaced: &Replaced,
    samples: &[Vec<Tensor>],
) -> Result<Vec<MeasuredError>, NonlinearError> {
    let points = Points::of(original);
    let measure = |sample: &Vec<Tensor>| -> Result<_, InterpretError> {
        let (float, found) = (original.interpret(sample)?, replaced.graph.interpret(sample)?);
        let errors = points.sum(|id| distance(&found[replaced.values[&id]], &float[id]));
        Ok((errors, points.sum(|id| square(&float[id]))))
    };
    let results: Vec<_> = samples.par_iter().map(measure).collect();
    let results = results.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| interpret(original, e))?;
    let at = |point: usize| {
        let squares: Vec<f64> = results.iter().map(|(errors, _)| errors[point]).collect();
        let size = results.iter().map(|(_, sizes)| sizes[point]).sum();
        let rms = bounded(relative(squares.iter().sum(), size));
        MeasuredError { typical: bounded(relative(capped(squares).iter().sum(), size)), rms }
    };
    Ok((0..points.0.len()).map(at).collect())
}
