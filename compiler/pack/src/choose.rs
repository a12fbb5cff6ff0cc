//! Choice of a layout for every class: the one whose maps and element-wise operations are predicted to cost least.

use crate::candidates;
use crate::diagonals::{Copies, Differences, sums};
use crate::elimination::{Table, minimise};
use crate::matrix;
use crate::network::{Link, Network};
use crate::polynomial;
use crate::prices::Prices;
use crate::{PackError, PackOptions};
use hec_ir::tensor::{Graph, Op, ValueId};
use hec_ir::{Digit, Layout, SlotIndex};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Layouts of a class that are kept, of those without split rows or columns.
const MAX_WHOLE: usize = 8;
/// The same of those with split rows or columns.
const MAX_SPLIT: usize = 3;
/// The same of those with equal rows and columns.
const MAX_ALIKE: usize = 3;
/// Strides above which elements are not split by residues.
const MAX_STRIDE: usize = 4;
/// Entries of a matrix that predictions look at; of larger ones, every k-th row.
const SAMPLE: usize = 1 << 17;

/// A layout without a period, with its slots.
struct Family {
    layout: Layout,
    slots: Vec<SlotIndex>,
    ciphertexts: usize,
    /// The least predicted cost of the maps that lead here.
    reach: f64,
}

impl Family {
    fn new(layout: Layout) -> Self {
        Family { slots: layout.slot_indices(), ciphertexts: layout.ciphertexts(), reach: 0.0, layout }
    }

    /// Every period that fits, smallest first; the last is the number of slots: no repetition.
    fn periods(&self) -> Vec<usize> {
        let n = self.layout.slots.0;
        let least = self.layout.span().next_power_of_two().min(n);
        std::iter::successors(Some(least), |p| Some(2 * p)).take_while(|&p| p <= n).collect()
    }
}

/// A link as predictions see it.
struct Edge<'a> {
    link: &'a Link,
    from: usize,
    to: usize,
    entries: Vec<(u32, u32)>,
    strides: Option<[usize; 2]>,
    /// Whether slots without an element may hold parts of sums.
    shared: bool,
}

impl Edge<'_> {
    fn differences(&self, from: &Family, to: &Family) -> Differences {
        Differences::new(&self.entries, (&from.slots, from.ciphertexts), (&to.slots, to.ciphertexts), to.layout.slots.0)
    }
}

/// What was chosen.
pub(crate) struct Choice {
    /// The layout of every class.
    pub(crate) layouts: Vec<Layout>,
    /// Links whose work the copies of their input share, by target.
    pub(crate) copies: BTreeMap<ValueId, Copies>,
}

/// The cheapest layouts found.
pub(crate) fn layouts(graph: &Graph, network: &Network, options: &PackOptions) -> Result<Choice, PackError> {
    let prices = Prices { costs: &options.costs, ring: options.ring };
    let edges = edges(graph, network)?;
    let families = families(graph, network, &edges, &prices, options)?;
    let choices: Vec<Vec<(usize, usize)>> = families
        .iter()
        .map(|fs| fs.iter().enumerate().flat_map(|(i, f)| f.periods().into_iter().map(move |p| (i, p))).collect())
        .collect();
    let mut tables: Vec<Table> = Vec::new();
    for (class, choice) in choices.iter().enumerate() {
        let each = elementwise(graph, network, class, &prices)?;
        let costs = choice.iter().map(|&(family, _)| each * families[class][family].ciphertexts as f64).collect();
        tables.push(Table { variables: vec![class], costs });
    }
    for edge in &edges {
        tables.push(table(edge, &families, &choices, &prices));
    }
    let sizes: Vec<usize> = choices.iter().map(Vec::len).collect();
    let chosen = minimise(&sizes, &tables);
    let layout = |(class, &at): (usize, &usize)| {
        let (family, period) = choices[class][at];
        let layout = families[class][family].layout.clone();
        if period < options.slots.0 { layout.with_period(period as u32) } else { layout }
    };
    let layouts = chosen.iter().enumerate().map(layout).collect();
    let copies = |edge: &Edge| {
        let [(a, p), (b, f)] = [edge.from, edge.to].map(|class| choices[class][chosen[class]]);
        let costs = Costs::of(edge, &families[edge.from][a], &families[edge.to][b], &prices);
        Some((edge.link.target, costs.between(p, f, &prices).1?))
    };
    Ok(Choice { layouts, copies: edges.iter().filter_map(copies).collect() })
}

fn edges<'a>(graph: &Graph, network: &'a Network) -> Result<Vec<Edge<'a>>, PackError> {
    let edge = |link: &'a Link| {
        let (matrix, _) = matrix::of_chain(&link.steps, graph.shape(link.source), &graph.constants)
            .map_err(|e| PackError::matrix(&link.origin, e))?;
        // Coprime to every extent, so that all positions along every axis occur.
        let least = matrix.entries().div_ceil(SAMPLE).max(1);
        let every = (least..).find(|&k| gcd(k, matrix.rows()) == 1).unwrap_or(1);
        let mut entries = Vec::new();
        for row in (0..matrix.rows()).step_by(every) {
            entries.extend(matrix.row(row).map(|(column, _)| (row as u32, column as u32)));
        }
        let (from, to) = (network.class_of[&link.source], network.class_of[&link.target]);
        let shared = tolerates_parts(graph, network, to);
        Ok(Edge { link, from, to, entries, strides: candidates::strides_of(&link.steps), shared })
    };
    network.links.values().map(edge).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether slots without an element may hold parts of sums in a class: no client sees them, and they are not raised
/// to a power at which they could outgrow the modulus.
fn tolerates_parts(graph: &Graph, network: &Network, class: usize) -> bool {
    let values = &network.classes[class].values;
    let squares = values.iter().filter(|&&v| matches!(graph.nodes[v].op, Op::Square | Op::Mul)).count();
    let higher = values.iter().any(|&v| matches!(graph.nodes[v].op, Op::Polynomial { .. } | Op::Power(_)));
    squares <= 1 && !higher && !graph.outputs.iter().any(|o| values.contains(&o.value))
}

/// The strides that maps further on take of each class: its elements may be split by their residues.
fn strides_ahead(network: &Network, edges: &[Edge]) -> Vec<BTreeSet<[usize; 2]>> {
    let mut ahead = vec![BTreeSet::new(); network.classes.len()];
    for class in (0..network.classes.len()).rev() {
        for edge in edges.iter().filter(|e| e.from == class && e.to > class) {
            let Some(own) = edge.strides else { continue };
            let further: Vec<[usize; 2]> = ahead[edge.to].iter().copied().chain([[1, 1]]).collect();
            let both = further.iter().map(|s: &[usize; 2]| [own[0].saturating_mul(s[0]), own[1].saturating_mul(s[1])]);
            ahead[class].extend(both.filter(|s| *s != [1, 1] && s[0].max(s[1]) <= MAX_STRIDE));
        }
    }
    ahead
}

/// Candidates for each class: by shape, split by strides ahead, and on the grids of the classes that lead to it.
fn families(
    graph: &Graph,
    network: &Network,
    edges: &[Edge],
    prices: &Prices,
    options: &PackOptions,
) -> Result<Vec<Vec<Family>>, PackError> {
    let ahead = strides_ahead(network, edges);
    let mut all: Vec<Vec<Family>> = Vec::new();
    for (class, description) in network.classes.iter().enumerate() {
        let mut layouts = candidates::of_shape(&description.shape, options.slots);
        for &steps in &ahead[class] {
            layouts.extend(candidates::split(&description.shape, options.slots, steps));
        }
        let incoming: Vec<&Edge> = edges.iter().filter(|e| e.to == class && e.from < class).collect();
        for edge in &incoming {
            let Some(strides) = edge.strides else { continue };
            for family in &all[edge.from] {
                layouts.extend(candidates::on_grid_of(&family.layout, strides, &description.shape));
            }
        }
        candidates::retain_distinct(&mut layouts);
        if layouts.is_empty() {
            let layer = graph.nodes[description.values[0]].origin.layer();
            return Err(PackError::too_large(layer, &description.shape, options.slots));
        }
        let mut found: Vec<Family> = layouts.into_par_iter().map(Family::new).collect();
        found.par_iter_mut().for_each(|family| family.reach = reach(family, &incoming, &all, prices));
        all.push(best(found));
    }
    Ok(all)
}

/// The least cost of the maps that lead to a family: over all sources, what leads there and the map from there.
fn reach(to: &Family, incoming: &[&Edge], all: &[Vec<Family>], prices: &Prices) -> f64 {
    let least = |edge: &&Edge| {
        let through = |from: &Family| from.reach / incoming.len() as f64 + cheapest(edge, from, to, prices);
        all[edge.from].iter().map(through).fold(f64::INFINITY, f64::min)
    };
    incoming.iter().map(least).sum()
}

/// The families that are cheapest to reach, of several kinds: what pays later is not yet known. Few have the same rows
/// and columns and differ by channels only, and some have split rows or columns.
fn best(mut found: Vec<Family>) -> Vec<Family> {
    found.sort_by(|a, b| a.reach.total_cmp(&b.reach));
    let mut alike: BTreeMap<Vec<Digit>, usize> = BTreeMap::new();
    found.retain(|family| {
        let grid = family.layout.digits.iter().copied().filter(|d| d.axis >= 2).collect();
        let number = alike.entry(grid).or_default();
        *number += 1;
        *number <= MAX_ALIKE
    });
    let (split, whole): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| candidates::is_split(&f.layout));
    whole.into_iter().take(MAX_WHOLE).chain(split.into_iter().take(MAX_SPLIT)).collect()
}

/// The cost of a map between two families where its input, or its output, repeats as often as it can.
fn cheapest(edge: &Edge, from: &Family, to: &Family, prices: &Prices) -> f64 {
    let period = |family: &Family| family.periods().first().copied().unwrap_or(1);
    let differences = edge.differences(from, to);
    prices.linear(&differences.shapes(period(from).min(period(to))))
}

/// Costs of a map between two families by modulus.
struct Costs {
    by_modulus: BTreeMap<usize, f64>,
    /// Slots up to the last column.
    columns: usize,
    /// Rows, padded to a power of two, if copies may share the work.
    rows: Option<usize>,
}

impl Costs {
    fn of(edge: &Edge, from: &Family, to: &Family, prices: &Prices) -> Self {
        let differences = edge.differences(from, to);
        let mut moduli: Vec<usize> = to.periods();
        moduli.extend(from.periods());
        let columns = from.layout.span();
        let padded = to.layout.span().next_power_of_two();
        let rows = (edge.shared && from.ciphertexts == 1 && 2 * padded <= to.layout.slots.0).then_some(padded);
        moduli.extend(rows.into_iter().flat_map(|rows| (0..rows.ilog2()).map(|log| 1 << log)));
        let cost = |modulus: usize| prices.linear(&differences.shapes(modulus));
        Costs { by_modulus: moduli.into_iter().map(|m| (m, cost(m))).collect(), columns, rows }
    }

    /// From period `p` to period `f`, and whether copies share the work.
    fn between(&self, p: usize, f: usize, prices: &Prices) -> (f64, Option<Copies>) {
        let added = |rotations: usize| rotations as f64 * prices.rotate_and_add();
        let whole = self.by_modulus[&p.min(f)] + added(sums(p, f).len());
        let copies = self.rows.map(|rows| Copies { rows, period: p, count: f / p });
        match copies.filter(|c| c.count > 1 && c.count <= c.rows && self.columns + c.rows <= p) {
            Some(copies) => {
                let shared = self.by_modulus[&copies.share()] + added(copies.sums(f).len());
                if shared < whole { (shared, Some(copies)) } else { (whole, None) }
            }
            None => (whole, None),
        }
    }
}

/// The costs of a link for all choices of its two classes.
fn table(edge: &Edge, families: &[Vec<Family>], choices: &[Vec<(usize, usize)>], prices: &Prices) -> Table {
    let (from, to) = (&families[edge.from], &families[edge.to]);
    let pairs: Vec<(usize, usize)> = (0..from.len()).flat_map(|a| (0..to.len()).map(move |b| (a, b))).collect();
    let costs: Vec<Costs> = pairs.par_iter().map(|&(a, b)| Costs::of(edge, &from[a], &to[b], prices)).collect();
    let cost =
        |&(a, p): &(usize, usize), &(b, f): &(usize, usize)| -> f64 { costs[a * to.len() + b].between(p, f, prices).0 };
    if edge.from == edge.to {
        let own = choices[edge.to].iter();
        return Table { variables: vec![edge.to], costs: own.map(|c| cost(c, c)).collect() };
    }
    let (sources, targets) = (&choices[edge.from], &choices[edge.to]);
    let costs = sources.iter().flat_map(|s| targets.iter().map(move |t| (s, t))).map(|(s, t)| cost(s, t)).collect();
    debug_assert_ne!(edge.link.source, edge.link.target);
    Table { variables: vec![edge.from, edge.to], costs }
}

/// The cost of a class's element-wise operations for each ciphertext.
fn elementwise(graph: &Graph, network: &Network, class: usize, prices: &Prices) -> Result<f64, PackError> {
    let mut total = 0.0;
    for &value in &network.classes[class].values {
        let node = &graph.nodes[value];
        total += match &node.op {
            Op::Mul | Op::Square => prices.product(),
            Op::Power(k) => f64::from(2 * k.ilog2()) * prices.product(),
            Op::AddConstant(_) | Op::Add | Op::Sub | Op::Negate => prices.addition(),
            Op::Polynomial { basis, coefficients } => {
                let (products, terms) =
                    polynomial::counts(*basis, graph.constants.tensor(*coefficients), &node.origin)?;
                products as f64 * prices.product() + terms as f64 * prices.term()
            }
            _ => 0.0,
        };
    }
    Ok(total)
}
