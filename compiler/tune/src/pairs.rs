//! Which values of the polynomial network stand for which of the original one.

use hec_ir::Origin;
use hec_ir::tensor::{Function, Graph, Node, Op, ValueId};

/// A function that was replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Its input in the original network.
    pub original: ValueId,
    /// Its input in the polynomial one.
    pub input: ValueId,
    /// Its value there.
    pub output: ValueId,
    /// The function, where it is one of each element.
    pub function: Option<Function>,
}

/// The functions that were replaced.
///
/// The nodes in the place of a function have its origin. Functions that share an origin with others are left out.
pub fn pairs(original: &Graph, polynomial: &Graph) -> Vec<Pair> {
    let functions = original.nodes.values().filter(|n| matches!(n.op, Op::Activation(_) | Op::MaxPool(_)));
    let same = |a: &Origin, b: &Origin| a.nodes == b.nodes && !a.nodes.is_empty();
    let pair = |node: &Node| {
        let alone = original.nodes.values().filter(|n| same(&n.origin, &node.origin)).count() == 1;
        let mut stand_ins = polynomial.nodes.iter().filter(|(_, n)| same(&n.origin, &node.origin));
        let (id, first) = stand_ins.next()?;
        let output = stand_ins.next_back().map_or(id, |(id, _)| id);
        let (original_input, input) = (*node.args.first()?, *first.args.first()?);
        let function = match node.op {
            Op::Activation(function) if node.shape == *polynomial.shape(output) => Some(function),
            _ => None,
        };
        let fits = alone && original.shape(original_input) == polynomial.shape(input);
        fits.then_some(Pair { original: original_input, input, output, function })
    };
    functions.filter_map(pair).collect()
}
