//! The softmax of one head: shift, exponential, sums and their inverses, fitted to its rows.

use super::classes::{classes, count, moments};
use super::exponential::{Histogram, exponential, raised};
use super::inverse::{Guard, Pairs};
use super::local::Local;
use super::recipe::Recipe;
use super::scores::Table;
use super::shift::Shift;
use crate::Robustness;
use crate::tail::Tail;

/// For y: a row whose sum is beyond what was seen may get a quotient of up to 2.
fn start_guard(reach: f64) -> Guard {
    Guard { reach, bounds: (0.1, 2.0), most: 1e3, exponent: 1.0 }
}

/// For r: its attention may then be anything between nothing and a little too much.
fn inverse_guard(reach: f64) -> Guard {
    Guard { bounds: (-0.2, 1.6), ..start_guard(reach) }
}

/// Variance of the logarithm of a variance, by which row positions are told apart.
const SPREAD: f64 = 0.3;

/// Rows of one head drawn together, before anything is fitted to them.
pub struct Rows {
    rows: usize,
    columns: usize,
    fitting: usize,
    samples: usize,
    /// How rows are shifted.
    pub shift: Shift,
    /// Shifted scores; negative infinity where they are masked.
    shifted: Vec<f64>,
    /// Class of each column and of each row position.
    pub column_class: Vec<usize>,
    /// The latter.
    pub row_class: Vec<usize>,
}

/// The polynomials of one head.
#[derive(Clone, Debug)]
pub struct Head {
    /// For each class of columns p.
    pub exponential: Vec<Local>,
    /// For each class of rows y, where the recipe has it.
    pub start: Option<Vec<Local>>,
    /// For each class of rows r.
    pub inverse: Vec<Local>,
}

/// How far a head is from its softmax.
#[derive(Clone, Copy, Debug, Default)]
pub struct Miss {
    /// Mean square over the rows for validation, relative to that of the softmax.
    pub relative: f64,
    /// Root mean square of an entry.
    pub rms: f64,
    /// The largest one of an entry.
    pub max: f64,
    /// Estimated probability that a row's sum is outside its padded range.
    pub outside: f64,
}

impl Rows {
    /// Of one head of a table.
    pub fn new(table: &Table<'_>, head: usize) -> Self {
        let shift = Shift::fit(table, head);
        let mut shifted = Vec::with_capacity(table.samples() * table.rows * table.columns);
        for sample in 0..table.samples() {
            for row in 0..table.rows {
                let (c, counts) = (shift.of(table, sample, head, row), table.counts(head, row));
                let scores = table.row(sample, head, row).iter().enumerate();
                shifted.extend(scores.map(|(j, z)| if counts(j) { z - c } else { f64::NEG_INFINITY }));
            }
        }
        let mut rows = Rows {
            rows: table.rows,
            columns: table.columns,
            fitting: table.fitting,
            samples: table.samples(),
            shift,
            shifted,
            column_class: Vec::new(),
            row_class: Vec::new(),
        };
        let column = |j: usize| moments(rows.seen().filter_map(move |row| Some(row[j]).filter(|z| z.is_finite())));
        rows.column_class = classes(&(0..rows.columns).map(column).collect::<Vec<_>>());
        let spread = |i: usize| {
            let sums = rows.seen().skip(i).step_by(rows.rows).map(|row| libm::log(sum(row)));
            (libm::log(moments(sums).1 + 1e-4), SPREAD)
        };
        rows.row_class = classes(&(0..rows.rows).map(spread).collect::<Vec<_>>());
        rows
    }

    fn all(&self) -> std::slice::ChunksExact<'_, f64> {
        self.shifted.chunks_exact(self.columns.max(1))
    }

    /// The rows for fitting, sample by sample.
    fn seen(&self) -> std::iter::Take<std::slice::ChunksExact<'_, f64>> {
        self.all().take(self.fitting * self.rows)
    }

    /// Range of the shifted scores for fitting.
    pub fn range(&self) -> (f64, f64) {
        let finite = || self.seen().flatten().filter(|z| z.is_finite());
        (finite().fold(f64::INFINITY, |m, &z| m.min(z)), finite().fold(f64::NEG_INFINITY, |m, &z| m.max(z)))
    }

    /// The mean attention, if that is within `tolerance` of every attention that was seen, in relative mean square.
    pub fn constant(&self, tolerance: f64) -> Option<Vec<f64>> {
        let size = self.rows * self.columns;
        let mut mean = vec![0.0; size];
        for (i, row) in self.seen().enumerate() {
            let at = i % self.rows * self.columns;
            let total = sum(row);
            mean[at..at + self.columns].iter_mut().zip(row).for_each(|(m, z)| *m += libm::exp(*z) / total);
        }
        mean.iter_mut().for_each(|m| *m /= self.fitting.max(1) as f64);
        let (mut error, mut energy) = (0.0, 0.0);
        for (i, row) in self.all().enumerate() {
            let at = i % self.rows * self.columns;
            let total = sum(row);
            for (m, z) in mean[at..].iter().zip(row) {
                let p = libm::exp(*z) / total;
                error += (p - m) * (p - m);
                energy += p * p;
            }
        }
        (error <= tolerance * energy).then_some(mean)
    }

    /// Fit the polynomials of a recipe.
    pub fn fit(&self, recipe: Recipe, robustness: Robustness) -> Option<Head> {
        let exponential = self.exponentials(recipe, robustness);
        let many = count(&self.row_class);
        let mut pairs = vec![(Pairs::default(), Pairs::default()); many];
        let mut sums = Vec::with_capacity(self.fitting * self.rows);
        for (i, row) in self.seen().enumerate() {
            let [early, late] = self.sums(row, &exponential, recipe);
            let class = self.row_class[i % self.rows];
            pairs[class].0.values.push((early, late));
            sums.push((class, early, late));
        }
        let (first, second) = (start_guard(robustness.reach), inverse_guard(robustness.reach));
        let start = match recipe.start {
            Some((degree, _)) => Some(pairs.iter().map(|p| p.0.inverse(degree, first)).collect::<Option<Vec<_>>>()?),
            None => None,
        };
        for (class, early, late) in sums {
            let quotient = late * start.as_ref().map_or(1.0, |s| s[class].eval(early));
            pairs[class].1.values.push((quotient, quotient));
        }
        let inverse = pairs.iter().map(|p| p.1.inverse(recipe.inverse, second)).collect::<Option<Vec<_>>>()?;
        Some(Head { exponential, start, inverse })
    }

    fn exponentials(&self, recipe: Recipe, robustness: Robustness) -> Vec<Local> {
        let many = count(&self.column_class);
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); many];
        let finite = |row: &'_ [f64]| {
            row.iter().zip(&self.column_class).filter(|(z, _)| z.is_finite()).map(|(z, c)| (*z, *c)).collect::<Vec<_>>()
        };
        for (z, class) in self.seen().flat_map(finite) {
            ranges[class] = (ranges[class].0.min(z), ranges[class].1.max(z));
        }
        let mut seen: Vec<Histogram> = ranges.into_iter().map(Histogram::new).collect();
        for row in self.seen() {
            let mass = 1.0 / raised(sum(row), 1);
            finite(row).into_iter().for_each(|(z, class)| seen[class].add(z, mass));
        }
        let how = (robustness.width, robustness.share);
        seen.iter().map(|s| exponential(s, (recipe.degree, recipe.squarings), how)).collect()
    }

    /// The early and the last sum of a row.
    fn sums(&self, row: &[f64], exponential: &[Local], recipe: Recipe) -> [f64; 2] {
        let after = recipe.start.map_or(recipe.squarings, |s| s.1);
        let (mut early, mut late) = (0.0, 0.0);
        for (z, class) in row.iter().zip(&self.column_class).filter(|(z, _)| z.is_finite()) {
            let e = raised(exponential[*class].eval(*z), after);
            early += e;
            late += raised(e, recipe.squarings - after);
        }
        [early, late]
    }

    /// How far polynomials are from the softmax on the rows for validation, or on all where there are none.
    pub fn miss(&self, head: &Head, recipe: Recipe) -> Miss {
        let first = if self.samples > self.fitting { self.fitting } else { 0 };
        let (mut error, mut energy, mut max, mut entries) = (0.0, 0.0, 0.0f64, 0.0);
        for (i, row) in self.all().enumerate().skip(first * self.rows) {
            let total = sum(row);
            let factor = self.factor(head, recipe, i % self.rows, row);
            for (z, class) in row.iter().zip(&self.column_class).filter(|(z, _)| z.is_finite()) {
                let wanted = libm::exp(*z) / total;
                let found = factor * raised(head.exponential[*class].eval(*z), recipe.squarings);
                let difference = (found - wanted).abs();
                error += difference * difference;
                energy += wanted * wanted;
                max = if difference.is_nan() { f64::INFINITY } else { max.max(difference) };
                entries += 1.0;
            }
        }
        let relative = if error.is_finite() { error / f64::max(energy, f64::MIN_POSITIVE) } else { f64::INFINITY };
        Miss { relative, rms: libm::sqrt(error / f64::max(entries, 1.0)), max, outside: self.outside(head, recipe) }
    }

    /// What a row of exponentials is multiplied by.
    fn factor(&self, head: &Head, recipe: Recipe, row: usize, values: &[f64]) -> f64 {
        let class = self.row_class[row];
        let [early, late] = self.sums(values, &head.exponential, recipe);
        let start = head.start.as_ref().map_or(1.0, |s| s[class].eval(early));
        start * head.inverse[class].eval(late * start)
    }

    /// Probability that a row's sum leaves the range of the polynomial of it, from the tails of what was seen.
    fn outside(&self, head: &Head, recipe: Recipe) -> f64 {
        let classed = |class: usize| {
            let rows = self.seen().enumerate().filter(move |(i, _)| self.row_class[i % self.rows] == class);
            let mut logs: Vec<f64> = rows
                .map(|(_, row)| {
                    let [early, late] = self.sums(row, &head.exponential, recipe);
                    libm::log(if head.start.is_some() { early } else { late }.max(f64::MIN_POSITIVE))
                })
                .collect();
            logs.sort_by(f64::total_cmp);
            let range = head.start.as_ref().unwrap_or(&head.inverse)[class].range;
            let (low, high) = (libm::log(range.0), libm::log(range.1));
            let upper = Tail::fit(&logs.iter().map(|&u| (u, 1.0)).collect::<Vec<_>>());
            let lower = Tail::fit(&logs.iter().rev().map(|&u| (-u, 1.0)).collect::<Vec<_>>());
            let each = upper.exceedance(high).unwrap_or(0.0) + lower.exceedance(-low).unwrap_or(0.0);
            each * logs.len() as f64
        };
        let total: f64 = (0..count(&self.row_class)).map(classed).sum();
        total / ((self.fitting * self.rows).max(1) as f64)
    }
}

fn sum(row: &[f64]) -> f64 {
    row.iter().map(|z| libm::exp(*z)).sum()
}
