//! What of a network the client computes in clear: what stands before its first product with weights, such as the
//! look-up of token embeddings, and what follows its last one, such as the norm of a sentence's embedding.
//!
//! A part is left to the client only if it has a function that could merely be approximated on encrypted values, or a
//! look-up, which could not be computed at all: what is affine costs the server nothing. The client then gets the
//! weights of its parts, which a report must say.
//! Invariants: prologue, body and epilogue one after the other are the network; the outputs of one are the inputs of the
//! next, in order.

use crate::tidy::{extract, input_names};
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{Graph, LinearStep, Op, Output, ShapeError, ValueId};
use std::collections::BTreeSet;

/// A network in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// From the network's inputs to those of the body, by the client before encryption.
    pub prologue: Option<Graph>,
    /// What is computed on encrypted values.
    pub body: Graph,
    /// From the outputs of the body to those of the network, by the client after decryption.
    pub epilogue: Option<Graph>,
}

/// Cut a network into what the client and what the server computes.
///
/// # Errors
/// When the graph is not well-formed.
pub fn split(graph: &Graph) -> Result<Parts, ShapeError> {
    graph.verify()?;
    let heavy = mark(graph, is_product);
    let before = prologue(graph, &heavy);
    let after = epilogue(graph, &heavy, &before);
    let all_inputs: Vec<ValueId> = graph.inputs().map(|(id, _)| id).collect();
    let entries = frontier(graph, &before);
    let results = results(graph, &after);
    let has = |marks: &Marks| marks.values().any(|&m| m);
    let (body_inputs, prologue) = match has(&before) {
        true => (entries.as_slice(), Some(extract(graph, &all_inputs, named(graph, &entries))?)),
        false => (all_inputs.as_slice(), None),
    };
    let (body_outputs, epilogue) = match has(&after) {
        true => (named(graph, &results), Some(extract(graph, &results, graph.outputs.clone())?)),
        false => (graph.outputs.clone(), None),
    };
    Ok(Parts { prologue, body: extract(graph, body_inputs, body_outputs)?, epilogue })
}

type Marks = EntityVec<ValueId, bool>;

fn mark(graph: &Graph, which: impl Fn(&Op) -> bool) -> Marks {
    graph.nodes.values().map(|n| which(&n.op)).collect()
}

/// A product with weights, or of two encrypted tensors: what makes a network worth a server.
fn is_product(op: &Op) -> bool {
    match op {
        Op::Linear(steps) => steps.iter().any(|s| matches!(s, LinearStep::Conv { .. } | LinearStep::MatMul { .. })),
        Op::BatchMatMul => true,
        _ => false,
    }
}

/// What could only be approximated on encrypted values, or not be computed.
fn is_worth_it(op: &Op) -> bool {
    matches!(op, Op::Activation(_) | Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_)) || is_lookup(op)
}

fn is_lookup(op: &Op) -> bool {
    matches!(op, Op::Lookup { .. })
}

/// Nodes that have a marked node before them, or are one.
fn downstream(graph: &Graph, marks: &Marks) -> Marks {
    let mut reached = marks.clone();
    for (id, node) in graph.nodes.iter() {
        if node.args.iter().any(|&a| reached[a]) {
            reached[id] = true;
        }
    }
    reached
}

/// Nodes that have a marked node after them, or are one.
fn upstream(graph: &Graph, marks: &Marks) -> Marks {
    let mut reached = marks.clone();
    for (id, node) in graph.nodes.iter().rev() {
        if reached[id] {
            for &arg in &node.args {
                reached[arg] = true;
            }
        }
    }
    reached
}

/// What precedes the first products. Without any, look-ups alone are the client's, with what leads to them.
fn prologue(graph: &Graph, heavy: &Marks) -> Marks {
    if !heavy.values().any(|&h| h) {
        return upstream(graph, &mark(graph, is_lookup));
    }
    // A look-up is the client's wherever it stands, with all that leads to it.
    let lookups = upstream(graph, &mark(graph, is_lookup));
    let late = downstream(graph, heavy);
    let live = upstream(graph, &outputs(graph));
    let own = |id: ValueId| live[id] && (!late[id] || lookups[id]);
    let worth: Marks = graph.nodes.iter().map(|(id, n)| own(id) && is_worth_it(&n.op)).collect();
    let (up, down) = (upstream(graph, &worth), downstream(graph, &worth));
    graph.nodes.keys().map(|id| own(id) && (up[id] || down[id])).collect()
}

/// What follows the last products, if there are some.
fn epilogue(graph: &Graph, heavy: &Marks, before: &Marks) -> Marks {
    if !heavy.values().any(|&h| h) {
        return mark(graph, |_| false);
    }
    let early = upstream(graph, heavy);
    let live = upstream(graph, &outputs(graph));
    let own = |id: ValueId| live[id] && !early[id] && !before[id];
    let worth: Marks = graph.nodes.iter().map(|(id, n)| own(id) && is_worth_it(&n.op)).collect();
    let down = downstream(graph, &worth);
    graph.nodes.keys().map(|id| own(id) && down[id]).collect()
}

fn outputs(graph: &Graph) -> Marks {
    let ids: BTreeSet<ValueId> = graph.outputs.iter().map(|o| o.value).collect();
    graph.nodes.keys().map(|id| ids.contains(&id)).collect()
}

/// Values that the body takes: those of the prologue that something else uses, and the inputs that it leaves alone.
fn frontier(graph: &Graph, before: &Marks) -> Vec<ValueId> {
    let mut used = outputs(graph);
    for (id, node) in graph.nodes.iter().filter(|(id, _)| !before[*id]) {
        used[id] |= matches!(node.op, Op::Input { .. });
        for &arg in &node.args {
            used[arg] = true;
        }
    }
    let is_input = |id: ValueId| matches!(graph.nodes[id].op, Op::Input { .. });
    graph.nodes.keys().filter(|&id| used[id] && (before[id] || is_input(id))).collect()
}

/// Values that the body gives: those that the epilogue uses or that are outputs, each once.
fn results(graph: &Graph, after: &Marks) -> Vec<ValueId> {
    let taken = graph.nodes.iter().filter(|(id, _)| after[*id]).flat_map(|(_, n)| n.args.iter().copied());
    let taken: BTreeSet<ValueId> = taken.chain(graph.outputs.iter().map(|o| o.value)).collect();
    taken.into_iter().filter(|&id| !after[id]).collect()
}

/// Values as outputs, under the names that they have as inputs of the next part.
fn named(graph: &Graph, values: &[ValueId]) -> Vec<Output> {
    let names = input_names(graph, values);
    values.iter().zip(names).map(|(&value, name)| Output { name, value, client: Vec::new() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::Origin;
    use hec_ir::tensor::{Function, Normalization, Shape, Tensor};

    struct Build(Graph);

    impl Build {
        fn push(&mut self, op: Op, args: &[ValueId], layer: &str) -> ValueId {
            self.0.push(op, args, Origin::node(layer)).unwrap()
        }

        fn product(&mut self, x: ValueId, layer: &str) -> ValueId {
            let data = (0..9).map(|i| f64::from(i) / 8.0 - 0.4).collect();
            let weight = self.0.constants.add(layer, Tensor { shape: Shape::new([3, 3]), data });
            self.push(Op::Linear(vec![LinearStep::MatMul { weight }]), &[x], layer)
        }

        fn finish(mut self, value: ValueId) -> Graph {
            self.0.outputs.push(Output { name: "y".into(), value, client: Vec::new() });
            self.0
        }
    }

    fn normalize() -> Op {
        Op::Normalize(Normalization { axes: vec![1], center: true, epsilon: 1e-3 })
    }

    /// ids → look-up, positions, norm → product, GELU, product, skip connection → bias, norm, mean
    fn encoder() -> Graph {
        let mut b = Build(Graph::new("encoder"));
        let ids = b.0.input("ids", Shape::new([2]));
        let table = Tensor { shape: Shape::new([4, 3]), data: (0..12).map(|i| f64::from(i * i % 7)).collect() };
        let table = b.0.constants.add("words", table);
        let positions = Tensor { shape: Shape::new([2, 3]), data: vec![0.5, -0.5, 0.25, 1.0, 0.0, -1.0] };
        let positions = b.0.constants.add("positions", positions);
        let words = b.push(Op::Lookup { table }, &[ids], "embed");
        let placed = b.push(Op::AddConstant(positions), &[words], "positions");
        let x = b.push(normalize(), &[placed], "norm0");
        let inner = b.product(x, "fc1");
        let inner = b.push(Op::Activation(Function::Gelu), &[inner], "gelu");
        let inner = b.product(inner, "fc2");
        let sum = b.push(Op::Add, &[x, inner], "skip");
        let y = b.push(normalize(), &[sum], "norm1");
        let y = b.push(Op::Linear(vec![LinearStep::Mean { axes: vec![0] }]), &[y], "mean");
        b.finish(y)
    }

    fn layers(graph: &Graph) -> Vec<&str> {
        graph.nodes.values().map(|n| n.origin.layer()).collect()
    }

    #[test]
    fn the_client_looks_up_and_normalises_and_the_server_multiplies() {
        let graph = encoder();
        let Parts { prologue: Some(first), body, epilogue: Some(last) } = split(&graph).unwrap() else {
            panic!("both ends are the client's");
        };
        assert_eq!(layers(&first), ["ids", "embed", "positions", "norm0"]);
        assert_eq!(layers(&body), ["norm0", "fc1", "gelu", "fc2", "skip"]);
        assert_eq!(layers(&last), ["skip", "norm1", "mean"]);
        assert_eq!(body.constants.iter().map(|c| c.1).collect::<Vec<_>>(), ["fc1", "fc2"]);
        let ids = [Tensor { shape: Shape::new([2]), data: vec![3.0, 1.0] }];
        let parts = last.run(&body.run(&first.run(&ids).unwrap()).unwrap()).unwrap();
        assert_eq!(parts, graph.run(&ids).unwrap());
        assert_eq!(last.outputs[0].name, "y");
        assert!(first.run(&[Tensor { shape: Shape::new([2]), data: vec![3.0, 4.0] }]).is_err(), "there are four words");
    }

    #[test]
    fn what_is_affine_at_the_ends_stays_with_the_server() {
        let mut b = Build(Graph::new("affine"));
        let x = b.0.input("x", Shape::new([2, 3]));
        let y = b.push(Op::Negate, &[x], "negate");
        let y = b.product(y, "fc");
        let y = b.push(Op::Negate, &[y], "again");
        let graph = b.finish(y);
        assert_eq!(split(&graph).unwrap(), Parts { prologue: None, body: graph, epilogue: None });
    }

    #[test]
    fn a_network_without_products_is_not_cut() {
        let mut b = Build(Graph::new("function"));
        let x = b.0.input("x", Shape::new([2, 3]));
        let y = b.push(Op::Activation(Function::Relu), &[x], "relu");
        let graph = b.finish(y);
        assert_eq!(split(&graph).unwrap().body, graph);
    }
}
