//! From a network to its polynomial form, with everything that is to be said of it.

use crate::assignment::Assignment;
use crate::attention::postpone;
use crate::build::{Builder, Built, Context};
use crate::domain;
use crate::menu::{Menu, Order};
use crate::network::probe;
use crate::offer::{Fitted, Offer};
use crate::report::{Correction, Replacement, cost};
use crate::score::Agreement;
use crate::search::{attempt, open, search, suffices};
use crate::sensitivity::{PredictedErrors, predict_errors};
use crate::split::Split;
use crate::{Calibration, Choice, NonlinearError, Options, ROBUSTNESS};
use hec_ir::tensor::{Function, Graph, Op, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// A network without activations and maxima.
#[derive(Clone, Debug, PartialEq)]
pub struct Replaced {
    /// The polynomial network.
    pub graph: Graph,
    /// What was put in the place of each function, in the order of the network.
    pub replacements: Vec<Replacement>,
    /// What was done to the linear layers to make good what the polynomials change, in the order of the network.
    pub corrections: Vec<Correction>,
    /// The functions of single elements, in the order of the network.
    orders: Vec<Order>,
    /// Agreement with the original network on the calibration samples held out for validation; `None` without samples.
    pub agreement: Option<Agreement>,
    /// The value of `graph` that stands for each of the original network's values.
    pub values: BTreeMap<ValueId, ValueId>,
    /// How far the inputs of replaced layers and the outputs are off, predicted from each layer's own error; `None`
    /// without samples for validation, or where nothing is replaced.
    pub errors: Option<PredictedErrors>,
    /// What the user should know: above all, that no choice was good enough and this is the best one.
    pub warnings: Vec<String>,
    /// What each function was to be replaced by.
    pub assignment: Assignment,
    /// Whether it agrees with the original network as the options ask.
    pub suffices: bool,
    /// Layers for whose functions something else could be taken, in the network that [`replace`] gives.
    open: Vec<String>,
}

impl Replaced {
    /// Levels of all replacements together, and products of ciphertexts.
    pub fn cost(&self) -> (u32, usize) {
        cost(&self.replacements)
    }

    /// What there was for each function of single elements, in the order of the network: fitted when it is asked for.
    pub fn menus(&self) -> Vec<Menu> {
        self.orders.iter().map(|order| order.menu(&order.others())).collect()
    }

    /// What else could be taken for the functions of single elements, of the network that [`replace`] gives: fitted when it
    /// is asked for.
    ///
    /// # Errors
    /// When a candidate does not fit its place.
    pub fn offer(&self) -> Result<Option<Offer>, NonlinearError> {
        let Some(errors) = self.errors.as_ref().filter(|_| !self.open.is_empty()) else { return Ok(None) };
        let fitted: Vec<Fitted<'_>> =
            self.orders.iter().map(|order| Fitted { order, others: order.others() }).collect();
        let is_open = |layer: &str| self.open.iter().any(|open| open == layer);
        Offer::new(&self.graph, &fitted, errors, is_open)
            .map_err(|reason| NonlinearError::Shape { layer: self.graph.name.clone(), reason })
    }
}

/// Polynomial networks of which none is better than another one in all respects.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// From the cheapest on.
    pub networks: Vec<Replaced>,
    /// The one that [`replace`] gives.
    pub chosen: usize,
}

/// Replace every activation, maximum, softmax and normalisation by polynomials.
///
/// The first 80 % of the samples are for fitting, the last 20 % for validation. What is not pinned gets the cheapest
/// replacements with which the network agrees with the original one as the options ask: one family and degree for all
/// functions, and the next cheaper one for as many of them as the options allow, those first that matter least.
///
/// # Errors
/// When the options do not fit the network, nothing is known about a function's input, the samples do not fit the
/// network or make it overflow, or every attempt diverges.
pub fn replace(graph: &Graph, calibration: &Calibration, options: &Options) -> Result<Replaced, NonlinearError> {
    let Front { mut networks, .. } = tried(graph, calibration, options, false)?;
    Ok(networks.swap_remove(0))
}

/// All networks that [`replace`] comes across and that are not worse than another one both in levels and products and in
/// how they agree with the original network.
///
/// # Errors
/// As those of [`replace`].
pub fn front(graph: &Graph, calibration: &Calibration, options: &Options) -> Result<Front, NonlinearError> {
    tried(graph, calibration, options, true)
}

/// Replace functions as each assignment says where nothing is pinned. What diverges is left out.
///
/// # Errors
/// As those of [`replace`].
pub fn assigned(
    graph: &Graph,
    calibration: &Calibration,
    options: &Options,
    assignments: &[Assignment],
) -> Result<Vec<Replaced>, NonlinearError> {
    if assignments.is_empty() {
        return Ok(Vec::new());
    }
    check(graph, calibration, options)?;
    with_start(graph, calibration, options, |start, held_out| {
        let mut networks = Vec::new();
        for assignment in assignments {
            match attempt(start, assignment, start.has_no_samples()) {
                Ok(built) => networks.push(finished(graph, built, held_out, options, false)?),
                Err(NonlinearError::Diverged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(networks)
    })
}

/// The front, or only the network that is chosen.
fn tried(graph: &Graph, calibration: &Calibration, options: &Options, all: bool) -> Result<Front, NonlinearError> {
    check(graph, calibration, options)?;
    with_start(graph, calibration, options, |start, held_out| {
        let mut found = search(start, graph, options, held_out)?;
        if !all {
            found.networks = vec![found.networks.swap_remove(found.chosen)];
            found.chosen = 0;
        }
        let finished = |(i, built)| finished(graph, built, held_out, options, i == found.chosen);
        let networks = found.networks.into_iter().enumerate().map(finished).collect::<Result<_, _>>()?;
        Ok(Front { networks, chosen: found.chosen })
    })
}

/// Call with what all attempts start from, and the samples held out for validation.
fn with_start<T>(
    graph: &Graph,
    calibration: &Calibration,
    options: &Options,
    run: impl FnOnce(&Builder<'_>, &[&[Tensor]]) -> Result<T, NonlinearError>,
) -> Result<T, NonlinearError> {
    let chosen = spread(calibration.samples.len(), options.max_samples);
    let samples: Vec<&[Tensor]> = chosen.iter().map(|&i| calibration.samples[i].as_slice()).collect();
    let probes = probe(graph, &samples).map_err(|(i, reason)| NonlinearError::Sample { sample: chosen[i], reason })?;
    if let Some((i, id)) = probes.iter().enumerate().find_map(|(i, p)| p.not_finite.map(|id| (i, id))) {
        return Err(domain::not_finite(&graph.nodes[id], chosen[i]));
    }
    let validation = if samples.len() > 1 { samples.len().div_ceil(5) } else { 0 };
    let split = Split::new(graph, &samples, validation);
    let inputs: Vec<&[Tensor]> = split.samples.iter().map(|s| &**s).collect();
    let context = Context::new(graph, inputs.len(), split.fitting, validation, options);
    let start = Builder::new(&context, &inputs)?.until_first_function()?;
    run(&start, &inputs[context.fitting..context.fitting + validation])
}

/// A finished attempt with what is to be said of it.
fn finished(
    original: &Graph,
    built: Built,
    held_out: &[&[Tensor]],
    options: &Options,
    is_chosen: bool,
) -> Result<Replaced, NonlinearError> {
    let (suffices, warnings) = (suffices(&built, options), warnings(&built, options));
    let errors = predicted(original, &built, held_out)?;
    let open = if is_chosen { open(original, options).into_iter().map(str::to_owned).collect() } else { Vec::new() };
    let Built { assignment, graph, replacements, corrections, mut orders, agreement, mut values, .. } = built;
    let (graph, moved) =
        postpone(&graph).map_err(|reason| NonlinearError::Shape { layer: "(normalisation)".to_owned(), reason })?;
    values.values_mut().for_each(|value| *value = moved[value]);
    orders.iter_mut().for_each(|order| order.place = order.place.map(|(x, y)| (moved[&x], moved[&y])));
    Ok(Replaced {
        graph,
        replacements,
        corrections,
        orders,
        agreement,
        values,
        errors,
        warnings,
        assignment,
        suffices,
        open,
    })
}

/// The errors of an attempt, where there are samples to tell them by.
pub(crate) fn predicted(
    original: &Graph,
    built: &Built,
    held_out: &[&[Tensor]],
) -> Result<Option<PredictedErrors>, NonlinearError> {
    if held_out.is_empty() || built.replacements.is_empty() {
        return Ok(None);
    }
    let error = |reason| NonlinearError::Interpret { layer: "(errors)".to_owned(), reason };
    predict_errors(original, &built.graph, &built.values, held_out).map(Some).map_err(error)
}

fn warnings(built: &Built, options: &Options) -> Vec<String> {
    if suffices(built, options) {
        return Vec::new();
    }
    let advice = "give more calibration samples, pin higher degrees, or retrain the network with its polynomials";
    let failure = match &built.agreement {
        Some(agreement) if agreement.explodes() => format!(
            "no replacement keeps the outputs in bounds on {} validation samples: some layer's input leaves its range \
             by far; {advice}",
            agreement.samples
        ),
        Some(Agreement { surely: Some(share), samples, .. }) => format!(
            "no replacement keeps {:.1} % of the classes: the best one keeps {:.1} % on {samples} validation samples; \
             {advice}",
            100.0 * options.min_agreement,
            100.0 * share,
        ),
        Some(agreement) => format!(
            "no replacement keeps the outputs to a relative error of {}: the best one has {:.3}; {advice}",
            options.max_relative_error, agreement.relative_error
        ),
        None => format!(
            "no replacement keeps every function to a relative error of {} on its range: the best one has {:.3}; give \
             narrower ranges or calibration samples",
            options.max_relative_error, built.worst_relative_error
        ),
    };
    vec![failure]
}

/// `count` positions, or `most` of them evenly spaced.
fn spread(count: usize, most: usize) -> Vec<usize> {
    let most = most.max(1).min(count);
    (0..most).map(|i| i * count / most).collect()
}

/// Layer and function name of everything that must be replaced.
pub(crate) fn functions(graph: &Graph) -> impl Iterator<Item = (&str, &'static str)> {
    graph.nodes.values().filter_map(|node| match &node.op {
        Op::Activation(function) => Some((node.origin.layer(), function.name())),
        Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_) => Some((node.origin.layer(), node.op.name())),
        _ => None,
    })
}

/// Everything that can be known to be wrong before the first sample runs.
fn check(graph: &Graph, calibration: &Calibration, options: &Options) -> Result<(), NonlinearError> {
    graph.verify().map_err(|reason| NonlinearError::Shape { layer: graph.name.clone(), reason })?;
    let share = |option, value: f64, expected, ok: bool| {
        if ok { Ok(()) } else { Err(NonlinearError::Option { option, value, expected }) }
    };
    let (agreement, error) = (options.min_agreement, options.max_relative_error);
    share("the least agreement", agreement, "a share from 0 to 1", (0.0..=1.0).contains(&agreement))?;
    share("the largest relative error", error, "a number from 0 on", error >= 0.0)?;
    let most = ROBUSTNESS.len() - 1;
    share("the caution", options.caution as f64, "a number from 0 to 3", options.caution <= most)?;
    if let Some(error) = options.max_row_error {
        share("the largest error of a row", error, "a number above 0", error > 0.0)?;
    }
    check_names(graph, options)?;
    for (layer, &(lo, hi)) in &options.ranges {
        if !(lo.is_finite() && hi.is_finite() && lo < hi) {
            return Err(NonlinearError::Range { layer: layer.clone(), lo, hi });
        }
    }
    for node in graph.nodes.values() {
        let layer = node.origin.layer().to_owned();
        let function = match &node.op {
            Op::Activation(function) => function.name(),
            Op::MaxPool(window) if window.pads != [0; 4] => return Err(NonlinearError::PaddedMaxPool { layer }),
            Op::MaxPool(_) | Op::Softmax { .. } | Op::Normalize(_) => node.op.name(),
            _ => continue,
        };
        // A range says nothing about a row.
        let rows = matches!(node.op, Op::Softmax { .. } | Op::Normalize(_));
        if calibration.samples.is_empty() && (rows || !options.ranges.contains_key(&layer)) {
            return Err(NonlinearError::NoData { layer, function });
        }
        let own = options.pins.iter().rev().find(|p| p.target == layer);
        let pin = own.or_else(|| options.pins.iter().rev().find(|p| p.target == function));
        // A maximum is built on |x|.
        let kind = if let Op::Activation(function) = node.op { function } else { Function::Abs };
        match pin.map(|p| p.choice) {
            Some(choice) if function == "max_pool" && choice.is_odd_polynomial() => {
                return Err(NonlinearError::OddMaxPool { layer, degree: choice.degree });
            }
            Some(Choice { family, .. }) if !family.suits(kind) => {
                return Err(NonlinearError::Unsuitable { layer, function, family });
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_names(graph: &Graph, options: &Options) -> Result<(), NonlinearError> {
    let layers: BTreeSet<&str> = functions(graph).map(|(layer, _)| layer).collect();
    let kinds: BTreeSet<&str> = functions(graph).map(|(_, function)| function).collect();
    let unknown = |name: &str, known: Vec<&str>| NonlinearError::UnknownTarget {
        name: name.to_owned(),
        available: known.into_iter().map(str::to_owned).collect(),
    };
    for pin in &options.pins {
        if !layers.contains(pin.target.as_str()) && !kinds.contains(pin.target.as_str()) {
            return Err(unknown(&pin.target, kinds.union(&layers).copied().collect()));
        }
        let Choice { family, degree } = pin.choice;
        if !family.degrees().contains(&degree) {
            return Err(NonlinearError::Degree { name: pin.target.clone(), family, degree });
        }
    }
    match options.ranges.keys().find(|layer| !layers.contains(layer.as_str())) {
        Some(layer) => Err(unknown(layer, layers.into_iter().collect())),
        None => Ok(()),
    }
}
