//! The search for the cheapest polynomial network that still decides as the original one.

use crate::assignment::Assignment;
use crate::build::{Builder, Built};
use crate::menu::BY_COST;
use crate::replace::{functions, predicted};
use crate::{Choice, Family, NonlinearError, Options};
use hec_ir::tensor::{Graph, Node, Op, Tensor};
use std::cmp::Ordering;

/// What was tried, except what is worse than something else at no less cost; from the cheapest on.
pub(crate) struct Found {
    /// In order of cost.
    pub networks: Vec<Built>,
    /// The cheapest one that suffices, or the best of all.
    pub chosen: usize,
}

/// Try what the options leave open: all functions alike, from the cheapest choice on until one suffices, and then the
/// next cheaper choice for some of them.
pub(crate) fn search(
    start: &Builder<'_>,
    graph: &Graph,
    options: &Options,
    held_out: &[&[Tensor]],
) -> Result<Found, NonlinearError> {
    let blind = start.has_no_samples();
    let mut tried: Vec<Built> = Vec::new();
    let mut failure = None;
    let mut sufficient = None;
    for choices in menu(graph, options) {
        for &choice in choices {
            match attempt(start, &Assignment::uniform(choice), blind) {
                Ok(built) => {
                    if suffices(&built, options) {
                        sufficient = Some(choice);
                    }
                    tried.push(built);
                }
                Err(error @ NonlinearError::Diverged { .. }) => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        if sufficient.is_some() {
            break;
        }
    }
    if let Some(choice) = sufficient {
        cheapen(start, graph, choice, &mut tried, options, held_out)?;
    }
    match (tried.is_empty(), failure) {
        (true, Some(error)) => Err(error),
        (true, None) => {
            let built = start.clone().finish(&Assignment::uniform(Choice::KERNEL), start.settings()[0])?;
            Ok(Found { networks: vec![built], chosen: 0 })
        }
        (false, _) => Ok(front(tried, options)),
    }
}

/// Give the cheaper choice that did not suffice everywhere to as many functions as it does for, those first that add
/// least to the error with it. That more of them cost more agreement holds but for chance, so halving finds how many.
fn cheapen(
    start: &Builder<'_>,
    graph: &Graph,
    choice: Choice,
    tried: &mut Vec<Built>,
    options: &Options,
    held_out: &[&[Tensor]],
) -> Result<(), NonlinearError> {
    let insufficient = || tried.iter().filter(|b| b.agreement.is_some() && !suffices(b, options));
    let levels = |built: &Built| built.cost().0;
    let most = tried.iter().filter(|b| suffices(b, options)).map(levels).min().unwrap_or(u32::MAX);
    // A choice that takes no level less saves little.
    let shallower = insufficient().filter(|b| levels(b) < most).max_by(|a, b| better(a, b));
    let Some(cheaper) = shallower.or_else(|| insufficient().max_by(|a, b| better(a, b))) else { return Ok(()) };
    let lower = cheaper.assignment.default_choice();
    let Some(errors) = predicted(graph, cheaper, held_out)? else { return Ok(()) };
    let open = open(graph, options);
    let mut layers: Vec<_> = errors.layers.iter().filter(|l| open.contains(&&*l.layer)).collect();
    layers.sort_by(|a, b| a.adds.total_cmp(&b.adds));
    let (mut enough, mut too_many) = (0, layers.len());
    while too_many > enough + 1 {
        let count = enough.midpoint(too_many);
        let some = layers[..count].iter().map(|l| l.layer.as_str());
        match attempt(start, &Assignment::uniform(choice).with(some, lower), false) {
            Ok(built) => {
                if suffices(&built, options) {
                    enough = count;
                } else {
                    too_many = count;
                }
                tried.push(built);
            }
            Err(NonlinearError::Diverged { .. }) => too_many = count,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Layers with a function that is not pinned.
pub(crate) fn open<'a>(graph: &'a Graph, options: &Options) -> Vec<&'a str> {
    let decided = |layer: &str, function: &str| options.pins.iter().any(|p| p.target == layer || p.target == function);
    functions(graph).filter(|&(layer, function)| !decided(layer, function)).map(|(layer, _)| layer).collect()
}

/// What is not worse than something else at no less cost, and the choice among it.
fn front(mut tried: Vec<Built>, options: &Options) -> Found {
    // Of equal cost the best comes first; sorting keeps the order of the rest.
    tried.sort_by(|a, b| a.cost().cmp(&b.cost()).then(better(b, a)));
    let mut networks: Vec<Built> = Vec::new();
    for built in tried {
        if networks.last().is_none_or(|best| better(&built, best) == Ordering::Greater) {
            networks.push(built);
        }
    }
    let last = networks.len() - 1;
    let chosen = networks.iter().position(|b| suffices(b, options)).unwrap_or(last);
    Found { networks, chosen }
}

/// Functions of whole rows.
const ROW_FUNCTIONS: [&str; 3] = ["softmax", "layer_norm", "rms_norm"];

/// Choices in groups of the same cost, cheapest first. Where everything is decided there is nothing to choose.
fn menu(graph: &Graph, options: &Options) -> Vec<&'static [Choice]> {
    let rows = |function: &str| options.max_row_error.is_some() && ROW_FUNCTIONS.contains(&function);
    let decided = |name: &str| options.keep.contains(name) || options.pins.iter().any(|p| p.target == name);
    if functions(graph).all(|(layer, function)| decided(layer) || decided(function) || rows(function)) {
        return vec![&[Choice::KERNEL]];
    }
    let straight = |node: &Node| match node.op {
        Op::Activation(function) => Family::Composite.suits(function),
        ref op => matches!(op, Op::MaxPool(_)),
    };
    let any_straight = graph.nodes.values().any(straight);
    let suits = |group: &&[Choice]| any_straight || group.iter().all(|c| c.family != Family::Composite);
    BY_COST.into_iter().filter(suits).collect()
}

/// The best attempt with an assignment, from the boldest setting on. When one keeps all outputs in bounds and the next, more
/// careful one is worse, even more careful ones would be worse still. Without data nothing could tell settings apart.
pub(crate) fn attempt(start: &Builder<'_>, assignment: &Assignment, blind: bool) -> Result<Built, NonlinearError> {
    let settings = if blind { &start.settings()[..1] } else { start.settings() };
    let mut best: Option<Built> = None;
    let mut failure = None;
    for &robustness in settings {
        match start.clone().finish(assignment, robustness) {
            Ok(built) => match &best {
                Some(b) if better(&built, b) != Ordering::Greater => {
                    if !b.overshoots() {
                        break;
                    }
                }
                _ => best = Some(built),
            },
            Err(error @ NonlinearError::Diverged { .. }) => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (best, failure) {
        (Some(built), _) => Ok(built),
        (None, Some(error)) => Err(error),
        (None, None) => start.clone().finish(assignment, start.settings()[0]),
    }
}

pub(crate) fn suffices(built: &Built, options: &Options) -> bool {
    match &built.agreement {
        Some(agreement) => agreement.suffices(options),
        None => built.worst_relative_error <= options.max_relative_error,
    }
}

fn better(a: &Built, b: &Built) -> Ordering {
    match (&a.agreement, &b.agreement) {
        (Some(x), Some(y)) => b.overshoots().cmp(&a.overshoots()).then(x.compare(y)),
        _ => b.worst_relative_error.total_cmp(&a.worst_relative_error),
    }
}
