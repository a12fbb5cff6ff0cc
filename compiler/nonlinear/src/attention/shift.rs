//! The shift of a row: softmax(z − c·1) = softmax(z), so that rows can be drawn together before e^z.
//!
//! The best c is the logarithm of Σ e^z. What of it is linear in the row costs nothing: with z = q·Kᵀ, taking Σ w_m·z_m
//! off a row is taking Σ w_m·k_m off every key, and taking u·q off it is taking u off every key; both go into the linear
//! map that makes the keys. w, u and a constant for each row position are a ridge regression of the logarithm. Where the
//! keys are rows divided by their norms w is 0, since mixing keys would take a level after the division.

use super::scores::Table;
use crate::moments::{Affine, Moments, Rows};

/// Penalties relative to the mean variance of the features, the boldest first.
const RIDGES: [f64; 5] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// The shift of the rows of one head: Σ columns·z + query·q + constants of the row.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// For each score of the row.
    pub columns: Vec<f64>,
    /// For each number of the query.
    pub query: Vec<f64>,
    /// For each row.
    pub constants: Vec<f64>,
}

impl Shift {
    /// Fitted to the logarithms of the sums of a head's rows.
    pub fn fit(table: &Table<'_>, head: usize) -> Self {
        let columns = if table.mixes { table.columns } else { 0 };
        let inputs = columns + table.width();
        let means = Means::of(table, head, inputs);
        let (seen, unseen) = (0..table.samples()).partition::<Vec<usize>, _>(|&s| s < table.fitting);
        let moments = |samples: &[usize]| {
            let mut moments = Moments::new(inputs, 1);
            moments.add(&means.rows(table, head, samples));
            moments.covariance()
        };
        let fit = moments(&seen);
        let affine = if unseen.is_empty() {
            fit.ridge(RIDGES[2]).unwrap_or_else(|| fit.zero())
        } else {
            let check = moments(&unseen);
            let candidates = RIDGES.iter().filter_map(|&r| fit.ridge(r));
            let measured = candidates.map(|a| (check.error(&a), a));
            let zero = fit.zero();
            let best = |best: (f64, Affine), next: (f64, Affine)| if next.0 < best.0 { next } else { best };
            measured.fold((check.error(&zero), zero), best).1
        };
        let slopes = &affine.slopes[0];
        let (mut columns, query) = (slopes[..columns].to_vec(), slopes[columns..].to_vec());
        columns.resize(table.columns, 0.0);
        let constant =
            |mean: &Vec<f64>| mean[inputs] - mean[..inputs].iter().zip(slopes).map(|(m, s)| m * s).sum::<f64>();
        Shift { columns, query, constants: means.0.iter().map(constant).collect() }
    }

    /// The shift of a row.
    pub fn of(&self, table: &Table<'_>, sample: usize, head: usize, row: usize) -> f64 {
        let from_scores: f64 = table.row(sample, head, row).iter().zip(&self.columns).map(|(z, w)| z * w).sum();
        let from_query: f64 = table.query(sample, head, row).iter().zip(&self.query).map(|(q, u)| q * u).sum();
        from_scores + from_query + self.constants[row]
    }
}

/// For each row position the means of all features and of the logarithm.
struct Means(Vec<Vec<f64>>);

impl Means {
    fn of(table: &Table<'_>, head: usize, inputs: usize) -> Self {
        let mean = |row: usize| {
            let mut sums = vec![0.0; inputs + 1];
            for sample in 0..table.fitting {
                sums.iter_mut().zip(features(table, sample, head, row)).for_each(|(s, x)| *s += x);
            }
            sums.iter_mut().for_each(|s| *s /= table.fitting.max(1) as f64);
            sums
        };
        Means((0..table.rows).map(mean).collect())
    }

    /// The rows of some samples, less the means of their positions.
    fn rows(&self, table: &Table<'_>, head: usize, samples: &[usize]) -> Rows {
        let mut rows = Rows::default();
        for &sample in samples {
            for (row, mean) in self.0.iter().enumerate() {
                rows.data.extend(features(table, sample, head, row).zip(mean).map(|(x, m)| x - m));
                rows.weights.push(1.0);
            }
        }
        rows
    }
}

/// The scores of a row, masked ones too, where they are mixed; its query; and the logarithm of its sum.
fn features<'t>(table: &'t Table<'_>, sample: usize, head: usize, row: usize) -> impl Iterator<Item = f64> + 't {
    let mixed = if table.mixes { table.columns } else { 0 };
    let scores = table.row(sample, head, row)[..mixed].iter().copied();
    let query = table.query(sample, head, row).iter().copied();
    scores.chain(query).chain(std::iter::once_with(move || table.log_sum(sample, head, row)))
}
