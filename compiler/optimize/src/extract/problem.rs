//! What extraction chooses from, and what a choice costs.

use hec_ir::entity::EntityVec;
use std::collections::BTreeMap;

hec_ir::entity!(
    /// A class, densely numbered.
    Class, "class"
);

/// Levels, work, and error: what is minimised. Depth adds up along a path, the others over the classes of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) depth: u32,
    /// In units of [`crate::cost`].
    pub(crate) work: u64,
    /// Error of the network's outputs.
    pub(crate) error: f64,
}

impl Cost {
    /// Whether nothing about `other` is better.
    pub(crate) fn dominates(&self, other: &Cost) -> bool {
        self.depth <= other.depth && self.work <= other.work && self.error <= other.error
    }

    /// The order in which results are given: least depth first.
    pub(crate) fn compare(&self, other: &Cost) -> std::cmp::Ordering {
        let rest = |c: &Cost| (c.depth, c.work);
        rest(self).cmp(&rest(other)).then(self.error.total_cmp(&other.error))
    }
}

/// A node of a class.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Its own cost.
    pub(crate) cost: Cost,
    /// The classes that it needs; of leaves without cost there is no class here.
    pub(crate) children: Vec<Class>,
}

/// An e-graph, as far as extraction sees it.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) classes: EntityVec<Class, Vec<Choice>>,
    pub(crate) roots: Vec<Class>,
    /// No graph may have a larger error.
    pub(crate) max_error: f64,
}

impl Default for Problem {
    fn default() -> Self {
        Problem { classes: EntityVec::new(), roots: Vec::new(), max_error: f64::INFINITY }
    }
}

/// One node for each class that the roots need.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Solution {
    pub(crate) cost: Cost,
    /// The position of the chosen node in its class.
    pub(crate) chosen: BTreeMap<Class, usize>,
}

impl Problem {
    /// The part of a selection that the roots need and what it really costs; `None` if it is not closed or has a cycle.
    pub(crate) fn solution(&self, select: impl Fn(Class) -> Option<usize>) -> Option<Solution> {
        let mut depths: BTreeMap<Class, Option<u32>> = BTreeMap::new();
        let mut chosen = BTreeMap::new();
        let mut cost = Cost::default();
        let mut pending: Vec<Class> = self.roots.clone();
        // Children first, without recursion: a class stays on the stack until its children are done.
        while let Some(&class) = pending.last() {
            if matches!(depths.get(&class), Some(Some(_))) {
                pending.pop();
                continue;
            }
            let position = select(class)?;
            let choice = self.classes[class].get(position)?;
            let open: Vec<Class> =
                choice.children.iter().copied().filter(|c| !matches!(depths.get(c), Some(Some(_)))).collect();
            if open.is_empty() {
                let below = choice.children.iter().filter_map(|c| depths[c]).max().unwrap_or(0);
                depths.insert(class, Some(below + choice.cost.depth));
                chosen.insert(class, position);
                cost.work += choice.cost.work;
                cost.error += choice.cost.error;
                pending.pop();
            } else if depths.insert(class, None).is_some() {
                // It waits already, so what it needs leads back to it.
                return None;
            } else {
                pending.extend(open);
            }
        }
        cost.depth = self.roots.iter().filter_map(|r| depths[r]).max().unwrap_or(0);
        (cost.error <= self.max_error).then_some(Solution { cost, chosen })
    }
}

/// Add a solution to a front unless one there is as good; what it dominates goes.
pub(crate) fn admit<T>(front: &mut Vec<T>, new: T, cost: impl Fn(&T) -> Cost) -> bool {
    let price = cost(&new);
    if front.iter().any(|p| cost(p).dominates(&price)) {
        return false;
    }
    front.retain(|p| !price.dominates(&cost(p)));
    front.push(new);
    true
}
