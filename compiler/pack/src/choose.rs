//! Choice of a layout for every class: the one whose maps and element-wise operations are predicted to cost least.

use crate::candidates;
use crate::costs::{Costs, Known, Pattern, Way};
use crate::diagonals::{Differences, Place, turn};
use crate::elimination::{Table, minimise};
use crate::network::{Link, Network};
use crate::polynomial;
use crate::prices::Prices;
use crate::{PackError, PackOptions};
use hec_ir::tensor::{Graph, Op, ValueId};
use hec_ir::{Digit, Layout, SlotIndex};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Layouts of a class that are kept, of those without split rows or columns.
const MAX_WHOLE: usize = 8;
/// The same of those with split rows or columns.
const MAX_SPLIT: usize = 3;
/// The same of those with equal rows and columns.
const MAX_ALIKE: usize = 3;
/// Strides above which elements are not split by residues.
const MAX_STRIDE: usize = 4;

/// A layout without a period, with its slots.
pub(crate) struct Family {
    pub(crate) layout: Layout,
    slots: Vec<SlotIndex>,
    pub(crate) ciphertexts: usize,
    /// The least predicted cost of the maps that lead here.
    reach: f64,
}

impl Family {
    pub(crate) fn new(layout: Layout) -> Self {
        Family { slots: layout.slot_indices(), ciphertexts: layout.ciphertexts(), reach: 0.0, layout }
    }

    /// Every period that fits, smallest first; the last is the number of slots: no repetition.
    pub(crate) fn periods(&self) -> Vec<usize> {
        let n = self.layout.slots.0;
        let least = self.layout.span().next_power_of_two().min(n);
        std::iter::successors(Some(least), |p| Some(2 * p)).take_while(|&p| p <= n).collect()
    }
}

/// A link as predictions see it.
pub(crate) struct Edge<'a> {
    link: &'a Link,
    from: usize,
    to: usize,
    pub(crate) pattern: Arc<Pattern>,
    strides: Option<[usize; 2]>,
    /// Whether slots without an element may hold parts of sums.
    pub(crate) shared: bool,
}

impl Edge<'_> {
    pub(crate) fn differences(&self, entries: &[(u32, u32)], from: &Family, to: &Family) -> Differences {
        Differences::new(entries, (&from.slots, from.ciphertexts), (&to.slots, to.ciphertexts), to.layout.slots.0)
    }
}

/// What was chosen.
pub(crate) struct Choice {
    /// The place of every class.
    pub(crate) places: Vec<Place>,
    /// How links are evaluated, by target; plainly if they are not here.
    pub(crate) ways: BTreeMap<ValueId, Way>,
    /// Predicted seconds.
    pub(crate) cost: f64,
}

/// The cheapest layouts found.
pub(crate) fn layouts(
    graph: &Graph,
    network: &Network,
    options: &PackOptions,
    known: &mut Known,
) -> Result<Choice, PackError> {
    let prices = Prices { costs: &options.costs, ring: options.ring };
    known.learn(graph, network)?;
    let predictions = Predictions { prices: &prices, known };
    let edges = edges(graph, network, known);
    let families = families(graph, network, &edges, &predictions, options)?;
    let choices: Vec<Vec<Candidate>> =
        families.iter().enumerate().map(|(class, families)| candidates_of(graph, network, class, families)).collect();
    let mut tables: Vec<Table> = Vec::new();
    for (class, choice) in choices.iter().enumerate() {
        let each = elementwise(graph, network, class, &prices)?;
        let costs = choice.iter().map(|c| each * families[class][c.family].ciphertexts as f64).collect();
        tables.push(Table { variables: vec![class], costs });
    }
    for edge in &edges {
        tables.push(table(edge, &families, &choices, &predictions));
    }
    let sizes: Vec<usize> = choices.iter().map(Vec::len).collect();
    let chosen = minimise(&sizes, &tables);
    let cost = tables.iter().map(|t| t.at(&chosen, &sizes)).sum();
    let place = |(class, &at): (usize, &usize)| {
        let Candidate { family, period, is_turned } = choices[class][at];
        let layout = families[class][family].layout.clone();
        let layout = if period < options.slots.0 { layout.with_period(period as u32) } else { layout };
        Place { layout, is_turned }
    };
    let places = chosen.iter().enumerate().map(place).collect();
    let way = |edge: &Edge| {
        let [from, to] = [edge.from, edge.to].map(|class| choices[class][chosen[class]]);
        let costs = predictions.of(edge, &families[edge.from][from.family], &families[edge.to][to.family]);
        Some((edge.link.target, costs.between(from, to, &prices).1?))
    };
    Ok(Choice { places, ways: edges.iter().filter_map(way).collect(), cost })
}

/// One place that a class may have.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    family: usize,
    pub(crate) period: usize,
    pub(crate) is_turned: bool,
}

/// Every family with every period; values that no client sees also with turned copies.
fn candidates_of(graph: &Graph, network: &Network, class: usize, families: &[Family]) -> Vec<Candidate> {
    let values = &network.classes[class].values;
    let is_seen = values.iter().any(|&v| matches!(graph.nodes[v].op, Op::Input { .. }))
        || graph.outputs.iter().any(|o| values.contains(&o.value));
    let of_family = |(family, own): (usize, &Family)| {
        let slots = own.layout.slots.0;
        let periods = own.periods().into_iter();
        let each =
            periods.flat_map(move |period| [false, true].map(|is_turned| Candidate { family, period, is_turned }));
        each.filter(move |c| !c.is_turned || (!is_seen && c.period < slots && turn(c.period, slots) > 0))
    };
    families.iter().enumerate().flat_map(of_family).collect()
}

fn edges<'a>(graph: &Graph, network: &'a Network, known: &Known) -> Vec<Edge<'a>> {
    let edge = |link: &'a Link| {
        let (from, to) = (network.class_of[&link.source], network.class_of[&link.target]);
        let (pattern, shared) = (known.pattern(graph, link), tolerates_parts(graph, network, to));
        Edge { link, from, to, pattern, strides: candidates::strides_of(&link.steps), shared }
    };
    network.links.values().map(edge).collect()
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
    predictions: &Predictions,
    options: &PackOptions,
) -> Result<Vec<Vec<Family>>, PackError> {
    let ahead = strides_ahead(network, edges);
    let mut all: Vec<Vec<Family>> = Vec::new();
    for (class, description) in network.classes.iter().enumerate() {
        let is_operand = network.operand_classes.contains(&class);
        let mut layouts = match is_operand {
            true => candidates::of_operands(&description.shape, options.slots),
            false => candidates::of_shape(&description.shape, options.slots),
        };
        if !network.operand_classes.is_empty() && !is_operand {
            layouts.extend(candidates::of_rows(&description.shape, options.slots));
        }
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
        found.par_iter_mut().for_each(|family| family.reach = reach(family, &incoming, &all, predictions));
        all.push(best(found));
    }
    Ok(all)
}

/// The least cost of the maps that lead to a family: over all sources, what leads there and the map from there.
fn reach(to: &Family, incoming: &[&Edge], all: &[Vec<Family>], predictions: &Predictions) -> f64 {
    let least = |edge: &&Edge| {
        let through = |from: &Family| {
            from.reach / incoming.len() as f64 + predictions.of(edge, from, to).cheapest(from, to, predictions.prices)
        };
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

/// What maps cost.
#[derive(Clone, Copy)]
struct Predictions<'a> {
    prices: &'a Prices<'a>,
    known: &'a Known,
}

impl Predictions<'_> {
    fn of(&self, edge: &Edge, from: &Family, to: &Family) -> Arc<Costs> {
        self.known.costs(edge, from, to, self.prices)
    }
}

/// The costs of a link for all choices of its two classes.
fn table(edge: &Edge, families: &[Vec<Family>], choices: &[Vec<Candidate>], predictions: &Predictions) -> Table {
    let (from, to) = (&families[edge.from], &families[edge.to]);
    let pairs: Vec<(usize, usize)> = (0..from.len()).flat_map(|a| (0..to.len()).map(move |b| (a, b))).collect();
    let costs: Vec<_> = pairs.par_iter().map(|&(a, b)| predictions.of(edge, &from[a], &to[b])).collect();
    let prices = predictions.prices;
    let cost =
        |a: &Candidate, b: &Candidate| -> f64 { costs[a.family * to.len() + b.family].between(*a, *b, prices).0 };
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
