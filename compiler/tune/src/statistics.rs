//! What a network's values look like at the start of training: sizes of parameters, coordinates of polynomials, ranges.

use crate::layout::{Broadcast, channel_shape};
use crate::parameters::Parameters;
use crate::polynomial::Polynomial;
use crate::program::{Kernel, Program, SlotId, Step, Workspace};
use hec_ir::tensor::Shape;

/// A parameter's unit is at least this share of those beside it.
const LEAST_SHARE: f64 = 0.1;

/// The share of the uniform measure on the range of its inputs in what the coordinates of a polynomial are orthonormal for.
/// By the inputs alone, few of which are far out, a small step of a coordinate would be a large one at the ends of the
/// range.
const UNIFORM: f64 = 0.5;

/// Points that stand for the uniform measure.
const POINTS: usize = 64;

/// Sums over the values of a buffer, for each of the numbers that repeat along it.
struct Sums {
    slot: SlotId,
    broadcast: Broadcast,
    count: Vec<f64>,
    sum: Vec<f64>,
    squares: Vec<f64>,
    ranges: Vec<(f32, f32)>,
}

impl Sums {
    fn new(slot: SlotId, broadcast: Broadcast) -> Self {
        let zeros = vec![0.0; broadcast.count];
        let ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); broadcast.count];
        Sums { slot, broadcast, count: zeros.clone(), sum: zeros.clone(), squares: zeros, ranges }
    }

    fn add(&mut self, values: &[f32]) {
        for line in values.chunks_exact(self.broadcast.period()) {
            for (&x, &i) in line.iter().zip(&self.broadcast.index) {
                let (i, wide) = (i as usize, f64::from(x));
                self.count[i] += 1.0;
                self.sum[i] += wide;
                self.squares[i] += wide * wide;
                self.ranges[i] = (self.ranges[i].0.min(x), self.ranges[i].1.max(x));
            }
        }
    }

    /// Root mean squares.
    fn sizes(&self) -> Vec<f64> {
        self.squares.iter().zip(&self.count).map(|(s, n)| libm::sqrt(s / n.max(1.0))).collect()
    }

    /// Standard deviation of all values together.
    fn variance(&self) -> f64 {
        let total = |list: &[f64]| list.iter().sum::<f64>();
        let count = total(&self.count).max(1.0);
        let mean = total(&self.sum) / count;
        (total(&self.squares) / count - mean * mean).max(0.0)
    }
}

/// Runs a network over samples and calls `see` with the workspace of each.
fn over<'a>(
    program: &Program,
    parameters: &Parameters,
    samples: impl Iterator<Item = &'a Vec<Vec<f32>>>,
    mut see: impl FnMut(&Workspace),
) {
    let mut workspace = program.workspace();
    for sample in samples {
        program.forward(parameters, sample.iter().map(Vec::as_slice), &mut workspace);
        see(&workspace);
    }
}

/// The variance of a buffer and the range of each of its channels.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Of all elements.
    pub variance: f64,
    /// By channel.
    pub ranges: Vec<(f32, f32)>,
}

/// The spread of some buffers.
pub fn spreads<'a>(
    (program, parameters): (&Program, &Parameters),
    samples: impl Iterator<Item = &'a Vec<Vec<f32>>>,
    wanted: &[(SlotId, Shape)],
) -> Option<Vec<Spread>> {
    let sums = |(slot, shape): &(SlotId, Shape)| Some(Sums::new(*slot, Broadcast::new(&channel_shape(shape), shape)?));
    let mut sums = wanted.iter().map(sums).collect::<Option<Vec<Sums>>>()?;
    over(program, parameters, samples, |workspace| {
        sums.iter_mut().for_each(|s| s.add(program.value(workspace, s.slot)));
    });
    Some(sums.into_iter().map(|s| Spread { variance: s.variance(), ranges: s.ranges }).collect())
}

/// Moments of the basis functions of a polynomial, for each of those that repeat.
struct Moments<'a> {
    polynomial: &'a Polynomial,
    arg: SlotId,
    size: usize,
    sums: Vec<f64>,
    ranges: Vec<(f64, f64)>,
}

impl<'a> Moments<'a> {
    fn of_step(step: &'a Step) -> Option<Self> {
        let Kernel::Polynomial(polynomial) = &step.kernel else { return None };
        let (size, count) = (polynomial.basis_functions(0.0).len(), polynomial.broadcast.count);
        let ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); count];
        Some(Moments { polynomial, arg: step.args[0], size, sums: vec![0.0; count * size * size], ranges })
    }

    fn add(&mut self, values: &[f32]) {
        for line in values.chunks_exact(self.polynomial.broadcast.period()) {
            for (&x, &which) in line.iter().zip(&self.polynomial.broadcast.index) {
                let (x, which) = (f64::from(x), which as usize);
                let (lo, hi) = self.ranges[which];
                self.ranges[which] = (lo.min(x), hi.max(x));
                add_products(&mut self.sums[which * self.size * self.size..], &self.polynomial.basis_functions(x));
            }
        }
    }

    /// Mean products of the basis functions of one polynomial.
    fn means(&self, which: usize) -> Vec<f64> {
        let square = self.size * self.size;
        let own = &self.sums[which * square..][..square];
        let (lo, hi) = self.ranges[which];
        let mut uniform = vec![0.0; square];
        for i in 0..POINTS {
            let x = lo + (hi - lo) * (i as f64 + 0.5) / POINTS as f64;
            add_products(&mut uniform, &self.polynomial.basis_functions(x));
        }
        // The first function is 1: its moment is the number of values.
        let count = own[0].max(1.0);
        let mixed = |(seen, uniform): (&f64, &f64)| (1.0 - UNIFORM) * seen / count + UNIFORM * uniform / POINTS as f64;
        own.iter().zip(&uniform).map(mixed).collect()
    }
}

fn add_products(sums: &mut [f64], functions: &[f64]) {
    for (row, f) in sums.chunks_exact_mut(functions.len()).zip(functions) {
        row.iter_mut().zip(functions).for_each(|(m, g)| *m += f * g);
    }
}

/// Choose the coordinates of every polynomial of `program` for the inputs that it gets in `training`, the same program
/// with more steps.
pub fn condition<'a>(
    training: &Program,
    program: &mut Program,
    parameters: &mut Parameters,
    samples: impl Iterator<Item = &'a Vec<Vec<f32>>>,
) {
    let mut seen: Vec<Moments<'_>> = training.steps.iter().filter_map(Moments::of_step).collect();
    over(training, parameters, samples, |workspace| {
        seen.iter_mut().for_each(|m| m.add(training.value(workspace, m.arg)));
    });
    let polynomials = program.steps.iter_mut().filter(|s| matches!(s.kernel, Kernel::Polynomial(_)));
    for (step, seen) in polynomials.zip(&seen) {
        let (Kernel::Polynomial(p), Some(weights)) = (&mut step.kernel, &step.weights) else { continue };
        let own = &mut parameters.trained[weights.place.trained()];
        let coefficients = p.coefficients(own);
        p.condition(|which| seen.means(which));
        own.copy_from_slice(&p.coordinates(&coefficients));
    }
    parameters.derive(program);
}

/// The unit of every parameter: the root mean square of a weight's column, of a number, or of what it is added to.
pub fn units<'a>(
    program: &Program,
    parameters: &Parameters,
    samples: impl Iterator<Item = &'a Vec<Vec<f32>>>,
) -> Vec<f32> {
    let seen = |step: &Step| match &step.kernel {
        Kernel::Shift(b) => Some(Sums::new(step.out, b.clone())),
        Kernel::Polynomial(p) => Some(Sums::new(step.out, p.broadcast.clone())),
        _ => None,
    };
    let mut sums: Vec<Option<Sums>> = program.steps.iter().map(seen).collect();
    over(program, parameters, samples, |workspace| {
        sums.iter_mut().flatten().for_each(|s| s.add(program.value(workspace, s.slot)));
    });
    let mut units = vec![0.0; parameters.trained.len()];
    for (step, sums) in program.steps.iter().zip(&sums) {
        let Some(weights) = step.weights.as_ref().filter(|w| w.trained) else { continue };
        let (own, place) = (&parameters.trained[weights.place.trained()], weights.place.trained());
        let sizes = match (&step.kernel, sums) {
            (Kernel::Product(p), _) => by_column(own, |i| p.column_of(i)),
            (Kernel::Polynomial(p), Some(sums)) => {
                let size = own.len() / p.broadcast.count.max(1);
                sums.sizes().into_iter().flat_map(|s| std::iter::repeat_n(s, size)).collect()
            }
            (_, Some(sums)) => sums.sizes(),
            _ => own.iter().map(|x| f64::from(x.abs())).collect(),
        };
        let all = libm::sqrt(sizes.iter().map(|s| s * s).sum::<f64>() / sizes.len().max(1) as f64);
        let unit = |s: f64| s.max(LEAST_SHARE * all) as f32;
        units[place].iter_mut().zip(sizes).for_each(|(u, s)| *u = unit(s));
    }
    units
}

/// For each weight the root mean square of its column.
fn by_column(weights: &[f32], column: impl Fn(usize) -> usize) -> Vec<f64> {
    let count = (0..weights.len()).map(&column).max().map_or(0, |m| m + 1);
    let mut sums = vec![(0.0, 0.0); count];
    for (i, &w) in weights.iter().enumerate() {
        let (square, number) = &mut sums[column(i)];
        *square += f64::from(w) * f64::from(w);
        *number += 1.0;
    }
    (0..weights.len()).map(|i| libm::sqrt(sums[column(i)].0 / sums[column(i)].1)).collect()
}
