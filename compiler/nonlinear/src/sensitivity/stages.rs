//! What each layer of a polynomial network that is built adds to its error.

use super::carried::{Carried, MARGIN, bounded, distance, square};
use super::points::{Points, functions};
use super::slice::{Slice, next};
use super::{PredictedErrors, spread};
use hec_ir::entity::Entity;
use hec_ir::tensor::{Graph, InterpretError, Tensor, ValueId};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Predict the errors of a polynomial network on inputs like the samples.
///
/// `values` has for each value of the original network the one of `polynomial` that stands for it. The samples should be
/// ones that nothing was fitted to; at most 32 are used, evenly spaced. A stage is a function with all that comes
/// before the next one, so that a re-fitted layer makes good what the function before it gets wrong. What a stage adds
/// is the difference between the float network run on from the end of that stage and from its beginning, both with the
/// polynomial network's values there.
///
/// # Errors
/// When the samples do not fit the network.
pub fn predict_errors(
    original: &Graph,
    polynomial: &Graph,
    values: &BTreeMap<ValueId, ValueId>,
    samples: &[&[Tensor]],
) -> Result<PredictedErrors, InterpretError> {
    let (functions, points) = (functions(original), Points::of(original));
    // The first node after each stage.
    let last = original.nodes.keys().next_back().map_or(ValueId::new(0), next);
    let ends = functions.iter().skip(1).copied().chain([last]).take(functions.len());
    let tails: Vec<Slice> = ends.map(|end| Slice::after(original, end, points.values())).collect();
    let carry = |sample: &&[Tensor]| -> Result<_, InterpretError> {
        let (float, found) = (original.interpret(sample)?, polynomial.interpret(sample)?);
        let ours = |id: ValueId| &found[values[&id]];
        let mut before: BTreeMap<ValueId, Tensor> = points.values().map(|id| (id, float[id].clone())).collect();
        let mut squares = Vec::new();
        for tail in &tails {
            let mut after = tail.run(ours)?;
            for &id in before.keys() {
                after.entry(id).or_insert_with(|| ours(id).clone());
            }
            squares.push(points.sum(|id| distance(&after[&id], &before[&id])));
            before = after;
        }
        Ok((squares, points.sum(|id| square(&float[id]))))
    };
    let results: Vec<_> = spread(samples).par_iter().map(carry).collect();
    let mut carried = Carried::default();
    let count = results.len();
    for result in results {
        let (squares, sizes) = result?;
        carried.push(squares, sizes);
    }
    let share = |layer: usize, point: usize| bounded(MARGIN * carried.bound(layer, point));
    let shares: Vec<Vec<f64>> =
        (0..functions.len()).map(|n| (0..=functions.len()).map(|p| share(n, p)).collect()).collect();
    Ok(PredictedErrors::new(original, &functions, &shares, count))
}
