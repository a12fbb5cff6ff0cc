//! What a graph costs: levels first, then work.
//!
//! Units of work: one product of two ciphertexts is 100,000, a square 90,000, a sum 10,000. A linear map is 100,000 and one
//! more for every weight of its matrix (an upper bound, from the fan-in of its steps). The real costs follow from layouts,
//! later; these only have to order equal networks.

use crate::extract::Cost;
use crate::language::{EGraph, Lang};
use crate::tables::Step;
use hec_ir::Depth;
use hec_ir::entity::Entity;
use hec_ir::tensor::{Constants, Graph, LinearStep, Op, Shape};

const fn cost(depth: u32, work: u64) -> Cost {
    Cost { depth, work, error: 0.0 }
}

const PRODUCT: u64 = 100_000;
const SQUARE: u64 = 90_000;
const SUM: u64 = 10_000;
const LINEAR: u64 = 100_000;

/// Cost of an e-node; leaves cost nothing, but for the error of what is taken instead of a value.
pub(crate) fn node_cost(egraph: &EGraph, node: &Lang) -> Cost {
    let tables = &egraph.analysis.tables;
    let leaf = |id: &egg::Id| egraph[*id].data.leaf.as_ref();
    match node {
        Lang::Linear([chain, x]) => {
            let Some(Lang::Chain(chain)) = leaf(chain) else { return cost(1, LINEAR) };
            let steps: Vec<&LinearStep> = tables.chain(*chain).iter().map(|s: &Step| &s.step).collect();
            linear_cost(&steps, egraph[*x].data.shape.as_ref(), &tables.constants)
        }
        Lang::AddConstant(_) | Lang::Add(_) | Lang::Sub(_) | Lang::Negate(_) => cost(0, SUM),
        Lang::Mul(_) => cost(1, PRODUCT),
        Lang::BatchMatMul([x, y]) => {
            cost(1, matrix_product_work(egraph[*x].data.shape.as_ref(), egraph[*y].data.shape.as_ref()))
        }
        Lang::Square(_) => cost(1, SQUARE),
        Lang::Power([exponent, _]) => match leaf(exponent) {
            Some(Lang::Exponent(k)) => power_cost(k.0),
            _ => Cost::default(),
        },
        Lang::Polynomial([polynomial, _]) => match leaf(polynomial) {
            Some(Lang::Coefficients(p)) => {
                let (_, coefficients) = tables.polynomial(*p);
                polynomial_cost(degree(&tables.constants.tensor(coefficients).shape))
            }
            _ => Cost::default(),
        },
        Lang::Deviation(id) => Cost { error: tables.deviation(*id), ..Cost::default() },
        // No rule looks into these, so their cost is the same in every graph.
        _ => Cost::default(),
    }
}

/// A matrix product is as many products as its inner axis is long, at most; more of them if the result is larger.
fn matrix_product_work(x: Option<&Shape>, y: Option<&Shape>) -> u64 {
    let (Some(x), Some(y)) = (x, y) else { return PRODUCT };
    let columns = y.dims().last().copied().unwrap_or(1);
    PRODUCT + (x.elements() * columns) as u64
}

fn degree(coefficients: &Shape) -> usize {
    coefficients.dims().last().map_or(0, |d| d.saturating_sub(1))
}

/// A power as it stands shares nothing with its neighbours, so its expansion into squares and products is preferred.
fn power_cost(k: u32) -> Cost {
    let products = u64::from(k.ilog2() + k.count_ones() - 1);
    cost(k.next_power_of_two().ilog2(), PRODUCT * products + SUM)
}

/// A polynomial evaluated as it stands: ⌈log2(d+1)⌉ levels.
fn polynomial_cost(degree: usize) -> Cost {
    let depth = (degree + 1).next_power_of_two().ilog2();
    cost(depth, 2 * PRODUCT * (degree as f64).sqrt().ceil() as u64)
}

fn linear_cost(steps: &[&LinearStep], input: Option<&Shape>, constants: &Constants) -> Cost {
    if steps.iter().all(|s| s.is_movement()) {
        return cost(0, SUM);
    }
    let Some(mut shape) = input.cloned() else {
        return cost(1, LINEAR);
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
    cost(1, LINEAR + weights as u64)
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
