//! Parts of a graph: values that no output needs are dropped, and their constants with them.

use hec_ir::entity::EntityVec;
use hec_ir::tensor::{ConstId, Constants, Graph, LinearStep, Node, Op, Output, ShapeError, ValueId};
use std::collections::BTreeMap;

/// The same function of the same inputs. The first `inputs` nodes are the model's inputs, and are kept even if nothing
/// uses them.
pub(crate) fn tidy(graph: &Graph, inputs: usize) -> Result<Graph, ShapeError> {
    let inputs: Vec<ValueId> = graph.nodes.keys().take(inputs).collect();
    extract(graph, &inputs, graph.outputs.clone())
}

/// What computes `outputs` from the values `inputs`, which become inputs in that order and are kept even if nothing uses
/// them.
pub(crate) fn extract(graph: &Graph, inputs: &[ValueId], outputs: Vec<Output>) -> Result<Graph, ShapeError> {
    let live = live(graph, inputs, &outputs);
    let mut names: EntityVec<ValueId, Option<ValueId>> = graph.nodes.keys().map(|_| None).collect();
    let mut constants = Move { from: &graph.constants, to: Constants::default(), map: Default::default() };
    let mut result = Graph::new(graph.name.clone());
    for (&id, name) in inputs.iter().zip(input_names(graph, inputs)) {
        let node = &graph.nodes[id];
        let op = Op::Input { name };
        names[id] = Some(result.nodes.push(Node { op, args: Vec::new(), ..node.clone() }));
    }
    for (id, node) in graph.nodes.iter().filter(|(id, _)| live[*id]) {
        if names[id].is_none() {
            let mut node = node.clone();
            node.args = node.args.iter().filter_map(|&a| names[a]).collect();
            constants.update(&mut node.op);
            names[id] = Some(result.nodes.push(node));
        }
    }
    result.constants = constants.to;
    for mut output in outputs {
        output.value = names[output.value].ok_or(ShapeError::Undefined(output.value))?;
        result.outputs.push(output);
    }
    result.verify()?;
    Ok(result)
}

/// Inputs keep their names; another value is called by its layer.
pub(crate) fn input_names(graph: &Graph, inputs: &[ValueId]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(inputs.len());
    for &id in inputs {
        let base = match &graph.nodes[id].op {
            Op::Input { name } => name.clone(),
            _ => graph.nodes[id].origin.layer().to_owned(),
        };
        let mut name = base.clone();
        let mut number = 1;
        while names.contains(&name) {
            number += 1;
            name = format!("{base}.{number}");
        }
        names.push(name);
    }
    names
}

fn live(graph: &Graph, inputs: &[ValueId], outputs: &[Output]) -> EntityVec<ValueId, bool> {
    let mut live: EntityVec<ValueId, bool> = graph.nodes.keys().map(|_| false).collect();
    for output in outputs {
        live[output.value] = true;
    }
    for (id, node) in graph.nodes.iter().rev() {
        if live[id] && !inputs.contains(&id) {
            for &arg in &node.args {
                live[arg] = true;
            }
        }
    }
    live
}

/// Constants that are still used, in the order of their first use.
struct Move<'a> {
    from: &'a Constants,
    to: Constants,
    map: BTreeMap<ConstId, ConstId>,
}

impl Move<'_> {
    fn update(&mut self, op: &mut Op) {
        let Move { from, to, map } = self;
        let mut moved = |id: &mut ConstId| {
            *id = *map.entry(*id).or_insert_with(|| to.add(from.name(*id), from.tensor(*id).clone()));
        };
        match op {
            Op::AddConstant(id) => moved(id),
            Op::Polynomial { coefficients, .. } => moved(coefficients),
            Op::Lookup { table } => moved(table),
            Op::Linear(steps) => steps.iter_mut().for_each(|step| match step {
                LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight } => moved(weight),
                LinearStep::Scale { factor } => moved(factor),
                _ => {}
            }),
            _ => {}
        }
    }
}
