//! Errors of layers, carried on to points, sample by sample.

use hec_ir::tensor::Tensor;

/// Standard errors of the mean square that a bound adds.
const STANDARD_ERRORS: f64 = 2.0;

/// Fits, their robustness and the penalties of re-fitted layers are chosen on the samples that errors are carried on, so
/// that these look a little better there than they are.
pub const MARGIN: f64 = 1.1;

/// Errors of layers are neither independent, which would add their squares, nor all alike, which would add them as they
/// are: their powers with an exponent between 2 and 1 are added. Measured, see `docs/DESIGN.md`.
const COHERENCE: f64 = 1.25;

/// A sample counts at most as much as this many times the median, as where linear layers are re-fitted: a polynomial that
/// is left far outside its range makes one sample larger than all others together.
const OUTLIER: f64 = 9.0;

/// Squares of what each layer adds at each point.
#[derive(Default)]
pub struct Carried {
    /// By sample, layer and point.
    squares: Vec<Vec<Vec<f64>>>,
    /// Of the float network's values, summed over the samples, by point.
    sizes: Vec<f64>,
}

impl Carried {
    /// Add a sample.
    pub fn push(&mut self, squares: Vec<Vec<f64>>, sizes: Vec<f64>) {
        self.sizes.resize(sizes.len(), 0.0);
        self.sizes.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size);
        self.squares.push(squares);
    }

    /// Relative rms of what a layer adds at a point.
    pub fn mean(&self, layer: usize, point: usize) -> f64 {
        relative(self.capped(layer, point).iter().sum(), self.sizes[point])
    }

    fn capped(&self, layer: usize, point: usize) -> Vec<f64> {
        capped(self.squares.iter().map(|s| s[layer][point]).collect())
    }

    /// The same with two standard errors of the mean square on top.
    pub fn bound(&self, layer: usize, point: usize) -> f64 {
        let values = self.capped(layer, point);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (count - 1.0).max(1.0);
        relative(count * (mean + STANDARD_ERRORS * libm::sqrt(variance / count)), self.sizes[point])
    }
}

/// The error that layers make together.
pub fn together(errors: impl Iterator<Item = f64>) -> f64 {
    libm::pow(errors.map(share).sum(), 1.0 / COHERENCE)
}

/// The measure of an error that is summed over layers.
pub fn share(error: f64) -> f64 {
    libm::pow(error, COHERENCE)
}

/// Squares of samples, none larger than a multiple of the median.
pub fn capped(squares: Vec<f64>) -> Vec<f64> {
    let mut sorted = squares.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    // Where most samples have no error, those that have one are all there is.
    let most = if median > 0.0 { OUTLIER * median } else { f64::MAX };
    squares.into_iter().map(|s| if s.is_nan() { most } else { s.min(most) }).collect()
}

/// Root of a sum of squares over another; what is compared with nothing stays as it is.
pub fn relative(error: f64, size: f64) -> f64 {
    libm::sqrt(if size > 0.0 { error / size } else { error })
}

/// A number that can be stored, also for what has diverged.
pub fn bounded(x: f64) -> f64 {
    if x.is_nan() { f64::MAX } else { x.min(f64::MAX) }
}

pub fn square(x: &Tensor) -> f64 {
    x.data.iter().map(|x| x * x).sum()
}

pub fn distance(x: &Tensor, y: &Tensor) -> f64 {
    x.data.iter().zip(&y.data).map(|(x, y)| (x - y) * (x - y)).sum()
}
