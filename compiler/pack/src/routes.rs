//! Choice of a method for every product of matrices: the one whose predicted time is least.
//!
//! A route that is a level longer is only worth its level if it saves enough: everything before it then runs with one
//! prime more. Methods are changed in one thing at a time, since each leads to a choice of all layouts.

use crate::choose::{self, Choice};
use crate::costs::Known;
use crate::network::{self, Network};
use crate::products::{self, Kernel, Lowered, Method, Route};
use crate::{PackError, PackOptions, polynomial};
use hec_ir::entity::Entity;
use hec_ir::tensor::{Graph, Node, Op, ValueId};

/// A graph of maps and element-wise operations, with its layouts.
pub(crate) struct Routed {
    pub(crate) lowered: Lowered,
    pub(crate) network: Network,
    pub(crate) choice: Choice,
}

/// The cheapest methods that are found, and the matrices of all maps.
pub(crate) fn cheapest(graph: &Graph, options: &PackOptions) -> Result<(Routed, Known), PackError> {
    let first = |product: &Node| Method {
        kernel: Kernel::all(graph, product, options.slots.0)[0],
        // The rows of the right operand are spread along those of the left one, so that its tokens must turn.
        routes: [Route::Direct, Route::Turned],
    };
    let mut methods: Vec<Method> = products::products(graph).map(first).collect();
    let mut known = Known::default();
    let mut best = evaluate(graph, &methods, options, &mut known);
    if methods.is_empty() || methods.len() > MOST_SEARCHED {
        return best.map(|(_, routed)| (routed, known));
    }
    for (index, product) in products::products(graph).enumerate() {
        for change in Change::all(graph, product, options.slots.0) {
            let mut changed = methods.clone();
            changed[index] = change.of(methods[index]);
            if changed == methods {
                continue;
            }
            // What one method cannot hold another may.
            let Ok(found) = evaluate(graph, &changed, options, &mut known) else { continue };
            if best.as_ref().is_err() || best.as_ref().is_ok_and(|b| found.0 < b.0) {
                (best, methods) = (Ok(found), changed);
            }
        }
    }
    best.map(|(_, routed)| (routed, known))
}

/// What is changed in a method.
#[derive(Clone, Copy)]
enum Change {
    Kernel(Kernel),
    Route(usize, Route),
}

impl Change {
    /// All that make a difference for a product.
    fn all(graph: &Graph, product: &Node, slots: usize) -> Vec<Change> {
        let mut all: Vec<Change> = Kernel::all(graph, product, slots).iter().copied().map(Change::Kernel).collect();
        for operand in (0..2).filter(|&operand| products::has_routes(graph, product, operand)) {
            all.extend(Route::ALL.map(|route| Change::Route(operand, route)));
        }
        all
    }

    fn of(self, method: Method) -> Method {
        let mut changed = method;
        match self {
            Change::Kernel(kernel) => changed.kernel = kernel,
            Change::Route(operand, route) => changed.routes[operand] = route,
        }
        changed
    }
}

impl Kernel {
    /// Those worth considering for a product, the likely one first. Each round repeats both operands by maps as large as
    /// the layers before them, so that with many rounds it is not even known how large they are before memory is full.
    fn all(graph: &Graph, product: &Node, slots: usize) -> &'static [Kernel] {
        if products::rounds(graph, product, slots) <= FEW_ROUNDS {
            &[Kernel::Repeated, Kernel::Skewed]
        } else {
            &[Kernel::Skewed]
        }
    }
}

/// Sums of products above which operands are skewed.
const FEW_ROUNDS: usize = 8;

/// Products above which the first methods are taken.
const MOST_SEARCHED: usize = 4;

/// Predicted seconds if they grow with the number of levels.
fn evaluate(
    graph: &Graph,
    methods: &[Method],
    options: &PackOptions,
    known: &mut Known,
) -> Result<(f64, Routed), PackError> {
    let lowered = products::lower(graph, methods, options.slots.0)?;
    let network = network::analyse(&lowered)?;
    let choice = choose::layouts(&lowered.graph, &network, options, known)?;
    let price = choice.cost * f64::from(depth(&lowered, &network).max(1));
    Ok((price, Routed { lowered, network, choice }))
}

/// Levels of a graph whose maps are taken as the network takes them.
fn depth(lowered: &Lowered, network: &Network) -> u32 {
    let graph = &lowered.graph;
    let step = |&value: &ValueId| match network.links.get(&value) {
        Some(link) => (value, std::slice::from_ref(&link.source), !lowered.free.contains(&value)),
        None => (value, graph.nodes[value].args.as_slice(), true),
    };
    longest_path(graph, network.class_of.keys().map(step))
}

/// Levels on the longest path to an output, of values with what they are made of and whether that takes levels.
pub(crate) fn longest_path<'a>(graph: &Graph, steps: impl Iterator<Item = (ValueId, &'a [ValueId], bool)>) -> u32 {
    let mut depths = vec![0u32; graph.nodes.len()];
    for (value, args, counts) in steps {
        let node = &graph.nodes[value];
        let own = match &node.op {
            Op::Linear(_) | Op::Mul | Op::Square | Op::BatchMatMul => 1,
            Op::Power(k) => k.next_power_of_two().ilog2(),
            // What has no tree is refused when it is emitted.
            Op::Polynomial { basis, coefficients } => {
                polynomial::depth(*basis, graph.constants.tensor(*coefficients), &node.origin).unwrap_or(0)
            }
            _ => 0,
        };
        let below = args.iter().map(|a| depths[a.index()]).max().unwrap_or(0);
        depths[value.index()] = below + if counts { own } else { 0 };
    }
    graph.outputs.iter().map(|o| depths[o.value.index()]).max().unwrap_or(0)
}
