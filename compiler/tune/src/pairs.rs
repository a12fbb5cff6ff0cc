//! Which values of the polynomial network stand for which of the original one.

use hec_ir::Origin;
use hec_ir::tensor::{Graph, Node, Op, ValueId};

/// The inputs of the functions that were replaced: in the original network and in the polynomial one.
///
/// The nodes in the place of a function have its origin. Functions that share an origin with others are left out.
pub fn pairs(original: &Graph, polynomial: &Graph) -> Vec<(ValueId, ValueId)> {
    let functions = original.nodes.values().filter(|n| matches!(n.op, Op::Activation(_) | Op::MaxPool(_)));
    let same = |a: &Origin, b: &Origin| a.nodes == b.nodes && !a.nodes.is_empty();
    let pair = |node: &Node| {
        let alone = original.nodes.values().filter(|n| same(&n.origin, &node.origin)).count() == 1;
        let first = polynomial.nodes.values().find(|n| same(&n.origin, &node.origin))?;
        let (wanted, found) = (*node.args.first()?, *first.args.first()?);
        (alone && original.shape(wanted) == polynomial.shape(found)).then_some((wanted, found))
    };
    functions.filter_map(pair).collect()
}
