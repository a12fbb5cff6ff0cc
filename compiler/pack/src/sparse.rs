//! Sparse matrices between tensors: rows and columns are elements in row-major order.

/// A matrix by its rows, each a run of (column, value) entries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SparseMatrix {
    columns: usize,
    starts: Vec<usize>,
    column: Vec<u32>,
    value: Vec<f64>,
}

impl SparseMatrix {
    /// A matrix without rows.
    pub(crate) fn new(columns: usize) -> Self {
        SparseMatrix { columns, starts: vec![0], column: Vec::new(), value: Vec::new() }
    }

    /// From a function that gives each row its entries; zeros are dropped.
    pub(crate) fn from_rows(
        columns: usize,
        rows: usize,
        mut row: impl FnMut(usize, &mut dyn FnMut(usize, f64)),
    ) -> Self {
        let mut matrix = SparseMatrix::new(columns);
        for r in 0..rows {
            row(r, &mut |column, value| matrix.push(column, value));
            matrix.end_row();
        }
        matrix
    }

    fn push(&mut self, column: usize, value: f64) {
        if value != 0.0 {
            self.column.push(column as u32);
            self.value.push(value);
        }
    }

    fn end_row(&mut self) {
        self.starts.push(self.column.len());
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many entries a row has.
    pub(crate) fn row_entries(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// Whether two rows have the same entries.
    pub(crate) fn same_rows(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.starts[a]..self.starts[a + 1], self.starts[b]..self.starts[b + 1]);
        self.column[a.clone()] == self.column[b.clone()] && self.value[a] == self.value[b]
    }

    /// Whether all entries are one.
    pub(crate) fn is_of_ones(&self) -> bool {
        self.value.iter().all(|&v| v == 1.0)
    }

    /// The entries of a row.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = self.starts[row]..self.starts[row + 1];
        self.column[range.clone()].iter().map(|&c| c as usize).zip(self.value[range].iter().copied())
    }

    /// The product `self · first`: apply `first`, then `self` (Gustavson 1978, one dense accumulator).
    pub(crate) fn after(&self, first: &SparseMatrix) -> SparseMatrix {
        let mut product = SparseMatrix::new(first.columns);
        let mut sum = vec![0.0; first.columns];
        let mut seen = vec![false; first.columns];
        let mut touched: Vec<usize> = Vec::new();
        for row in 0..self.rows() {
            for (middle, factor) in self.row(row) {
                for (column, value) in first.row(middle) {
                    if !std::mem::replace(&mut seen[column], true) {
                        touched.push(column);
                    }
                    sum[column] += factor * value;
                }
            }
            touched.sort_unstable();
            for column in touched.drain(..) {
                product.push(column, std::mem::take(&mut sum[column]));
                seen[column] = false;
            }
            product.end_row();
        }
        product
    }
}
