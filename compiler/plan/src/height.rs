//! Heights: how many levels the longest path from a value to an output uses.

use crate::LayerDepth;
use hec_ir::Depth;
use hec_ir::circuit::{Circuit, Op, ValueId};
use hec_ir::entity::{Entity, EntityVec};

/// The height of each value; `None` for values that no output needs.
pub(crate) type Heights = EntityVec<ValueId, Option<u32>>;

/// Heights of all values, from the outputs back.
pub(crate) fn heights(circuit: &Circuit) -> Heights {
    let mut heights: Heights = circuit.nodes.keys().map(|_| None).collect();
    for output in &circuit.outputs {
        heights[output.value] = heights[output.value].max(Some(0));
    }
    for (id, node) in circuit.nodes.iter().rev() {
        if let Some(height) = heights[id] {
            for &arg in &node.args {
                heights[arg] = heights[arg].max(Some(height + node.op.depth()));
            }
        }
    }
    heights
}

/// Levels from inputs to outputs.
pub(crate) fn depth(circuit: &Circuit, heights: &Heights) -> Depth {
    let inputs = circuit.nodes.iter().filter(|(_, n)| matches!(n.op, Op::Input(_)));
    Depth(inputs.filter_map(|(id, _)| heights[id]).max().unwrap_or(0))
}

/// Levels by layer along a deepest path, inputs first.
pub(crate) fn depth_by_layer(circuit: &Circuit, heights: &Heights) -> Vec<LayerDepth> {
    let mut used = vec![0u32; circuit.nodes.len()];
    let mut deepest_arg: Vec<Option<ValueId>> = vec![None; circuit.nodes.len()];
    for (id, node) in circuit.nodes.iter() {
        let arg = node.args.iter().copied().max_by_key(|a| (used[a.index()], std::cmp::Reverse(*a)));
        deepest_arg[id.index()] = arg;
        used[id.index()] = arg.map_or(0, |a| used[a.index()]) + node.op.depth();
    }
    let last = circuit.nodes.keys().filter(|&id| heights[id].is_some()).max_by_key(|id| used[id.index()]);
    let mut layers: Vec<LayerDepth> = Vec::new();
    let mut at = last;
    while let Some(id) = at {
        let node = &circuit.nodes[id];
        if node.op.depth() > 0 {
            match layers.last_mut().filter(|l| l.layer == node.origin.layer()) {
                Some(layer) => layer.depth.0 += 1,
                None => layers.push(LayerDepth { layer: node.origin.layer().to_owned(), depth: Depth(1) }),
            }
        }
        at = deepest_arg[id.index()];
    }
    layers.reverse();
    layers
}
