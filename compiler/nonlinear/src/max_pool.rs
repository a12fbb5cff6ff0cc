//! Maxima over windows by max(a, b) = (a+b)/2 + |a−b|/2.

use crate::build::Builder;
use crate::fit::fit;
use crate::menu::Order;
use crate::report::{Replacement, note};
use crate::{Choice, NonlinearError, Robustness, Statistics};
use hec_ir::Origin;
use hec_ir::tensor::{Function, LinearStep, Op, ShapeError, ValueId, Window};
use hec_params::Depth;

/// One layer's replacement: what its maxima share.
pub struct MaxPool<'a> {
    /// The layer.
    pub origin: &'a Origin,
    /// How |x| is fitted.
    pub choice: Choice,
    /// How carefully.
    pub robustness: Robustness,
    /// The range of the layer's input, where the user gave it.
    pub range: Option<(f64, f64)>,
}

/// The largest even degree of the same depth, for functions that are even.
pub fn even(choice: Choice) -> Choice {
    if choice.is_odd_polynomial() { Choice { degree: (choice.degree & !1).max(2), ..choice } } else { choice }
}

impl MaxPool<'_> {
    /// Append the maxima over the window: first along y, then along x.
    ///
    /// # Errors
    /// When nothing is known about the differences, or the network has diverged before.
    pub fn append(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        window: &Window,
    ) -> Result<(ValueId, Replacement), NonlinearError> {
        let mut done = None;
        let rows = self.along(builder, x, window, 2, &mut done)?;
        let value = self.along(builder, rows, window, 3, &mut done)?;
        let mut report = done.unwrap_or_else(|| self.nothing());
        let rounds = window.kernel.map(|k| k.next_power_of_two().ilog2()).iter().sum::<u32>();
        report.depth = Depth(report.depth.0 * rounds);
        report.advice = Some(format!(
            "this maximum takes {} levels and {} products; average pooling takes neither, but the network must be \
             retrained with it",
            report.depth.0, report.products
        ));
        Ok((value, report))
    }

    /// A window of one element is its own maximum.
    fn nothing(&self) -> Replacement {
        let fit = fit(Function::Abs, &Statistics::of_range(4, -1.0, 1.0), Choice::KERNEL, self.robustness);
        let (choice, range) = (self.choice, (0.0, 0.0));
        let report = Replacement::of(self.origin.layer(), "max_pool", &fit);
        Replacement { choice, range, channels: 0, products: 0, rms: 0.0, max: 0.0, growth: 0.0, ..report }
    }

    /// A tournament along one axis.
    fn along(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        window: &Window,
        axis: usize,
        done: &mut Option<Replacement>,
    ) -> Result<ValueId, NonlinearError> {
        let mut round = self.slices(builder, x, window, axis).map_err(|e| self.shape(e))?;
        while round.len() > 1 {
            let mut next = Vec::with_capacity(round.len().div_ceil(2));
            for pair in round.clone().chunks(2) {
                let &[a, b] = pair else {
                    next.extend_from_slice(pair);
                    continue;
                };
                // What is still to be played must stay alive.
                let waiting: Vec<ValueId> = next.iter().chain(&round).copied().collect();
                let (winner, report) = self.maximum(builder, a, b, &waiting)?;
                next.push(winner);
                *done = Some(match done.take() {
                    None => report,
                    Some(before) => before.and(&report),
                });
            }
            round = next;
        }
        Ok(round[0])
    }

    /// The window's taps along an axis, each a tensor of the result's extent there.
    fn slices(
        &self,
        builder: &mut Builder<'_>,
        x: ValueId,
        window: &Window,
        axis: usize,
    ) -> Result<Vec<ValueId>, ShapeError> {
        let (kernel, stride) = (window.kernel[axis - 2], window.strides[axis - 2]);
        let dims = builder.graph.shape(x).dims().to_vec();
        if kernel == 1 && stride == 1 {
            return Ok(vec![x]);
        }
        let mut extents = dims.clone();
        extents[axis] = dims[axis].saturating_sub(kernel) / stride + 1;
        let slice = |tap: usize| {
            let (mut starts, mut steps) = (vec![0; dims.len()], vec![1; dims.len()]);
            (starts[axis], steps[axis]) = (tap, stride as i64);
            let step = LinearStep::Slice { starts, steps, extents: extents.clone() };
            builder.graph.push(Op::Linear(vec![step]), [x], self.origin.clone())
        };
        (0..kernel).map(slice).collect()
    }

    fn maximum(
        &self,
        builder: &mut Builder<'_>,
        a: ValueId,
        b: ValueId,
        waiting: &[ValueId],
    ) -> Result<(ValueId, Replacement), NonlinearError> {
        let layer = self.origin.layer();
        let plain = |op: Op, args: [ValueId; 2], builder: &mut Builder<'_>| {
            builder.graph.push(op, args, self.origin.clone()).map_err(|e| self.shape(e))
        };
        let difference = plain(Op::Sub, [a, b], builder)?;
        let keep: Vec<ValueId> = waiting.iter().copied().chain([difference]).collect();
        let statistics = match (builder.statistics(layer, difference, None, &keep)?, self.range) {
            (Some(seen), Some((lo, hi))) => seen.with_range(lo - hi, hi - lo),
            (Some(seen), None) => seen,
            (None, Some((lo, hi))) => Statistics::of_range(4, lo - hi, hi - lo),
            (None, None) => return Err(NonlinearError::NoData { layer: layer.to_owned(), function: "max_pool" }),
        };
        let fitted = builder
            .fit(Function::Abs, &statistics, self.choice, self.robustness, (difference, None))
            .map_err(|e| NonlinearError::run(layer, e))?;
        builder.note_relative_error(fitted.errors.relative);
        let origin = self.origin.clone().with_note(note(fitted.choice, fitted.errors.rms));
        let half = fitted.formula.clone().times(0.5);
        let half_distance =
            half.emit(&mut builder.graph, difference, &fitted.groups, &origin).map_err(|e| self.shape(e))?;
        let sum = plain(Op::Add, [a, b], builder)?;
        let one_half = builder.graph.constants.add(
            &format!("{layer}.half"),
            hec_ir::tensor::Tensor::filled(hec_ir::tensor::Shape::new(vec![1; builder.graph.shape(sum).rank()]), 0.5),
        );
        let scale = Op::Linear(vec![LinearStep::Scale { factor: one_half }]);
        let half_sum = builder.graph.push(scale, [sum], self.origin.clone()).map_err(|e| self.shape(e))?;
        let maximum = builder.graph.push(Op::Add, [half_sum, half_distance], origin).map_err(|e| self.shape(e))?;
        let report = Replacement::of(layer, "max_pool", &fitted);
        let (layer, function, robustness) = (layer.to_owned(), Function::Abs, self.robustness);
        builder.order(Order { layer, place: None, function, statistics, fit: fitted, robustness });
        Ok((maximum, report))
    }

    fn shape(&self, reason: ShapeError) -> NonlinearError {
        NonlinearError::Shape { layer: self.origin.layer().to_owned(), reason }
    }
}
