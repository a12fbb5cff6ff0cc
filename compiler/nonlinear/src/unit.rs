//! Linear layers whose weights can be re-fitted.

use hec_ir::entity::EntityVec;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Op, ValueId};

/// A linear layer with what is added to it: a bias, a residual branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The layer: a chain of steps, the last of which has the weight.
    pub linear: ValueId,
    /// The weight.
    pub weight: ConstId,
    /// The node that adds the bias, if there is one.
    pub bias: Option<ValueId>,
    /// The result with all that is added. No value from the layer to here is used elsewhere.
    pub end: ValueId,
}

/// The units of a network, in the order of their ends.
pub fn units(graph: &Graph) -> Vec<Unit> {
    let users = graph.users();
    let mut units: Vec<Unit> = graph.nodes.keys().filter_map(|id| unit(graph, &users, id)).collect();
    // Where two layers meet in a sum, the later one makes good what the earlier one leaves.
    let mut latest: EntityVec<ValueId, usize> = graph.nodes.keys().map(|_| usize::MAX).collect();
    for (i, unit) in units.iter().enumerate() {
        latest[unit.end] = i;
    }
    for i in 0..units.len() {
        if latest[units[i].end] != i {
            units[i].end = units[i].bias.unwrap_or(units[i].linear);
        }
    }
    units.sort_by_key(|u| u.end);
    units
}

fn unit(graph: &Graph, users: &EntityVec<ValueId, Vec<ValueId>>, linear: ValueId) -> Option<Unit> {
    let Op::Linear(steps) = &graph.nodes[linear].op else { return None };
    let (last, before) = steps.split_last()?;
    let (LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight }) = *last else { return None };
    if before.iter().any(|s| s.constant().is_some()) {
        return None;
    }
    let only_user = |value: ValueId| match users[value].as_slice() {
        &[user] if graph.outputs.iter().all(|o| o.value != value) => Some(user),
        _ => None,
    };
    let (mut bias, mut end) = (None, linear);
    while let Some(user) = only_user(end) {
        match graph.nodes[user].op {
            Op::AddConstant(_) if bias.is_none() => bias = Some(user),
            Op::Add => {}
            _ => break,
        }
        end = user;
    }
    Some(Unit { linear, weight, bias, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::Origin;
    use hec_ir::tensor::{Function, Output, Shape, Tensor};

    /// Two layers that meet in a sum, a skip around them, and a layer whose result is used twice.
    #[test]
    fn a_sum_belongs_to_the_last_layer_before_it() {
        let mut graph = Graph::new("net");
        let x = graph.input("x", Shape::new([1, 3]));
        let push = |graph: &mut Graph, op: Op, args: Vec<ValueId>| graph.push(op, args, Origin::node("n"));
        let weight = graph.constants.add("w", Tensor::filled(Shape::new([3, 3]), 1.0));
        let bias = graph.constants.add("b", Tensor::filled(Shape::new([1, 3]), 1.0));
        let dense = || Op::Linear(vec![LinearStep::MatMul { weight }]);
        let mut add = |op: Op, args: &[ValueId]| push(&mut graph, op, args.to_vec()).expect("it fits");
        let first = add(dense(), &[x]);
        let first_bias = add(Op::AddConstant(bias), &[first]);
        let second = add(dense(), &[x]);
        let sum = add(Op::Add, &[first_bias, second]);
        let total = add(Op::Add, &[sum, x]);
        let relu = add(Op::Activation(Function::Relu), &[total]);
        let last = add(dense(), &[relu]);
        let both = add(Op::Add, &[last, last]);
        graph.outputs.push(Output { name: "y".to_owned(), value: both, client: Vec::new() });
        let found: Vec<(ValueId, Option<ValueId>, ValueId)> =
            units(&graph).into_iter().map(|u| (u.linear, u.bias, u.end)).collect();
        assert_eq!(found, [(first, Some(first_bias), first_bias), (second, None, total), (last, None, last)]);
    }
}
