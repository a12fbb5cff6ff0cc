//! Level 1: operations on tensors, before anything is packed.
//!
//! Everything linear is one operation, [`Op::Linear`], a chain of [`LinearStep`]s that is packed as one matrix and so
//! costs one level however long the chain is. What is not linear is a product, a polynomial, or still a
//! [`Function`], a maximum, a softmax or a normalisation that must be replaced by polynomials before packing.

mod domain;
mod function;
mod graph;
mod infer;
mod interpret;
mod linear;
mod shape;

pub use domain::Domain;
pub use function::Function;
pub use graph::{ClientOp, Constants, Graph, Node, Op, Output};
pub use infer::ShapeError;
pub use interpret::InterpretError;
pub use linear::{ConvAttributes, LinearStep, Normalization, Window};
pub use shape::{Shape, Tensor};

crate::entity!(
    /// A tensor value.
    ValueId, "%"
);
crate::entity!(
    /// A named constant tensor.
    ConstId, "@"
);
