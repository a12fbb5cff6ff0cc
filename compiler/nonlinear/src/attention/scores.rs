//! The scores of one softmax on the samples, head by head.

use super::pattern::Scores;
use hec_ir::tensor::{Shape, Tensor};

/// Scores before anything is masked, with what they are products of.
pub struct Table<'a> {
    /// Leading indices: heads, times the batch.
    pub heads: usize,
    /// Rows of a head: queries.
    pub rows: usize,
    /// Columns of a head: keys.
    pub columns: usize,
    /// On each sample, all scores.
    scores: Vec<Vec<f64>>,
    /// On each sample, the left argument of the product that makes the scores.
    queries: Option<Vec<&'a Tensor>>,
    /// 1 where a score counts.
    mask: Option<Tensor>,
    /// Whether a row may be shifted by its own scores.
    pub mixes: bool,
    /// The first samples are for fitting.
    pub fitting: usize,
}

impl<'a> Table<'a> {
    /// Of the values on all samples; `base` is what the scores are made of.
    pub fn new(
        how: &Scores,
        base: Vec<&Tensor>,
        queries: Option<Vec<&'a Tensor>>,
        (shape, mixes, fitting): (&Shape, bool, usize),
    ) -> Self {
        let dims = shape.dims();
        let columns = dims[dims.len() - 1];
        let rows = if dims.len() > 1 { dims[dims.len() - 2] } else { 1 };
        let heads = shape.elements() / (rows * columns).max(1);
        let scores = |base: &&Tensor| -> Vec<f64> {
            let scaled = base.data.iter().map(|z| how.factor * z);
            match &how.bias {
                Some(bias) => scaled.zip(&bias.data).map(|(z, b)| z + b).collect(),
                None => scaled.collect(),
            }
        };
        let scores = base.iter().map(scores).collect();
        Table { heads, rows, columns, scores, queries, mask: how.mask.clone(), mixes, fitting }
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.scores.len()
    }

    /// Numbers of a query; 0 where there are none.
    pub fn width(&self) -> usize {
        self.queries.as_ref().and_then(|q| q.first()).map_or(0, |q| q.shape.dims().last().copied().unwrap_or(0))
    }

    /// The scores of a row, masked ones too.
    pub fn row(&self, sample: usize, head: usize, row: usize) -> &[f64] {
        &self.scores[sample][(head * self.rows + row) * self.columns..][..self.columns]
    }

    /// Which scores of a row count.
    pub fn counts(&self, head: usize, row: usize) -> impl Fn(usize) -> bool + '_ {
        let start = (head * self.rows + row) * self.columns;
        move |column| self.mask.as_ref().is_none_or(|m| m.data[start + column] != 0.0)
    }

    /// The query of a row.
    pub fn query(&self, sample: usize, head: usize, row: usize) -> &[f64] {
        let width = self.width();
        self.queries.as_ref().map_or(&[], |q| &q[sample].data[(head * self.rows + row) * width..][..width])
    }

    /// The logarithm of the sum of exponentials of a row.
    pub fn log_sum(&self, sample: usize, head: usize, row: usize) -> f64 {
        let (values, counts) = (self.row(sample, head, row), self.counts(head, row));
        let kept = || values.iter().enumerate().filter(|(j, _)| counts(*j)).map(|(_, z)| *z);
        let most = kept().fold(f64::NEG_INFINITY, f64::max);
        most + libm::log(kept().map(|z| libm::exp(z - most)).sum::<f64>())
    }
}
