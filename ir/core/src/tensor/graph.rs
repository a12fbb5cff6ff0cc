//! The tensor graph.

use super::{ConstId, Function, LinearStep, Normalization, Shape, ShapeError, Tensor, ValueId, Window};
use crate::Origin;
use crate::entity::EntityVec;
use hec_poly::Basis;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Named constant tensors. Names are unique and made of `A-Z a-z 0-9 _ . / : -`.
#[derive(Clone, Debug, Default)]
pub struct Constants {
    entries: EntityVec<ConstId, (String, Arc<Tensor>)>,
    by_name: BTreeMap<String, ConstId>,
    /// The last number that was given to a name that was taken; smaller ones are taken too.
    numbers: BTreeMap<String, usize>,
}

impl PartialEq for Constants {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Constants {
    /// Add a constant. The name is cleaned, and numbered if it is taken.
    pub fn add(&mut self, name: &str, tensor: impl Into<Arc<Tensor>>) -> ConstId {
        let ok = |c: char| c.is_ascii_alphanumeric() || "_./:-".contains(c);
        let clean: String = name.chars().map(|c| if ok(c) { c } else { '_' }).collect();
        let base = if clean.is_empty() { "constant".to_owned() } else { clean };
        let mut unique = base.clone();
        if self.by_name.contains_key(&unique) {
            let number = self.numbers.entry(base.clone()).or_insert(1);
            while self.by_name.contains_key(&unique) {
                *number += 1;
                unique = format!("{base}.{number}");
            }
        }
        let id = self.entries.push((unique.clone(), tensor.into()));
        self.by_name.insert(unique, id);
        id
    }

    /// The constant of that name.
    pub fn find(&self, name: &str) -> Option<ConstId> {
        self.by_name.get(name).copied()
    }

    /// The constant's name.
    pub fn name(&self, id: ConstId) -> &str {
        &self.entries[id].0
    }

    /// The constant's value.
    pub fn tensor(&self, id: ConstId) -> &Arc<Tensor> {
        &self.entries[id].1
    }

    /// The constant's value, if the id is in range.
    pub fn get(&self, id: ConstId) -> Option<&Arc<Tensor>> {
        self.entries.get(id).map(|e| &e.1)
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = (ConstId, &str, &Arc<Tensor>)> {
        self.entries.iter().map(|(id, e)| (id, e.0.as_str(), &e.1))
    }
}

/// What a node computes. Binary operations take two values of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// An encrypted input.
    Input {
        /// The model's name for it.
        name: String,
    },
    /// A chain of linear steps, first one first: one matrix, one level.
    Linear(Vec<LinearStep>),
    /// x + c; the constant broadcasts to the shape of x.
    AddConstant(ConstId),
    /// −x
    Negate,
    /// x + y
    Add,
    /// x − y
    Sub,
    /// x · y, both encrypted
    Mul,
    /// x²
    Square,
    /// x^k, k ≥ 2
    Power(u32),
    /// A polynomial of each element. The coefficients' shape is one that broadcasts to x (same rank), with one more
    /// axis at the end that holds the degree+1 coefficients: [1, C, 1, 1, d+1] is a polynomial for each channel.
    Polynomial {
        /// Monomial, or Chebyshev on [−1, 1].
        basis: Basis,
        /// The coefficients, constant term first.
        coefficients: ConstId,
    },
    /// A function that must be replaced by a polynomial.
    Activation(Function),
    /// Maximum over a window; must be replaced by polynomials.
    MaxPool(Window),
    /// Matrix product of two encrypted tensors: […, m, k] · […, k, n] → […, m, n], with the same leading axes.
    BatchMatMul,
    /// e^x / Σ e^x along an axis; must be replaced by polynomials.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// Rows of a table by their number, such as the embeddings of token ids: [i…] → [i…, r…] for a table [n, r…]. Only the
    /// client looks up, in clear.
    Lookup {
        /// The table.
        table: ConstId,
    },
    /// Row / √(mean square + ε), without scale and shift; must be replaced by polynomials.
    Normalize(Normalization),
}

/// What the client does after decryption, because it is cheap in clear and changes nothing for the server.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientOp {
    /// Softmax over an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
}

/// A node and the value it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// From which values.
    pub args: Vec<ValueId>,
    /// Extents of the result.
    pub shape: Shape,
    /// The model's node.
    pub origin: Origin,
}

/// A result of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The model's name for it.
    pub name: String,
    /// The encrypted value.
    pub value: ValueId,
    /// What the client does with it, in order.
    pub client: Vec<ClientOp>,
}

/// A network as a list of nodes in topological order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Name of the network.
    pub name: String,
    /// Weights and other constants.
    pub constants: Constants,
    /// Nodes; a node's arguments precede it.
    pub nodes: EntityVec<ValueId, Node>,
    /// Results.
    pub outputs: Vec<Output>,
}

impl Graph {
    /// An empty network.
    pub fn new(name: impl Into<String>) -> Self {
        Graph { name: name.into(), ..Graph::default() }
    }

    /// Add an encrypted input.
    pub fn input(&mut self, name: impl Into<String>, shape: Shape) -> ValueId {
        let name = name.into();
        let origin = Origin::node(name.clone());
        self.nodes.push(Node { op: Op::Input { name }, args: Vec::new(), shape, origin })
    }

    /// Add a node; its shape is inferred.
    ///
    /// # Errors
    /// When the arguments do not fit the operation.
    pub fn push(&mut self, op: Op, args: impl Into<Vec<ValueId>>, origin: Origin) -> Result<ValueId, ShapeError> {
        let args = args.into();
        let shape = self.infer(&op, &args)?;
        Ok(self.nodes.push(Node { op, args, shape, origin }))
    }

    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> &Shape {
        &self.nodes[value].shape
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (ValueId, &str)> {
        self.nodes.iter().filter_map(|(id, n)| match &n.op {
            Op::Input { name } => Some((id, name.as_str())),
            _ => None,
        })
    }

    /// Which values use each value.
    pub fn users(&self) -> EntityVec<ValueId, Vec<ValueId>> {
        let mut users: EntityVec<ValueId, Vec<ValueId>> = self.nodes.keys().map(|_| Vec::new()).collect();
        for (id, node) in self.nodes.iter() {
            for &arg in &node.args {
                users[arg].push(id);
            }
        }
        users
    }
}
