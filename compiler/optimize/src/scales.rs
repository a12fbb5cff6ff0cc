//! Scales leave residual sums.
//!
//! A value may be carried as a multiple of itself, v' = g·v with a factor for each channel. A linear map takes 1/g in and g
//! out for nothing; a sum needs the same g for its terms and its result; a square has g² if its argument has g, whatever
//! the sign. So a scale S between a square and a sum, u = S·v, is no operation where g(v) = S·g(u): its size goes back, from
//! sum to sum, until a linear map takes it, and its signs go to the other terms of the sum, because the next square does
//! not see them. The e-graph cannot choose that, because it is a choice for a whole chain of residual blocks at once.

use hec_ir::entity::EntityVec;
use hec_ir::tensor::{ConstId, Constants, Graph, LinearStep, Op, Output, ShapeError, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};

hec_ir::entity!(
    /// Values that have the same factor, because sums tie them.
    Group, "group"
);

/// Factors are kept within this of 1, so that no precision is lost.
const LARGEST_FACTOR: f64 = 64.0;
/// Factors that differ from 1 by rounding only.
const ROUNDING: f64 = 1e-12;

/// An equal network without the scales that its linear maps can take in.
///
/// # Errors
/// When `graph` is not well-formed.
pub(crate) fn absorb(graph: &Graph) -> Result<Graph, ShapeError> {
    let groups = Groups::of(graph);
    let factors = groups.factors(graph);
    if factors.values().all(Option::is_none) {
        return Ok(graph.clone());
    }
    let mut rebuild = Rebuild::new(graph, &groups, &factors);
    for (value, node) in graph.nodes.iter() {
        let new = rebuild.node(value, node)?;
        rebuild.values.push(new);
    }
    let values = rebuild.values;
    let output = |o: &Output| Output { value: values[o.value], ..o.clone() };
    rebuild.out.outputs = graph.outputs.iter().map(output).collect();
    let is_smaller = rebuild.out.nodes.len() < graph.nodes.len();
    Ok(if is_smaller { rebuild.out } else { graph.clone() })
}

/// The factor of a single scale.
fn scale_of(op: &Op) -> Option<ConstId> {
    match op {
        Op::Linear(steps) => match steps.as_slice() {
            [LinearStep::Scale { factor }] => Some(*factor),
            _ => None,
        },
        _ => None,
    }
}

struct Groups {
    of: EntityVec<ValueId, Group>,
    /// The last value of each group: groups are treated from the end of the network on.
    last: EntityVec<Group, ValueId>,
    /// Groups whose values are carried as they are.
    fixed: BTreeSet<Group>,
}

impl Groups {
    fn of(graph: &Graph) -> Self {
        let mut parent: EntityVec<ValueId, ValueId> = graph.nodes.keys().collect();
        let root = |parent: &EntityVec<ValueId, ValueId>, mut v: ValueId| {
            while parent[v] != v {
                v = parent[v];
            }
            v
        };
        for (value, node) in graph.nodes.iter() {
            if matches!(node.op, Op::Add | Op::Sub | Op::AddConstant(_) | Op::Negate) {
                for &arg in &node.args {
                    let (a, b) = (root(&parent, arg), root(&parent, value));
                    parent[a.min(b)] = a.max(b);
                }
            }
        }
        let mut numbers: BTreeMap<ValueId, Group> = BTreeMap::new();
        let mut of = EntityVec::new();
        let mut last = EntityVec::new();
        for value in graph.nodes.keys() {
            let root = root(&parent, value);
            let group = *numbers.entry(root).or_insert_with(|| last.push(value));
            last[group] = value;
            of.push(group);
        }
        let mut groups = Groups { of, last, fixed: BTreeSet::new() };
        groups.fix(graph);
        groups
    }

    /// Which groups have no choice.
    fn fix(&mut self, graph: &Graph) {
        self.fixed.extend(graph.outputs.iter().map(|o| self.of[o.value]));
        for (value, node) in graph.nodes.iter() {
            let takes_factors = match &node.op {
                Op::Add | Op::Sub | Op::AddConstant(_) | Op::Negate | Op::Square => true,
                Op::Linear(steps) => !steps.iter().all(LinearStep::is_movement),
                _ => false,
            };
            if !takes_factors {
                self.fixed.insert(self.of[value]);
                self.fixed.extend(node.args.iter().map(|&a| self.of[a]));
            }
        }
        // A square ties its result to its argument: where one argument has several results, or a result comes before its
        // argument in the order of treatment, all are carried as they are.
        let squares: Vec<(Group, Group)> = self.squares(graph).collect();
        loop {
            let before = self.fixed.len();
            for &(argument, result) in &squares {
                let is_ambiguous = squares.iter().any(|&(a, r)| a == argument && r != result);
                if self.last[argument] >= self.last[result] {
                    self.fixed.extend([argument, result]);
                } else if is_ambiguous || self.fixed.contains(&argument) {
                    self.fixed.insert(result);
                }
            }
            if self.fixed.len() == before {
                return;
            }
        }
    }

    /// Of every square, the groups of its argument and its result.
    fn squares<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = (Group, Group)> + 'a {
        let squares = graph.nodes.iter().filter(|(_, node)| matches!(node.op, Op::Square));
        squares.map(|(value, node)| (self.of[node.args[0]], self.of[value]))
    }

    /// The factor of each group; none where it is 1.
    fn factors(&self, graph: &Graph) -> EntityVec<Group, Option<Tensor>> {
        let mut order: Vec<Group> = self.last.keys().collect();
        order.sort_by_key(|&g| std::cmp::Reverse(self.last[g]));
        let mut factors: EntityVec<Group, Option<Tensor>> = self.last.keys().map(|_| None).collect();
        let mut done: BTreeSet<Group> = BTreeSet::new();
        let results: BTreeSet<Group> = self.squares(graph).map(|(_, result)| result).collect();
        let squared: BTreeMap<Group, Group> = self.squares(graph).collect();
        let scales = |group: Group, of_result: bool| {
            graph.nodes.iter().filter_map(move |(value, node)| {
                let factor = graph.constants.tensor(scale_of(&node.op)?);
                let (from, to) = (self.of[node.args[0]], self.of[value]);
                let (this, other) = if of_result { (to, from) } else { (from, to) };
                (this == group && other != group).then_some((other, factor))
            })
        };
        for group in order {
            if self.fixed.contains(&group) {
                done.insert(group);
                continue;
            }
            let mut size = match squared.get(&group) {
                Some(&result) => factors[result].as_ref().map(|g| map(g, |g| g.abs().sqrt())),
                None => scales(group, false)
                    .filter(|(to, _)| done.contains(to))
                    .find_map(|(to, s)| wished(s, factors[to].as_ref()))
                    .map(|g| map(&g, f64::abs)),
            };
            if !results.contains(&group) {
                // The sign is free: that of a scale which leads here, so that what it comes from has a positive factor.
                if let Some((_, s)) = scales(group, true).find(|(_, s)| s.data.iter().any(|&s| s < 0.0)) {
                    let sign = map(s, |s| if s < 0.0 { -1.0 } else { 1.0 });
                    size = combine(&sign, size.as_ref(), |a, b| a * b);
                }
            }
            factors[group] = size.filter(|g| g.data.iter().any(|&g| (g - 1.0).abs() > ROUNDING));
            done.insert(group);
        }
        factors
    }
}

/// The factor with which a scale S to values of factor g is no operation: S·g, unless that is too large or small.
fn wished(scale: &Tensor, to: Option<&Tensor>) -> Option<Tensor> {
    let wish = combine(scale, to, |s, g| s * g)?;
    let is_near_one = |g: &f64| g.abs() < LARGEST_FACTOR && g.abs() > 1.0 / LARGEST_FACTOR;
    wish.data.iter().all(is_near_one).then_some(wish)
}

fn map(tensor: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    Tensor { shape: tensor.shape.clone(), data: tensor.data.iter().map(|&v| f(v)).collect() }
}

/// Two tensors that broadcast; one that is absent is 1.
fn combine(a: &Tensor, b: Option<&Tensor>, f: impl Fn(f64, f64) -> f64) -> Option<Tensor> {
    let Some(b) = b else { return Some(map(a, |a| f(a, 1.0))) };
    let shape = a.shape.broadcast(&b.shape)?;
    let (a, b) = (a.broadcast_to(&shape)?, b.broadcast_to(&shape)?);
    Some(Tensor { data: a.data.iter().zip(&b.data).map(|(&a, &b)| f(a, b)).collect(), shape })
}

struct Rebuild<'a> {
    constants: &'a Constants,
    groups: &'a Groups,
    factors: &'a EntityVec<Group, Option<Tensor>>,
    out: Graph,
    kept: BTreeMap<ConstId, ConstId>,
    values: EntityVec<ValueId, ValueId>,
}

impl<'a> Rebuild<'a> {
    fn new(graph: &'a Graph, groups: &'a Groups, factors: &'a EntityVec<Group, Option<Tensor>>) -> Self {
        let (kept, values) = (BTreeMap::new(), EntityVec::new());
        let out = Graph::new(graph.name.clone());
        Rebuild { constants: &graph.constants, groups, factors, out, kept, values }
    }

    fn factor(&self, value: ValueId) -> Option<&'a Tensor> {
        self.factors[self.groups.of[value]].as_ref()
    }

    fn node(&mut self, value: ValueId, node: &hec_ir::tensor::Node) -> Result<ValueId, ShapeError> {
        let args: Vec<ValueId> = node.args.iter().map(|&a| self.values[a]).collect();
        let op = match &node.op {
            Op::Input { name } => {
                let new = self.out.input(name.clone(), node.shape.clone());
                self.out.nodes[new].origin = node.origin.clone();
                return Ok(new);
            }
            Op::AddConstant(c) => Op::AddConstant(self.product(*c, self.factor(value))),
            Op::Linear(steps) => {
                let steps = self.chain(steps, self.factor(node.args[0]), self.factor(value));
                if steps.is_empty() {
                    return Ok(args[0]);
                }
                Op::Linear(steps)
            }
            Op::Polynomial { basis, coefficients } => {
                Op::Polynomial { basis: *basis, coefficients: self.kept(*coefficients) }
            }
            Op::Lookup { table } => Op::Lookup { table: self.kept(*table) },
            other => other.clone(),
        };
        self.out.push(op, args, node.origin.clone())
    }

    /// A chain that takes 1/`before` in and `after` out; empty if it does nothing any more.
    fn chain(&mut self, steps: &[LinearStep], before: Option<&Tensor>, after: Option<&Tensor>) -> Vec<LinearStep> {
        let mut out: Vec<LinearStep> = Vec::with_capacity(steps.len() + 2);
        let before = before.map(|g| map(g, |g| 1.0 / g));
        let ends = |i: usize| if i == 0 { before.as_ref() } else { None };
        for (i, step) in steps.iter().enumerate() {
            match (step, ends(i)) {
                (LinearStep::Scale { factor }, taken) => {
                    let mut product = self.constants.tensor(*factor).as_ref().clone();
                    for other in [taken, after.filter(|_| i + 1 == steps.len())].into_iter().flatten() {
                        product = combine(&product, Some(other), |a, b| a * b).unwrap_or(product);
                    }
                    if steps.len() > 1 || product.data.iter().any(|s| (s - 1.0).abs() > ROUNDING) {
                        out.push(self.scale(product, Some(*factor)));
                    }
                }
                (step, taken) => {
                    out.extend(taken.map(|g| self.scale(g.clone(), None)));
                    out.push(self.step(step));
                }
            }
        }
        if let (Some(g), false) = (after, matches!(steps.last(), Some(LinearStep::Scale { .. }))) {
            out.push(self.scale(g.clone(), None));
        }
        out
    }

    fn step(&mut self, step: &LinearStep) -> LinearStep {
        match step {
            LinearStep::Conv { weight, attributes } => {
                LinearStep::Conv { weight: self.kept(*weight), attributes: *attributes }
            }
            LinearStep::MatMul { weight } => LinearStep::MatMul { weight: self.kept(*weight) },
            other => other.clone(),
        }
    }

    /// A scale: the old one if its factor is still the same.
    fn scale(&mut self, factor: Tensor, old: Option<ConstId>) -> LinearStep {
        let same = old.filter(|&id| **self.constants.tensor(id) == factor);
        let factor = match same {
            Some(id) => self.kept(id),
            None => self.out.constants.add("scale", factor),
        };
        LinearStep::Scale { factor }
    }

    fn product(&mut self, constant: ConstId, factor: Option<&Tensor>) -> ConstId {
        let name = self.constants.name(constant);
        match factor.and_then(|g| combine(self.constants.tensor(constant), Some(g), |a, b| a * b)) {
            Some(product) => self.out.constants.add(name, product),
            None => self.kept(constant),
        }
    }

    fn kept(&mut self, id: ConstId) -> ConstId {
        if let Some(&known) = self.kept.get(&id) {
            return known;
        }
        let new = self.out.constants.add(self.constants.name(id), self.constants.tensor(id).clone());
        self.kept.insert(id, new);
        new
    }
}
