//! Part of a network as a network of its own.

use hec_ir::entity::Entity;
use hec_ir::tensor::{Graph, InterpretError, Node, Op, Output, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// What computes some values of a network from values that are given.
pub struct Slice {
    graph: Graph,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

impl Slice {
    /// The nodes from `cut` on that `wanted` depend on; values of the nodes before it and of inputs are given.
    pub fn after(graph: &Graph, cut: ValueId, wanted: impl IntoIterator<Item = ValueId>) -> Self {
        let given = |id: ValueId| id < cut || matches!(graph.nodes[id].op, Op::Input { .. });
        let mut needed: BTreeSet<ValueId> = wanted.into_iter().filter(|&v| !given(v)).collect();
        let outputs: Vec<ValueId> = needed.iter().copied().collect();
        for (id, node) in graph.nodes.iter().rev() {
            if !given(id) && needed.contains(&id) {
                needed.extend(&node.args);
            }
        }
        let (inputs, computed): (Vec<ValueId>, Vec<ValueId>) = needed.into_iter().partition(|&id| given(id));
        let mut part = Graph { constants: graph.constants.clone(), ..Graph::default() };
        let mut renamed: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for &id in &inputs {
            renamed.insert(id, part.input(id.to_string(), graph.shape(id).clone()));
        }
        for id in computed {
            let node = &graph.nodes[id];
            let args = node.args.iter().map(|a| renamed[a]).collect();
            renamed.insert(id, part.nodes.push(Node { args, ..node.clone() }));
        }
        for id in &outputs {
            part.outputs.push(Output { name: id.to_string(), value: renamed[id], client: Vec::new() });
        }
        Slice { graph: part, inputs, outputs }
    }

    /// The wanted values by their ids.
    ///
    /// # Errors
    /// When the network is ill-formed.
    pub fn run<'a>(&self, given: impl Fn(ValueId) -> &'a Tensor) -> Result<BTreeMap<ValueId, Tensor>, InterpretError> {
        let inputs: Vec<Tensor> = self.inputs.iter().map(|&id| given(id).clone()).collect();
        Ok(self.outputs.iter().copied().zip(self.graph.run(&inputs)?).collect())
    }
}

/// The id after an id.
pub fn next(id: ValueId) -> ValueId {
    ValueId::new(id.index() + 1)
}
