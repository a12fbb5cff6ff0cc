//! Exhaustive search, for e-graphs that are small enough: branch and bound, with the front found so far as the bound.

use super::problem::{Class, Cost, Problem, Solution, admit};
use hec_ir::entity::EntityVec;
use std::collections::BTreeMap;

/// Classes of the largest e-graph that is searched.
const CLASSES: usize = 64;
/// Nodes that are tried before the search gives up.
const STEPS: usize = 4096;

/// Improve a front to the exact one; whether that was possible.
pub(crate) fn improve(problem: &Problem, front: &mut Vec<Solution>) -> bool {
    if problem.classes.len() > CLASSES {
        return false;
    }
    let mut search =
        Search { problem, least: least(problem), chosen: BTreeMap::new(), front: &mut *front, steps: STEPS };
    let complete = search.branch(&problem.roots, Cost::default());
    front.sort_by(|a, b| a.cost.compare(&b.cost));
    complete
}

struct Search<'a> {
    problem: &'a Problem,
    /// Depth of the shallowest graph of each class; work and error of its cheapest node.
    least: EntityVec<Class, Cost>,
    chosen: BTreeMap<Class, usize>,
    front: &'a mut Vec<Solution>,
    steps: usize,
}

impl Search<'_> {
    /// Choose a node for the last of the pending classes in every way; `spent` is what the chosen ones cost.
    fn branch(&mut self, pending: &[Class], spent: Cost) -> bool {
        let Some((&class, rest)) = pending.split_last() else {
            if let Some(solution) = self.problem.solution(|class| self.chosen.get(&class).copied()) {
                admit(self.front, solution, |s| s.cost);
            }
            return true;
        };
        if self.chosen.contains_key(&class) {
            return self.branch(rest, spent);
        }
        let problem = self.problem;
        for (position, choice) in problem.classes[class].iter().enumerate() {
            if self.steps == 0 {
                return false;
            }
            self.steps -= 1;
            self.chosen.insert(class, position);
            let (work, error) = (spent.work + choice.cost.work, spent.error + choice.cost.error);
            let spent = Cost { depth: 0, work, error };
            let mut next = rest.to_vec();
            next.extend(choice.children.iter().filter(|c| !self.chosen.contains_key(c) && !rest.contains(c)));
            let promising = error <= problem.max_error
                && self.bound(&next, spent).is_some_and(|b| !self.front.iter().any(|s| s.cost.dominates(&b)));
            let complete = !promising || self.branch(&next, spent);
            self.chosen.remove(&class);
            if !complete {
                return false;
            }
        }
        true
    }

    /// What any completion costs at least; `None` if what is chosen has a cycle.
    fn bound(&self, pending: &[Class], spent: Cost) -> Option<Cost> {
        let mut depths = BTreeMap::new();
        let mut bound = spent;
        for &root in &self.problem.roots {
            bound.depth = bound.depth.max(self.depth(root, &mut depths)?);
        }
        for (i, &class) in pending.iter().enumerate() {
            if !pending[..i].contains(&class) && !self.chosen.contains_key(&class) {
                bound.work += self.least[class].work;
                bound.error += self.least[class].error;
            }
        }
        Some(bound)
    }

    /// Least depth of a class under what is chosen. Classes that are open have no depth yet.
    fn depth(&self, class: Class, depths: &mut BTreeMap<Class, Option<u32>>) -> Option<u32> {
        if let Some(&known) = depths.get(&class) {
            return known;
        }
        let Some(&position) = self.chosen.get(&class) else {
            return (self.least[class].depth < u32::MAX).then_some(self.least[class].depth);
        };
        depths.insert(class, None);
        let choice = &self.problem.classes[class][position];
        let mut below = 0;
        for &child in &choice.children {
            below = below.max(self.depth(child, depths)?);
        }
        let depth = below + choice.cost.depth;
        depths.insert(class, Some(depth));
        Some(depth)
    }
}

fn least(problem: &Problem) -> EntityVec<Class, Cost> {
    let start = Cost { depth: u32::MAX, work: u64::MAX, error: f64::INFINITY };
    let mut least: EntityVec<Class, Cost> = problem.classes.keys().map(|_| start).collect();
    loop {
        let before = least.clone();
        for (class, choices) in problem.classes.iter() {
            for choice in choices {
                let below = choice.children.iter().map(|&c| least[c].depth).max().unwrap_or(0);
                let known = &mut least[class];
                known.depth = known.depth.min(below.saturating_add(choice.cost.depth));
                known.work = known.work.min(choice.cost.work);
                known.error = known.error.min(choice.cost.error);
            }
        }
        if least == before {
            return least;
        }
    }
}
