//! Extraction against exhaustive search, and on deep chains.

use super::problem::{Choice, Class, Cost, Problem, Solution, admit};
use super::{pareto, sharing, solve};
use hec_ir::entity::{Entity, EntityVec};
use std::time::Instant;

/// Reproducible numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// A few classes with a few nodes each. Most children come from earlier classes; some lead back, so that there are cycles.
/// Errors are sums of powers of two, which are exact.
fn random(numbers: &mut Numbers) -> Problem {
    let count = 3 + numbers.below(6);
    let mut classes: EntityVec<Class, Vec<Choice>> = EntityVec::new();
    for class in 0..count {
        let nodes = 1 + numbers.below(3);
        let mut choices = Vec::new();
        for _ in 0..nodes {
            let arity = if class == 0 { 0 } else { numbers.below(3) };
            let reach = if numbers.below(4) == 0 { count } else { class.max(1) };
            let children = (0..arity).map(|_| Class::new(numbers.below(reach))).collect();
            let cost = Cost {
                depth: numbers.below(3) as u32,
                work: numbers.below(20) as u64,
                error: numbers.below(3) as f64 / 4.0,
            };
            choices.push(Choice { cost, children });
        }
        classes.push(choices);
    }
    let roots = (0..1 + numbers.below(2)).map(|i| Class::new(count - 1 - i)).collect();
    Problem { classes, roots, ..Problem::default() }
}

/// All ways to choose a node for every class.
fn exhaustive(problem: &Problem) -> Vec<Solution> {
    let counts: Vec<usize> = problem.classes.values().map(Vec::len).collect();
    let mut front = Vec::new();
    for mut number in 0..counts.iter().product() {
        let mut chosen = Vec::new();
        for &count in &counts {
            chosen.push(number % count);
            number /= count;
        }
        if let Some(solution) = problem.solution(|class| Some(chosen[class.index()])) {
            admit(&mut front, solution, |s| s.cost);
        }
    }
    front.sort_by(|a, b| a.cost.compare(&b.cost));
    front
}

fn costs(front: &[Solution]) -> Vec<Cost> {
    front.iter().map(|s| s.cost).collect()
}

#[test]
fn extraction_equals_exhaustive_search_on_random_graphs() {
    let mut numbers = Numbers(5);
    let (mut solvable, mut found_bottom_up, mut points) = (0, 0, 0);
    for case in 0..2000 {
        let mut problem = random(&mut numbers);
        if case % 2 == 1 {
            problem.max_error = numbers.below(6) as f64 / 4.0;
        }
        let expected = costs(&exhaustive(&problem));
        assert_eq!(costs(&solve(&problem)), expected, "case {case}: {problem:?}");
        solvable += usize::from(!expected.is_empty());
        let bottom_up = costs(&pareto::solve(&problem));
        points += expected.len();
        found_bottom_up += expected.iter().filter(|c| bottom_up.contains(c)).count();
    }
    assert!(solvable > 1000, "{solvable}");
    // What the search bottom up misses by itself: it keeps no graph that only sharing further up makes the better one.
    assert!(found_bottom_up * 100 >= points * 85, "{found_bottom_up} of {points}");
}

/// A class of which every node needs itself can only be avoided.
#[test]
fn cycles_are_not_chosen() {
    let node = |work, children: &[usize]| Choice {
        cost: Cost { work, ..Cost::default() },
        children: children.iter().map(|&c| Class::new(c)).collect(),
    };
    let classes = [vec![node(1, &[]), node(0, &[1])], vec![node(0, &[0]), node(5, &[])]];
    let problem = Problem { classes: classes.into_iter().collect(), roots: vec![Class::new(1)], ..Problem::default() };
    assert_eq!(costs(&solve(&problem)), [Cost { depth: 0, work: 1, error: 0.0 }]);
}

#[test]
fn what_is_used_twice_counts_once() {
    let node = |depth, work, children: &[usize]| Choice {
        cost: Cost { depth, work, error: 0.0 },
        children: children.iter().map(|&c| Class::new(c)).collect(),
    };
    // Sharing class 1 costs 10 + 1 + 1; each branch by itself would be cheaper with 7.
    let classes = [
        vec![node(0, 0, &[])],
        vec![node(1, 10, &[0])],
        vec![node(0, 1, &[1]), node(1, 7, &[0])],
        vec![node(0, 1, &[1]), node(1, 7, &[0])],
        vec![node(0, 0, &[2, 3])],
    ];
    let problem = Problem { classes: classes.into_iter().collect(), roots: vec![Class::new(4)], ..Problem::default() };
    assert_eq!(costs(&solve(&problem)), [Cost { depth: 1, work: 12, error: 0.0 }]);
}

/// A network is a deep chain: every class has two nodes, one of them two classes back.
#[test]
fn a_chain_of_20_000_nodes_is_extracted_in_a_moment() {
    let length: usize = 20_000;
    let mut classes: EntityVec<Class, Vec<Choice>> = EntityVec::new();
    for class in 0..length {
        let back = |steps: usize| class.checked_sub(steps).map(Class::new).into_iter().collect();
        let cost = |depth, work| Cost { depth, work, error: 0.0 };
        classes.push(vec![
            Choice { cost: cost(1, 10), children: back(1) },
            Choice { cost: cost(1, 25), children: back(2) },
        ]);
    }
    let problem = Problem { classes, roots: vec![Class::new(length - 1)], ..Problem::default() };
    let start = Instant::now();
    let front = solve(&problem);
    println!("{length} nodes: {:?}", start.elapsed());
    assert_eq!(front[0].cost.depth, length as u32 / 2);
    assert!(start.elapsed().as_secs() < 60);
}

/// z² · (a·z): by itself a·z is shallowest and cheapest as a product of its own, but z is there, and so is the level that a
/// scale of it takes.
#[test]
fn what_is_computed_anyway_is_shared() {
    let mut classes: EntityVec<Class, Vec<Choice>> = EntityVec::new();
    let choice = |depth, work, children: &[Class]| Choice {
        cost: Cost { depth, work, error: 0.0 },
        children: children.to_vec(),
    };
    let input = classes.push(vec![choice(0, 1, &[])]);
    let z = classes.push(vec![choice(1, 100, &[input])]);
    let square = classes.push(vec![choice(2, 10, &[z])]);
    let scaled = classes.push(vec![choice(1, 100, &[input]), choice(1, 20, &[z])]);
    let root = classes.push(vec![choice(1, 10, &[square, scaled])]);
    let problem = Problem { classes, roots: vec![root], ..Problem::default() };
    let mut front = pareto::solve(&problem);
    assert_eq!(costs(&front), [Cost { depth: 4, work: 221, error: 0.0 }]);
    sharing::improve(&problem, &mut front);
    assert_eq!(costs(&front), [Cost { depth: 4, work: 141, error: 0.0 }]);
}
