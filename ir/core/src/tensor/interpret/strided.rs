//! Walks over tensors by strides: one loop for every operation that only moves or repeats elements.

use crate::tensor::Shape;

/// A box of positions in a row-major buffer: position of index i = start + Σ i[a]·strides[a].
pub(super) struct Strided {
    outer: Vec<(usize, isize)>,
    start: isize,
    /// Extent of the last axis.
    pub(super) row: usize,
    /// Distance between neighbours on the last axis.
    pub(super) step: isize,
}

impl Strided {
    /// A box of the given extents.
    pub(super) fn new(start: usize, extents: &[usize], strides: &[isize]) -> Self {
        let mut outer: Vec<_> = extents.iter().copied().zip(strides.iter().copied()).collect();
        let (row, step) = outer.pop().unwrap_or((1, 0));
        Strided { outer, start: start as isize, row, step }
    }

    /// The positions at which a tensor of shape `from`, whose elements are `width` apart, is read when it is broadcast
    /// to `to`. The caller has checked that it broadcasts.
    pub(super) fn broadcast(from: &[usize], to: &Shape, width: usize) -> Self {
        let strides: Vec<isize> = std::iter::repeat_n(0, to.rank() - from.len())
            .chain(
                from.iter()
                    .zip(Shape::new(from).strides())
                    .map(|(&d, s)| if d == 1 { 0 } else { (s * width) as isize }),
            )
            .collect();
        Strided::new(0, to.dims(), &strides)
    }

    /// The position of the first element of every row, in row-major order.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let empty = self.row == 0 || self.outer.iter().any(|o| o.0 == 0);
        let mut next = (!empty).then_some(self.start);
        let mut index = vec![0; self.outer.len()];
        std::iter::from_fn(move || {
            let position = next?;
            let mut following = position;
            next = None;
            for (i, &(extent, stride)) in index.iter_mut().zip(&self.outer).rev() {
                *i += 1;
                following += stride;
                if *i < extent {
                    next = Some(following);
                    break;
                }
                following -= stride * extent as isize;
                *i = 0;
            }
            Some(position as usize)
        })
    }

    /// The elements at all positions, in row-major order.
    pub(super) fn gather(&self, source: &[f64]) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.outer.iter().map(|o| o.0).product::<usize>() * self.row);
        for first in self.rows() {
            match self.step {
                1 => out.extend_from_slice(&source[first..first + self.row]),
                0 => out.extend(std::iter::repeat_n(source[first], self.row)),
                step => out.extend((0..self.row as isize).map(|i| source[(first as isize + i * step) as usize])),
            }
        }
        out
    }
}
