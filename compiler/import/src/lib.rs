//! ONNX models to tensor graphs.
//!
//! What it is: the first stage of the compiler. [`import`] reads a model, checks it, computes what is constant, and
//! writes the rest as a [`Graph`] in which everything linear is a linear step. [`check`] tells of every node what will
//! happen to it, without stopping at the first problem.
//!
//! Core concepts: a [`Graph`] value carries the names of the ONNX nodes that it stands for; [`OPERATORS`] is the one
//! table of what is supported; an [`ImportError`] has a code, the layer, the reason and what to do.
//! Start at `lower`, the walk over the model, and at one of the rule files: `window`, `matrix`, `product`, `movement`,
//! `affine`, `rows`, `elementwise`.
//! Invariants: no input file makes this crate panic; memory is bounded by the size of the files; the same file gives
//! the same graph.
//! Non-goals: how functions are approximated, packing, training-mode semantics.
#![forbid(unsafe_code)]

mod affine;
mod attention;
mod call;
mod check;
mod contrib;
mod decomposed;
mod einsum;
mod elementwise;
mod error;
mod fold;
mod inputs;
mod lower;
mod matrix;
mod model;
mod movement;
mod operators;
mod probe;
mod product;
mod rows;
mod scalar;
mod split;
mod stand_in;
mod tensor_proto;
mod tidy;
mod tokens;
mod window;
mod wire;

pub use check::{CheckReport, NodeReport, Verdict};
pub use error::{Code, ImportError};
pub use model::OPSETS;
pub use operators::{CONTRIB, OPERATORS, Operator, Treatment};
pub use split::{Parts, split};

use error::Fault;
use hec_ir::tensor::Graph;
use lower::{Lowered, lower};
use model::Model;
use std::path::Path;

/// What a model leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Extent of the batch axis, where it is dynamic.
    pub batch: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions { batch: 1 }
    }
}

/// Read a model.
///
/// # Errors
/// The first thing that stops it, with how many others there are.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Graph, ImportError> {
    let model = Model::read(path)?;
    let Lowered { graph, problems, .. } = lower(&model, options);
    let more = problems.len().saturating_sub(1);
    if let Some(first) = problems.into_iter().next() {
        return Err(ImportError { more, ..first.error });
    }
    tidy::tidy(&graph, model.inputs.len()).map_err(|e| Fault::from(e).of_model())
}

/// What will happen to every node of a model.
///
/// # Errors
/// When the file is not a readable ONNX model.
pub fn check(path: &Path, options: &ImportOptions) -> Result<CheckReport, ImportError> {
    let model = Model::read(path)?;
    let Lowered { graph, problems, verdicts } = lower(&model, options);
    let nodes = model.nodes.into_iter().zip(verdicts);
    let mut nodes: Vec<NodeReport> =
        nodes.map(|(n, verdict)| NodeReport { name: n.name, operator: n.operator, verdict }).collect();
    if problems.is_empty()
        && let Ok(parts) = tidy::tidy(&graph, model.inputs.len()).and_then(|graph| split(&graph))
    {
        check::mark_clients(&mut nodes, &parts);
    }
    let whole = problems.into_iter().filter(|p| p.position.is_none()).map(|p| p.error).collect();
    Ok(CheckReport { opset: model.opset, nodes, model: whole })
}
