//! Predicted seconds of operations and bootstraps, by level.

use super::BootstrapOptions;
use hec_ir::circuit::{Circuit, Op, ValueId};
use hec_ir::cost::{LinearShape, RingSize};
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::cost::{bootstrap, cheapest_split};
use hec_ir::{BootstrapParameters, Level, Plain};

/// Seconds of every node by the level of its result, and of its bootstrap.
pub(crate) struct Seconds {
    nodes: EntityVec<ValueId, Vec<f64>>,
    bootstraps: EntityVec<ValueId, f64>,
}

impl Seconds {
    /// Every product is taken to be relinearized and rescaled by itself, and adjustments are left out: what a sum of
    /// products saves is the same wherever bootstraps are, or nearly so.
    pub fn of(circuit: &Circuit, options: &BootstrapOptions, parameters: &BootstrapParameters) -> Self {
        let top = parameters.output_level();
        let ring = |level: u32| RingSize::at(parameters.parameters(), Level(level));
        let shapes: EntityVec<_, LinearShape> = circuit
            .maps
            .values()
            .map(|map| LinearShape::of(map, &cheapest_split(&options.costs, &ring(top.0), map)))
            .collect();
        let t = &options.costs;
        let node = |id: ValueId, level: u32| {
            let node = &circuit.nodes[id];
            let (count, here, above) = (f64::from(node.count), ring(level), ring((level + 1).min(top.0)));
            let encode = |plain, ring: &RingSize| match &circuit.plains[plain] {
                Plain::Scalar(_) => 0.0,
                Plain::Slots(vectors) => vectors.len() as f64 * t.encode(ring, ring.primes),
            };
            match node.op {
                Op::Input(_) => 0.0,
                Op::Linear(map) => {
                    let shape = &shapes[map];
                    t.linear_shape(&above, shape)
                        + shape.diagonals as f64 * t.encode(&above, above.primes + above.special)
                }
                Op::AddPlain(plain) => count * t.addition(&here) / 2.0 + encode(plain, &here),
                Op::MulPlain(plain) => count * (t.multiply_plain(&above) + t.rescale(&above)) + encode(plain, &above),
                Op::Add | Op::Sub | Op::Negate => count * t.addition(&here),
                Op::Mul | Op::Square => count * (t.multiply(&above) + t.key_switch(&above)),
                Op::Rotate(_) => count * t.key_switch(&here),
            }
        };
        let by_level = |id| (0..=top.0).map(|level| node(id, level)).collect();
        let of_count = |count| bootstrap(t, parameters, count).seconds;
        Seconds {
            nodes: circuit.nodes.keys().map(by_level).collect(),
            bootstraps: circuit.nodes.values().map(|n| of_count(n.count)).collect(),
        }
    }

    /// Of a node whose result is at `level`.
    pub fn node(&self, id: ValueId, level: u32) -> f64 {
        self.nodes[id][level as usize]
    }

    /// Of the bootstrap of a value.
    pub fn bootstrap(&self, id: ValueId) -> f64 {
        self.bootstraps[id]
    }
}
