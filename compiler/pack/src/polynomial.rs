//! Polynomials on slots: evaluation trees whose leaf coefficients may differ from slot to slot.

use crate::PackError;
use hec_ir::Origin;
use hec_ir::tensor::{Shape, Tensor};
use hec_poly::{Basis, EvaluationTree, Parity, Part};

/// A tree with its leaf coefficients: for each leaf the constant, then one tensor for each of its powers.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) tree: EvaluationTree,
    pub(crate) leaves: Vec<Vec<Tensor>>,
}

/// The tree of polynomials whose coefficients lie along the last axis of a tensor.
///
/// Coefficients that are zero in all of them lower the degree or halve the powers. Constants count as degree 1.
pub(crate) fn plan(basis: Basis, coefficients: &Tensor, origin: &Origin) -> Result<Planned, PackError> {
    let failed = |source| PackError::Polynomial { layer: origin.layer().to_owned(), source };
    let (&count, lead) = coefficients.shape.dims().split_last().unwrap_or((&1, &[]));
    let count = count.max(1);
    let mut largest = vec![0.0f64; count.max(2)];
    for polynomial in coefficients.data.chunks(count) {
        largest.iter_mut().zip(polynomial).for_each(|(m, c)| *m = m.max(c.abs()));
    }
    let degree = largest.iter().rposition(|&m| m != 0.0).unwrap_or(0).max(1);
    let tree = EvaluationTree::new(basis, degree, Parity::of(&largest)).map_err(failed)?;
    let leaf = |part: &Part| match part {
        Part::Leaf { powers } => Some(vec![Vec::with_capacity(coefficients.data.len() / count); powers.len() + 1]),
        Part::Division { .. } => None,
    };
    let mut leaves: Vec<Vec<Vec<f64>>> = tree.parts().iter().filter_map(leaf).collect();
    for polynomial in coefficients.data.chunks(count) {
        let own = tree.leaf_coefficients(polynomial).map_err(failed)?;
        for (columns, values) in leaves.iter_mut().zip(own) {
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
    }
    let tensor = |data| Tensor { shape: Shape::new(lead), data };
    let leaves = leaves.into_iter().map(|leaf| leaf.into_iter().map(tensor).collect()).collect();
    Ok(Planned { tree, leaves })
}

/// Products of ciphertexts, and products with plaintexts.
pub(crate) fn counts(basis: Basis, coefficients: &Tensor, origin: &Origin) -> Result<(usize, usize), PackError> {
    let planned = plan(basis, coefficients, origin)?;
    Ok((planned.tree.products(), planned.leaves.iter().map(|leaf| leaf.len() - 1).sum()))
}

/// Levels; none for a degree of 1, which a linear map before it may take in.
pub(crate) fn depth(basis: Basis, coefficients: &Tensor, origin: &Origin) -> Result<u32, PackError> {
    let tree = plan(basis, coefficients, origin)?.tree;
    Ok(if tree.degree() < 2 { 0 } else { tree.depth() })
}
