//! Running a network over many samples in stretches, from one replaced function to the next.
//!
//! Only the values that are still needed are kept, a few samples at a time in memory: what a run takes does not grow with
//! the number of samples, nor with the depth of the network.

use crate::store::{Block, Store};
use hec_ir::entity::Entity;
use hec_ir::tensor::{Domain, Graph, InterpretError, Node, Op, Shape, ShapeError, Tensor, ValueId};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Samples in a block.
const TOGETHER: usize = 8;

/// Why a network cannot be run over samples.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The network or an input is ill-formed.
    #[error(transparent)]
    Interpret(#[from] InterpretError),
    /// The same, in one step.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The scratch file failed.
    #[error(transparent)]
    Scratch(#[from] io::Error),
}

/// What the original network is looked at for before anything is replaced.
pub struct Probe {
    /// The first value, in order, that is not finite.
    pub not_finite: Option<ValueId>,
    /// The signs of what 1/x and its like give.
    pub signs: Vec<bool>,
}

/// Run the original network on every sample.
///
/// # Errors
/// The first sample (by position) that does not fit the network.
pub fn probe(graph: &Graph, samples: &[&[Tensor]]) -> Result<Vec<Probe>, (usize, InterpretError)> {
    let signed = |id: &ValueId| matches!(graph.nodes[*id].op, Op::Activation(f) if f.domain() == Domain::NonZero);
    let signed: Vec<ValueId> = graph.nodes.keys().filter(signed).collect();
    let run = |inputs: &&[Tensor]| {
        let values = graph.interpret(inputs)?;
        Ok(Probe {
            not_finite: values.iter().find(|(_, t)| t.data.iter().any(|x| !x.is_finite())).map(|(id, _)| id),
            signs: signed.iter().flat_map(|&id| values[id].data.iter().map(|x| x.is_sign_negative())).collect(),
        })
    };
    let results: Vec<Result<_, InterpretError>> = samples.par_iter().map(run).collect();
    results.into_iter().enumerate().map(|(i, r)| r.map_err(|e| (i, e))).collect()
}

/// A value on some samples in a row.
#[derive(Clone)]
struct Held {
    shape: Shape,
    blocks: Vec<Arc<Block>>,
}

/// The values of a growing graph that are still needed, on every sample.
#[derive(Clone)]
pub struct Front {
    /// Nodes below this one have been run.
    done: usize,
    /// How many samples there are.
    samples: usize,
    values: BTreeMap<ValueId, Held>,
    store: Store,
}

impl Front {
    /// At the inputs, which are the graph's first nodes.
    ///
    /// # Errors
    /// When the inputs cannot be kept.
    pub fn new(store: &Store, samples: &[&[Tensor]]) -> Result<Self, RunError> {
        let count = samples.first().map_or(0, |s| s.len());
        let held = |i: usize| -> Result<(ValueId, Held), RunError> {
            let block = |some: &[&[Tensor]]| Ok(Arc::new(store.keep(single(some.iter().map(|s| &s[i])))?));
            let blocks = samples.chunks(TOGETHER).map(block).collect::<io::Result<_>>()?;
            Ok((ValueId::new(i), Held { shape: samples[0][i].shape.clone(), blocks }))
        };
        let values = (0..count).map(held).collect::<Result<_, _>>()?;
        Ok(Front { done: count, samples: samples.len(), values, store: store.clone() })
    }

    /// Whether a value is kept.
    pub fn has(&self, id: ValueId) -> bool {
        self.values.contains_key(&id)
    }

    /// A value on the samples of one block.
    fn read(&self, id: ValueId, block: usize) -> io::Result<Vec<Tensor>> {
        let Held { shape, blocks } = &self.values[&id];
        let numbers = blocks[block].read()?;
        let tensor = |data: &[f64]| Tensor { shape: shape.clone(), data: data.to_vec() };
        // An empty tensor leaves no numbers to tell samples by.
        let count = (self.samples - block * TOGETHER).min(TOGETHER);
        Ok((0..count).map(|i| tensor(&numbers[i * shape.elements()..][..shape.elements()])).collect())
    }

    /// Replace a value on every sample by `changed` of it, given another value of that sample. It gets the name `new`,
    /// and all nodes of the graph count as run.
    ///
    /// # Errors
    /// The first one of `changed`, or when the scratch file fails.
    pub fn update(
        &mut self,
        graph: &Graph,
        (old, new): (ValueId, ValueId),
        other: ValueId,
        changed: impl Fn(&Tensor, Tensor) -> Result<Tensor, ShapeError> + Sync,
    ) -> Result<(), RunError> {
        let update = |block: usize| -> Result<Arc<Block>, RunError> {
            let pairs = self.read(other, block)?.into_iter().zip(self.read(old, block)?);
            let values = pairs.map(|(x, value)| changed(&x, value)).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(self.store.keep(single(values.iter()))?))
        };
        let blocks = each_block(self.samples, update)?;
        self.done = graph.nodes.len();
        self.values.remove(&old);
        self.values.insert(new, Held { shape: graph.shape(new).clone(), blocks });
        Ok(())
    }

    /// From here on a value, which has been run, is that of another front over the same samples.
    pub fn replace(&mut self, id: ValueId, (other, value): (&Front, ValueId)) {
        if let (Some(own), Some(held)) = (self.values.get_mut(&id), other.values.get(&value)) {
            own.blocks.clone_from(&held.blocks);
        }
    }

    /// Run the nodes before `end` that were not run before, then keep only `keep`.
    ///
    /// # Errors
    /// When the graph is ill-formed, or the scratch file fails.
    pub fn advance(&mut self, graph: &Graph, end: usize, keep: &BTreeSet<ValueId>) -> Result<(), RunError> {
        if end > self.done && self.samples > 0 {
            let stretch = Stretch::new(graph, self.done..end, keep);
            let run = |block: usize| stretch.run(self, block);
            let mut found: Vec<_> = each_block(self.samples, run)?.into_iter().map(Vec::into_iter).collect();
            for &id in &stretch.outputs {
                let blocks = found.iter_mut().filter_map(Iterator::next).map(Arc::new).collect();
                self.values.insert(id, Held { shape: graph.shape(id).clone(), blocks });
            }
        }
        self.done = self.done.max(end);
        self.values.retain(|id, _| keep.contains(id));
        Ok(())
    }
}

/// Values of several fronts over the same samples, sample by sample.
pub struct Values<'a, const N: usize>(pub [(&'a Front, ValueId); N]);

impl<const N: usize> Values<'_, N> {
    /// What `of` gives for the samples in a range, in their order. It gets a sample's position and its values.
    ///
    /// # Errors
    /// When the scratch file fails.
    pub fn map<R: Send>(
        &self,
        range: Range<usize>,
        of: impl Fn(usize, [&Tensor; N]) -> R + Sync,
    ) -> Result<Vec<R>, RunError> {
        let block = |block: usize| -> Result<Vec<R>, RunError> {
            let mut values: Vec<Vec<Tensor>> = Vec::with_capacity(N);
            for (front, id) in self.0 {
                values.push(front.read(id, block)?);
            }
            let first = block * TOGETHER;
            let inside = (range.start.max(first)..range.end.min(first + TOGETHER)).map(|i| i - first);
            Ok(inside.map(|i| of(first + i, std::array::from_fn(|n| &values[n][i]))).collect())
        };
        let blocks = range.start / TOGETHER..range.end.div_ceil(TOGETHER);
        let parts: Vec<Result<Vec<R>, RunError>> = blocks.into_par_iter().map(block).collect();
        Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

/// Run over the blocks of all samples, in any order; the results are in order.
fn each_block<R: Send>(samples: usize, run: impl Fn(usize) -> Result<R, RunError> + Sync) -> Result<Vec<R>, RunError> {
    let results: Vec<Result<R, RunError>> = (0..samples.div_ceil(TOGETHER)).into_par_iter().map(&run).collect();
    results.into_iter().collect()
}

/// In single precision, one after the other.
fn single<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Vec<f32> {
    tensors.flat_map(|t| &t.data).map(|&x| x as f32).collect()
}

/// The nodes from one point to another as a network of its own.
struct Stretch {
    graph: Graph,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

impl Stretch {
    fn new(graph: &Graph, range: Range<usize>, keep: &BTreeSet<ValueId>) -> Self {
        let fresh = || graph.nodes.iter().skip(range.start).take(range.len());
        let inputs: BTreeSet<ValueId> =
            fresh().flat_map(|(_, n)| n.args.iter().copied()).filter(|a| a.index() < range.start).collect();
        let mut part = Graph { constants: graph.constants.clone(), ..Graph::default() };
        let mut renamed: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for &id in &inputs {
            renamed.insert(id, part.input(id.to_string(), graph.shape(id).clone()));
        }
        for (id, node) in fresh() {
            let args = node.args.iter().map(|a| renamed[a]).collect();
            renamed.insert(id, part.nodes.push(Node { args, ..node.clone() }));
        }
        let outputs: Vec<ValueId> = keep.iter().copied().filter(|id| range.contains(&id.index())).collect();
        for id in &outputs {
            let (name, value, client) = (id.to_string(), renamed[id], Vec::new());
            part.outputs.push(hec_ir::tensor::Output { name, value, client });
        }
        Stretch { graph: part, inputs: inputs.into_iter().collect(), outputs }
    }

    /// The outputs on the samples of one block.
    fn run(&self, front: &Front, block: usize) -> Result<Vec<Block>, RunError> {
        let read = self.inputs.iter().map(|&id| front.read(id, block)).collect::<io::Result<Vec<_>>>()?;
        let mut inputs: Vec<_> = read.into_iter().map(Vec::into_iter).collect();
        let count = (front.samples - block * TOGETHER).min(TOGETHER);
        let mut found: Vec<Vec<f32>> = vec![Vec::new(); self.outputs.len()];
        for _ in 0..count {
            let sample: Vec<Tensor> = inputs.iter_mut().filter_map(Iterator::next).collect();
            let outputs = self.graph.run(&sample)?;
            found.iter_mut().zip(&outputs).for_each(|(all, one)| all.extend(one.data.iter().map(|&x| x as f32)));
        }
        Ok(found.into_iter().map(|numbers| front.store.keep(numbers)).collect::<io::Result<_>>()?)
    }
}
