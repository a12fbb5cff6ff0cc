//! For every class, the graphs that are not worse than another in depth, work and error together.
//!
//! A class that is used twice counts once: every point carries the selection of nodes below it. Classes are visited once
//! their children are done; the few that depend on each other (the e-graph has cycles) are visited until nothing changes.

use super::problem::{Choice, Class, Cost, Problem, Solution, admit};
use super::selection::Selection;
use hec_ir::entity::{Entity, EntityVec};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::BTreeSet;

/// Points that are kept for a class.
const POINTS: usize = 10;
/// How often a class on a cycle is visited.
const VISITS: usize = 16;

/// A graph for a class.
#[derive(Clone, Debug)]
struct Point {
    cost: Cost,
    below: Selection,
}

type Fronts = EntityVec<Class, Vec<Point>>;

/// The front of the whole, least depth first.
pub(crate) fn solve(problem: &Problem) -> Vec<Solution> {
    let parents = parents(problem);
    let mut fronts: Fronts = problem.classes.keys().map(|_| Vec::new()).collect();
    for component in components(problem) {
        settle(problem, &parents, &component, &mut fronts);
    }
    let mut front = Vec::new();
    for point in combine(problem, &problem.roots, &fronts) {
        if let Some(solution) = problem.solution(|class| point.below.get(class)) {
            admit(&mut front, solution, |s| s.cost);
        }
    }
    front.sort_by(|a, b| a.cost.compare(&b.cost));
    front
}

fn parents(problem: &Problem) -> EntityVec<Class, BTreeSet<Class>> {
    let mut parents: EntityVec<Class, BTreeSet<Class>> = problem.classes.keys().map(|_| BTreeSet::new()).collect();
    for (class, choices) in problem.classes.iter() {
        for &child in choices.iter().flat_map(|c| &c.children) {
            parents[child].insert(class);
        }
    }
    parents
}

/// Classes that depend on each other, together; those that they need come before.
fn components(problem: &Problem) -> Vec<Vec<Class>> {
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    for _ in problem.classes.keys() {
        graph.add_node(());
    }
    for (class, choices) in problem.classes.iter() {
        let children: BTreeSet<Class> = choices.iter().flat_map(|c| &c.children).copied().collect();
        for child in children {
            graph.add_edge(NodeIndex::new(class.index()), NodeIndex::new(child.index()), ());
        }
    }
    let component = |nodes: Vec<NodeIndex>| nodes.into_iter().map(|n| Class::new(n.index())).collect();
    kosaraju_scc(&graph).into_iter().map(component).collect()
}

/// Visit the classes of a component until their fronts stand.
fn settle(problem: &Problem, parents: &EntityVec<Class, BTreeSet<Class>>, component: &[Class], fronts: &mut Fronts) {
    let inside: BTreeSet<Class> = component.iter().copied().collect();
    let mut pending = inside.clone();
    let mut budget = VISITS * component.len();
    while let Some(class) = pending.pop_first() {
        if budget == 0 {
            break;
        }
        budget -= 1;
        if visit(problem, class, fronts) {
            pending.extend(parents[class].intersection(&inside));
        }
    }
}

/// Whether the front of a class grew.
fn visit(problem: &Problem, class: Class, fronts: &mut Fronts) -> bool {
    let mut grew = false;
    for (position, choice) in problem.classes[class].iter().enumerate() {
        for partial in combine(problem, &choice.children, fronts) {
            let depth = partial.cost.depth + choice.cost.depth;
            let work = partial.cost.work + choice.cost.work;
            let error = partial.cost.error + choice.cost.error;
            let least = Cost { depth, work, error };
            if error > problem.max_error || fronts[class].iter().any(|p| p.cost.dominates(&least)) {
                continue;
            }
            if let Some(point) = extend(class, position, choice, &partial) {
                grew |= admit(&mut fronts[class], point, |p| p.cost);
            }
        }
    }
    thin(&mut fronts[class]);
    grew
}

/// A node on top of what it needs, unless that needs the node's class.
fn extend(class: Class, position: usize, choice: &Choice, partial: &Point) -> Option<Point> {
    if partial.below.get(class).is_some() {
        return None;
    }
    let depth = partial.cost.depth + choice.cost.depth;
    let below = partial.below.with(class, position, choice, depth);
    Some(Point { cost: Cost { depth, work: below.work(), error: below.error() }, below })
}

/// The front of several classes together.
fn combine(problem: &Problem, classes: &[Class], fronts: &Fronts) -> Vec<Point> {
    let mut all = vec![Point { cost: Cost::default(), below: Selection::default() }];
    for &class in classes {
        let mut next = Vec::new();
        for (partial, point) in all.iter().flat_map(|a| fronts[class].iter().map(move |b| (a, b))) {
            // Together they cost at least what each costs, which rules out most pairs.
            let depth = partial.cost.depth.max(point.cost.depth);
            let (work, error) = (partial.cost.work.max(point.cost.work), partial.cost.error.max(point.cost.error));
            if next.iter().any(|p: &Point| p.cost.dominates(&Cost { depth, work, error })) {
                continue;
            }
            let below = partial.below.union(&point.below);
            let cost = Cost { depth, work: below.work(), error: below.error() };
            if cost.error > problem.max_error {
                continue;
            }
            admit(&mut next, Point { cost, below }, |p| p.cost);
        }
        thin(&mut next);
        all = next;
    }
    all
}

/// Keep a few points that stand for the front: the best in each respect, and of the others those that are far from their
/// neighbours (the crowding distance of NSGA-II, Deb et al. 2002).
fn thin(front: &mut Vec<Point>) {
    front.sort_by(|a, b| a.cost.compare(&b.cost));
    while front.len() > POINTS {
        let measures: [fn(&Cost) -> f64; 3] = [|c| f64::from(c.depth), |c| c.work as f64, |c| c.error];
        let mut distance = vec![0.0f64; front.len()];
        for measure in measures {
            let mut order: Vec<usize> = (0..front.len()).collect();
            order.sort_by(|&a, &b| measure(&front[a].cost).total_cmp(&measure(&front[b].cost)).then(a.cmp(&b)));
            let at = |i: usize| measure(&front[order[i]].cost);
            let extent = (at(front.len() - 1) - at(0)).max(f64::MIN_POSITIVE);
            distance[order[0]] = f64::INFINITY;
            for i in 1..front.len() - 1 {
                distance[order[i]] += (at(i + 1) - at(i - 1)) / extent;
            }
        }
        let nearest = (0..front.len()).min_by(|&a, &b| distance[a].total_cmp(&distance[b]));
        front.remove(nearest.unwrap_or_default());
    }
}
