//! What a graph costs: levels first, then work.
//!
//! Units of work: one product of two ciphertexts is 10, a square 9. A linear map is 10 and one more for every 10,000 weights of its
//! matrix (an upper bound, from the fan-in of its steps); sums are 1. The real costs follow from layouts, later; these
//! only have to order equal networks.

use crate::language::Lang;
use crate::tables::{Step, Tables};
use hec_ir::Depth;
use hec_ir::entity::Entity;
use hec_ir::tensor::{Constants, Graph, LinearStep, Op, Shape};

/// Levels and work of one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NodeCost {
    pub(crate) depth: u32,
    pub(crate) work: f64,
}

const PRODUCT: NodeCost = NodeCost { depth: 1, work: 10.0 };
const SQUARE: NodeCost = NodeCost { depth: 1, work: 9.0 };
const SUM: NodeCost = NodeCost { depth: 0, work: 1.0 };

/// Cost of an e-node whose argument has shape `input`; leaves cost nothing.
pub(crate) fn node_cost(tables: &Tables, node: &Lang, leaf: Option<&Lang>, input: Option<&Shape>) -> NodeCost {
    match (node, leaf) {
        (Lang::Linear(_), Some(Lang::Chain(chain))) => {
            let steps: Vec<&LinearStep> = tables.chain(*chain).iter().map(|s: &Step| &s.step).collect();
            linear_cost(&steps, input, &tables.constants)
        }
        (Lang::AddConstant(_) | Lang::Add(_) | Lang::Sub(_) | Lang::Negate(_), _) => SUM,
        (Lang::Mul(_) | Lang::BatchMatMul(_), _) => PRODUCT,
        (Lang::Square(_), _) => SQUARE,
        (Lang::Power(_), Some(Lang::Exponent(k))) => power_cost(k.0),
        (Lang::Polynomial(_), Some(Lang::Coefficients(p))) => {
            let (_, coefficients) = tables.polynomial(*p);
            polynomial_cost(degree(&tables.constants.tensor(coefficients).shape))
        }
        // No rule looks into these, so their cost is the same in every graph.
        _ => NodeCost { depth: 0, work: 0.0 },
    }
}

fn degree(coefficients: &Shape) -> usize {
    coefficients.dims().last().map_or(0, |d| d.saturating_sub(1))
}

/// A power as it stands shares nothing with its neighbours, so its expansion into squares and products is preferred.
fn power_cost(k: u32) -> NodeCost {
    let products = k.ilog2() + k.count_ones() - 1;
    NodeCost { depth: k.next_power_of_two().ilog2(), work: 10.0 * f64::from(products) + 1.0 }
}

/// A polynomial evaluated as it stands: ⌈log2(d+1)⌉ levels.
fn polynomial_cost(degree: usize) -> NodeCost {
    let depth = (degree + 1).next_power_of_two().ilog2();
    NodeCost { depth, work: 10.0 * (degree as f64).sqrt() * 2.0 }
}

fn linear_cost(steps: &[&LinearStep], input: Option<&Shape>, constants: &Constants) -> NodeCost {
    if steps.iter().all(|s| s.is_movement()) {
        return NodeCost { depth: 0, work: 1.0 };
    }
    let Some(mut shape) = input.cloned() else {
        return NodeCost { depth: 1, work: 10.0 };
    };
    let inputs = shape.elements() as f64;
    let mut fan_in = 1.0f64;
    for step in steps {
        fan_in *= step_fan_in(step, &shape, constants);
        if let Ok(next) = step.output_shape(&shape, constants) {
            shape = next;
        }
    }
    let weights = fan_in.min(inputs) * shape.elements() as f64;
    NodeCost { depth: 1, work: 10.0 + weights / 1e4 }
}

/// How many inputs an output of the step depends on.
fn step_fan_in(step: &LinearStep, input: &Shape, constants: &Constants) -> f64 {
    match step {
        LinearStep::Conv { weight, .. } => {
            constants.get(*weight).map_or(1.0, |w| w.shape.dims().iter().skip(1).product::<usize>() as f64)
        }
        LinearStep::MatMul { .. } => input.dims().last().map_or(1.0, |&k| k as f64),
        LinearStep::AveragePool(w) => (w.kernel[0] * w.kernel[1]) as f64,
        LinearStep::Mean { axes } => axes.iter().filter_map(|&a| input.dims().get(a)).product::<usize>() as f64,
        _ => 1.0,
    }
}

/// Multiplicative depth of a graph, every polynomial evaluated as it stands.
pub fn depth(graph: &Graph) -> Depth {
    let mut depths: Vec<u32> = Vec::with_capacity(graph.nodes.len());
    for node in graph.nodes.values() {
        let own = match &node.op {
            Op::Linear(steps) => !steps.iter().all(LinearStep::is_movement) as u32,
            Op::Mul | Op::Square | Op::BatchMatMul => 1,
            Op::Power(k) => power_cost(*k).depth,
            Op::Polynomial { coefficients, .. } => {
                polynomial_cost(degree(&graph.constants.tensor(*coefficients).shape)).depth
            }
            _ => 0,
        };
        let below = node.args.iter().map(|a| depths[a.index()]).max().unwrap_or(0);
        depths.push(own + below);
    }
    Depth(graph.outputs.iter().map(|o| depths[o.value.index()]).max().unwrap_or(0))
}
