//! From a graph with a layout for every class to the circuit.

use crate::builder::{Builder, uniform};
use crate::choose::Choice;
use crate::costs::{Known, Way};
use crate::diagonals::{Embedding, Free, How, Place, embed};
use crate::network::{Link, Network};
use crate::polynomial::{self, Planned};
use crate::{PackError, PackOptions, spread};
use hec_ir::circuit::{self, Circuit, Op as SlotOp, ValueId as SlotId};
use hec_ir::tensor::{Graph, Op, Tensor, ValueId};
use hec_ir::{Origin, Rotation, SlotMap};
use hec_poly::Target;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Values of the diagonals of one map above which it is refused: 32 GiB.
const MAX_DIAGONAL_VALUES: usize = 1 << 32;

/// The circuit of a graph, given its layouts.
pub(crate) fn circuit(
    graph: &Graph,
    network: &Network,
    known: &Known,
    choice: &Choice,
    options: &PackOptions,
) -> Result<Circuit, PackError> {
    let places = &choice.places;
    let mut embeddings = embeddings(graph, network, known, choice, options)?;
    let circuit = Circuit::new(graph.name.clone(), options.slots).with_batch(options.batch);
    let mut emitter = Emitter { graph, builder: Builder::new(circuit), values: BTreeMap::new() };
    for (&value, &class) in &network.class_of {
        let place = &places[class];
        let emitted = match network.links.get(&value) {
            Some(link) => emitter.link(link, embeddings.remove(&value))?,
            None => emitter.node(value, place)?,
        };
        emitter.values.insert(value, emitted);
    }
    for output in &graph.outputs {
        emitter.builder.circuit.outputs.push(circuit::Output {
            name: output.name.clone(),
            value: emitter.values[&output.value],
            layout: places[network.class_of[&output.value]].layout.clone(),
            client: output.client.clone(),
        });
    }
    let circuit = emitter.builder.finish();
    circuit.verify()?;
    Ok(circuit)
}

/// A link as operations on slots.
struct Emitted {
    /// Instead of a map, if it is no more than a rotation.
    rotation: Option<Rotation>,
    embedding: Embedding,
    /// Rotations that spread the first of equal rows.
    spread: Vec<Rotation>,
}

/// Every link, by its target.
fn embeddings(
    graph: &Graph,
    network: &Network,
    known: &Known,
    choice: &Choice,
    options: &PackOptions,
) -> Result<BTreeMap<ValueId, Emitted>, PackError> {
    let embedding = |(&value, link): (&ValueId, &Link)| {
        let [input, output] = [link.source, value].map(|v| &choice.places[network.class_of[&v]]);
        let pattern = known.pattern(graph, link);
        let way = choice.ways.get(&value);
        let (mut how, mut spread) = (How::default(), Vec::new());
        let class = network.class_of[&value];
        let (firsts, first);
        let mut place = output;
        match way {
            Some(Way::Copies(copies)) => how.copies = Some(*copies),
            Some(Way::Spread(axes)) => {
                spread = spread::rotations(&output.layout, axes).unwrap_or_default();
                firsts = spread::firsts(&pattern.shape, axes);
                how.rows = Some(&firsts);
            }
            Some(Way::Everywhere(axes)) => {
                let layout = spread::without(&output.layout, axes).unwrap_or_else(|| output.layout.clone());
                first = Place { layout, is_turned: false };
                place = &first;
                firsts = spread::firsts(&pattern.shape, axes);
                how.rows = Some(&firsts);
            }
            None if !options.batch.is_one() && tolerates_anything(graph, network, class) => {
                let is_input = matches!(graph.nodes[link.source].op, Op::Input { .. });
                how.free = Some(if is_input { Free::RowsAndColumns } else { Free::Rows });
            }
            None => {}
        }
        let embedding = embed(&pattern.matrix, input, place, how, MAX_DIAGONAL_VALUES)
            .ok_or_else(|| PackError::too_large(link.origin.layer(), &pattern.shape, output.layout.slots))?;
        // A client sees all slots of its class.
        let is_seen = graph.outputs.iter().any(|o| network.class_of[&o.value] == class);
        let is_plain = way.is_none() && !input.is_turned && !output.is_turned;
        let rotation = if is_plain { embedding.as_rotation(is_seen) } else { None };
        Ok((value, Emitted { rotation, embedding, spread }))
    };
    network.links.par_iter().map(embedding).collect()
}

/// The degree of an element-wise polynomial up to which slots without an element may hold anything.
const MOST_FREE_DEGREE: u32 = 8;

/// Whether slots without an element may hold what a map makes of other elements: no client sees them, and no
/// polynomial makes much more of them.
fn tolerates_anything(graph: &Graph, network: &Network, class: usize) -> bool {
    let values = &network.classes[class].values;
    let degree = |&value: &ValueId| match &graph.nodes[value].op {
        Op::Square | Op::Mul => 2,
        Op::Power(k) => *k,
        Op::Polynomial { coefficients, .. } => {
            graph.constants.tensor(*coefficients).shape.dims().last().map_or(1, |&count| count.max(2) as u32 - 1)
        }
        _ => 1,
    };
    let total = values.iter().map(degree).fold(1, u32::saturating_mul);
    total <= MOST_FREE_DEGREE && !graph.outputs.iter().any(|o| values.contains(&o.value))
}

struct Emitter<'a> {
    graph: &'a Graph,
    builder: Builder,
    values: BTreeMap<ValueId, SlotId>,
}

impl Emitter<'_> {
    /// A linear map and its rotate-and-add steps; a rotation or nothing in its place if it is one.
    fn link(&mut self, link: &Link, emitted: Option<Emitted>) -> Result<SlotId, PackError> {
        let Emitted { rotation, embedding, spread } = emitted.expect("every link was embedded");
        let op = match rotation {
            Some(Rotation(0)) => None,
            Some(rotation) => Some(SlotOp::Rotate(rotation)),
            None => {
                let name = format!("map{}", self.builder.circuit.maps.len());
                Some(SlotOp::Linear(self.builder.map(SlotMap { name, ..embedding.map })))
            }
        };
        let mut value = self.values[&link.source];
        if let Some(op) = op {
            value = self.builder.push(op, &[value], &link.origin)?;
        }
        for rotation in embedding.sums.into_iter().chain(spread) {
            let rotated = self.builder.push(SlotOp::Rotate(rotation), &[value], &link.origin)?;
            value = self.builder.push(SlotOp::Add, &[value, rotated], &link.origin)?;
        }
        Ok(value)
    }

    /// An input or an element-wise operation.
    fn node(&mut self, value: ValueId, place: &Place) -> Result<SlotId, PackError> {
        let node = &self.graph.nodes[value];
        let (origin, constants) = (&node.origin, &self.graph.constants);
        let args: Vec<SlotId> = node.args.iter().map(|a| self.values[a]).collect();
        let op = match &node.op {
            Op::Input { name } => {
                return Ok(self.builder.circuit.input(name.clone(), place.layout.clone(), origin.clone()));
            }
            Op::AddConstant(id) => return self.builder.add(args[0], constants.tensor(*id), place, origin),
            Op::Power(k) => return self.builder.power(args[0], *k, origin),
            Op::Polynomial { basis, coefficients } => {
                let planned = polynomial::plan(*basis, constants.tensor(*coefficients), origin)?;
                return self.builder.polynomial(args[0], &planned, place, origin);
            }
            Op::Mul if args[0] == args[1] => return self.builder.push(SlotOp::Square, &args[..1], origin),
            Op::Negate => SlotOp::Negate,
            Op::Add => SlotOp::Add,
            Op::Sub => SlotOp::Sub,
            Op::Mul => SlotOp::Mul,
            Op::Square => SlotOp::Square,
            Op::BatchMatMul
            | Op::Linear(_)
            | Op::Activation(_)
            | Op::MaxPool(_)
            | Op::Softmax { .. }
            | Op::Normalize(_)
            | Op::Lookup { .. } => {
                return Err(PackError::Activation { layer: origin.layer().to_owned(), function: node.op.name() });
            }
        };
        self.builder.push(op, &args, origin)
    }
}

impl Builder {
    /// x + c; nothing if c is zero.
    fn add(&mut self, x: SlotId, c: &Tensor, place: &Place, origin: &Origin) -> Result<SlotId, PackError> {
        if uniform(c) == Some(0.0) {
            return Ok(x);
        }
        let plain = self.plain(c, place)?;
        self.push(SlotOp::AddPlain(plain), &[x], origin)
    }

    /// x^k at depth ⌈log2 k⌉.
    fn power(&mut self, x: SlotId, k: u32, origin: &Origin) -> Result<SlotId, PackError> {
        if k < 2 {
            return Ok(x);
        }
        let large = self.power(x, k.div_ceil(2), origin)?;
        let small = self.power(x, k / 2, origin)?;
        match large == small {
            true => self.push(SlotOp::Square, &[large], origin),
            false => self.push(SlotOp::Mul, &[large, small], origin),
        }
    }

    /// A polynomial of every slot.
    fn polynomial(
        &mut self,
        x: SlotId,
        planned: &Planned,
        place: &Place,
        origin: &Origin,
    ) -> Result<SlotId, PackError> {
        planned.tree.run(x, &mut OnSlots { builder: self, leaves: &planned.leaves, place, origin })
    }
}

/// An evaluation tree written as a circuit.
struct OnSlots<'a> {
    builder: &'a mut Builder,
    leaves: &'a [Vec<Tensor>],
    place: &'a Place,
    origin: &'a Origin,
}

impl Target for OnSlots<'_> {
    type Value = SlotId;
    type Error = PackError;

    fn square(&mut self, x: &SlotId) -> Result<SlotId, PackError> {
        self.builder.push(SlotOp::Square, &[*x], self.origin)
    }

    fn multiply(&mut self, x: &SlotId, y: &SlotId) -> Result<SlotId, PackError> {
        self.builder.push(SlotOp::Mul, &[*x, *y], self.origin)
    }

    fn add(&mut self, x: &SlotId, y: &SlotId) -> Result<SlotId, PackError> {
        self.builder.push(SlotOp::Add, &[*x, *y], self.origin)
    }

    fn subtract(&mut self, x: &SlotId, y: &SlotId) -> Result<SlotId, PackError> {
        self.builder.push(SlotOp::Sub, &[*x, *y], self.origin)
    }

    fn add_number(&mut self, x: &SlotId, c: f64) -> Result<SlotId, PackError> {
        let plain = self.builder.scalar(c);
        self.builder.push(SlotOp::AddPlain(plain), &[*x], self.origin)
    }

    fn leaf(&mut self, leaf: usize, powers: &[&SlotId]) -> Result<SlotId, PackError> {
        let factors = &self.leaves[leaf][1..];
        // Terms that are zero everywhere are left out, unless none would remain.
        let mut kept: Vec<usize> = (0..factors.len()).filter(|&i| uniform(&factors[i]) != Some(0.0)).collect();
        if kept.is_empty() {
            kept.push(0);
        }
        let mut terms = Vec::with_capacity(kept.len());
        for i in kept {
            let plain = self.builder.plain(&factors[i], self.place)?;
            terms.push(self.builder.push(SlotOp::MulPlain(plain), &[*powers[i]], self.origin)?);
        }
        let mut sum = terms[0];
        for term in &terms[1..] {
            sum = self.add(&sum, term)?;
        }
        self.add_leaf(&sum, leaf)
    }

    fn add_leaf(&mut self, x: &SlotId, leaf: usize) -> Result<SlotId, PackError> {
        self.builder.add(*x, &self.leaves[leaf][0], self.place, self.origin)
    }
}
