//! Building the polynomial network next to the original one.
//!
//! Each function is fitted to the inputs that it gets in the network built so far, with the original network's values as
//! targets, so that a layer makes good what the layers before it got wrong.

use crate::attention::{Attention, LayerNorm, Quality, Softmax, sources};
use crate::classes::classes;
use crate::correct::correct;
use crate::domain;
use crate::fit::{alternative, fit};
use crate::groups::Groups;
use crate::max_pool::{MaxPool, even};
use crate::network::{Front, Truth};
use crate::report::{Correction, Replacement, note};
use crate::score::Agreement;
use crate::statistics::Observed;
use crate::unit::{Unit, units};
use crate::{Choice, Fit, NonlinearError, Options, ROBUSTNESS, Robustness, Statistics};
use hec_ir::entity::{Entity, EntityVec};
use hec_ir::tensor::{Function, Graph, Node, Op, Tensor, ValueId};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Values beyond this size count as divergence: their squares would overflow soon.
const DIVERGED: f64 = 1e100;

/// A more careful fit must have less than this share of the error to be preferred.
const CLEARLY: f64 = 0.8;

/// Numbers by position must have less than this share of the error: they make the linear maps around them less regular.
const FAR_BETTER: f64 = 0.5;

/// What every attempt shares.
pub struct Context<'a> {
    /// The network.
    pub original: &'a Graph,
    /// What it computes, sample by sample.
    pub truths: Vec<Truth>,
    /// The first samples are for fitting.
    pub fitting: usize,
    /// How many of the samples after those are compared in the end; the ones after these are stretched.
    pub validation: usize,
    /// What the user wants.
    pub options: &'a Options,
    /// Linear layers that can be re-fitted, by the nodes at their ends.
    units: BTreeMap<ValueId, Unit>,
    /// Softmaxes, by the nodes at their ends.
    attentions: BTreeMap<ValueId, Attention>,
    /// For each value the index of the node that uses it last.
    last_use: EntityVec<ValueId, usize>,
}

impl<'a> Context<'a> {
    /// Of a network that has been run on all samples.
    pub fn new(
        original: &'a Graph,
        truths: Vec<Truth>,
        fitting: usize,
        validation: usize,
        options: &'a Options,
    ) -> Self {
        let units = if options.correct && validation > 0 { units(original) } else { Vec::new() };
        let units: BTreeMap<ValueId, Unit> = units.into_iter().map(|u| (u.end, u)).collect();
        let mut last_use: EntityVec<ValueId, usize> = original.nodes.keys().map(|id| id.index()).collect();
        for (id, node) in original.nodes.iter() {
            node.args.iter().for_each(|&arg| last_use[arg] = id.index());
        }
        original.outputs.iter().for_each(|o| last_use[o.value] = usize::MAX);
        // A layer is re-fitted when its end is reached; its input has to live until then.
        for unit in units.values() {
            let input = original.nodes[unit.linear].args[0];
            last_use[input] = last_use[input].max(unit.end.index());
        }
        // A softmax is replaced together with the product behind it.
        let mut attentions = Attention::all(original);
        attentions.retain(|_, a| !kept(&original.nodes[a.softmax], options));
        let mut keep = |value: ValueId, until: ValueId| last_use[value] = last_use[value].max(until.index());
        for (&end, attention) in &attentions {
            attention.needs(original).into_iter().for_each(|value| keep(value, end));
        }
        for (id, node) in original.nodes.iter().filter(|(_, n)| matches!(n.op, Op::Normalize(_))) {
            sources(original, node.args[0]).into_iter().for_each(|value| keep(value, id));
        }
        Context { original, truths, fitting, validation, options, units, attentions, last_use }
    }

    /// The original network's values that something is fitted to.
    pub fn wanted(original: &Graph, options: &Options) -> BTreeSet<ValueId> {
        let activations = original.nodes.iter().filter(|(_, n)| matches!(n.op, Op::Activation(_))).map(|(id, _)| id);
        let units = if options.correct { units(original) } else { Vec::new() };
        activations.chain(units.into_iter().map(|u| u.end)).collect()
    }

    /// The pin for a layer or its function.
    fn pin(&self, layer: &str, function: &str) -> Option<Choice> {
        let pin = |name: &str| self.options.pins.iter().rev().find(|p| p.target == name).map(|p| p.choice);
        pin(layer).or_else(|| pin(function))
    }

    /// How good a function of rows must be, by its pin or by the default for activations.
    fn quality(&self, layer: &str, function: &str, default: Choice) -> Quality {
        let asked = self.options.max_row_error.map_or_else(|| Quality::beside(default), Quality::Within);
        self.pin(layer, function).map_or(asked, |c| Quality::Degree(c.degree))
    }
}

/// Whether a function stays as it is.
fn kept(node: &Node, options: &Options) -> bool {
    let function = match node.op {
        Op::Activation(function) => function.name(),
        _ => node.op.name(),
    };
    options.keep.contains(function) || options.keep.contains(node.origin.layer())
}

/// A polynomial network in the making.
#[derive(Clone)]
pub struct Builder<'a> {
    context: &'a Context<'a>,
    /// The network so far; inputs come first.
    pub graph: Graph,
    /// Index of the original network's next node.
    next: usize,
    mapped: BTreeMap<ValueId, ValueId>,
    front: Front,
    replacements: Vec<Replacement>,
    corrections: Vec<Correction>,
    worst_relative_error: f64,
}

/// Values on all samples.
pub struct Seen<'a> {
    front: &'a Front,
    /// The first samples are for fitting.
    pub fitting: usize,
}

impl<'a> Seen<'a> {
    /// A value on every sample.
    pub fn values(&self, id: ValueId) -> Vec<&'a Tensor> {
        self.front.value(id).collect()
    }
}

/// Outputs that are larger than the original network's largest one by this factor have gone astray.
const OVERSHOOT: f64 = 8.0;

/// A finished attempt.
pub struct Built {
    /// The polynomial network.
    pub graph: Graph,
    /// What was replaced, in order.
    pub replacements: Vec<Replacement>,
    /// What was done to linear layers, in order.
    pub corrections: Vec<Correction>,
    /// The value that stands for each of the original network's.
    pub values: BTreeMap<ValueId, ValueId>,
    /// How it agrees with the original one; `None` without samples.
    pub agreement: Option<Agreement>,
    /// The largest output on the samples, relative to the original network's largest.
    pub overshoot: f64,
    /// The largest relative rms error of a replacement.
    pub worst_relative_error: f64,
}

impl Built {
    /// Whether some output is far larger than it should be.
    pub fn overshoots(&self) -> bool {
        self.overshoot > OVERSHOOT
    }
}

impl<'a> Builder<'a> {
    /// At the inputs.
    pub fn new(context: &'a Context<'a>, samples: &[&[Tensor]]) -> Self {
        let original = context.original;
        let mut graph = Graph { constants: original.constants.clone(), ..Graph::new(original.name.clone()) };
        let inputs = original.nodes.iter().filter(|(_, n)| matches!(n.op, Op::Input { .. }));
        let mapped = inputs.map(|(id, node)| (id, graph.nodes.push(node.clone()))).collect();
        Builder {
            context,
            graph,
            next: 0,
            mapped,
            front: Front::new(samples),
            replacements: Vec::new(),
            corrections: Vec::new(),
            worst_relative_error: 0.0,
        }
    }

    /// Copy nodes up to the first function: what all attempts have in common.
    ///
    /// # Errors
    /// When the network is ill-formed.
    pub fn until_first_function(mut self) -> Result<Self, NonlinearError> {
        let nodes = &self.context.original.nodes;
        while let Some(node) = nodes.get(ValueId::new(self.next)) {
            if matches!(node.op, Op::Activation(_) | Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_)) {
                let argument = self.mapped[&node.args[0]];
                self.advance(node.origin.layer(), &[argument])?;
                break;
            }
            self.copy(ValueId::new(self.next), node)?;
            self.next += 1;
        }
        Ok(self)
    }

    /// Replace all functions that are left, by `default` where nothing is pinned.
    ///
    /// # Errors
    /// When a layer cannot be fitted, or the polynomial network diverges.
    pub fn finish(mut self, default: Choice, robustness: Robustness) -> Result<Built, NonlinearError> {
        let original = self.context.original;
        for (id, node) in original.nodes.iter().skip(self.next) {
            self.next = id.index();
            match &node.op {
                _ if kept(node, self.context.options) => self.copy(id, node)?,
                _ if self.context.attentions.contains_key(&id) => self.softmax(id, default, robustness)?,
                // It is replaced at the end of its attention.
                Op::Softmax { .. } => {}
                Op::Normalize(how) => {
                    let (layer, function, x) = (node.origin.layer(), node.op.name(), self.mapped[&node.args[0]]);
                    let quality = self.context.quality(layer, function, default);
                    let norm = LayerNorm { origin: &node.origin, function, quality, robustness };
                    let (value, report) = norm.append(&mut self, x, how)?;
                    self.replacements.push(report);
                    self.mapped.insert(id, value);
                }
                Op::Activation(function) => self.activation(id, node, *function, default, robustness)?,
                Op::MaxPool(window) => {
                    let layer = node.origin.layer();
                    let choice = self.context.pin(layer, "max_pool").unwrap_or(even(default));
                    let range = self.context.options.ranges.get(layer).copied();
                    let x = self.mapped[&node.args[0]];
                    let pool = MaxPool { origin: &node.origin, choice, robustness, range };
                    let (value, report) = pool.append(&mut self, x, window)?;
                    self.replacements.push(report);
                    self.mapped.insert(id, value);
                }
                _ => self.copy(id, node)?,
            }
        }
        self.next = original.nodes.len();
        for output in &original.outputs {
            self.graph.outputs.push(hec_ir::tensor::Output { value: self.mapped[&output.value], ..output.clone() });
        }
        self.advance("(outputs)", &[])?;
        let (agreement, overshoot) = (self.agreement(), self.overshoot());
        Ok(Built {
            graph: self.graph,
            replacements: self.replacements,
            corrections: self.corrections,
            values: self.mapped,
            agreement,
            overshoot,
            worst_relative_error: self.worst_relative_error,
        })
    }

    /// The softmax of the attention that ends at `id`.
    fn softmax(&mut self, id: ValueId, default: Choice, robustness: Robustness) -> Result<(), NonlinearError> {
        let attention = &self.context.attentions[&id];
        let node = &self.context.original.nodes[attention.softmax];
        let origin = &node.origin;
        let quality = self.context.quality(origin.layer(), "softmax", default);
        let values = attention.values.map(|v| self.mapped[&v]);
        let softmax = Softmax { origin, axis: attention.axis, quality, robustness };
        let scores = self.mapped[&node.args[0]];
        let (value, report) = softmax.append(self, scores, values)?;
        self.replacements.push(report);
        self.mapped.insert(id, value);
        Ok(())
    }

    fn copy(&mut self, id: ValueId, node: &Node) -> Result<(), NonlinearError> {
        if matches!(node.op, Op::Input { .. }) {
            return Ok(());
        }
        let args = node.args.iter().map(|a| self.mapped[a]).collect();
        self.mapped.insert(id, self.graph.nodes.push(Node { args, ..node.clone() }));
        match self.context.units.get(&id) {
            Some(unit) if !self.replacements.is_empty() => self.correct(unit),
            _ => Ok(()),
        }
    }

    /// Re-fit a linear layer whose end has just been copied.
    fn correct(&mut self, unit: &Unit) -> Result<(), NonlinearError> {
        let layer = self.context.original.nodes[unit.linear].origin.layer();
        let here = Unit {
            linear: self.mapped[&unit.linear],
            bias: unit.bias.map(|b| self.mapped[&b]),
            end: self.mapped[&unit.end],
            ..*unit
        };
        self.advance(layer, &[])?;
        let targets: Vec<&[f32]> = self.context.truths.iter().map(|t| t.values[&unit.end].as_slice()).collect();
        let (end, report) = correct(&mut self.graph, &mut self.front, &here, &targets, self.context.fitting)
            .map_err(|reason| NonlinearError::Shape { layer: layer.to_owned(), reason })?;
        self.mapped.insert(unit.end, end);
        self.corrections.extend(report);
        Ok(())
    }

    fn activation(
        &mut self,
        id: ValueId,
        node: &Node,
        function: Function,
        default: Choice,
        robustness: Robustness,
    ) -> Result<(), NonlinearError> {
        let (layer, name) = (node.origin.layer(), function.name());
        let x = self.mapped[&node.args[0]];
        let range = self.context.options.ranges.get(layer).copied();
        let statistics = match (self.statistics(layer, x, Some(id), &[x])?, range) {
            (Some(seen), Some((lo, hi))) => seen.with_range(lo, hi),
            (Some(seen), None) => seen,
            (None, Some((lo, hi))) => Statistics::of_range(self.graph.shape(x).rank(), lo, hi),
            (None, None) => return Err(NonlinearError::NoData { layer: layer.to_owned(), function: name }),
        };
        domain::check(layer, function, &statistics)?;
        let place = (x, Some(id));
        let fitted = match self.context.pin(layer, name) {
            Some(choice) => self.fit(function, &statistics, choice, robustness, place),
            None => {
                let plain = self.fit(function, &statistics, default, robustness, place);
                let other =
                    alternative(function, &plain).map(|c| self.fit(function, &statistics, c, robustness, place));
                other.filter(|other| other.errors.relative < plain.errors.relative).unwrap_or(plain)
            }
        };
        let fitted = self.by_class(function, fitted, range, robustness, (x, id));
        self.note_relative_error(fitted.errors.relative);
        let origin = node.origin.clone().with_note(note(fitted.choice, fitted.errors.rms));
        let value = (fitted.formula.emit(&mut self.graph, x, &fitted.groups, &origin))
            .map_err(|reason| NonlinearError::Shape { layer: layer.to_owned(), reason })?;
        self.replacements.push(Replacement::of(layer, name, &fitted));
        self.mapped.insert(id, value);
        Ok(())
    }

    /// Fit with the given robustness, or with a more careful one where that is clearly better for the validation samples.
    /// The target is as in [`Builder::statistics`].
    pub fn fit(
        &self,
        function: Function,
        statistics: &Statistics,
        choice: Choice,
        robustness: Robustness,
        (x, target): (ValueId, Option<ValueId>),
    ) -> Fit {
        let first = fit(function, statistics, choice, robustness);
        let careful = ROBUSTNESS.iter().skip_while(|&&r| r != robustness).skip(1);
        let error = |fit: &Fit| self.validation_error(fit, x, target);
        let start = (error(&first), first);
        let better = |best: (f64, Fit), r: &Robustness| {
            let other = fit(function, statistics, choice, *r);
            let found = error(&other);
            if found < CLEARLY * best.0 { (found, other) } else { best }
        };
        if self.context.validation == 0 { start.1 } else { careful.fold(start, better).1 }
    }

    /// The same with numbers of their own for positions that look different, where that is far better for the
    /// validation samples.
    fn by_class(
        &self,
        function: Function,
        plain: Fit,
        range: Option<(f64, f64)>,
        robustness: Robustness,
        (x, target): (ValueId, ValueId),
    ) -> Fit {
        if self.context.validation == 0 {
            return plain;
        }
        let inputs: Vec<&Tensor> = self.front.value(x).take(self.context.fitting).collect();
        let shape = self.graph.shape(x);
        let Some(classes) = classes(shape, &inputs) else { return plain };
        let groups = Groups::channels(shape).by_position(shape, &classes);
        let targets = self.context.truths.iter().map(|t| t.values[&target].as_slice());
        let observed: Vec<Observed<'_>> =
            inputs.into_iter().zip(targets).map(|(input, target)| Observed { input, target }).collect();
        let seen = Statistics::measure(shape, groups, &observed, false);
        let seen = if let Some((lo, hi)) = range { seen.with_range(lo, hi) } else { seen };
        let finer = self.fit(function, &seen, plain.choice, robustness, (x, Some(target)));
        let error = |fit: &Fit| self.validation_error(fit, x, Some(target));
        if error(&finer) < FAR_BETTER * error(&plain) { finer } else { plain }
    }

    /// Mean square error of a fit on the validation samples.
    fn validation_error(&self, fit: &Fit, x: ValueId, target: Option<ValueId>) -> f64 {
        let truths = &self.context.truths[self.context.fitting..];
        let inputs: Vec<&Tensor> = self.front.value(x).skip(self.context.fitting).collect();
        let error = |(input, truth): (&&Tensor, &Truth)| -> f64 {
            let (groups, mut scratch) = (fit.groups.table(&input.shape), Vec::new());
            let wanted = |i: usize| target.map_or(input.data[i].abs(), |id| f64::from(truth.values[&id][i]));
            let square = |(i, &x): (usize, &f64)| {
                let e = fit.formula.eval_with(&mut scratch, groups[i], x) - wanted(i);
                e * e
            };
            input.data.iter().enumerate().map(square).sum()
        };
        let errors: Vec<f64> = inputs.par_iter().zip(truths).map(error).collect();
        let sum: f64 = errors.iter().sum();
        if sum.is_finite() { sum } else { f64::INFINITY }
    }

    /// Remember the worst replacement, by which attempts without data are judged.
    pub fn note_relative_error(&mut self, relative: f64) {
        self.worst_relative_error = self.worst_relative_error.max(relative);
    }

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
        let inputs: Vec<&Tensor> = self.front.value(x).take(self.context.fitting).collect();
        if inputs.iter().any(|t| t.data.iter().any(|v| !v.is_finite() || v.abs() > DIVERGED)) {
            return Err(NonlinearError::Diverged { layer: layer.to_owned() });
        }
        let sizes: Vec<Vec<f32>>;
        let targets: Vec<&[f32]> = match target {
            Some(id) => self.context.truths.iter().map(|t| t.values[&id].as_slice()).collect(),
            None => {
                sizes = inputs.iter().map(|t| t.data.iter().map(|v| v.abs() as f32).collect()).collect();
                sizes.iter().map(Vec::as_slice).collect()
            }
        };
        let observed: Vec<Observed<'_>> =
            inputs.into_iter().zip(targets).map(|(input, target)| Observed { input, target }).collect();
        let shape = self.graph.shape(x);
        Ok(Some(Statistics::measure(shape, Groups::channels(shape), &observed, target.is_none())))
    }

    /// Values of the network so far on all samples.
    ///
    /// # Errors
    /// When it has diverged.
    pub fn observe(&mut self, layer: &str, values: &[ValueId]) -> Result<Seen<'_>, NonlinearError> {
        self.advance(layer, values)?;
        let wild = |t: &Tensor| t.data.iter().any(|v| !v.is_finite() || v.abs() > DIVERGED);
        if values.iter().any(|&v| self.front.value(v).any(wild)) {
            return Err(NonlinearError::Diverged { layer: layer.to_owned() });
        }
        Ok(Seen { front: &self.front, fitting: self.context.fitting })
    }

    /// Run what was added, and keep what the rest of the original network needs.
    fn advance(&mut self, layer: &str, keep: &[ValueId]) -> Result<(), NonlinearError> {
        let needed = self.mapped.iter().filter(|(id, _)| self.context.last_use[**id] >= self.next).map(|(_, &v)| v);
        let keep: BTreeSet<ValueId> = needed.chain(keep.iter().copied()).collect();
        let error = |reason| NonlinearError::Interpret { layer: layer.to_owned(), reason };
        self.front.advance(&self.graph, &keep).map_err(error)
    }

    /// How much larger the outputs are than the original network's at most; stretched validation samples do not count.
    fn overshoot(&self) -> f64 {
        let count = self.context.fitting + self.context.validation;
        let size = |t: &Tensor| {
            let larger = |m: f64, x: &f64| if x.is_nan() { f64::INFINITY } else { m.max(x.abs()) };
            t.data.iter().fold(0.0, larger)
        };
        let truths = self.context.truths.iter().take(count);
        let wanted = truths.flat_map(|t| &t.outputs).map(size).fold(0.0, f64::max);
        let found = self.graph.outputs.iter().flat_map(|o| self.front.value(o.value).take(count));
        let found = found.map(size).fold(0.0, f64::max);
        if found > 0.0 { found / wanted } else { 0.0 }
    }

    fn agreement(&self) -> Option<Agreement> {
        let truths = &self.context.truths;
        if truths.is_empty() {
            return None;
        }
        // A single sample has to serve both ends.
        let Context { fitting, validation, .. } = *self.context;
        let (first, count) = if validation > 0 { (fitting, validation) } else { (0, fitting) };
        let outputs: Vec<Vec<&Tensor>> =
            self.graph.outputs.iter().map(|o| self.front.value(o.value).skip(first).take(count).collect()).collect();
        let found: Vec<Vec<&Tensor>> = (0..count).map(|i| outputs.iter().map(|values| values[i]).collect()).collect();
        let expected: Vec<&[Tensor]> = truths[first..first + count].iter().map(|t| t.outputs.as_slice()).collect();
        Some(Agreement::measure(&self.graph, &found, &expected))
    }
}
