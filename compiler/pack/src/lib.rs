//! Tensor graphs to slot circuits: layouts, diagonals, polynomial trees.
//!
//! What it is: the stage that decides where every element sits and writes linear layers as maps by diagonals.
//! Core concepts: any chain of linear steps is one sparse matrix between elements; with a layout on either side it is
//! a map by diagonals, which takes one level whatever the layouts are. Values that element-wise operations connect
//! form a class with one layout. The layouts of all classes are chosen together, so that the predicted cost of all
//! maps and operations is least. A product of two encrypted matrices is written with maps and products of elements first.
//! Start at [`pack`].
//! Invariants: the circuit verifies and computes what the graph computes; a polynomial of degree d uses ⌈log2(d+1)⌉
//! levels; no slot of an output holds a partial sum; the same graph and options give the same circuit.
//! Non-goals: levels, scales, the split of maps into baby and giant steps.
#![forbid(unsafe_code)]

mod bits;
mod builder;
mod candidates;
mod choose;
mod costs;
mod diagonals;
mod elimination;
mod emit;
mod matrix;
mod network;
mod polynomial;
mod prices;
mod products;
mod routes;
mod skewed;
mod sparse;
mod spread;

use hec_ir::circuit::{Circuit, CircuitError};
use hec_ir::cost::{CostTable, RingSize};
use hec_ir::tensor::{Graph, LinearStep, Node, Op, Shape, ShapeError};
use hec_ir::{Batch, Depth, Origin, Slots};
pub use prices::assumed_ring;

/// What packing is told.
#[derive(Clone, Debug, PartialEq)]
pub struct PackOptions {
    /// Slots of a ciphertext that are one input's: a power of two.
    pub slots: Slots,
    /// Inputs that share a ciphertext.
    pub batch: Batch,
    /// What operations cost on the machine that will run the circuit.
    pub costs: CostTable,
    /// How a ciphertext in the middle of the program is expected to look.
    pub ring: RingSize,
}

impl PackOptions {
    /// The built-in costs and the ring that [`assumed_ring`] expects.
    pub fn new(slots: Slots) -> Self {
        PackOptions { slots, batch: Batch::ONE, costs: CostTable::default(), ring: assumed_ring(slots) }
    }
}

/// Why a graph cannot be packed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PackError {
    #[error("{0} slots: the number of slots must be a power of two up to 2^20")]
    Slots(usize),
    #[error("{layer}: {function} is not a polynomial; replace it by one before packing")]
    Activation { layer: String, function: &'static str },
    #[error(
        "{layer}: a tensor or matrix of shape {shape:?} is too large for ciphertexts of {slots} slots; \
         use a larger ring or a smaller layer"
    )]
    TooLarge { layer: String, shape: Vec<usize>, slots: usize },
    #[error("{layer}: the matrix of the layer has more than 2^28 entries; use a smaller layer")]
    Matrix { layer: String },
    #[error("{layer}: {source}")]
    Polynomial { layer: String, source: hec_poly::TreeError },
    #[error("a constant of shape {constant:?} does not broadcast to a value of shape {value:?}")]
    Constant { constant: Vec<usize>, value: Vec<usize> },
    #[error("the graph is ill-formed: {0}")]
    Graph(#[from] ShapeError),
    #[error("the circuit is ill-formed: {0}")]
    Circuit(#[from] CircuitError),
}

impl PackError {
    fn too_large(layer: &str, shape: &Shape, slots: Slots) -> Self {
        PackError::TooLarge { layer: layer.to_owned(), shape: shape.dims().to_vec(), slots: slots.0 }
    }

    fn matrix(origin: &Origin, error: matrix::MatrixError) -> Self {
        match error {
            matrix::MatrixError::Shape(error) => PackError::Graph(error),
            matrix::MatrixError::TooLarge => PackError::Matrix { layer: origin.layer().to_owned() },
        }
    }
}

/// Elements above which a tensor is refused.
const MAX_ELEMENTS: usize = 1 << 24;

/// Whether there is a number of slots to pack into, and no tensor is beyond any ciphertexts.
fn check_sizes(graph: &Graph, slots: Slots) -> Result<(), PackError> {
    if !slots.0.is_power_of_two() || slots.0 > 1 << 20 {
        return Err(PackError::Slots(slots.0));
    }
    let elements = |shape: &Shape| shape.dims().iter().try_fold(1usize, |product, &d| product.checked_mul(d));
    match graph.nodes.values().find(|n| elements(&n.shape).is_none_or(|e| e > MAX_ELEMENTS)) {
        Some(node) => Err(PackError::too_large(node.origin.layer(), &node.shape, slots)),
        None => Ok(()),
    }
}

/// Levels that a graph takes however it is packed: maps that only move, repeat or add elements may take none.
pub fn least_depth(graph: &Graph) -> Depth {
    let free = |node: &Node| match &node.op {
        Op::Linear(steps) => {
            steps.iter().all(|s| s.is_movement() || matches!(s, LinearStep::Expand { .. } | LinearStep::Mean { .. }))
        }
        _ => false,
    };
    Depth(routes::longest_path(graph, graph.nodes.iter().map(|(id, node)| (id, node.args.as_slice(), !free(node)))))
}

/// Pack a graph of linear maps, products and polynomials into slots.
///
/// # Errors
/// When the graph is ill-formed, holds a function that is not a polynomial, or is too large.
pub fn pack(graph: &Graph, options: &PackOptions) -> Result<Circuit, PackError> {
    check_sizes(graph, options.slots)?;
    graph.verify()?;
    let (routes::Routed { lowered, network, choice }, known) = routes::cheapest(graph, options)?;
    emit::circuit(&lowered.graph, &network, &known, &choice, options)
}
