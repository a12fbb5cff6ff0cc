//! The part of a graph that the outputs need: linear maps between classes of values that share a layout.
//!
//! Element-wise operations need their operands in the same layout, and a linear map leads from any layout to any
//! other. So values that element-wise operations connect form a *class* with one layout, and no change of layout is
//! ever needed between them.

use crate::PackError;
use crate::products::Lowered;
use hec_ir::Origin;
use hec_ir::tensor::{Graph, LinearStep, Op, Shape, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// A linear map, with the movements (reshape, transpose) around it absorbed.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What it is applied to.
    pub(crate) source: ValueId,
    /// What it makes.
    pub(crate) target: ValueId,
    /// The whole chain.
    pub(crate) steps: Vec<LinearStep>,
    /// The model's nodes.
    pub(crate) origin: Origin,
}

/// Values that share a layout.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    /// Shape of all of them.
    pub(crate) shape: Shape,
    /// The values, in order.
    pub(crate) values: Vec<ValueId>,
}

/// Links and classes of the values that are needed.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// In the order of the graph, by target.
    pub(crate) links: BTreeMap<ValueId, Link>,
    /// In the order of their first values.
    pub(crate) classes: Vec<Class>,
    /// The class of every needed value.
    pub(crate) class_of: BTreeMap<ValueId, usize>,
    /// The classes of operands that are summed along their first axis.
    pub(crate) operand_classes: BTreeSet<usize>,
}

/// Take a verified graph apart.
///
/// # Errors
/// When a node must have been replaced by polynomials before.
pub(crate) fn analyse(lowered: &Lowered) -> Result<Network, PackError> {
    let graph = &lowered.graph;
    let mut uses: BTreeMap<ValueId, usize> = BTreeMap::new();
    let arguments = graph.nodes.values().flat_map(|n| n.args.iter().copied());
    for value in arguments.chain(graph.outputs.iter().map(|o| o.value)) {
        *uses.entry(value).or_default() += 1;
    }
    let mut links = BTreeMap::new();
    let mut parent: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let mut pending: Vec<ValueId> = graph.outputs.iter().map(|o| o.value).collect();
    pending.extend(graph.inputs().map(|i| i.0));
    while let Some(value) = pending.pop() {
        if parent.contains_key(&value) {
            continue;
        }
        parent.insert(value, value);
        let node = &graph.nodes[value];
        let layer = node.origin.layer().to_owned();
        match &node.op {
            Op::Linear(_) => {
                let link = link(graph, value, &uses);
                pending.push(link.source);
                links.insert(value, link);
            }
            Op::Activation(function) => return Err(PackError::Activation { layer, function: function.name() }),
            Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_) | Op::Lookup { .. } | Op::BatchMatMul => {
                return Err(PackError::Activation { layer, function: node.op.name() });
            }
            _ => pending.extend(node.args.iter().copied()),
        }
    }
    let needed: Vec<ValueId> = parent.keys().copied().collect();
    for &value in needed.iter().filter(|v| !links.contains_key(v)) {
        for &arg in &graph.nodes[value].args {
            let (a, b) = (root(&parent, value), root(&parent, arg));
            // The earliest value stands for the class.
            parent.insert(a.max(b), a.min(b));
        }
    }
    let mut classes: Vec<Class> = Vec::new();
    let mut class_of: BTreeMap<ValueId, usize> = BTreeMap::new();
    for value in needed {
        let first = root(&parent, value);
        let class = class_of.get(&first).copied().unwrap_or_else(|| {
            classes.push(Class { shape: graph.shape(value).clone(), values: Vec::new() });
            classes.len() - 1
        });
        classes[class].values.push(value);
        class_of.insert(value, class);
    }
    let operand_classes = lowered.operands.iter().filter_map(|o| class_of.get(o).copied()).collect();
    Ok(Network { links, classes, class_of, operand_classes })
}

fn root(parent: &BTreeMap<ValueId, ValueId>, mut value: ValueId) -> ValueId {
    while parent[&value] != value {
        value = parent[&value];
    }
    value
}

/// The chain that ends in a linear node, together with the movements before it, or, if it only moves elements itself,
/// with a map before it that nothing else uses.
fn link(graph: &Graph, target: ValueId, uses: &BTreeMap<ValueId, usize>) -> Link {
    // A chain without steps is a change of layout that is meant to be one.
    let moves = |steps: &[LinearStep]| !steps.is_empty() && steps.iter().all(LinearStep::is_movement);
    let mut link = Link { source: target, target, steps: Vec::new(), origin: graph.nodes[target].origin.clone() };
    while let Op::Linear(steps) = &graph.nodes[link.source].op {
        let node = &graph.nodes[link.source];
        let follows = moves(&link.steps) && uses.get(&link.source) == Some(&1) && !steps.is_empty();
        let absorbed = moves(steps) || follows;
        if link.source != target {
            match () {
                () if !absorbed => break,
                // The step that computes names the layer.
                () if moves(&link.steps) => link.origin = node.origin.merge(&link.origin),
                () => link.origin = link.origin.merge(&node.origin),
            }
        }
        link.steps = [steps.as_slice(), &link.steps].concat();
        link.source = node.args[0];
    }
    link
}
