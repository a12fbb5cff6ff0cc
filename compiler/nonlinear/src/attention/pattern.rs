//! A softmax and what surrounds it in a network.

use super::emitter::sources;
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{Graph, LinearStep, Op, Tensor, ValueId};
use std::collections::BTreeMap;

/// What is added to scores that are to be ignored is below this.
const MASKED: f64 = -1e3;

/// A softmax, with the product with the values behind it where that is its only use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// The softmax.
    pub softmax: ValueId,
    /// Axis of the softmax.
    pub axis: usize,
    /// What the softmax is multiplied with, from the right.
    pub values: Option<ValueId>,
}

impl Attention {
    /// All of a network, by the node at which each ends.
    pub fn all(graph: &Graph) -> BTreeMap<ValueId, Attention> {
        let users = graph.users();
        let found = graph.nodes.iter().filter_map(|(id, node)| match node.op {
            Op::Softmax { axis } => Some(Attention::of(graph, &users, id, axis)),
            _ => None,
        });
        found.collect()
    }

    fn of(
        graph: &Graph,
        users: &EntityVec<ValueId, Vec<ValueId>>,
        softmax: ValueId,
        axis: usize,
    ) -> (ValueId, Attention) {
        let alone = Attention { softmax, axis, values: None };
        let last = axis + 1 == graph.shape(softmax).rank();
        match users[softmax].as_slice() {
            &[user] if last && graph.outputs.iter().all(|o| o.value != softmax) => match graph.nodes[user] {
                hec_ir::tensor::Node { op: Op::BatchMatMul, ref args, .. } if args[0] == softmax => {
                    (user, Attention { values: Some(args[1]), ..alone })
                }
                _ => (softmax, alone),
            },
            _ => (softmax, alone),
        }
    }

    /// What of the original network has to be kept until the attention's end.
    pub fn needs(&self, graph: &Graph) -> Vec<ValueId> {
        let scores = graph.nodes[self.softmax].args[0];
        let made = Scores::of(graph, scores);
        let product = made.iter().flat_map(|s| s.product).flat_map(|(q, k)| [q, k]);
        let linear = made.iter().map(|s| s.base).chain(product).chain(self.values);
        std::iter::once(scores).chain(linear.flat_map(|x| sources(graph, x))).collect()
    }
}

/// Scores as factor·base + added.
#[derive(Clone, Debug)]
pub struct Scores {
    /// What is scaled and added to.
    pub base: ValueId,
    /// The arguments of the matrix product that makes the base, if one does.
    pub product: Option<(ValueId, ValueId)>,
    /// The factor.
    pub factor: f64,
    /// What is added, without what masks; `None` for nothing.
    pub bias: Option<Tensor>,
    /// 1 where a score counts and 0 where it is masked; `None` where all count.
    pub mask: Option<Tensor>,
}

impl Scores {
    /// Take apart how scores are made; `None` for a factor of zero.
    pub fn of(graph: &Graph, scores: ValueId) -> Option<Scores> {
        let shape = graph.shape(scores);
        let (mut base, mut factor, mut added) = (scores, 1.0, None::<Tensor>);
        loop {
            let node = &graph.nodes[base];
            match &node.op {
                Op::AddConstant(constant) => {
                    let mut constant = graph.constants.tensor(*constant).broadcast_to(shape)?;
                    constant.data.iter_mut().for_each(|c| *c *= factor);
                    if let Some(before) = &added {
                        constant.data.iter_mut().zip(&before.data).for_each(|(c, b)| *c += b);
                    }
                    added = Some(constant);
                }
                Op::Linear(steps) => match uniform(graph, steps) {
                    Some(scale) => factor *= scale,
                    None => break,
                },
                _ => break,
            }
            base = node.args[0];
        }
        let node = &graph.nodes[base];
        let product = matches!(node.op, Op::BatchMatMul).then(|| (node.args[0], node.args[1]));
        let masked = |a: &f64| *a <= MASKED;
        let any = added.as_ref().is_some_and(|t| t.data.iter().any(masked));
        let map = |f: &dyn Fn(f64) -> f64| {
            added.as_ref().map(|t| Tensor { shape: t.shape.clone(), data: t.data.iter().map(|&a| f(a)).collect() })
        };
        let bias = map(&|a| if masked(&a) { 0.0 } else { a }).filter(|t| t.data.iter().any(|&b| b != 0.0));
        let mask = map(&|a| f64::from(u8::from(!masked(&a)))).filter(|_| any);
        (factor != 0.0).then_some(Scores { base, product, factor, bias, mask })
    }
}

/// The factor of a chain that multiplies everything by the same number.
fn uniform(graph: &Graph, steps: &[LinearStep]) -> Option<f64> {
    steps.iter().try_fold(1.0, |product, step| match step {
        LinearStep::Scale { factor } => {
            let data = &graph.constants.tensor(*factor).data;
            let first = *data.first()?;
            data.iter().all(|&f| f == first).then_some(product * first)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::Origin;
    use hec_ir::tensor::Shape;

    #[test]
    fn scores_are_taken_apart() {
        let mut graph = Graph::new("net");
        let (q, k) = (graph.input("q", Shape::new([1, 2, 3, 4])), graph.input("k", Shape::new([1, 2, 4, 3])));
        let factor = graph.constants.add("root", Tensor::scalar(0.5));
        let mask = Tensor { shape: Shape::new([1, 1, 1, 3]), data: vec![0.0, 2.0, -1e4] };
        let mask = graph.constants.add("mask", mask);
        let mut push = |op, args: &[ValueId]| graph.push(op, args, Origin::node("n")).unwrap();
        let product = push(Op::BatchMatMul, &[q, k]);
        let masked = push(Op::AddConstant(mask), &[product]);
        let scores = push(Op::Linear(vec![LinearStep::Scale { factor }]), &[masked]);
        let softmax = push(Op::Softmax { axis: 3 }, &[scores]);
        let end = push(Op::BatchMatMul, &[softmax, q]);
        let found = Scores::of(&graph, scores).unwrap();
        assert_eq!((found.base, found.product, found.factor), (product, Some((q, k)), 0.5));
        assert_eq!(found.bias.unwrap().data[..3], [0.0, 1.0, 0.0]);
        assert_eq!(found.mask.unwrap().data[..3], [1.0, 1.0, 0.0]);
        let attention = Attention { softmax, axis: 3, values: Some(q) };
        assert!([scores, product, q, k].iter().all(|x| attention.needs(&graph).contains(x)));
        assert_eq!(Attention::all(&graph), [(end, attention)].into());
    }
}
