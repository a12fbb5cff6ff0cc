//! Recognise activations that an exporter took apart, such as x/2·(1+erf(x/√2)), however the parts are ordered.
//!
//! What it is: every encrypted value that is a scalar function of an earlier value, computed by element-wise nodes
//! with scalar constants, carries that function as samples. A value whose samples are those of a known activation is
//! that activation of the earlier value; the nodes in between are then unused.
//! Invariants: samples are of the base value's element alone; a step with a constant that is not the same everywhere
//! ends the chain.

use crate::call::{Call, Value};
use crate::scalar::Scalar;
use hec_ir::Origin;
use hec_ir::tensor::{Function, Graph, ValueId};
use std::collections::BTreeMap;

/// A scalar function of a base value.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    base: ValueId,
    /// Values at [`samples`].
    samples: Vec<f64>,
    /// The nodes that compute it.
    nodes: Vec<Origin>,
}

/// Longest chain of nodes that is looked through. GELU by tanh takes nine.
const MAX_NODES: usize = 12;

/// Arguments at which functions are compared: both signs, where activations bend, where they are flat, and far out,
/// where a bounded one differs from one that only looks flat or linear in the middle.
fn samples() -> Vec<f64> {
    let middle = (0..25).map(|i| -5.9 + 0.49 * f64::from(i));
    [-FAR, -25.0].into_iter().chain(middle).chain([25.0, FAR]).collect()
}

/// The farthest argument; bounds beyond it are not noticed.
const FAR: f64 = 100.0;

/// The scalar functions that values are.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    of: BTreeMap<ValueId, Vec<Probe>>,
}

impl Probes {
    /// Remember what scalar functions the node's value is.
    pub fn derive(&mut self, graph: &Graph, call: &Call, value: ValueId) {
        let found = self.candidates(graph, call);
        if !found.is_empty() {
            self.of.insert(value, found);
        }
    }

    /// The node's value as scalar functions of its inputs and of what they are functions of.
    pub fn candidates(&self, graph: &Graph, call: &Call) -> Vec<Probe> {
        let Ok(Some(scalar)) = Scalar::of(call) else {
            return Vec::new();
        };
        let Some(operands) = self.operands(graph, call) else {
            return Vec::new();
        };
        let Some(first) = operands.iter().find_map(|o| match o {
            Operand::Functions(list) => Some(list),
            Operand::Constant(_) => None,
        }) else {
            return Vec::new();
        };
        let node = Origin::node(call.node.name.clone());
        let composed = first.iter().filter_map(|f| compose(&scalar, f.base, &operands, &node));
        composed.filter(|p| p.nodes.len() <= MAX_NODES).collect()
    }

    /// What the inputs are, if they all have one shape or are the same number everywhere.
    fn operands(&self, graph: &Graph, call: &Call) -> Option<Vec<Operand>> {
        let ids = call.inputs.iter().flatten().filter_map(|v| match v {
            Value::Encrypted(id) => Some(*id),
            _ => None,
        });
        let shape = ids.clone().next().map(|id| graph.shape(id))?;
        let operand = |value: &Value| match value {
            Value::Encrypted(id) if graph.shape(*id) == shape => Some(Operand::Functions(self.functions(*id))),
            Value::Constant(c) if c.tensor.shape.broadcast(shape).as_ref() == Some(shape) => {
                c.uniform().map(Operand::Constant)
            }
            _ => None,
        };
        call.inputs.iter().flatten().map(operand).collect()
    }

    fn functions(&self, id: ValueId) -> Vec<Probe> {
        let itself = Probe { base: id, samples: samples(), nodes: Vec::new() };
        std::iter::once(itself).chain(self.of.get(&id).into_iter().flatten().cloned()).collect()
    }
}

enum Operand {
    Functions(Vec<Probe>),
    Constant(f64),
}

/// The node as a function of `base`, if all its encrypted inputs are.
fn compose(scalar: &Scalar, base: ValueId, operands: &[Operand], node: &Origin) -> Option<Probe> {
    let mut origins: Vec<Origin> = Vec::new();
    let mut columns = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Operand::Constant(c) => columns.push(vec![*c; samples().len()]),
            Operand::Functions(list) => {
                let probe = list.iter().find(|p| p.base == base)?;
                for origin in &probe.nodes {
                    if !origins.contains(origin) {
                        origins.push(origin.clone());
                    }
                }
                columns.push(probe.samples.clone());
            }
        }
    }
    origins.push(node.clone());
    let at = |i: usize| columns.iter().map(|c| c[i]).collect::<Vec<_>>();
    let samples = (0..samples().len()).map(|i| scalar.eval(&at(i))).collect();
    Some(Probe { base, samples, nodes: origins })
}

/// An activation that stands for several nodes.
pub(crate) struct Recognised {
    pub base: ValueId,
    pub function: Function,
    pub origin: Origin,
}

/// The activation that one of the functions is.
pub(crate) fn recognise(probes: &[Probe]) -> Option<Recognised> {
    probes.iter().find_map(|probe| {
        let origin = probe.nodes.iter().fold(Origin::default(), |merged, o| merged.merge(o));
        Some(Recognised { base: probe.base, function: name(&probe.samples)?, origin })
    })
}

/// The activation with these samples.
fn name(values: &[f64]) -> Option<Function> {
    // Half-precision models hold √2 and 0.044715 with an error of 2^-13; the two GELUs differ by up to 2^-11.
    const GELU: f64 = 1e-4;
    // Single precision holds 1/6 with an error of 2^-28, which the square of the farthest argument enlarges.
    const SIXTH: f64 = 1e-4;
    const EXACT: f64 = 1e-9;
    let slope = values.first()? / samples().first()?;
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let known = [
        (Function::Gelu, GELU),
        (Function::GeluTanh, GELU),
        (Function::Silu, EXACT),
        (Function::Mish, EXACT),
        (Function::Softplus, EXACT),
        (Function::Sigmoid, EXACT),
        (Function::Tanh, EXACT),
        (Function::Softsign, EXACT),
        (Function::HardSwish, SIXTH),
        (Function::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, SIXTH),
        (Function::Relu, EXACT),
        (Function::Abs, EXACT),
        (Function::LeakyRelu { alpha: slope }, EXACT),
        (Function::Clip { low, high }, EXACT),
    ];
    let error = |f: Function| samples().iter().zip(values).map(|(&x, &v)| (f.eval(x) - v).abs()).fold(0.0, worst);
    let fits = |&(f, tolerance): &(Function, f64)| match f {
        Function::LeakyRelu { alpha } if !(alpha > 0.0 && alpha < 1.0) => None,
        Function::Clip { low, high } if !(-FAR < low && low < high && high < FAR) => None,
        _ => Some((f, error(f))).filter(|(_, e)| *e < tolerance),
    };
    known.iter().filter_map(fits).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(f, _)| f)
}

/// The larger one; not a number if one is not.
fn worst(a: f64, b: f64) -> f64 {
    if a >= b || a.is_nan() { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_functions_and_nothing_else() {
        let of = |f: &dyn Fn(f64) -> f64| name(&samples().iter().map(|&x| f(x)).collect::<Vec<_>>());
        for f in [Function::Gelu, Function::GeluTanh, Function::Silu, Function::Relu, Function::Sigmoid] {
            assert_eq!(of(&|x| f.eval(x)), Some(f));
        }
        assert_eq!(of(&|x| if x < 0.0 { 0.125 * x } else { x }), Some(Function::LeakyRelu { alpha: 0.125 }));
        assert_eq!(of(&|x| 1.001 * x.max(0.0)), None);
        assert_eq!(of(&|x| x), None);
        assert_eq!(of(&|x| x * libm::tanh(libm::log1p(libm::exp(x)))), Some(Function::Mish));
        assert_eq!(of(&|x| x.clamp(-1.5, 7.0)), Some(Function::Clip { low: -1.5, high: 7.0 }));
        // Not a ReLU, though it is one for the arguments that most networks have.
        assert_eq!(of(&|x| x.clamp(0.0, 6.0)), Some(Function::Clip { low: 0.0, high: 6.0 }));
        let sixth = f64::from(1.0f32 / 6.0);
        assert_eq!(of(&|x| x * (sixth * x + 0.5).clamp(0.0, 1.0)), Some(Function::HardSwish));
        assert_eq!(of(&|x| x.sqrt()), None);
    }
}
