//! What the compiler will do with each node of a model.

use crate::Parts;
use crate::call::Value;
use crate::error::ImportError;
use hec_ir::entity::Entity;
use hec_ir::tensor::{ClientOp, Graph, Op, ValueId};

/// What happens to a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Computed exactly, up to the noise of encryption, or while compiling.
    Fine,
    /// Replaced by a polynomial.
    Approximated {
        /// The function that is approximated: `relu`, `gelu`, `max_pool`, ....
        function: String,
    },
    /// Left to the client, in clear.
    Client {
        /// What the client computes.
        function: String,
        /// Before encryption, or else after decryption.
        before: bool,
    },
    /// Not needed: part of a recognised function, or no output depends on it.
    Unused,
    /// The operator is supported, but whether this node is depends on a value of unknown shape.
    Unchecked {
        /// The value.
        input: String,
    },
    /// Stops the compilation.
    Stops(ImportError),
}

impl Verdict {
    /// From the values that a node added to the graph.
    pub(crate) fn of(graph: &Graph, before: usize, result: Option<&Value>) -> Verdict {
        if let Some(Value::Client(_, ops)) = result {
            let function = ops.iter().map(|op| match op {
                ClientOp::Softmax { .. } => "softmax",
            });
            return Verdict::Client { function: function.collect::<Vec<_>>().join(", "), before: false };
        }
        let mut added = (before..graph.nodes.len()).map(|index| &graph.nodes[ValueId::new(index)]);
        match added.find(|n| matches!(n.op, Op::Activation(_) | Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_)))
        {
            Some(node) => Verdict::Approximated { function: node.op.name().to_owned() },
            None => Verdict::Fine,
        }
    }
}

/// Say which nodes are the client's before encryption and after decryption.
pub(crate) fn mark_clients(nodes: &mut [NodeReport], parts: &Parts) {
    for (part, before) in [(&parts.prologue, true), (&parts.epilogue, false)] {
        let made = part.iter().flat_map(|g| g.nodes.values()).filter(|n| !matches!(n.op, Op::Input { .. }));
        for node in made {
            let own = |n: &&mut NodeReport| node.origin.nodes.contains(&n.name);
            for report in nodes.iter_mut().filter(own) {
                if matches!(report.verdict, Verdict::Fine | Verdict::Approximated { .. }) {
                    report.verdict = Verdict::Client { function: node.op.name().to_owned(), before };
                }
            }
        }
    }
}

/// A node of the model and what happens to it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeReport {
    /// The ONNX node's name.
    pub name: String,
    /// The ONNX operator.
    pub operator: String,
    /// What happens to it.
    pub verdict: Verdict,
}

/// All nodes of a model, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// The model's operator set.
    pub opset: i64,
    /// The nodes.
    pub nodes: Vec<NodeReport>,
    /// What is wrong with the model's inputs and outputs.
    pub model: Vec<ImportError>,
}

impl CheckReport {
    /// Everything that stops the compilation: inputs and outputs first, then nodes in order.
    pub fn problems(&self) -> impl Iterator<Item = &ImportError> {
        let nodes = self.nodes.iter().filter_map(|n| match &n.verdict {
            Verdict::Stops(error) => Some(error),
            _ => None,
        });
        self.model.iter().chain(nodes)
    }

    /// Whether the model can be imported.
    pub fn is_fine(&self) -> bool {
        self.problems().next().is_none()
    }
}
