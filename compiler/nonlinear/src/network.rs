//! Running networks over samples in stretches, from one replaced function to the next.

use hec_ir::entity::Entity;
use hec_ir::tensor::{Graph, InterpretError, Node, ShapeError, Tensor, ValueId};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What the original network computes on one sample.
pub struct Truth {
    /// Values that something is fitted to, in single precision: they are kept for every sample.
    pub values: BTreeMap<ValueId, Vec<f32>>,
    /// The outputs.
    pub outputs: Vec<Tensor>,
    /// The first value, in order, that is not finite.
    pub not_finite: Option<ValueId>,
}

/// Run the original network on every sample, and keep some of its values.
///
/// # Errors
/// The first sample (by position) that does not fit the network.
pub fn truth(
    graph: &Graph,
    samples: &[&[Tensor]],
    keep: &BTreeSet<ValueId>,
) -> Result<Vec<Truth>, (usize, InterpretError)> {
    let run = |inputs: &[Tensor]| {
        let values = graph.interpret(inputs)?;
        let single = |t: &Tensor| t.data.iter().map(|&x| x as f32).collect();
        Ok(Truth {
            values: keep.iter().map(|&id| (id, single(&values[id]))).collect(),
            outputs: graph.outputs.iter().map(|o| values[o.value].clone()).collect(),
            not_finite: values.iter().find(|(_, t)| t.data.iter().any(|x| !x.is_finite())).map(|(id, _)| id),
        })
    };
    let results: Vec<_> = samples.par_iter().map(|inputs| run(inputs)).collect();
    results.into_iter().enumerate().map(|(i, r)| r.map_err(|e| (i, e))).collect()
}

/// The values of a growing graph that are still needed, on every sample.
#[derive(Clone)]
pub struct Front {
    /// Nodes below this one have been run.
    done: usize,
    /// For each sample, the values that are kept.
    values: Vec<BTreeMap<ValueId, Tensor>>,
}

impl Front {
    /// At the inputs, which are the graph's first nodes.
    pub fn new(samples: &[&[Tensor]]) -> Self {
        let named =
            |inputs: &&[Tensor]| inputs.iter().cloned().enumerate().map(|(i, t)| (ValueId::new(i), t)).collect();
        Front { done: samples.first().map_or(0, |s| s.len()), values: samples.iter().map(named).collect() }
    }

    /// A value on every sample.
    pub fn value(&self, id: ValueId) -> impl Iterator<Item = &Tensor> {
        self.values.iter().map(move |v| &v[&id])
    }

    /// Whether a value is kept.
    pub fn has(&self, id: ValueId) -> bool {
        self.values.first().is_some_and(|v| v.contains_key(&id))
    }

    /// Replace a value on every sample by `changed` of it, given another value of that sample. It gets the name `new`,
    /// and all nodes of the graph count as run.
    ///
    /// # Errors
    /// The first one of `changed`.
    pub fn update(
        &mut self,
        graph: &Graph,
        (old, new): (ValueId, ValueId),
        other: ValueId,
        changed: impl Fn(&Tensor, Tensor) -> Result<Tensor, ShapeError> + Sync,
    ) -> Result<(), ShapeError> {
        self.done = graph.nodes.len();
        let update = |values: &mut BTreeMap<ValueId, Tensor>| {
            let value = values.remove(&old).expect("the value is kept");
            let value = changed(&values[&other], value)?;
            values.insert(new, value);
            Ok(())
        };
        let results: Vec<Result<(), ShapeError>> = self.values.par_iter_mut().map(update).collect();
        results.into_iter().collect()
    }

    /// Run the nodes that were added since, then keep only `keep`.
    ///
    /// # Errors
    /// When the graph is ill-formed.
    pub fn advance(&mut self, graph: &Graph, keep: &BTreeSet<ValueId>) -> Result<(), InterpretError> {
        if self.values.is_empty() {
            return Ok(());
        }
        let stretch = Stretch::new(graph, self.done, keep);
        let results: Vec<Result<(), InterpretError>> =
            self.values.par_iter_mut().map(|values| stretch.run(values, keep)).collect();
        self.done = graph.nodes.len();
        results.into_iter().collect()
    }
}

/// The nodes from one point to another as a network of its own.
struct Stretch {
    graph: Graph,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

impl Stretch {
    fn new(graph: &Graph, done: usize, keep: &BTreeSet<ValueId>) -> Self {
        let fresh = || graph.nodes.iter().skip(done);
        let inputs: BTreeSet<ValueId> =
            fresh().flat_map(|(_, n)| n.args.iter().copied()).filter(|a| a.index() < done).collect();
        let mut part = Graph { constants: graph.constants.clone(), ..Graph::default() };
        let mut renamed: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for &id in &inputs {
            renamed.insert(id, part.input(id.to_string(), graph.shape(id).clone()));
        }
        for (id, node) in fresh() {
            let args = node.args.iter().map(|a| renamed[a]).collect();
            renamed.insert(id, part.nodes.push(Node { args, ..node.clone() }));
        }
        let outputs: Vec<ValueId> = keep.iter().copied().filter(|id| id.index() >= done).collect();
        for id in &outputs {
            let (name, value, client) = (id.to_string(), renamed[id], Vec::new());
            part.outputs.push(hec_ir::tensor::Output { name, value, client });
        }
        Stretch { graph: part, inputs: inputs.into_iter().collect(), outputs }
    }

    fn run(&self, values: &mut BTreeMap<ValueId, Tensor>, keep: &BTreeSet<ValueId>) -> Result<(), InterpretError> {
        let inputs: Vec<Tensor> = self.inputs.iter().map(|id| values[id].clone()).collect();
        let outputs = self.graph.run(&inputs)?;
        values.retain(|id, _| keep.contains(id));
        values.extend(self.outputs.iter().copied().zip(outputs));
        Ok(())
    }
}
