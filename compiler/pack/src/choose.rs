//! Choice of a layout for every class: the one whose maps and element-wise operations are predicted to cost least.

use crate::candidates;
use crate::diagonals::{Differences, sums};
use crate::elimination::{Table, minimise};
use crate::matrix;
use crate::network::{Link, Network};
use crate::polynomial;
use crate::prices::Prices;
use crate::{PackError, PackOptions};
use hec_ir::cost::LinearShape;
use hec_ir::tensor::{Graph, Op};
use hec_ir::{Layout, SlotIndex};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Digits without a period, kept of those that predict the cheapest maps.
const MAX_FAMILIES: usize = 6;
/// Entries of a matrix that predictions look at; of larger ones, every k-th row.
const SAMPLE: usize = 1 << 18;

/// A layout without a period, with its slots.
struct Family {
    layout: Layout,
    slots: Vec<SlotIndex>,
    ciphertexts: usize,
}

impl Family {
    fn new(layout: Layout) -> Self {
        Family { slots: layout.slot_indices(), ciphertexts: layout.ciphertexts(), layout }
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
}

/// The layout of every class.
pub(crate) fn layouts(graph: &Graph, network: &Network, options: &PackOptions) -> Result<Vec<Layout>, PackError> {
    let prices = Prices { costs: &options.costs, ring: options.ring };
    let edges = edges(graph, network)?;
    let families = families(network, &edges, &prices, options)?;
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
    Ok(chosen.iter().enumerate().map(layout).collect())
}

fn edges<'a>(graph: &Graph, network: &'a Network) -> Result<Vec<Edge<'a>>, PackError> {
    let edge = |link: &'a Link| {
        let (matrix, _) = matrix::of_chain(&link.steps, graph.shape(link.source), &graph.constants)
            .map_err(|e| PackError::matrix(&link.origin, e))?;
        let every = matrix.entries().div_ceil(SAMPLE).max(1);
        let mut entries = Vec::new();
        for row in (0..matrix.rows()).step_by(every) {
            entries.extend(matrix.row(row).map(|(column, _)| (row as u32, column as u32)));
        }
        let (from, to) = (network.class_of[&link.source], network.class_of[&link.target]);
        Ok(Edge { link, from, to, entries, strides: candidates::strides_of(&link.steps) })
    };
    network.links.values().map(edge).collect()
}

/// Candidates for each class: by shape, and on the grids of the classes that lead to it.
fn families(
    network: &Network,
    edges: &[Edge],
    prices: &Prices,
    options: &PackOptions,
) -> Result<Vec<Vec<Family>>, PackError> {
    let mut all: Vec<Vec<Family>> = Vec::new();
    for (class, description) in network.classes.iter().enumerate() {
        let mut layouts = candidates::of_shape(&description.shape, options.slots);
        let incoming: Vec<&Edge> = edges.iter().filter(|e| e.to == class && e.from < class).collect();
        for edge in &incoming {
            let Some(strides) = edge.strides else { continue };
            for family in &all[edge.from] {
                layouts.extend(candidates::on_grid_of(&family.layout, strides, &description.shape));
            }
        }
        candidates::retain_distinct(&mut layouts);
        if layouts.is_empty() {
            let layer = network.links.get(&description.values[0]).map_or("(input)", |l| l.origin.layer());
            return Err(PackError::too_large(layer, &description.shape, options.slots));
        }
        let mut found: Vec<Family> = layouts.into_iter().map(Family::new).collect();
        if found.len() > MAX_FAMILIES && !incoming.is_empty() {
            let score = |to: &Family| -> f64 {
                let least = |e: &&Edge| {
                    all[e.from].iter().map(|from| cheapest(e, from, to, prices)).fold(f64::INFINITY, f64::min)
                };
                incoming.iter().map(least).sum()
            };
            let scores: Vec<f64> = found.par_iter().map(score).collect();
            let mut scored: Vec<(f64, Family)> = scores.into_iter().zip(found).collect();
            scored.sort_by(|a, b| a.0.total_cmp(&b.0));
            found = scored.into_iter().take(MAX_FAMILIES).map(|s| s.1).collect();
        }
        all.push(found);
    }
    Ok(all)
}

/// The least cost of a map between two families over all periods.
fn cheapest(edge: &Edge, from: &Family, to: &Family, prices: &Prices) -> f64 {
    let costs = Costs::of(edge, from, to, prices);
    let mut least = f64::INFINITY;
    for p in from.periods() {
        for f in to.periods() {
            least = least.min(costs.between(p, f, prices));
        }
    }
    least
}

/// Costs of a map between two families by modulus.
struct Costs(BTreeMap<usize, f64>);

impl Costs {
    fn of(edge: &Edge, from: &Family, to: &Family, prices: &Prices) -> Self {
        let n = to.layout.slots.0;
        let differences =
            Differences::new(&edge.entries, (&from.slots, from.ciphertexts), (&to.slots, to.ciphertexts), n);
        let mut moduli: Vec<usize> = to.periods();
        moduli.extend(from.periods());
        let cost = |modulus: usize| {
            let (diagonals, rotations) = differences.modulo(modulus);
            let (inputs, outputs) = (differences.inputs, differences.outputs);
            let shape = LinearShape { inputs, outputs, diagonals, babies: 0, giants: 0 };
            prices.linear(shape, &rotations, n)
        };
        Costs(moduli.into_iter().map(|m| (m, cost(m))).collect())
    }

    /// From period `p` to period `f`.
    fn between(&self, p: usize, f: usize, prices: &Prices) -> f64 {
        self.0[&p.min(f)] + sums(p, f).len() as f64 * prices.rotate_and_add()
    }
}

/// The costs of a link for all choices of its two classes.
fn table(edge: &Edge, families: &[Vec<Family>], choices: &[Vec<(usize, usize)>], prices: &Prices) -> Table {
    let (from, to) = (&families[edge.from], &families[edge.to]);
    let pairs: Vec<(usize, usize)> = (0..from.len()).flat_map(|a| (0..to.len()).map(move |b| (a, b))).collect();
    let costs: Vec<Costs> = pairs.par_iter().map(|&(a, b)| Costs::of(edge, &from[a], &to[b], prices)).collect();
    let cost = |&(a, p): &(usize, usize), &(b, f): &(usize, usize)| costs[a * to.len() + b].between(p, f, prices);
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
