//! Take the best graphs out of the e-graph.
//!
//! What is wanted is a Pareto set of (depth, work, error), where a class that is used twice counts once. That is NP-hard;
//! [`pareto`] keeps the good graphs of every class, bottom up, and is nearly linear; [`sharing`] then exchanges nodes for
//! others that share more; [`exact`] completes the answer where the e-graph is small. Ties go to the smaller node, so that the result does not depend on the order of the search.

mod exact;
mod pareto;
mod problem;
mod selection;
mod sharing;
#[cfg(test)]
mod tests;

use crate::cost::node_cost;
use crate::language::{EGraph, Lang};
use egg::{Id, Language};
use hec_ir::entity::Entity;
use problem::{Choice, Class, Problem};
use std::collections::BTreeMap;

pub(crate) use problem::{Cost, Solution};

/// The chosen e-node of each class that the roots need, leaves without cost left out.
pub(crate) type Chosen = BTreeMap<Id, Lang>;

/// The graphs for `roots` that are not worse than another in all respects and have no larger error than that, least depth
/// first.
pub(crate) fn extract(egraph: &EGraph, roots: &[Id], max_error: f64) -> Vec<(Cost, Chosen)> {
    let mut view = View::new(egraph, roots);
    view.problem.max_error = max_error;
    let choose = |s: Solution| {
        let named =
            |(class, position): (Class, usize)| (view.ids[class.index()], view.nodes[class.index()][position].clone());
        (s.cost, s.chosen.into_iter().map(named).collect())
    };
    solve(&view.problem).into_iter().map(choose).collect()
}

/// The alternatives that a graph takes.
pub(crate) fn taken(chosen: &Chosen) -> Vec<usize> {
    let number = |node: &Lang| if let Lang::Deviation(id) = node { Some(id.0 as usize) } else { None };
    let mut taken: Vec<usize> = chosen.values().filter_map(number).collect();
    taken.sort_unstable();
    taken
}

/// A graph for every node of every class that takes it, where there is one: what a test of a rule looks at.
#[cfg(test)]
pub(crate) fn every_choice(egraph: &EGraph, roots: &[Id]) -> Vec<Chosen> {
    let mut view = View::new(egraph, roots);
    let mut graphs = Vec::new();
    for class in view.problem.classes.keys() {
        let choices = view.problem.classes[class].clone();
        for (position, choice) in choices.iter().enumerate() {
            view.problem.classes[class] = vec![choice.clone()];
            let taken = |(c, p): (Class, usize)| {
                let p = if c == class { position } else { p };
                (view.ids[c.index()], view.nodes[c.index()][p].clone())
            };
            graphs.extend(solve(&view.problem).into_iter().map(|s| s.chosen.into_iter().map(taken).collect()));
        }
        view.problem.classes[class] = choices;
    }
    graphs
}

fn solve(problem: &Problem) -> Vec<Solution> {
    let mut front = pareto::solve(problem);
    sharing::improve(problem, &mut front);
    exact::improve(problem, &mut front);
    front
}

/// The e-graph with dense numbers, and the way back.
struct View {
    ids: Vec<Id>,
    nodes: Vec<Vec<Lang>>,
    problem: Problem,
}

impl View {
    fn new(egraph: &EGraph, roots: &[Id]) -> Self {
        let mut view = View { ids: Vec::new(), nodes: Vec::new(), problem: Problem::default() };
        let needed = reachable(egraph, roots);
        let numbers: BTreeMap<Id, Class> = needed.iter().enumerate().map(|(i, &id)| (id, Class::new(i))).collect();
        for &id in &needed {
            let mut nodes: Vec<Lang> = egraph[id].nodes.clone();
            nodes.sort();
            nodes.dedup();
            let choice = |node: &Lang| Choice {
                cost: node_cost(egraph, node),
                children: node.children().iter().filter_map(|&c| numbers.get(&egraph.find(c)).copied()).collect(),
            };
            view.problem.classes.push(nodes.iter().map(choice).collect());
            view.ids.push(id);
            view.nodes.push(nodes);
        }
        view.problem.roots = roots.iter().map(|&r| numbers[&egraph.find(r)]).collect();
        view
    }
}

/// The classes that may be needed, without leaves that cost nothing.
fn reachable(egraph: &EGraph, roots: &[Id]) -> Vec<Id> {
    let mut seen = std::collections::BTreeSet::new();
    let mut pending: Vec<Id> = roots.iter().map(|&r| egraph.find(r)).collect();
    while let Some(class) = pending.pop() {
        if !seen.insert(class) {
            continue;
        }
        let children = egraph[class].iter().flat_map(|n| n.children()).map(|&c| egraph.find(c));
        pending.extend(children.filter(|&c| egraph[c].data.leaf.as_ref().is_none_or(Lang::is_costly)));
    }
    seen.into_iter().collect()
}
