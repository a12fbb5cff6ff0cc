//! What the functions of the network so far see.

use super::{Builder, Context};
use crate::groups::Groups;
use crate::network::{RunError, Values};
use crate::statistics::Observed;
use crate::{NonlinearError, Statistics};
use hec_ir::entity::Entity;
use hec_ir::tensor::{Tensor, ValueId};
use std::collections::BTreeMap;

/// Values beyond this size count as divergence: their squares would overflow soon.
const DIVERGED: f64 = 1e100;

/// Values of an activation's input from which its density is measured, and the least number of samples; the ends of its
/// range are those of all samples.
const MOST_VALUES: usize = 1 << 23;
const LEAST_SAMPLES: usize = 64;

/// How much further than the validation samples others may go.
const MORE: f64 = 1.6;

/// Least width of a group's range, relative to that of the whole tensor, by which its excess is measured.
const LEAST_WIDTH: f64 = 1e-3;

/// An input with its target.
pub(super) type Pair = (Tensor, Vec<f32>);

/// Values on all samples.
pub struct Seen {
    values: BTreeMap<ValueId, Vec<Tensor>>,
    /// The first samples are for fitting.
    pub fitting: usize,
}

impl Seen {
    /// A value on every sample.
    pub fn values(&self, id: ValueId) -> Vec<&Tensor> {
        self.values[&id].iter().collect()
    }
}

impl Builder<'_> {
    /// What `x` looks like in the network so far; `None` without samples. With a target, the original network's values
    /// of that activation are what the fit should give; without, the values are mirrored and their size is the target.
    ///
    /// # Errors
    /// When the network so far has diverged.
    pub fn statistics(
        &mut self,
        layer: &str,
        x: ValueId,
        target: Option<ValueId>,
        keep: &[ValueId],
    ) -> Result<Option<Statistics>, NonlinearError> {
        if self.context.fitting == 0 {
            return Ok(None);
        }
        self.advance(layer, keep)?;
        let end = target.map_or(self.next, |id| id.index() + 1);
        self.want(layer, end, target)?;
        let groups = Groups::channels(self.graph.shape(x));
        self.excess = self.excess.max(self.excess_at(x).map_err(|e| NonlinearError::run(layer, e))?);
        let seen = self.some(x, target).and_then(|some| self.measure(x, target, groups, &some));
        match seen.map_err(|e| NonlinearError::run(layer, e))? {
            Some(seen) => Ok(Some(seen)),
            None => Err(NonlinearError::Diverged { layer: layer.to_owned() }),
        }
    }

    /// Inputs of some fitting samples, evenly spaced, with their targets.
    pub(super) fn some(&self, x: ValueId, target: Option<ValueId>) -> Result<Vec<Pair>, RunError> {
        let fitting = self.context.fitting;
        let most = (MOST_VALUES / self.graph.shape(x).elements().max(1)).max(LEAST_SAMPLES);
        let taken = |i: usize| fitting <= most || i * most / fitting != (i + 1) * most / fitting;
        let single = |x: &f64| *x as f32;
        let some: Vec<Option<Pair>> = match target {
            Some(id) => Values([(&self.found, x), (&self.wanted, id)])
                .map(0..fitting, |i, [x, t]| taken(i).then(|| (x.clone(), t.data.iter().map(single).collect())))?,
            None => Values([(&self.found, x)]).map(0..fitting, |i, [x]| {
                taken(i).then(|| (x.clone(), x.data.iter().map(|v| single(&v.abs())).collect()))
            })?,
        };
        Ok(some.into_iter().flatten().collect())
    }

    /// How far a validation sample, stretched ones apart, leaves the range of the fitting samples, relative to its width.
    /// All channels together: one that is nearly constant shows nothing.
    fn excess_at(&self, x: ValueId) -> Result<f64, RunError> {
        let Context { fitting, validation, .. } = *self.context;
        let ends =
            |x: &Tensor| x.data.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        let each = Values([(&self.found, x)]).map(0..fitting + validation, |_, [x]| ends(x))?;
        let join = |some: &[(f64, f64)]| {
            some.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1)))
        };
        let (seen, held_out) = each.split_at(fitting);
        let (seen, held_out) = (join(seen), join(held_out));
        let beyond = (held_out.1 - seen.1).max(seen.0 - held_out.0);
        Ok(if beyond > 0.0 { beyond / (seen.1 - seen.0).max(f64::MIN_POSITIVE) } else { 0.0 })
    }

    /// The densities of some samples, with ranges that hold all samples; `None` when some value has diverged.
    pub(super) fn measure(
        &self,
        x: ValueId,
        target: Option<ValueId>,
        groups: Groups,
        some: &[Pair],
    ) -> Result<Option<Statistics>, RunError> {
        let shape = self.graph.shape(x);
        let (count, table) = (groups.count(), groups.table(shape));
        let none = || vec![(f64::INFINITY, f64::NEG_INFINITY); count];
        let each = Values([(&self.found, x)]).map(0..self.context.fitting, |_, [x]| {
            let mut ends = none();
            for (&group, &v) in table.iter().zip(&x.data) {
                if v.is_nan() || v.abs() > DIVERGED {
                    return None;
                }
                ends[group] = (ends[group].0.min(v), ends[group].1.max(v));
            }
            Some(ends)
        })?;
        let mut ends = none();
        for own in each {
            let Some(own) = own else { return Ok(None) };
            ends.iter_mut().zip(own).for_each(|((lo, hi), own)| (*lo, *hi) = (lo.min(own.0), hi.max(own.1)));
        }
        let observed: Vec<Observed<'_>> = some.iter().map(|(input, target)| Observed { input, target }).collect();
        let mut statistics = Statistics::measure(shape, groups, &observed, target.is_none());
        statistics.widen(&ends);
        statistics.beyond = MORE * self.beyond(x, &table, &statistics)?;
        Ok(Some(statistics))
    }

    /// How far a validation sample, stretched ones apart, leaves the range of a group, relative to its width.
    fn beyond(&self, x: ValueId, table: &[usize], statistics: &Statistics) -> Result<f64, RunError> {
        let Context { fitting, validation, .. } = *self.context;
        // A group that is nearly constant shows nothing.
        let least = (LEAST_WIDTH * (statistics.whole.hi - statistics.whole.lo)).max(f64::MIN_POSITIVE);
        let farthest = |_: usize, [x]: [&Tensor; 1]| {
            let each = table.iter().zip(&x.data).map(|(&group, &v)| {
                let density = &statistics.densities[group];
                (v - density.hi).max(density.lo - v) / (density.hi - density.lo).max(least)
            });
            each.fold(0.0, f64::max)
        };
        let each = Values([(&self.found, x)]).map(fitting..fitting + validation, farthest)?;
        Ok(each.into_iter().fold(0.0, f64::max))
    }

    /// Values of the network so far on all samples.
    ///
    /// # Errors
    /// When it has diverged.
    pub fn observe(&mut self, layer: &str, values: &[ValueId]) -> Result<Seen, NonlinearError> {
        self.advance(layer, values)?;
        let wild = |t: &Tensor| t.data.iter().any(|v| !v.is_finite() || v.abs() > DIVERGED);
        let mut seen = Seen { values: BTreeMap::new(), fitting: self.context.fitting };
        for &id in values {
            let view = Values([(&self.found, id)]);
            let found = view.map(0..self.context.samples, |_, [x]| x.clone());
            let found = found.map_err(|e| NonlinearError::run(layer, e))?;
            if found.iter().any(wild) {
                return Err(NonlinearError::Diverged { layer: layer.to_owned() });
            }
            seen.values.insert(id, found);
        }
        Ok(seen)
    }
}
