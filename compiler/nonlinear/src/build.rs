//! Building the polynomial network next to the original one.
//!
//! Each function is fitted to the inputs that it gets in the network built so far, with the original network's values as
//! targets, so that a layer makes good what the layers before it got wrong.

mod observe;

use crate::assignment::Assignment;
use crate::attention::{Attention, LayerNorm, Quality, Softmax, sources};
use crate::classes::classes;
use crate::correct::{Samples, correct};
use crate::domain;
use crate::fit::{alternative, fit};
use crate::groups::Groups;
use crate::max_pool::{MaxPool, even};
use crate::menu::Order;
use crate::network::{Front, RunError, Values};
use crate::report::{Correction, Replacement, cost, note};
use crate::score::{Agreement, Tally};
use crate::store::Store;
use crate::unit::{Unit, units};
use crate::{Choice, Fit, NonlinearError, Options, ROBUSTNESS, Robustness, Statistics};
use hec_ir::entity::{Entity, EntityVec};
use hec_ir::tensor::{Function, Graph, Node, Op, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// A more careful fit must have less than this share of the error to be preferred.
const CLEARLY: f64 = 0.8;

/// Numbers by position must have less than this share of the error: they make the linear maps around them less regular.
const FAR_BETTER: f64 = 0.5;

/// What every attempt shares.
pub struct Context<'a> {
    /// The network.
    pub original: &'a Graph,
    /// How many samples there are.
    pub samples: usize,
    /// The first ones are for fitting.
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
    /// The same, where the input of a layer that can be re-fitted is used until the layer's end.
    last_use_corrected: EntityVec<ValueId, usize>,
}

impl<'a> Context<'a> {
    /// Of a network and the numbers of its samples.
    pub fn new(original: &'a Graph, samples: usize, fitting: usize, validation: usize, options: &'a Options) -> Self {
        let units = if options.correct && validation > 0 { units(original) } else { Vec::new() };
        let units: BTreeMap<ValueId, Unit> = units.into_iter().map(|u| (u.end, u)).collect();
        let mut last_use: EntityVec<ValueId, usize> = original.nodes.keys().map(|id| id.index()).collect();
        for (id, node) in original.nodes.iter() {
            node.args.iter().for_each(|&arg| last_use[arg] = id.index());
        }
        original.outputs.iter().for_each(|o| last_use[o.value] = usize::MAX);
        // A layer is re-fitted when its end is reached; its input has to live until then.
        let mut last_use_corrected = last_use.clone();
        for unit in units.values() {
            let input = original.nodes[unit.linear].args[0];
            last_use_corrected[input] = last_use_corrected[input].max(unit.end.index());
        }
        // A softmax is replaced together with the product behind it.
        let mut attentions = Attention::all(original);
        attentions.retain(|_, a| !kept(&original.nodes[a.softmax], options));
        let mut keep = |value: ValueId, until: ValueId| {
            last_use_corrected[value] = last_use_corrected[value].max(until.index());
        };
        for (&end, attention) in &attentions {
            attention.needs(original).into_iter().for_each(|value| keep(value, end));
        }
        for (id, node) in original.nodes.iter().filter(|(_, n)| matches!(n.op, Op::Normalize(_))) {
            sources(original, node.args[0]).into_iter().for_each(|value| keep(value, id));
        }
        Context { original, samples, fitting, validation, options, units, attentions, last_use, last_use_corrected }
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
    /// What the network so far computes.
    found: Front,
    /// What the original network computes, as far as something was fitted to it.
    wanted: Front,
    replacements: Vec<Replacement>,
    corrections: Vec<Correction>,
    orders: Vec<Order>,
    excess: f64,
    worst_relative_error: f64,
}

/// Outputs that are larger than the original network's largest one by this factor have gone astray.
const OVERSHOOT: f64 = 8.0;

/// A validation sample that leaves the range of the fitting samples by more than this share of its width shows that others
/// would go astray: every layer squares the distance.
const EXCESS: f64 = 0.5;

/// A finished attempt.
pub struct Built {
    /// What each function was to be replaced by.
    pub assignment: Assignment,
    /// The polynomial network.
    pub graph: Graph,
    /// What was replaced, in order.
    pub replacements: Vec<Replacement>,
    /// What was done to linear layers, in order.
    pub corrections: Vec<Correction>,
    /// The functions of each element that were replaced, with what they saw, in order.
    pub orders: Vec<Order>,
    /// The value that stands for each of the original network's.
    pub values: BTreeMap<ValueId, ValueId>,
    /// How it agrees with the original one; `None` without samples.
    pub agreement: Option<Agreement>,
    /// The largest output on the samples, relative to the original network's largest.
    pub overshoot: f64,
    /// How far a validation sample leaves the range of the fitting samples before some function, relative to its width.
    pub excess: f64,
    /// The largest relative rms error of a replacement.
    pub worst_relative_error: f64,
}

impl Built {
    /// Levels of all replacements together, and products of ciphertexts.
    pub fn cost(&self) -> (u32, usize) {
        cost(&self.replacements)
    }

    /// Whether some output is far larger than it should be, or others are likely to be.
    pub fn overshoots(&self) -> bool {
        self.overshoot > OVERSHOOT || self.excess > EXCESS
    }
}

impl<'a> Builder<'a> {
    /// At the inputs.
    ///
    /// # Errors
    /// When the samples cannot be kept.
    pub fn new(context: &'a Context<'a>, samples: &[&[Tensor]]) -> Result<Self, NonlinearError> {
        let original = context.original;
        let mut graph = Graph { constants: original.constants.clone(), ..Graph::new(original.name.clone()) };
        let inputs = original.nodes.iter().filter(|(_, n)| matches!(n.op, Op::Input { .. }));
        let mapped = inputs.map(|(id, node)| (id, graph.nodes.push(node.clone()))).collect();
        let store = Store::new(context.options.memory);
        let front = Front::new(&store, samples).map_err(|e| NonlinearError::run("(inputs)", e))?;
        Ok(Builder {
            context,
            graph,
            next: 0,
            mapped,
            found: front.clone(),
            wanted: front,
            replacements: Vec::new(),
            corrections: Vec::new(),
            orders: Vec::new(),
            excess: 0.0,
            worst_relative_error: 0.0,
        })
    }

    /// The settings that may be tried, from the boldest on.
    pub fn settings(&self) -> &'static [Robustness] {
        &ROBUSTNESS[self.context.options.caution.min(ROBUSTNESS.len() - 1)..]
    }

    /// Whether there is nothing to tell attempts apart by.
    pub fn has_no_samples(&self) -> bool {
        self.context.samples == 0
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
            self.copy(ValueId::new(self.next), node, 0.0)?;
            self.next += 1;
        }
        Ok(self)
    }

    /// Replace all functions that are left, as `assignment` says where nothing is pinned.
    ///
    /// # Errors
    /// When a layer cannot be fitted, or the polynomial network diverges.
    pub fn finish(mut self, assignment: &Assignment, robustness: Robustness) -> Result<Built, NonlinearError> {
        let original = self.context.original;
        for (id, node) in original.nodes.iter().skip(self.next) {
            self.next = id.index();
            let default = assignment.of(node.origin.layer());
            match &node.op {
                _ if kept(node, self.context.options) => self.copy(id, node, robustness.caution)?,
                _ if self.context.attentions.contains_key(&id) => self.softmax(id, assignment, robustness)?,
                // It is replaced at the end of its attention.
                Op::Softmax { .. } => {}
                Op::Normalize(how) => {
                    let (layer, function, x) = (node.origin.layer(), node.op.name(), self.mapped[&node.args[0]]);
                    let quality = self.context.quality(layer, function, default);
                    let norm = LayerNorm { origin: &node.origin, function, quality };
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
                _ => self.copy(id, node, robustness.caution)?,
            }
        }
        self.next = original.nodes.len();
        for output in &original.outputs {
            self.graph.outputs.push(hec_ir::tensor::Output { value: self.mapped[&output.value], ..output.clone() });
        }
        self.advance("(outputs)", &[])?;
        self.want("(outputs)", original.nodes.len(), None)?;
        let failed = |e| NonlinearError::run("(outputs)", e);
        let (agreement, overshoot) = (self.agreement().map_err(failed)?, self.overshoot().map_err(failed)?);
        Ok(Built {
            assignment: assignment.clone(),
            graph: self.graph,
            replacements: self.replacements,
            corrections: self.corrections,
            orders: self.orders,
            values: self.mapped,
            agreement,
            overshoot,
            excess: self.excess,
            worst_relative_error: self.worst_relative_error,
        })
    }

    /// The softmax of the attention that ends at `id`.
    fn softmax(&mut self, id: ValueId, assignment: &Assignment, robustness: Robustness) -> Result<(), NonlinearError> {
        let attention = &self.context.attentions[&id];
        let node = &self.context.original.nodes[attention.softmax];
        let origin = &node.origin;
        let quality = self.context.quality(origin.layer(), "softmax", assignment.of(origin.layer()));
        let values = attention.values.map(|v| self.mapped[&v]);
        let softmax = Softmax { origin, axis: attention.axis, quality, robustness };
        let scores = self.mapped[&node.args[0]];
        let (value, report) = softmax.append(self, scores, values)?;
        self.replacements.push(report);
        self.mapped.insert(id, value);
        Ok(())
    }

    fn copy(&mut self, id: ValueId, node: &Node, caution: f64) -> Result<(), NonlinearError> {
        if matches!(node.op, Op::Input { .. }) {
            return Ok(());
        }
        let args = node.args.iter().map(|a| self.mapped[a]).collect();
        self.mapped.insert(id, self.graph.nodes.push(Node { args, ..node.clone() }));
        match self.context.units.get(&id) {
            Some(unit) if !self.replacements.is_empty() => self.correct(unit, caution),
            _ => Ok(()),
        }
    }

    /// Re-fit a linear layer whose end has just been copied.
    fn correct(&mut self, unit: &Unit, caution: f64) -> Result<(), NonlinearError> {
        let layer = self.context.original.nodes[unit.linear].origin.layer();
        let here = Unit {
            linear: self.mapped[&unit.linear],
            bias: unit.bias.map(|b| self.mapped[&b]),
            end: self.mapped[&unit.end],
            ..*unit
        };
        self.advance(layer, &[])?;
        self.want(layer, unit.end.index() + 1, Some(unit.end))?;
        let samples = Samples { fitting: self.context.fitting, all: self.context.samples };
        let target = (&self.wanted, unit.end);
        let (end, report) = correct(&mut self.graph, &mut self.found, &here, target, samples, caution)
            .map_err(|e| NonlinearError::run(layer, e))?;
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
        let run = |choice| self.fit(function, &statistics, choice, robustness, place);
        let fitted = match self.context.pin(layer, name) {
            Some(choice) => run(choice),
            None => run(default).and_then(|plain| match alternative(function, &plain).map(run).transpose()? {
                Some(other) if other.errors.relative < plain.errors.relative => Ok(other),
                _ => Ok(plain),
            }),
        };
        let fitted = fitted
            .and_then(|plain| self.by_class(function, plain, range, robustness, (x, id)))
            .map_err(|e| NonlinearError::run(layer, e))?;
        self.note_relative_error(fitted.errors.relative);
        let origin = node.origin.clone().with_note(note(fitted.choice, fitted.errors.rms));
        let value = (fitted.formula.emit(&mut self.graph, x, &fitted.groups, &origin))
            .map_err(|reason| NonlinearError::Shape { layer: layer.to_owned(), reason })?;
        self.replacements.push(Replacement::of(layer, name, &fitted));
        let place = Some((x, value));
        self.order(Order { layer: layer.to_owned(), place, function, statistics, fit: fitted, robustness });
        self.mapped.insert(id, value);
        if !self.context.options.sequential {
            self.advance(layer, &[value])?;
            self.want(layer, id.index() + 1, Some(id))?;
            self.found.replace(value, (&self.wanted, id));
        }
        Ok(())
    }

    /// Fit with the given robustness, or with a more careful one where that is clearly better for the validation samples.
    /// The target is as in [`Builder::statistics`].
    ///
    /// # Errors
    /// When the samples cannot be read.
    pub fn fit(
        &self,
        function: Function,
        statistics: &Statistics,
        choice: Choice,
        robustness: Robustness,
        (x, target): (ValueId, Option<ValueId>),
    ) -> Result<Fit, RunError> {
        let careful = ROBUSTNESS.iter().skip_while(|&&r| r != robustness).skip(1);
        let settings =
            std::iter::once(&robustness).chain(careful.take(if self.context.validation > 0 { 3 } else { 0 }));
        let mut fits: Vec<Fit> = settings.map(|&r| fit(function, statistics, choice, r)).collect();
        let errors = self.validation_errors(&fits, x, target)?;
        let better = |best: usize, i: usize| if errors[i] < CLEARLY * errors[best] { i } else { best };
        Ok(fits.swap_remove((1..errors.len()).fold(0, better)))
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
    ) -> Result<Fit, RunError> {
        if self.context.validation == 0 {
            return Ok(plain);
        }
        let shape = self.graph.shape(x);
        let some = self.some(x, Some(target))?;
        let inputs: Vec<&Tensor> = some.iter().map(|(input, _)| input).collect();
        let Some(classes) = classes(shape, &inputs) else { return Ok(plain) };
        let groups = Groups::channels(shape).by_position(shape, &classes);
        let Some(seen) = self.measure(x, Some(target), groups, &some)? else { return Ok(plain) };
        let seen = if let Some((lo, hi)) = range { seen.with_range(lo, hi) } else { seen };
        let finer = self.fit(function, &seen, plain.choice, robustness, (x, Some(target)))?;
        let fits = [finer, plain];
        let errors = self.validation_errors(&fits, x, Some(target))?;
        let [finer, plain] = fits;
        Ok(if errors[0] < FAR_BETTER * errors[1] { finer } else { plain })
    }

    /// Mean square error of fits on the validation samples.
    fn validation_errors(&self, fits: &[Fit], x: ValueId, target: Option<ValueId>) -> Result<Vec<f64>, RunError> {
        let shape = self.graph.shape(x);
        let groups: Vec<Vec<usize>> = fits.iter().map(|fit| fit.groups.table(shape)).collect();
        let error = |(fit, groups): (&Fit, &Vec<usize>), input: &Tensor, wanted: Option<&Tensor>| -> f64 {
            let mut scratch = Vec::new();
            let square = |(i, &x): (usize, &f64)| {
                let e = fit.formula.eval_with(&mut scratch, groups[i], x) - wanted.map_or(x.abs(), |t| t.data[i]);
                e * e
            };
            input.data.iter().enumerate().map(square).sum()
        };
        let each = |input: &Tensor, wanted: Option<&Tensor>| {
            fits.iter().zip(&groups).map(|f| error(f, input, wanted)).collect()
        };
        let held_out = self.context.fitting..self.context.samples;
        let errors: Vec<Vec<f64>> = match target {
            Some(id) => Values([(&self.found, x), (&self.wanted, id)]).map(held_out, |_, [x, t]| each(x, Some(t)))?,
            None => Values([(&self.found, x)]).map(held_out, |_, [x]| each(x, None))?,
        };
        let sum = |i: usize| errors.iter().map(|e| e[i]).sum::<f64>();
        Ok((0..fits.len()).map(sum).map(|s| if s.is_finite() { s } else { f64::INFINITY }).collect())
    }

    /// Remember what a layer's function saw; of several of one layer the first stands for all.
    pub(crate) fn order(&mut self, order: Order) {
        if self.orders.last().is_none_or(|last| last.layer != order.layer) {
            self.orders.push(order);
        }
    }

    /// Remember the worst replacement, by which attempts without data are judged.
    pub fn note_relative_error(&mut self, relative: f64) {
        self.worst_relative_error = self.worst_relative_error.max(relative);
    }

    /// Run what was added, and keep what the rest of the original network needs.
    fn advance(&mut self, layer: &str, keep: &[ValueId]) -> Result<(), NonlinearError> {
        let last_use = &self.context.last_use_corrected;
        let needed = self.mapped.iter().filter(|(id, _)| last_use[**id] >= self.next).map(|(_, &v)| v);
        let keep: BTreeSet<ValueId> = needed.chain(keep.iter().copied()).collect();
        let end = self.graph.nodes.len();
        self.found.advance(&self.graph, end, &keep).map_err(|e| NonlinearError::run(layer, e))
    }

    /// Run the original network up to a node, and keep what comes after it needs, and one value besides.
    fn want(&mut self, layer: &str, end: usize, keep: Option<ValueId>) -> Result<(), NonlinearError> {
        let needed = self.context.last_use.iter().filter(|&(_, &last)| last >= end).map(|(id, _)| id);
        let keep: BTreeSet<ValueId> = needed.chain(keep).collect();
        self.wanted.advance(self.context.original, end, &keep).map_err(|e| NonlinearError::run(layer, e))
    }

    /// Each output in the network so far and in the original one.
    fn outputs(&self) -> impl Iterator<Item = (&hec_ir::tensor::Output, Values<'_, 2>)> {
        let pairs = self.graph.outputs.iter().zip(&self.context.original.outputs);
        pairs.map(|(f, w)| (f, Values([(&self.found, f.value), (&self.wanted, w.value)])))
    }

    /// How much larger the outputs are than the original network's at most; stretched validation samples do not count.
    fn overshoot(&self) -> Result<f64, RunError> {
        let count = self.context.fitting + self.context.validation;
        let size = |t: &Tensor| {
            let larger = |m: f64, x: &f64| if x.is_nan() { f64::INFINITY } else { m.max(x.abs()) };
            t.data.iter().fold(0.0, larger)
        };
        let (mut found, mut wanted) = (0.0f64, 0.0f64);
        for (_, view) in self.outputs() {
            for (f, w) in view.map(0..count, |_, [f, w]| (size(f), size(w)))? {
                (found, wanted) = (found.max(f), wanted.max(w));
            }
        }
        Ok(if found > 0.0 { found / wanted } else { 0.0 })
    }

    fn agreement(&self) -> Result<Option<Agreement>, RunError> {
        // A single sample has to serve both ends.
        let Context { fitting, validation, samples, .. } = *self.context;
        if samples == 0 {
            return Ok(None);
        }
        let (first, count) = if validation > 0 { (fitting, validation) } else { (0, fitting) };
        let (mut tally, margin) = (Tally::default(), self.settings()[0].margin);
        for (output, view) in self.outputs() {
            let each = view.map(first..first + count, |_, [f, w]| Tally::of(output, f, w, margin))?;
            tally = each.into_iter().fold(tally, Tally::and);
        }
        Ok(Some(Agreement::of(count, tally)))
    }
}
