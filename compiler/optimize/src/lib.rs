//! Equality saturation on tensor graphs: least depth, then least cost.
//!
//! What it is: the stage that rewrites a network to an equal one that uses fewer levels. It grows an e-graph (Willsey et
//! al. 2021) from the network by the equations in [`rules`], each named by itself, and takes out the graph of least
//! multiplicative depth and, among those, of least cost.
//! Core concepts: everything linear is a chain of steps, so that "a linear map of a linear map is a linear map" is one
//! rule and weights are never multiplied out here; constants are small and interned by value.
//! Start at [`optimize`]; at [`rewrite_slots`] for slot circuits, which have equations of their own.
//! Invariants: the result computes the same function; budgets are counts, never time, so the result is the same on
//! every machine.
//! Non-goals: fitting polynomials (hec-nonlinear), layouts (hec-pack).
#![forbid(unsafe_code)]

mod convert;
mod cost;
mod extract;
mod language;
mod rules;
mod slots;
mod tables;

pub use slots::{RewrittenSlots, rewrite_slots};

use egg::{Runner, SimpleScheduler};
use hec_ir::Depth;
use hec_ir::tensor::{Graph, ShapeError};
use language::{Lang, Network};
use std::collections::BTreeMap;
use std::time::Duration;

/// Budgets of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// E-nodes at which the search stops.
    pub node_limit: usize,
    /// Rounds after which it stops.
    pub iteration_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { node_limit: 20_000, iteration_limit: 24 }
    }
}

/// A network and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimized {
    /// The rewritten network.
    pub graph: Graph,
    /// Levels before, with every polynomial evaluated as it stands.
    pub depth_before: Depth,
    /// Levels after.
    pub depth_after: Depth,
    /// How often each rule found something new, by the rule's equation.
    pub fired: Vec<(String, usize)>,
    /// Whether the search ended because nothing new was found, rather than by its budget.
    pub saturated: bool,
}

/// Why a network cannot be rewritten.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum OptimizeError {
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("the rewritten network is ill-formed: {0}")]
    Rewritten(String),
}

/// Rewrite `graph` to the least depth that the rules reach.
///
/// # Errors
/// When `graph` is not well-formed.
pub fn optimize(graph: &Graph, options: &Options) -> Result<Optimized, OptimizeError> {
    graph.verify()?;
    let (egraph, roots) = convert::to_egraph(graph);
    let runner = Runner::<Lang, Network, ()>::new(Network::default())
        .with_egraph(egraph)
        .with_node_limit(options.node_limit)
        .with_iter_limit(options.iteration_limit)
        // The budget is a count, so that the result does not depend on the machine.
        .with_time_limit(Duration::MAX)
        .with_scheduler(SimpleScheduler)
        .run(&rules::all());
    let mut fired: BTreeMap<String, usize> = BTreeMap::new();
    for iteration in &runner.iterations {
        for (rule, times) in &iteration.applied {
            *fired.entry(rule.to_string()).or_default() += times;
        }
    }
    let saturated = matches!(runner.stop_reason, Some(egg::StopReason::Saturated));
    let chosen = extract::extract(&runner.egraph, &roots);
    let rewritten = convert::to_graph(&runner.egraph, &chosen, graph, &roots)?;
    Ok(Optimized {
        depth_before: depth(graph),
        depth_after: depth(&rewritten),
        graph: rewritten,
        fired: fired.into_iter().collect(),
        saturated,
    })
}

pub use cost::depth;
