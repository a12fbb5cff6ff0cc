//! Exact clean-up of an imported graph: values that no output needs are dropped, and their constants with them.

use hec_ir::entity::{Entity, EntityVec};
use hec_ir::tensor::{ConstId, Constants, Graph, LinearStep, Op, ShapeError, ValueId};
use std::collections::BTreeMap;

/// The same function of the same inputs. The first `inputs` nodes are the model's inputs, and are kept even if nothing
/// uses them.
pub(crate) fn tidy(graph: &Graph, inputs: usize) -> Result<Graph, ShapeError> {
    let live = live(graph);
    let mut names = EntityVec::<ValueId, Option<ValueId>>::new();
    let mut constants = Move { from: &graph.constants, to: Constants::default(), map: Default::default() };
    let mut result = Graph::new(graph.name.clone());
    for (id, node) in graph.nodes.iter() {
        let keep = live[id] || id.index() < inputs;
        names.push(match keep {
            false => None,
            true => {
                let mut node = node.clone();
                node.args = node.args.iter().filter_map(|&a| names[a]).collect();
                constants.update(&mut node.op);
                Some(result.nodes.push(node))
            }
        });
    }
    result.constants = constants.to;
    for output in &graph.outputs {
        let mut output = output.clone();
        output.value = names[output.value].ok_or(ShapeError::Undefined(output.value))?;
        result.outputs.push(output);
    }
    result.verify()?;
    Ok(result)
}

fn live(graph: &Graph) -> EntityVec<ValueId, bool> {
    let mut live: EntityVec<ValueId, bool> = graph.nodes.keys().map(|_| false).collect();
    for output in &graph.outputs {
        live[output.value] = true;
    }
    for (id, node) in graph.nodes.iter().rev() {
        if live[id] {
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
            Op::Linear(steps) => steps.iter_mut().for_each(|step| match step {
                LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight } => moved(weight),
                LinearStep::Scale { factor } => moved(factor),
                _ => {}
            }),
            _ => {}
        }
    }
}
