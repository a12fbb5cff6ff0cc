//! One function of a network, replaced by itself.

use super::Values;
use super::carried::{distance, square};
use super::interpret;
use crate::{Calibration, Choice, NonlinearError, Options, Pin, replace};
use hec_ir::tensor::{Graph, InterpretError, Node, Op, Output, Tensor, ValueId};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Stands for replacements of all degrees: what its error looks like is carried on much as theirs.
const REFERENCE: Choice = Choice::least_squares(3);

/// Elements of functions' inputs that are kept at a time, over all samples.
const MOST_ELEMENTS: usize = 1 << 24;

/// The rms of the noise that stands for a replacement without an error, relative to the values.
const NOISE: f64 = 0.01;

/// What functions get on one sample.
type Inputs = BTreeMap<ValueId, Tensor>;

/// A function and its replacement.
pub struct Alone {
    function: ValueId,
    args: Vec<ValueId>,
    polynomial: Graph,
}

impl Alone {
    /// All functions of a network, each fitted to what it gets in the float network.
    pub fn all(
        graph: &Graph,
        functions: &[ValueId],
        samples: &[&[Tensor]],
        options: &Options,
    ) -> Result<Vec<Self>, NonlinearError> {
        let args: Vec<ValueId> = functions.iter().flat_map(|&id| graph.nodes[id].args.clone()).collect();
        let elements: usize = args.iter().map(|&id| graph.shape(id).elements()).sum();
        let most = samples.len().min(options.max_samples).min((MOST_ELEMENTS / elements.max(1)).max(1));
        let chosen = (0..most).map(|i| samples[i * samples.len() / most]);
        let inputs = |sample: &&[Tensor]| {
            let values = graph.interpret(sample).map_err(|e| interpret(graph, e))?;
            Ok(args.iter().map(|&id| (id, values[id].clone())).collect())
        };
        let seen = chosen.collect::<Vec<_>>().par_iter().map(inputs).collect::<Result<Vec<Inputs>, _>>()?;
        functions.iter().map(|&id| Alone::new(graph, id, &seen, options)).collect()
    }

    fn new(graph: &Graph, function: ValueId, seen: &[Inputs], options: &Options) -> Result<Self, NonlinearError> {
        let node = &graph.nodes[function];
        let mut single = Graph::new(graph.name.clone());
        let args = node.args.iter().map(|a| single.input(a.to_string(), graph.shape(*a).clone())).collect();
        let value = single.nodes.push(Node { args, ..node.clone() });
        single.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
        let sample = |inputs: &Inputs| node.args.iter().map(|a| inputs[a].clone()).collect();
        let calibration = Calibration { samples: seen.iter().map(sample).collect() };
        let polynomial = replace(&single, &calibration, &own(node, options))?.graph;
        Ok(Alone { function, args: node.args.clone(), polynomial })
    }

    /// What the replacement makes of the float network's values.
    pub fn replaced(&self, float: &Values) -> Result<Tensor, InterpretError> {
        let inputs: Vec<Tensor> = self.args.iter().map(|&a| float[a].clone()).collect();
        Ok(self.polynomial.run(&inputs)?.remove(0))
    }

    /// The same, with noise of that seed where the replacement is exact.
    pub fn probe(&self, float: &Values, seed: u64) -> Result<Tensor, InterpretError> {
        let (mut value, exact) = (self.replaced(float)?, &float[self.function]);
        if distance(&value, exact) <= f64::EPSILON * square(exact) {
            let size = NOISE * libm::sqrt(square(exact) / exact.data.len().max(1) as f64);
            let mut random = Signs(seed);
            value.data.iter_mut().for_each(|x| *x += size * random.next());
        }
        Ok(value)
    }
}

/// What the options say of one function.
fn own(node: &Node, options: &Options) -> Options {
    let layer = node.origin.layer();
    let function = match &node.op {
        Op::Activation(function) => function.name(),
        Op::MaxPool(_) => "max_pool",
        _ => "",
    };
    let mut pins: Vec<Pin> =
        options.pins.iter().filter(|p| p.target == layer || p.target == function).cloned().collect();
    if pins.is_empty() && matches!(node.op, Op::Activation(_)) {
        pins.push(Pin { target: layer.to_owned(), choice: REFERENCE });
    }
    let ranges = options.ranges.get(layer).map(|&range| (layer.to_owned(), range)).into_iter().collect();
    Options { pins, ranges, correct: false, ..options.clone() }
}

/// Random signs (splitmix64; Steele, Lea, Flood 2014).
struct Signs(u64);

impl Signs {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (mixed ^ (mixed >> 31)) & 1 == 1 { 1.0 } else { -1.0 }
    }
}
