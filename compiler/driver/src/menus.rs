//! Each function's menu goes into the e-graph, which weighs levels of the rewritten network against errors.
//!
//! The search for polynomials counts the levels of each function by itself. In the rewritten network a level more in a
//! branch with levels to spare costs nothing, squares are completed, and where a function becomes linear the layers around it
//! become one; the e-graph knows. What it finds is built with everything re-fitted, and counts only if it agrees with the
//! original network on validation samples as the user asks.

use crate::Failure;
use hec_ir::tensor::Graph;
use hec_nonlinear::{Agreement, Assignment, Offer, Offered, Replaced};
use hec_optimize::{Alternative, Candidate, Options, optimize_among};

/// Errors that may be tried, as multiples of that of the network that suffices, in which a count of classes has room. They
/// are multiples of a sum of powers; errors are up to three times as large.
const BUDGETS: [f64; 7] = [4.0, 3.2, 2.5, 2.0, 1.6, 1.25, 1.0];
/// The program of a network that is predicted to err more must be faster by this factor.
const WORTH: f64 = 0.75;
/// Sums of the same numbers in another order differ by less.
const ROUNDING: f64 = 1.0 + 1e-9;

/// Polynomials that are predicted to cost less than those of a network that suffices, the cheapest first, and with it the
/// largest error.
///
/// # Errors
/// When the network is not well-formed.
pub fn cheaper(network: &Replaced, min_agreement: f64, options: &Options) -> Result<Vec<Assignment>, Failure> {
    let Some(offer) = (if network.suffices { network.offer()? } else { None }) else { return Ok(Vec::new()) };
    let alternative =
        |o: &Offered| Alternative { value: o.value, instead: o.instead, error: o.error, sensitivity: 1.0 };
    let alternatives: Vec<Alternative> = offer.candidates.iter().map(alternative).collect();
    let cheapest = |graph: &Graph, alternatives: &[Alternative], max_error: f64| -> Result<_, Failure> {
        let options = Options { max_error, candidates: usize::MAX, ..options.clone() };
        let found = optimize_among(graph, alternatives, &options)?.candidates;
        Ok(found.into_iter().min_by_key(price))
    };
    let Some(own) = cheapest(&network.graph, &[], f64::INFINITY)? else { return Ok(Vec::new()) };
    let mut assignments: Vec<Assignment> = Vec::new();
    let most = if can_tell(network, min_agreement) { f64::INFINITY } else { 1.0 };
    for budget in BUDGETS.into_iter().filter(|&budget| budget <= most) {
        let found = cheapest(&offer.graph, &alternatives, budget * ROUNDING * offer.built)?;
        let Some(candidate) = found.filter(|c| price(c) < price(&own)) else { break };
        let assignment = assignment(network, &offer, &candidate);
        if assignment != network.assignment && !assignments.contains(&assignment) {
            assignments.push(assignment);
        }
    }
    Ok(assignments)
}

/// The cheapest of the assignments that suffices when it is built, or nearly so: that a smaller error suffices if a larger
/// one does holds but for chance, so halving finds it.
///
/// # Errors
/// When `build` fails; it gives `None` for what diverges.
pub fn search(
    assignments: &[Assignment],
    min_agreement: f64,
    mut build: impl FnMut(&Assignment) -> Result<Option<Replaced>, Failure>,
) -> Result<Option<Replaced>, Failure> {
    let (mut first, mut end, mut best) = (0, assignments.len(), None);
    while first < end {
        let middle = first.midpoint(end);
        match build(&assignments[middle])?.filter(|built| surely_suffices(built, min_agreement)) {
            Some(built) => (best, end) = (Some(built), middle),
            None => first = middle + 1,
        }
    }
    Ok(best)
}

/// Whether the validation samples are so many that one of them may change its class: fewer cannot tell a network that keeps
/// enough classes from one that does not.
fn can_tell(network: &Replaced, min_agreement: f64) -> bool {
    let count = |a: &Agreement| a.classes.is_none() || a.samples as f64 * (1.0 - min_agreement) >= 1.0 - 1e-9;
    network.agreement.as_ref().is_some_and(count)
}

/// Whether a network agrees as it should with nothing put down to chance: its error is predicted to be the larger one.
fn surely_suffices(network: &Replaced, min_agreement: f64) -> bool {
    let share = network.agreement.as_ref().and_then(|a| a.surely);
    network.suffices && share.is_none_or(|share| share >= min_agreement)
}

/// Whether a program is so much faster that its network is taken.
pub fn is_worth_it(seconds: f64, than: f64) -> bool {
    seconds < WORTH * than
}

/// Every level makes all ciphertexts larger that work is done on.
fn price(candidate: &Candidate) -> u64 {
    candidate.work.saturating_mul(u64::from(candidate.depth.0))
}

/// Which polynomials a candidate takes.
fn assignment(network: &Replaced, offer: &Offer, candidate: &Candidate) -> Assignment {
    let precise = offer.precise.iter().map(|(layer, choice)| (layer, *choice));
    let others = candidate.taken.iter().map(|&i| (&offer.candidates[i].layer, offer.candidates[i].choice));
    let mut assignment = network.assignment.clone();
    for (layer, choice) in precise.chain(others) {
        assignment = assignment.with([layer.as_str()], choice);
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::tensor::{Shape, Tensor};
    use hec_ir::text::{AnyLevel, ExternalConstants, parse};
    use hec_nonlinear::{Calibration, assigned, replace};
    use std::sync::Arc;

    /// A branch of one ReLU beside one of two.
    const BRANCHES: &str = r#"
tensor branches {
  const @a : f64[8,8] = external
  const @b : f64[8,8] = external
  const @c : f64[8,8] = external
  const @d : f64[8,4] = external
  const @e : f64[8,4] = external
  %x = input "x" : [1,8]
  %s = matmul %x, @a from "fc1"
  %t = relu %s from "short"
  %u = matmul %t, @d from "fc2"
  %f = matmul %x, @b from "fc3"
  %g = relu %f from "long1"
  %h = matmul %g, @c from "fc4"
  %i = relu %h from "long2"
  %j = matmul %i, @e from "fc5"
  %y = add %u, %j from "sum"
  output "y" %y
}
"#;

    fn tensor(dims: &[usize], seed: u64) -> Tensor {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        let shape = Shape::new(dims);
        Tensor { data: (0..shape.elements()).map(|_| next()).collect(), shape }
    }

    fn branches() -> Graph {
        let dims = [("a", [8, 8]), ("b", [8, 8]), ("c", [8, 8]), ("d", [8, 4]), ("e", [8, 4])];
        let constants: ExternalConstants =
            (1..).zip(dims).map(|(seed, (name, dims))| (name.to_owned(), Arc::new(tensor(&dims, seed)))).collect();
        match parse(BRANCHES, &constants) {
            Ok(AnyLevel::Tensor(graph)) => graph,
            other => panic!("{other:?}"),
        }
    }

    /// The short branch has levels to spare, which the search for polynomials does not know: a high degree there costs no
    /// level, and what it gains in precision pays for a lower degree in the long branch.
    #[test]
    fn levels_to_spare_are_spent_on_precision() {
        let graph = branches();
        let samples = (0..200).map(|i| vec![tensor(&[1, 8], 1000 + i)]).collect();
        let calibration = Calibration { samples };
        let options = hec_nonlinear::Options { min_agreement: 0.9, ..Default::default() };
        let built = replace(&graph, &calibration, &options).expect("a network");
        let found = cheaper(&built, 0.9, &Options::default()).expect("well-formed");
        let degree = |assignment: &Assignment, layer| assignment.of(layer).degree;
        let spends = |a: &&Assignment| degree(a, "short") > degree(a, "long1").min(degree(a, "long2"));
        let better = found.iter().rev().find(spends).unwrap_or_else(|| panic!("{:?}: {found:?}", built.assignment));
        let other = assigned(&graph, &calibration, &options, std::slice::from_ref(better)).expect("a network");
        let levels = |replaced: &Replaced| {
            hec_optimize::optimize(&replaced.graph, &Options::default()).expect("well-formed").depth_least
        };
        assert!(levels(&other[0]) < levels(&built), "{better:?} instead of {:?}", built.assignment);
    }
}
