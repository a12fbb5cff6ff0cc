//! Nodes exchanged for others that share more of what is chosen anyway.
//!
//! The front of a class knows nothing of what other classes need. Of a·z and z, both needed, a·z by a product of its own
//! may be shallower and take less work than z with a scale behind it, so that only the former is kept, and the whole takes
//! two products. Where the depth is there to spare, z alone and a scale take less.

use super::problem::{Choice, Class, Problem, Solution, admit};
use std::collections::BTreeMap;

/// Make every solution of a front cheaper, as long as that takes no more depth and no more error.
pub(super) fn improve(problem: &Problem, front: &mut Vec<Solution>) {
    let mut improved = Vec::new();
    for mut solution in front.drain(..) {
        while pass(problem, &mut solution) {}
        admit(&mut improved, solution, |s| s.cost);
    }
    improved.sort_by(|a, b| a.cost.compare(&b.cost));
    *front = improved;
}

/// Visit every class once; whether something was exchanged. It ends, since each exchange makes the solution better.
fn pass(problem: &Problem, solution: &mut Solution) -> bool {
    let before = solution.cost;
    let mut uses = uses(problem, solution);
    for class in solution.chosen.keys().copied().collect::<Vec<_>>() {
        for (other, choice) in problem.classes[class].iter().enumerate() {
            let Some(&position) = solution.chosen.get(&class) else { break };
            let is_there = choice.children.iter().all(|c| solution.chosen.contains_key(c));
            if other == position || !is_there || freed(problem, solution, &uses, class, choice) <= choice.cost.work {
                continue;
            }
            let select = |c: Class| if c == class { Some(other) } else { solution.chosen.get(&c).copied() };
            let exchanged = problem.solution(select).filter(|s| s.cost.dominates(&solution.cost));
            if let Some(exchanged) = exchanged.filter(|s| s.cost != solution.cost) {
                *solution = exchanged;
                uses = self::uses(problem, solution);
            }
        }
    }
    solution.cost != before
}

/// How often each class is needed.
fn uses(problem: &Problem, solution: &Solution) -> BTreeMap<Class, usize> {
    let mut uses = BTreeMap::new();
    let children = solution.chosen.iter().flat_map(|(&class, &position)| &problem.classes[class][position].children);
    for &class in problem.roots.iter().chain(children) {
        *uses.entry(class).or_default() += 1;
    }
    uses
}

/// The work of all that is no longer needed once a class takes another node.
fn freed(problem: &Problem, solution: &Solution, uses: &BTreeMap<Class, usize>, class: Class, instead: &Choice) -> u64 {
    let chosen = |class: Class| &problem.classes[class][solution.chosen[&class]];
    let mut left: BTreeMap<Class, usize> = BTreeMap::new();
    for &child in &instead.children {
        *left.entry(child).or_insert(uses[&child]) += 1;
    }
    let mut work = chosen(class).cost.work;
    let mut pending = chosen(class).children.clone();
    while let Some(child) = pending.pop() {
        let left = left.entry(child).or_insert(uses[&child]);
        *left -= 1;
        if *left == 0 {
            work += chosen(child).cost.work;
            pending.extend(&chosen(child).children);
        }
    }
    work
}
