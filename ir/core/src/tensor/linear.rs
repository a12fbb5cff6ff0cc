//! Linear maps between tensors.

use super::{ConstId, Shape};

/// Attributes of a two-dimensional convolution on N×C×H×W (one-dimensional ones are imported with H = 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConvAttributes {
    /// Steps in y and x.
    pub strides: [usize; 2],
    /// Zero padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Distance between kernel taps in y and x.
    pub dilations: [usize; 2],
    /// Channel groups.
    pub groups: usize,
}

/// A pooling window on N×C×H×W.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Extent in y and x.
    pub kernel: [usize; 2],
    /// Steps in y and x.
    pub strides: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Whether padding counts in an average.
    pub count_include_pad: bool,
}

/// Normalisation of every row: of the elements along some axes, for each index along the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// The axes of a row, ascending, at least one.
    pub axes: Vec<usize>,
    /// Whether the mean is taken off first: LayerNorm does, RMSNorm does not.
    pub center: bool,
    /// What is added to the mean square before its root is taken, at least 0.
    pub epsilon: f64,
}

/// One linear step; a chain of them is one matrix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinearStep {
    /// Convolution with a weight of shape [out, in/groups, kh, kw].
    Conv {
        /// The weight.
        weight: ConstId,
        /// Strides, pads, dilations, groups.
        attributes: ConvAttributes,
    },
    /// Product of the last axis with a k×n matrix: […, k] → […, n].
    MatMul {
        /// The matrix.
        weight: ConstId,
    },
    /// Product with a constant, element by element; its shape broadcasts to the input's.
    Scale {
        /// The factors.
        factor: ConstId,
    },
    /// Average over a window.
    AveragePool(Window),
    /// Mean over axes, which stay with extent 1.
    Mean {
        /// The axes, ascending.
        axes: Vec<usize>,
    },
    /// Same elements in row-major order, other extents.
    Reshape {
        /// The new extents.
        shape: Shape,
    },
    /// Permutation of the axes: axis i of the result is axis `permutation[i]` of the input.
    Transpose {
        /// The permutation.
        permutation: Vec<usize>,
    },
    /// A box of elements: along each axis `extents[a]` elements from `starts[a]`, `steps[a]` apart (may be negative).
    Slice {
        /// First element along each axis.
        starts: Vec<usize>,
        /// Distance along each axis, not zero.
        steps: Vec<i64>,
        /// Number of elements along each axis.
        extents: Vec<usize>,
    },
    /// Zeros before and after along each axis.
    Pad {
        /// How many before.
        before: Vec<usize>,
        /// How many after.
        after: Vec<usize>,
    },
    /// Repetition of axes of extent 1 (and of new leading axes) up to a shape.
    Expand {
        /// The new extents.
        shape: Shape,
    },
}

impl LinearStep {
    /// Its name in text.
    pub fn name(&self) -> &'static str {
        match self {
            LinearStep::Conv { .. } => "conv",
            LinearStep::MatMul { .. } => "matmul",
            LinearStep::Scale { .. } => "scale",
            LinearStep::AveragePool(_) => "average_pool",
            LinearStep::Mean { .. } => "mean",
            LinearStep::Reshape { .. } => "reshape",
            LinearStep::Transpose { .. } => "transpose",
            LinearStep::Slice { .. } => "slice",
            LinearStep::Pad { .. } => "pad",
            LinearStep::Expand { .. } => "expand",
        }
    }

    /// The constant that it multiplies by, if any.
    pub fn constant(&self) -> Option<ConstId> {
        match *self {
            LinearStep::Conv { weight, .. } | LinearStep::MatMul { weight } => Some(weight),
            LinearStep::Scale { factor } => Some(factor),
            _ => None,
        }
    }

    /// Whether it only moves elements (no arithmetic), so that a change of layout may absorb it at no cost.
    pub fn is_movement(&self) -> bool {
        matches!(self, LinearStep::Reshape { .. } | LinearStep::Transpose { .. })
    }
}
