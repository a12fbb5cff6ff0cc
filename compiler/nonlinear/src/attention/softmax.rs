//! Softmax by polynomials.
//!
//! A row is shifted by what is linear in it (no level: it goes into the keys), e^z is a power of a polynomial, and the sum
//! of the row is inverted by a product of two polynomials, the first one of an earlier sum: y ≈ 1/ΣE and r ≈ 1/(y·ΣE).
//! Where a product with the values follows, it is divided after it: E·V and the inverse are computed side by side. Every
//! head has its own coefficients, and every class of positions within it.

use super::emitter::Emitter;
use super::head::{Head, Miss, Rows};
use super::local::Local;
use super::pattern::Scores;
use super::postpone::is_normalized;
use super::quality::Quality;
use super::recipe::{RECIPES, Recipe};
use super::scores::Table;
use super::squares::Squares;
use crate::build::Builder;
use crate::report::Replacement;
use crate::{Choice, NonlinearError, ROBUSTNESS, Robustness};
use hec_ir::Origin;
use hec_ir::tensor::{ConvAttributes, LinearStep, Shape, ShapeError, Tensor, ValueId};
use rayon::prelude::*;

/// A head whose attention differs from its mean by less than this, in relative mean square, has a constant one.
const CONSTANT: f64 = 0.003;

/// A more careful fit must have less than this share of the error to be preferred.
const CLEARLY: f64 = 0.8;

/// With a given degree, a level must bring the mean square of the error below this share.
const WORTH: f64 = 0.4;

/// One layer's replacement.
pub struct Softmax<'a> {
    /// The layer.
    pub origin: &'a Origin,
    /// The softmax's axis.
    pub axis: usize,
    /// How good it must be.
    pub quality: Quality,
    /// How carefully.
    pub robustness: Robustness,
}

/// A fitted attention.
struct Fitted {
    recipe: Recipe,
    rows: Vec<Rows>,
    /// The polynomials of each head; `None` for a constant one.
    heads: Vec<Option<Head>>,
    /// The attention of the heads where it is constant.
    constant: Vec<Option<Vec<f64>>>,
    miss: Miss,
}

impl Softmax<'_> {
    /// Append softmax(x)·v, or softmax(x) without values. With values the axis is the last one.
    ///
    /// # Errors
    /// When the network has diverged before, or is ill-formed.
    pub fn append(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        v: Option<ValueId>,
    ) -> Result<(ValueId, Replacement), NonlinearError> {
        let layer = self.origin.layer();
        let shape_error = |reason| NonlinearError::Shape { layer: layer.to_owned(), reason };
        let x = self.turned(builder, x).map_err(shape_error)?;
        let how = Scores::of(&builder.graph, x).ok_or_else(|| NonlinearError::Diverged { layer: layer.to_owned() })?;
        let query = how.product.map(|(q, _)| q);
        let keep: Vec<ValueId> = [Some(how.base), query, v].into_iter().flatten().collect();
        let shape = builder.graph.shape(x).clone();
        let mixes = how.product.is_none_or(|(_, k)| !is_normalized(&builder.graph, k));
        let observed = builder.observe(layer, &keep)?;
        let queries = query.map(|q| observed.values(q));
        let table = Table::new(&how, observed.values(how.base), queries, (&shape, mixes, observed.fitting));
        let fitted = self.fit(&table).ok_or_else(|| NonlinearError::Diverged { layer: layer.to_owned() })?;
        let report = fitted.report(layer);
        let mut emitter = Emitter { graph: &mut builder.graph, origin: self.origin };
        let value = fitted.emit(&mut emitter, &how, (x, v)).map_err(shape_error)?;
        Ok((self.turned(builder, value).map_err(shape_error)?, report))
    }

    /// x with the axis last, or back again.
    fn turned(&self, builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId, ShapeError> {
        let last = builder.graph.shape(x).rank().saturating_sub(1);
        if self.axis == last {
            return Ok(x);
        }
        let mut permutation: Vec<usize> = (0..=last).collect();
        permutation.swap(self.axis, last);
        Emitter { graph: &mut builder.graph, origin: self.origin }
            .linear(x, vec![LinearStep::Transpose { permutation }])
    }

    /// The recipe of least depth that is good enough, or the best one.
    fn fit(&self, table: &Table<'_>) -> Option<Fitted> {
        let rows: Vec<Rows> = (0..table.heads).into_par_iter().map(|head| Rows::new(table, head)).collect();
        let constant: Vec<Option<Vec<f64>>> = rows.par_iter().map(|r| r.constant(CONSTANT)).collect();
        let candidates: Vec<Recipe> = match self.quality {
            Quality::Within(_) => RECIPES.to_vec(),
            Quality::Degree(most) => {
                let degree = RECIPES.iter().map(|r| r.degree).filter(|&d| d <= most).max().unwrap_or(2);
                RECIPES.iter().copied().filter(|r| r.degree == degree).collect()
            }
        };
        let mut best: Option<(Recipe, Vec<Option<Head>>, Miss)> = None;
        for recipe in candidates {
            let Some((heads, miss)) = self.heads(&rows, &constant, recipe) else { continue };
            let worth = |b: &(Recipe, Vec<Option<Head>>, Miss)| match self.quality {
                Quality::Within(_) => CLEARLY,
                Quality::Degree(_) => libm::pow(WORTH, f64::from(recipe.depth().0 - b.0.depth().0)).min(CLEARLY),
            };
            if best.as_ref().is_none_or(|b| miss.relative < worth(b) * b.2.relative) {
                best = Some((recipe, heads, miss));
            }
            if let (Quality::Within(error), Some(b)) = (self.quality, &best)
                && b.2.relative <= error * error
            {
                break;
            }
        }
        let (recipe, heads, miss) = best?;
        Some(Fitted { recipe, rows, heads, constant, miss })
    }

    /// All heads by one recipe, each as carefully as validation asks for.
    fn heads(&self, rows: &[Rows], constant: &[Option<Vec<f64>>], recipe: Recipe) -> Option<(Vec<Option<Head>>, Miss)> {
        let careful: Vec<Robustness> = ROBUSTNESS.iter().copied().skip_while(|&r| r != self.robustness).collect();
        let head = |(rows, constant): (&Rows, &Option<Vec<f64>>)| -> Option<Option<(Head, Miss)>> {
            if constant.is_some() {
                return Some(None);
            }
            let mut best: Option<(Head, Miss)> = None;
            for &robustness in &careful {
                let Some(head) = rows.fit(recipe, robustness) else { continue };
                let miss = rows.miss(&head, recipe);
                if best.as_ref().is_none_or(|b| miss.relative < CLEARLY * b.1.relative) {
                    best = Some((head, miss));
                }
            }
            best.map(Some)
        };
        let found: Option<Vec<_>> = rows.par_iter().zip(constant).map(head).collect::<Vec<_>>().into_iter().collect();
        let found = found?;
        let count = found.iter().flatten().count().max(1) as f64;
        let mut total = Miss::default();
        for (_, miss) in found.iter().flatten() {
            total.relative += miss.relative / count;
            total.rms += miss.rms * miss.rms / count;
            total.max = total.max.max(miss.max);
            total.outside += miss.outside / count;
        }
        total.rms = libm::sqrt(total.rms);
        Some((found.into_iter().map(|h| h.map(|(head, _)| head)).collect(), total))
    }
}

impl Fitted {
    fn report(&self, layer: &str) -> Replacement {
        let ranges = self.rows.iter().map(Rows::range);
        let range = ranges.fold((f64::INFINITY, f64::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        let still = self.constant.iter().flatten().count();
        let heads = self.heads.len();
        Replacement {
            layer: layer.to_owned(),
            function: "softmax".to_owned(),
            choice: Choice::least_squares(self.recipe.degree),
            depth: self.recipe.depth(),
            products: self.recipe.products(),
            channels: heads,
            range,
            rms: self.miss.rms,
            max: self.miss.max,
            growth: self.miss.max,
            outside: Some(self.miss.outside),
            advice: (still > 0).then(|| {
                format!("the attention of {still} of {heads} heads is the same for all samples: it is a linear map now")
            }),
        }
    }

    fn head(&self, head: usize) -> Option<(&Rows, &Head)> {
        self.heads[head].as_ref().map(|h| (&self.rows[head], h))
    }

    /// The nodes.
    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        how: &Scores,
        (x, v): (ValueId, Option<ValueId>),
    ) -> Result<ValueId, ShapeError> {
        let shape = emitter.graph.shape(x).clone();
        let (lead, rows, columns) = split(&shape);
        let t = self.scaled_scores(emitter, how, x)?;
        let columns_lead = Shape::new([lead, &[1, columns]].concat());
        let exponentials = self.column_squares();
        let mut power = Squares::emit_scaled(emitter, t, (self.recipe.degree, &columns_lead, &exponentials))?;
        let mut early = power;
        for k in 0..self.recipe.squarings {
            power = emitter.square(power)?;
            if self.recipe.start.is_some_and(|s| s.1 == k + 1) {
                early = power;
            }
        }
        let kept = match &how.mask {
            Some(mask) => emitter.scale(power, "mask", mask.clone())?,
            None => power,
        };
        let product = match v {
            Some(v) => emitter.batch_matmul(kept, v)?,
            None => kept,
        };
        let wide = emitter.graph.shape(product).clone();
        let rows_lead = Shape::new([lead, &[rows, 1]].concat());
        let sum = |emitter: &mut Emitter<'_>, of: ValueId| row_sum(emitter, of, how.mask.as_ref(), &wide);
        let late = sum(emitter, power)?;
        let inverses = self.row_squares(|h| Some(&h.inverse));
        let of_rows =
            |f: fn(&Squares) -> f64| Tensor { shape: rows_lead.clone(), data: inverses.iter().map(f).collect() };
        // The scale of the argument of r goes into the sum, before anything is multiplied with it.
        let late = emitter.scale(late, "sum_scale", of_rows(|s| s.scale))?;
        let (scaled, quotient) = match self.recipe.start {
            None => (product, late),
            Some((degree, _)) => {
                let early = sum(emitter, early)?;
                let starts = self.row_squares(|h| h.start.as_ref());
                let start = Squares::emit(emitter, early, (degree, &rows_lead, &starts))?;
                (emitter.mul(product, start)?, emitter.mul(late, start)?)
            }
        };
        let quotient = emitter.shift(quotient, "sum_shift", of_rows(|s| s.shift))?;
        let inverse = Squares::emit_scaled(emitter, quotient, (self.recipe.inverse, &rows_lead, &inverses))?;
        let value = emitter.mul(scaled, inverse)?;
        self.add_constant_heads(emitter, value, v)
    }

    /// For each column of each head p, as squares.
    fn column_squares(&self) -> Vec<Squares> {
        let zero = |rows: &Rows| vec![Squares::default(); rows.column_class.len()];
        let of = |(head, rows): (usize, &Rows)| match self.head(head) {
            Some((_, polynomials)) => {
                rows.column_class.iter().map(|&c| polynomials.exponential[c].squares).collect::<Vec<_>>()
            }
            None => zero(rows),
        };
        self.rows.iter().enumerate().flat_map(of).collect()
    }

    /// For each row of each head a polynomial of its sum, as squares.
    fn row_squares(&self, which: impl Fn(&Head) -> Option<&Vec<Local>>) -> Vec<Squares> {
        let of = |(head, rows): (usize, &Rows)| match self.head(head).and_then(|(_, h)| which(h)) {
            Some(each) => rows.row_class.iter().map(|&c| each[c].squares).collect::<Vec<_>>(),
            None => vec![Squares::default(); rows.row_class.len()],
        };
        self.rows.iter().enumerate().flat_map(of).collect()
    }

    /// t = scale·(z − shift of the row) + shift of the polynomial, one scale for each column.
    fn scaled_scores(&self, emitter: &mut Emitter<'_>, how: &Scores, x: ValueId) -> Result<ValueId, ShapeError> {
        let shape = emitter.graph.shape(x).clone();
        let (lead, rows, columns) = split(&shape);
        let squares = self.column_squares();
        let (mut mixing, mut queries, mut constants) = (Vec::new(), Vec::new(), Vec::new());
        let width = how.product.map_or(0, |(q, _)| *emitter.graph.shape(q).dims().last().unwrap_or(&0));
        for (head, data) in self.rows.iter().enumerate() {
            let squares = &squares[head * columns..][..columns];
            let shift = &data.shift;
            // Row m, column j: how much of score m is in t of column j.
            for m in 0..columns {
                mixing.extend(
                    squares
                        .iter()
                        .enumerate()
                        .map(|(j, s)| how.factor * s.scale * (f64::from(u8::from(j == m)) - shift.columns[m])),
                );
            }
            for d in 0..width {
                queries.extend(squares.iter().map(|s| -s.scale * shift.query[d]));
            }
            for row in 0..rows {
                let bias = how.bias.as_ref().map(|b| &b.data[(head * rows + row) * columns..][..columns]);
                let of_row = bias.map_or(0.0, |b| b.iter().zip(&shift.columns).map(|(b, w)| b * w).sum::<f64>());
                constants.extend(
                    squares
                        .iter()
                        .enumerate()
                        .map(|(j, s)| s.shift + s.scale * (bias.map_or(0.0, |b| b[j]) - of_row - shift.constants[row])),
                );
            }
        }
        let mixed = match how.product {
            Some((q, k)) => {
                let keys = mix(emitter, k, "keys", mixing, (self.rows.len(), columns))?;
                let queries = Tensor { shape: Shape::new([lead, &[width, columns]].concat()), data: queries };
                let keys = emitter.shift(keys, "keys_shift", queries)?;
                emitter.batch_matmul(q, keys)?
            }
            None => mix(emitter, how.base, "scores", mixing, (self.rows.len(), columns))?,
        };
        emitter.shift(
            mixed,
            "scores_shift",
            Tensor { shape: Shape::new([lead, &[rows, columns]].concat()), data: constants },
        )
    }

    /// The value plus what heads of constant attention give, which is linear.
    fn add_constant_heads(
        &self,
        emitter: &mut Emitter<'_>,
        value: ValueId,
        v: Option<ValueId>,
    ) -> Result<ValueId, ShapeError> {
        if self.constant.iter().all(Option::is_none) {
            return Ok(value);
        }
        let Some(first) = self.rows.first() else { return Ok(value) };
        let (rows, columns) = (first.row_class.len(), first.column_class.len());
        let attention = |c: &Option<Vec<f64>>| c.clone().unwrap_or_else(|| vec![0.0; rows * columns]);
        let data: Vec<f64> = self.constant.iter().flat_map(attention).collect();
        let Some(v) = v else {
            let shape = emitter.graph.shape(value).clone();
            return emitter.shift(value, "constant", Tensor { shape, data });
        };
        let heads = self.rows.len();
        let shape = emitter.graph.shape(value).clone();
        let width = *emitter.graph.shape(v).dims().last().unwrap_or(&1);
        let weight = Tensor { shape: Shape::new([heads * rows, columns, 1, 1]), data };
        let weight = emitter.constant("attention", weight);
        let steps = vec![
            LinearStep::Reshape { shape: Shape::new([1, heads * columns, width, 1]) },
            LinearStep::Conv { weight, attributes: grouped(heads) },
            LinearStep::Reshape { shape },
        ];
        let constant = emitter.linear(v, steps)?;
        emitter.add(value, constant)
    }
}

/// Leading extents, rows and columns.
fn split(shape: &Shape) -> (&[usize], usize, usize) {
    match shape.dims() {
        [lead @ .., rows, columns] => (lead, *rows, *columns),
        [columns] => (&[], 1, *columns),
        [] => (&[], 1, 1),
    }
}

fn grouped(groups: usize) -> ConvAttributes {
    ConvAttributes { strides: [1; 2], pads: [0; 4], dilations: [1; 2], groups }
}

/// x·M for the last axis of x, a matrix of `columns` rows and columns for each head.
fn mix(
    emitter: &mut Emitter<'_>,
    x: ValueId,
    suffix: &str,
    matrices: Vec<f64>,
    (heads, columns): (usize, usize),
) -> Result<ValueId, ShapeError> {
    let size = columns * columns;
    let diagonal = |m: &[f64]| m.iter().enumerate().all(|(i, &f)| f == 0.0 || i.is_multiple_of(columns + 1));
    if matrices.chunks_exact(size).all(diagonal) {
        let shape = Shape::new([split(emitter.graph.shape(x)).0, &[1, columns]].concat());
        let data = matrices.chunks_exact(size).flat_map(|m| m.iter().step_by(columns + 1).copied()).collect();
        return emitter.scale(x, suffix, Tensor { shape, data });
    }
    if matrices.chunks_exact(size).all(|m| m == &matrices[..size]) {
        let weight = Tensor { shape: Shape::new([columns, columns]), data: matrices[..size].to_vec() };
        let weight = emitter.constant(suffix, weight);
        return emitter.linear(x, vec![LinearStep::MatMul { weight }]);
    }
    let shape = emitter.graph.shape(x).clone();
    let across = shape.elements() / (heads * columns);
    let transposed = matrices
        .chunks_exact(size)
        .flat_map(|m| (0..columns).flat_map(move |j| (0..columns).map(move |i| m[i * columns + j])));
    let weight = Tensor { shape: Shape::new([heads * columns, columns, 1, 1]), data: transposed.collect() };
    let weight = emitter.constant(suffix, weight);
    let three = |a: usize, b: usize| LinearStep::Reshape { shape: Shape::new([heads, a, b]) };
    let turn = || LinearStep::Transpose { permutation: vec![0, 2, 1] };
    let steps = vec![
        three(across, columns),
        turn(),
        LinearStep::Reshape { shape: Shape::new([1, heads * columns, across, 1]) },
        LinearStep::Conv { weight, attributes: grouped(heads) },
        three(columns, across),
        turn(),
        LinearStep::Reshape { shape },
    ];
    emitter.linear(x, steps)
}

/// The sum of every row at all positions of `wide`.
fn row_sum(emitter: &mut Emitter<'_>, x: ValueId, mask: Option<&Tensor>, wide: &Shape) -> Result<ValueId, ShapeError> {
    let axis = wide.rank() - 1;
    let columns = *emitter.graph.shape(x).dims().last().unwrap_or(&1) as f64;
    let factor = match mask {
        Some(mask) => Tensor { shape: mask.shape.clone(), data: mask.data.iter().map(|m| m * columns).collect() },
        None => Tensor::filled(Shape::new(vec![1; wide.rank()]), columns),
    };
    let factor = emitter.constant("sum", factor);
    let steps = vec![
        LinearStep::Scale { factor },
        LinearStep::Mean { axes: vec![axis] },
        LinearStep::Expand { shape: wide.clone() },
    ];
    emitter.linear(x, steps)
}
