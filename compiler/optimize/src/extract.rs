//! Take the best graph out of the e-graph.
//!
//! For every class, the e-node whose graph has the least depth and then the least work, where a class that is used twice
//! counts once. Passes over all classes repeat until nothing improves; ties go to the smaller node, so that the result
//! does not depend on the order of the search.

use crate::cost::{NodeCost, node_cost};
use crate::language::{EGraph, Lang};
use egg::{Id, Language};
use std::collections::{BTreeMap, BTreeSet};

/// The chosen e-node of each class that the roots need.
pub(crate) type Chosen = BTreeMap<Id, Lang>;

struct Best {
    node: Lang,
    depth: u32,
    work: f64,
    /// The classes that the graph below uses, with the work of each one's node.
    below: BTreeMap<Id, f64>,
}

/// The best graph for `roots`.
pub(crate) fn extract(egraph: &EGraph, roots: &[Id]) -> Chosen {
    let classes: BTreeSet<Id> = egraph.classes().map(|c| c.id).collect();
    let mut best: BTreeMap<Id, Best> = BTreeMap::new();
    loop {
        let mut improved = false;
        for &class in &classes {
            let mut nodes: Vec<&Lang> = egraph[class].iter().collect();
            nodes.sort();
            for node in nodes {
                let Some(candidate) = candidate(egraph, &best, class, node) else { continue };
                let better = best.get(&class).is_none_or(|b| (candidate.depth, candidate.work) < (b.depth, b.work));
                if better {
                    best.insert(class, candidate);
                    improved = true;
                }
            }
        }
        if !improved {
            break;
        }
    }
    reachable(egraph, &best, roots)
}

fn candidate(egraph: &EGraph, best: &BTreeMap<Id, Best>, class: Id, node: &Lang) -> Option<Best> {
    let cost = cost_of(egraph, node);
    let mut depth = 0;
    let mut below = BTreeMap::from([(class, cost.work)]);
    for &child in node.children() {
        let child = egraph.find(child);
        let chosen = best.get(&child)?;
        if chosen.below.contains_key(&class) {
            return None;
        }
        depth = depth.max(chosen.depth);
        below.extend(chosen.below.iter().map(|(&id, &work)| (id, work)));
    }
    let work = below.values().sum();
    Some(Best { node: node.clone(), depth: depth + cost.depth, work, below })
}

fn cost_of(egraph: &EGraph, node: &Lang) -> NodeCost {
    let first = node.children().first().map(|&id| &egraph[id].data);
    let last = node.children().last().map(|&id| &egraph[id].data);
    let leaf = first.and_then(|known| known.leaf.as_ref());
    node_cost(&egraph.analysis.tables, node, leaf, last.and_then(|known| known.shape.as_ref()))
}

fn reachable(egraph: &EGraph, best: &BTreeMap<Id, Best>, roots: &[Id]) -> Chosen {
    let mut chosen = Chosen::new();
    let mut pending: Vec<Id> = roots.iter().map(|&r| egraph.find(r)).collect();
    while let Some(class) = pending.pop() {
        if chosen.contains_key(&class) {
            continue;
        }
        let node = best[&class].node.clone();
        pending.extend(node.children().iter().map(|&c| egraph.find(c)));
        chosen.insert(class, node);
    }
    chosen
}
