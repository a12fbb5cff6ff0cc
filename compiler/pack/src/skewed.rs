//! A product of matrices whose operands are skewed once and then turned (Jiang, Kim, Lauter and Song 2018).
//!
//! With indices modulo s, C[i,j] = Σ_t A[i, i+j+t]·B[i+j+t, j]. Skewing A and B is a map each, turning the columns of A by
//! t is a map of two diagonals, and turning the rows of B is a rotation where rows are outermost. All are written as steps
//! on matrices padded with zeros to s×s.

use hec_ir::tensor::{LinearStep, Shape};

/// Extents of a product […, m, k] · […, k, n].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extents {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    /// The extent of the squares: a power of two.
    square: usize,
}

impl Extents {
    pub(crate) fn new(x: &Shape, y: &Shape) -> Self {
        let rank = x.rank();
        let (m, k, n) = (x.dims()[rank - 2], x.dims()[rank - 1], y.dims()[rank - 1]);
        let batch = x.dims()[..rank - 2].iter().product();
        Extents { batch, m, k, n, square: m.max(k).max(n).next_power_of_two() }
    }

    /// How often the operands are turned, with not at all.
    pub(crate) fn extent(&self) -> usize {
        self.square
    }

    fn squared(&self, rows: usize, columns: usize) -> Vec<LinearStep> {
        let s = self.square;
        let mut steps = vec![LinearStep::Reshape { shape: Shape::new([self.batch, rows, columns]) }];
        if (rows, columns) != (s, s) {
            steps.push(LinearStep::Pad { before: vec![0; 3], after: vec![0, s - rows, s - columns] });
        }
        steps
    }

    /// Row i of each square turned to the left by i: row by row in a line that is longer by one than a row and its copy.
    fn skew(&self) -> [LinearStep; 6] {
        let (b, s) = (self.batch, self.square);
        let reshape = |dims: &[usize]| LinearStep::Reshape { shape: Shape::new(dims) };
        [
            reshape(&[b, s, 1, s]),
            LinearStep::Expand { shape: Shape::new([b, s, 2, s]) },
            reshape(&[b, 2 * s * s]),
            LinearStep::Pad { before: vec![0; 2], after: vec![0, s] },
            reshape(&[b, s, 2 * s + 1]),
            LinearStep::Slice { starts: vec![0; 3], steps: vec![1; 3], extents: vec![b, s, s] },
        ]
    }

    /// A[i, i+j]
    pub(crate) fn skew_left(&self) -> Vec<LinearStep> {
        [self.squared(self.m, self.k), self.skew().to_vec()].concat()
    }

    /// B[i+j, j]
    pub(crate) fn skew_right(&self) -> Vec<LinearStep> {
        let turned = vec![LinearStep::Transpose { permutation: vec![0, 2, 1] }];
        [self.squared(self.k, self.n), turned.clone(), self.skew().to_vec(), turned].concat()
    }

    /// The columns turned to the left by t.
    pub(crate) fn turn_columns(&self, t: usize) -> Vec<LinearStep> {
        let (b, s) = (self.batch, self.square);
        vec![
            LinearStep::Reshape { shape: Shape::new([b, s, 1, s]) },
            LinearStep::Expand { shape: Shape::new([b, s, 2, s]) },
            LinearStep::Reshape { shape: Shape::new([b, s, 2 * s]) },
            LinearStep::Slice { starts: vec![0, 0, t], steps: vec![1; 3], extents: vec![b, s, s] },
        ]
    }

    /// The rows turned upwards by t.
    pub(crate) fn turn_rows(&self, t: usize) -> Vec<LinearStep> {
        let (b, s) = (self.batch, self.square);
        vec![
            LinearStep::Reshape { shape: Shape::new([b, 1, s, s]) },
            LinearStep::Expand { shape: Shape::new([b, 2, s, s]) },
            LinearStep::Reshape { shape: Shape::new([b, 2 * s, s]) },
            LinearStep::Slice { starts: vec![0, t, 0], steps: vec![1; 3], extents: vec![b, s, s] },
        ]
    }

    /// The product out of the squares.
    pub(crate) fn result(&self, shape: &Shape) -> Vec<LinearStep> {
        let mut steps = Vec::new();
        if (self.m, self.n) != (self.square, self.square) {
            let extents = vec![self.batch, self.m, self.n];
            steps.push(LinearStep::Slice { starts: vec![0; 3], steps: vec![1; 3], extents });
        }
        steps.push(LinearStep::Reshape { shape: shape.clone() });
        steps
    }
}
