//! Equality saturation on tensor graphs: least depth, least work, within an error budget.
//!
//! What it is: the stage that rewrites a network to an equal one that uses fewer levels. It grows an e-graph (Willsey et
//! al. 2021) from the network by the equations in [`rules`], each named by itself, and takes out the graphs that are not
//! worse than another in multiplicative depth, work and error together.
//! Core concepts: everything linear is a chain of steps, so that "a linear map of a linear map is a linear map" is one
//! rule and weights are never multiplied out here; constants are small and interned by value. Rewriting is exact; only an
//! [`Alternative`] has an error, which is counted once however often it is used.
//! Start at [`optimize`]; at [`rewrite_slots`] for slot circuits, which have equations of their own.
//! Invariants: the result computes the same function, but for the alternatives that are taken; budgets are counts, never
//! time, so the result is the same on every machine.
//! Non-goals: fitting polynomials (hec-nonlinear), layouts (hec-pack).
#![forbid(unsafe_code)]

mod convert;
mod cost;
mod extract;
mod language;
mod rules;
mod scales;
mod slots;
mod tables;

pub use slots::{RewrittenSlots, rewrite_slots};

use egg::{Runner, SimpleScheduler, StopReason};
use hec_ir::Depth;
use hec_ir::tensor::{Graph, ShapeError, ValueId};
use language::{Lang, Network};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Budgets of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// E-nodes at which the search stops.
    pub node_limit: usize,
    /// Rounds after which it stops; with none the network stays as it is.
    pub iteration_limit: usize,
    /// The most graphs that are given back.
    pub candidates: usize,
    /// Rules that are left out, by their equation.
    pub without: Vec<String>,
    /// The largest error of the outputs that alternatives may make together.
    pub max_error: f64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            node_limit: 20_000,
            iteration_limit: 24,
            candidates: 3,
            without: Vec::new(),
            max_error: f64::INFINITY,
        }
    }
}

/// A network and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimized {
    /// The rewritten network of least depth.
    pub graph: Graph,
    /// Other networks that are deeper and have less work or error, least depth first.
    pub others: Vec<Candidate>,
    /// Levels before, with every polynomial evaluated as it stands.
    pub depth_before: Depth,
    /// Levels after.
    pub depth_after: Depth,
    /// Levels of the shallowest network that was found.
    pub depth_least: Depth,
    /// How often each rule found something new, by the rule's equation.
    pub fired: Vec<(String, usize)>,
    /// The budget that ended the search, if it did not end because nothing new was found.
    pub limit: Option<Limit>,
}

impl Optimized {
    /// The same with one of the other networks in the place of the first.
    #[must_use]
    pub fn taking(mut self, other: usize) -> Self {
        if let Some(candidate) = self.others.get(other).cloned() {
            (self.graph, self.depth_after) = (candidate.graph, candidate.depth);
        }
        self
    }
}

/// A budget of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Of e-nodes; how many there were.
    Nodes(usize),
    /// Of rounds.
    Iterations(usize),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Nodes(count) => write!(f, "{count} e-nodes"),
            Limit::Iterations(count) => write!(f, "{count} rounds"),
        }
    }
}

/// Something that may be taken instead of a value, at the price of an error.
///
/// Both stand in the same graph; what is not taken is left out of the result. Several alternatives may stand for one
/// value. If the value itself is only an approximation, it is an alternative for itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alternative {
    /// The value.
    pub value: ValueId,
    /// What may stand in its place; of the same shape.
    pub instead: ValueId,
    /// How far they differ.
    pub error: f64,
    /// What an error of one there makes at the network's outputs. The product is what counts; products add up.
    pub sensitivity: f64,
}

/// One of the networks to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The network.
    pub graph: Graph,
    /// Its levels.
    pub depth: Depth,
    /// Its work, in units of a hundred-thousandth of a product of two ciphertexts.
    pub work: u64,
    /// The error of its outputs that its alternatives make.
    pub error: f64,
    /// The alternatives that it takes, by their positions.
    pub taken: Vec<usize>,
}

/// The networks that an e-graph holds and that are not worse than another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Front {
    /// Least depth first.
    pub candidates: Vec<Candidate>,
    /// How often each rule found something new, by the rule's equation.
    pub fired: Vec<(String, usize)>,
    /// The budget that ended the search, if it did not end because nothing new was found.
    pub limit: Option<Limit>,
}

/// Why a network cannot be rewritten.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum OptimizeError {
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("{instead} cannot stand instead of {value}: {reason}")]
    Alternative { value: ValueId, instead: ValueId, reason: &'static str },
    #[error("the rewritten network is ill-formed: {0}")]
    Rewritten(String),
}

/// Rewrite `graph` to the least depth that the rules reach.
///
/// # Errors
/// When `graph` is not well-formed.
pub fn optimize(graph: &Graph, options: &Options) -> Result<Optimized, OptimizeError> {
    let Front { candidates, fired, limit } = optimize_among(graph, &[], options)?;
    let mut candidates = candidates.into_iter();
    let first = candidates.next().ok_or_else(|| OptimizeError::Rewritten("no graph is left".to_owned()))?;
    Ok(Optimized {
        depth_before: depth(graph),
        depth_after: first.depth,
        depth_least: first.depth,
        graph: first.graph,
        others: candidates.collect(),
        fired,
        limit,
    })
}

/// Rewrite `graph`, in which some values may be replaced by others. There may be no network within the largest error.
///
/// # Errors
/// When `graph` is not well-formed, or an alternative names a value that does not exist, has another shape or an error
/// that is no number.
pub fn optimize_among(graph: &Graph, alternatives: &[Alternative], options: &Options) -> Result<Front, OptimizeError> {
    graph.verify()?;
    let (egraph, roots) = convert::to_egraph(graph, alternatives)?;
    let runner = saturate(egraph, options);
    let mut fired: BTreeMap<String, usize> = BTreeMap::new();
    for iteration in &runner.iterations {
        for (rule, times) in &iteration.applied {
            *fired.entry(rule.to_string()).or_default() += times;
        }
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for (cost, chosen) in extract::extract(&runner.egraph, &roots, options.max_error) {
        if candidates.len() >= options.candidates.max(1) {
            break;
        }
        let taken = extract::taken(&chosen);
        let mut graph = convert::to_graph(&runner.egraph, &chosen, graph, &roots)?;
        if options.iteration_limit > 0 {
            graph = scales::absorb(&graph)?;
        }
        // Graphs may differ by scales alone.
        if candidates.iter().all(|c| c.graph != graph) {
            candidates.push(Candidate { depth: depth(&graph), work: cost.work, error: cost.error, taken, graph });
        }
    }
    Ok(Front { candidates, fired: fired.into_iter().collect(), limit: limit(&runner) })
}

/// Apply all rules until nothing is new or a budget is spent.
fn saturate(egraph: language::EGraph, options: &Options) -> Runner<Lang, Network, ()> {
    let mut rules = rules::all();
    rules.retain(|rule| !options.without.iter().any(|name| *name == rule.name.to_string()));
    Runner::<Lang, Network, ()>::new(Network::default())
        .with_egraph(egraph)
        .with_node_limit(options.node_limit)
        .with_iter_limit(options.iteration_limit)
        // The budget is a count, so that the result does not depend on the machine.
        .with_time_limit(Duration::MAX)
        .with_scheduler(SimpleScheduler)
        .run(&rules)
}

fn limit(runner: &Runner<Lang, Network, ()>) -> Option<Limit> {
    match runner.stop_reason {
        Some(StopReason::NodeLimit(count)) => Some(Limit::Nodes(count)),
        Some(StopReason::IterationLimit(count)) => Some(Limit::Iterations(count)),
        _ => None,
    }
}

/// How many levels each rule that fired saves: by how much the least depth grows when it alone is left out. Rules that
/// stand in for each other save nothing each. `optimized` is what [`optimize`] gives for `graph` with these options.
///
/// # Errors
/// When `graph` is not well-formed.
pub fn levels_by_rule(
    graph: &Graph,
    optimized: &Optimized,
    options: &Options,
) -> Result<Vec<(String, u32)>, OptimizeError> {
    let saved = |(rule, _): &(String, usize)| {
        let without = [options.without.as_slice(), std::slice::from_ref(rule)].concat();
        let rest = optimize(graph, &Options { without, ..options.clone() })?;
        Ok((rule.clone(), rest.depth_least.0.saturating_sub(optimized.depth_least.0)))
    };
    optimized.fired.par_iter().map(saved).collect()
}

pub use cost::depth;
