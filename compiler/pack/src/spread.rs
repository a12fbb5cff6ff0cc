//! Maps whose result is the same along some axes: one of the equal rows is computed, the others are rotations of it.
//!
//! Repeating n times takes log2 n rotations and sums and no level, where diagonals would be n times as many. Where the
//! axes are the outermost ones the sums of a hybrid embedding repeat their result by themselves: the mean of a whole row
//! is one diagonal.

use crate::sparse::SparseMatrix;
use hec_ir::tensor::Shape;
use hec_ir::{Digit, Layout, Rotation};

/// Axes of a matrix's result along which all rows are equal.
pub(crate) fn equal_axes(matrix: &SparseMatrix, shape: &Shape) -> Vec<usize> {
    let strides = shape.strides();
    let equal = |axis: usize| {
        let (extent, stride) = (shape.dims()[axis], strides[axis]);
        let first = |row: usize| row - row / stride % extent * stride;
        extent > 1 && (0..matrix.rows()).all(|row| matrix.same_rows(row, first(row)))
    };
    (0..shape.rank()).filter(|&axis| equal(axis)).collect()
}

/// Whether each row of a shape is the first along all of the axes.
pub(crate) fn firsts(shape: &Shape, axes: &[usize]) -> Vec<bool> {
    shape.indices().map(|index| axes.iter().all(|&axis| index[axis] == 0)).collect()
}

/// The layout in which all indices of some axes have the place of the first one, with the period that this leaves, if the
/// places of the others are multiples of it: what is computed there is in all of their places.
pub(crate) fn without(layout: &Layout, axes: &[usize]) -> Option<Layout> {
    let (equal, digits): (Vec<Digit>, Vec<Digit>) =
        layout.digits.iter().copied().partition(|d| axes.contains(&(d.axis as usize)));
    let first = Layout { digits, period: None, ..layout.clone() };
    let period = first.span().next_power_of_two();
    let is_apart = equal.iter().all(|d| (d.stride as usize).is_multiple_of(period));
    (is_apart && period < layout.slots.0 && layout.ciphertexts() == 1).then(|| first.with_period(period as u32))
}

/// Rotations that copy what stands at index 0 of the axes to all other indices: each is added to what it is a rotation
/// of. None if a copy would fall on other elements or into another ciphertext.
pub(crate) fn rotations(layout: &Layout, axes: &[usize]) -> Option<Vec<Rotation>> {
    let n = layout.slots.0;
    let room = layout.period.map_or(n, |p| p as usize);
    let spread = |d: &&Digit| axes.contains(&(d.axis as usize));
    let width = |d: &Digit| d.stride as usize * (d.extent as usize).next_power_of_two();
    let mut all = Vec::new();
    for digit in layout.digits.iter().filter(spread) {
        let (stride, end) = (digit.stride as usize, width(digit));
        let apart = |d: &Digit| d == digit || d.stride as usize >= end || width(d) <= stride;
        if end > room || !layout.digits.iter().all(apart) {
            return None;
        }
        let steps = std::iter::successors(Some(stride), |s| Some(2 * s)).take_while(|&s| s < end);
        all.extend(steps.map(|s| Rotation(((n - s) & (n - 1)) as u32)));
    }
    Some(all)
}
