//! Normalisation of rows by polynomials: x·p(v) with p(v) ≈ 1/√(v + ε) for the mean square v of a row.
//!
//! The mean is taken off in the linear maps before. v takes two levels (a square, a sum), then p its own, then the product,
//! beside which the linear map that follows is computed.
//! p is fitted in relative error; positions of a sequence that differ from the others, as the first token often does by two
//! orders of magnitude, have coefficients of their own, which narrows the range for the rest. Where v hardly varies a
//! constant does (THE-X; T. Chen et al., 2022).

use super::classes::{classes, count, moments};
use super::emitter::Emitter;
use super::inverse::{Guard, Pairs};
use super::local::Local;
use super::quality::Quality;
use super::recipe::{levels, products};
use super::squares::Squares;
use crate::build::Builder;
use crate::report::Replacement;
use crate::tail::Tail;
use crate::{Choice, NonlinearError};
use hec_ir::Origin;
use hec_ir::tensor::{LinearStep, Normalization, Shape, ShapeError, Tensor, ValueId};
use hec_params::Depth;

/// A row of small norm may come out half as large again. A single token far from all others must not spoil the rest.
const GUARD: Guard = Guard { reach: 2.0, bounds: (0.0, 1.5), most: 0.003, exponent: 0.0 };

/// A deeper recipe must have less than this share of the error to be preferred.
const CLEARLY: f64 = 0.8;

/// One layer's replacement.
pub struct LayerNorm<'a> {
    /// The layer.
    pub origin: &'a Origin,
    /// Its function's name.
    pub function: &'static str,
    /// How good it must be.
    pub quality: Quality,
}

/// A polynomial and Newton steps y ← y·(3 − v·y²)/2 after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recipe {
    degree: usize,
    newton: usize,
}

/// What is tried, in the order of depth.
const RECIPES: [Recipe; 7] = [
    Recipe { degree: 0, newton: 0 },
    Recipe { degree: 1, newton: 0 },
    Recipe { degree: 2, newton: 0 },
    Recipe { degree: 4, newton: 0 },
    Recipe { degree: 8, newton: 0 },
    Recipe { degree: 8, newton: 1 },
    Recipe { degree: 8, newton: 2 },
];

impl Recipe {
    fn depth(self) -> Depth {
        match self.degree {
            0 => Depth(0),
            degree => Depth(3 + levels(degree) + 2 * self.newton as u32),
        }
    }

    fn products(self) -> usize {
        if self.degree == 0 { 0 } else { 2 + products(self.degree) + 3 * self.newton }
    }
}

/// Mean squares, sample by sample.
struct Squared {
    /// v + ε, and its class.
    rows: usize,
    values: Vec<f64>,
    fitting: usize,
    class: Vec<usize>,
}

/// For each class of positions p, and how far the whole is from 1/√v.
struct Fitted {
    recipe: Recipe,
    polynomials: Vec<Local>,
    relative: f64,
    max: f64,
    outside: f64,
}

impl LayerNorm<'_> {
    /// Append the rows of x, normalised.
    ///
    /// # Errors
    /// When the network has diverged before, or is ill-formed.
    pub fn append(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        how: &Normalization,
    ) -> Result<(ValueId, Replacement), NonlinearError> {
        let layer = self.origin.layer();
        let diverged = || NonlinearError::Diverged { layer: layer.to_owned() };
        let shape = builder.graph.shape(x).clone();
        let observed = builder.observe(layer, &[x])?;
        let squared = Squared::of(&observed.values(x), observed.fitting, &shape, how);
        let fitted = self.fit(&squared).ok_or_else(diverged)?;
        let report = fitted.report(layer, self.function, &squared);
        let mut emitter = Emitter { graph: &mut builder.graph, origin: self.origin };
        let value = fitted.emit(&mut emitter, (x, how), &squared);
        Ok((value.map_err(|reason| NonlinearError::Shape { layer: layer.to_owned(), reason })?, report))
    }

    /// The recipe of least depth that is good enough, or the best one.
    fn fit(&self, squared: &Squared) -> Option<Fitted> {
        let wanted = |r: &Recipe| match self.quality {
            Quality::Within(_) => true,
            Quality::Degree(most) => r.newton == 0 && r.degree <= most && 2 * r.degree > most.min(8),
        };
        let mut best: Option<Fitted> = None;
        for recipe in RECIPES.into_iter().filter(wanted) {
            let Some(fitted) = squared.fit(recipe) else { continue };
            if best.as_ref().is_none_or(|b| fitted.relative < CLEARLY * b.relative) {
                best = Some(fitted);
            }
            if let (Quality::Within(error), Some(b)) = (self.quality, &best)
                && b.relative <= error
            {
                break;
            }
        }
        best
    }
}

/// The shape of one number for each row.
fn rows_shape(shape: &Shape, how: &Normalization) -> Shape {
    let extent = |(axis, &d): (usize, &usize)| if how.axes.contains(&axis) { 1 } else { d };
    Shape::new(shape.dims().iter().enumerate().map(extent).collect::<Vec<_>>())
}

impl Squared {
    fn of(samples: &[&Tensor], fitting: usize, shape: &Shape, how: &Normalization) -> Self {
        let rows = rows_shape(shape, how);
        let mean = LinearStep::Mean { axes: how.axes.clone() };
        let constants = hec_ir::tensor::Constants::default();
        let average = |t: &Tensor| mean.apply(t, &constants).map_or_else(|_| Vec::new(), |t| t.data);
        let of_sample = |x: &&Tensor| -> Vec<f64> {
            let squares = Tensor { shape: x.shape.clone(), data: x.data.iter().map(|x| x * x).collect() };
            let mean = if how.center { average(x) } else { vec![0.0; rows.elements()] };
            average(&squares).iter().zip(mean).map(|(s, m)| s - m * m + how.epsilon).collect()
        };
        let values: Vec<f64> = samples.iter().flat_map(of_sample).collect();
        let count = rows.elements();
        let position = |i: usize| {
            let seen = values.iter().take(fitting * count).skip(i).step_by(count);
            moments(seen.map(|v| libm::log(v.max(f64::MIN_POSITIVE))))
        };
        let class = classes(&(0..count).map(position).collect::<Vec<_>>());
        Squared { rows: count, values, fitting, class }
    }

    fn fit(&self, recipe: Recipe) -> Option<Fitted> {
        let mut pairs = vec![Pairs::default(); count(&self.class)];
        for (i, &v) in self.values.iter().take(self.fitting * self.rows).enumerate() {
            pairs[self.class[i % self.rows]].values.push((v, libm::sqrt(v)));
        }
        let fit = |p: &Pairs| match recipe.degree {
            0 => p.constant(),
            degree => p.inverse(degree, GUARD),
        };
        let polynomials = pairs.iter().map(fit).collect::<Option<Vec<Local>>>()?;
        let mut fitted = Fitted { recipe, polynomials, relative: 0.0, max: 0.0, outside: 0.0 };
        let first = if self.values.len() > self.fitting * self.rows { self.fitting * self.rows } else { 0 };
        let mut sum = 0.0;
        for (i, &v) in self.values.iter().enumerate().skip(first) {
            let miss = (fitted.eval(self.class[i % self.rows], v) * libm::sqrt(v) - 1.0).abs();
            sum += miss * miss;
            fitted.max = if miss.is_nan() { f64::INFINITY } else { fitted.max.max(miss) };
        }
        let relative = libm::sqrt(sum / (self.values.len() - first).max(1) as f64);
        fitted.relative = if relative.is_finite() { relative } else { f64::INFINITY };
        fitted.outside = self.outside(&fitted);
        Some(fitted)
    }

    /// Probability that a mean square leaves the range of its polynomial, from the tails of what was seen.
    fn outside(&self, fitted: &Fitted) -> f64 {
        let seen = || self.values.iter().take(self.fitting * self.rows).enumerate();
        let of_class = |(class, polynomial): (usize, &Local)| {
            let mut logs: Vec<f64> = seen()
                .filter(|(i, _)| self.class[i % self.rows] == class)
                .map(|(_, v)| libm::log(v.max(f64::MIN_POSITIVE)))
                .collect();
            logs.sort_by(f64::total_cmp);
            let (low, high) = (libm::log(polynomial.range.0), libm::log(polynomial.range.1));
            let upper = Tail::fit(&logs.iter().map(|&u| (u, 1.0)).collect::<Vec<_>>());
            let lower = Tail::fit(&logs.iter().rev().map(|&u| (-u, 1.0)).collect::<Vec<_>>());
            (upper.exceedance(high).unwrap_or(0.0) + lower.exceedance(-low).unwrap_or(0.0)) * logs.len() as f64
        };
        let total: f64 = fitted.polynomials.iter().enumerate().map(of_class).sum();
        total / (self.fitting * self.rows).max(1) as f64
    }
}

impl Fitted {
    fn eval(&self, class: usize, v: f64) -> f64 {
        let start = self.polynomials[class].eval(v);
        (0..self.recipe.newton).fold(start, |y, _| 1.5 * y - 0.5 * v * y * y * y)
    }

    fn report(&self, layer: &str, function: &str, squared: &Squared) -> Replacement {
        let ends =
            |f: fn(f64, f64) -> f64, g: fn(&Local) -> f64| self.polynomials.iter().map(g).reduce(f).unwrap_or(0.0);
        let size = squared.values.iter().map(|v| 1.0 / v.max(f64::MIN_POSITIVE)).sum::<f64>();
        let size = libm::sqrt(size / squared.values.len().max(1) as f64);
        Replacement {
            layer: layer.to_owned(),
            function: function.to_owned(),
            choice: Choice::least_squares(self.recipe.degree),
            depth: self.recipe.depth(),
            products: self.recipe.products(),
            channels: self.polynomials.len(),
            range: (ends(f64::min, |p| p.range.0), ends(f64::max, |p| p.range.1)),
            rms: self.relative * size,
            max: self.max * size,
            growth: self.max * size,
            outside: Some(self.outside),
            advice: None,
        }
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        (x, how): (ValueId, &Normalization),
        squared: &Squared,
    ) -> Result<ValueId, ShapeError> {
        let shape = emitter.graph.shape(x).clone();
        let lead = rows_shape(&shape, how);
        let row = match (how.center, how.axes.as_slice()) {
            (false, _) => x,
            (true, &[axis]) if axis + 1 == shape.rank() => emitter.centered(x)?,
            (true, _) => emitter.centered_along(x, &how.axes)?,
        };
        let each: Vec<Squares> = squared.class.iter().map(|&c| self.polynomials[c].squares).collect();
        if self.recipe.degree == 0 {
            let factors = squared.class.iter().map(|&c| self.polynomials[c].eval(1.0)).collect();
            return emitter.scale(row, "factor", Tensor { shape: lead, data: factors });
        }
        let square = emitter.square(row)?;
        let steps = vec![LinearStep::Mean { axes: how.axes.clone() }, LinearStep::Expand { shape: shape.clone() }];
        let mean = emitter.linear(square, steps)?;
        let one = Shape::new(vec![1; shape.rank()]);
        let v = emitter.shift(mean, "epsilon", Tensor::filled(one.clone(), how.epsilon))?;
        let mut y = Squares::emit(emitter, v, (self.recipe.degree, &lead, &each))?;
        if self.recipe.newton > 0 {
            let half = emitter.scale(v, "half", Tensor::filled(one.clone(), 0.5))?;
            for _ in 0..self.recipe.newton {
                let kept = emitter.scale(y, "newton", Tensor::filled(one.clone(), 1.5))?;
                let (product, square) = (emitter.mul(half, y)?, emitter.square(y)?);
                let cube = emitter.mul(product, square)?;
                y = emitter.sub(kept, cube)?;
            }
        }
        emitter.mul(row, y)
    }
}
