//! The tuned network as a tensor graph.

use crate::parameters::Parameters;
use crate::program::Program;
use hec_ir::tensor::{ConstId, Constants, Graph, LinearStep, Op};
use std::collections::BTreeMap;

/// The network that a program was compiled from, with trained constants in the place of its own. Constants that several
/// nodes share have become several; those that are not trained stay.
pub fn graph(graph: &Graph, program: &Program, parameters: &Parameters) -> Graph {
    let mut out = Graph { constants: Constants::default(), ..graph.clone() };
    let mut kept: BTreeMap<ConstId, ConstId> = BTreeMap::new();
    for step in &program.steps {
        let Some(weights) = &step.weights else { continue };
        let constant = graph.constants.tensor(weights.constant);
        let name = graph.constants.name(weights.constant);
        let trained = parameters.constant(step, &constant.shape).filter(|_| weights.trained);
        let id = match trained {
            Some(tensor) => out.constants.add(name, tensor),
            None => *kept.entry(weights.constant).or_insert_with(|| out.constants.add(name, constant.clone())),
        };
        let (node, position) = step.origin;
        match &mut out.nodes[node].op {
            Op::Linear(steps) => match steps.get_mut(position) {
                Some(LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight }) => *weight = id,
                Some(LinearStep::Scale { factor }) => *factor = id,
                _ => {}
            },
            Op::AddConstant(constant) | Op::Polynomial { coefficients: constant, .. } => *constant = id,
            _ => {}
        }
    }
    out
}
