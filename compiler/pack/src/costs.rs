//! What maps between layouts are predicted to cost, each predicted once.

use crate::choose::{Candidate, Edge, Family};
use crate::diagonals::{Copies, sums, turn};
use crate::matrix;
use crate::network::{Link, Network};
use crate::prices::Prices;
use crate::sparse::SparseMatrix;
use crate::{PackError, spread};
use hec_ir::Layout;
use hec_ir::tensor::{Graph, LinearStep, Shape};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Entries of a matrix that predictions look at; of larger ones, every k-th row.
const SAMPLE: usize = 1 << 17;

/// The matrix of a link and what predictions know of it.
pub(crate) struct Pattern {
    pub(crate) matrix: SparseMatrix,
    /// Of its result.
    pub(crate) shape: Shape,
    /// Equal for matrices of which predictions are the same: blocks of a network repeat.
    kind: usize,
    form: Form,
}

/// What predictions depend on.
#[derive(Clone, PartialEq)]
struct Form {
    entries: Arc<Vec<(u32, u32)>>,
    /// What is equal in it, if anything.
    equal: Option<Equal>,
    /// Whether all entries are one, so that an embedding may be a sum alone.
    ones: bool,
}

/// Rows of a matrix that are equal along axes of its result.
#[derive(Clone, PartialEq)]
struct Equal {
    axes: Vec<usize>,
    /// The entries of the first row along the axes.
    entries: Arc<Vec<(u32, u32)>>,
}

impl Form {
    fn of(matrix: &SparseMatrix, shape: &Shape) -> Self {
        let entries = Arc::new(sample(matrix, &(0..matrix.rows()).collect::<Vec<_>>()));
        let axes = spread::equal_axes(matrix, shape);
        let equal = (!axes.is_empty()).then(|| {
            let firsts = spread::firsts(shape, &axes);
            let rows: Vec<usize> = (0..matrix.rows()).filter(|&row| firsts[row]).collect();
            let entries = Arc::new(sample(matrix, &rows));
            Equal { axes, entries }
        });
        Form { entries, equal, ones: matrix.is_of_ones() }
    }
}

/// The positions of entries in some rows, or in a part of the rows if there are too many.
fn sample(matrix: &SparseMatrix, rows: &[usize]) -> Vec<(u32, u32)> {
    // Coprime to every extent, so that all positions along every axis occur.
    let count: usize = rows.iter().map(|&row| matrix.row_entries(row)).sum();
    let least = count.div_ceil(SAMPLE).max(1);
    let every = (least..).find(|&k| gcd(k, rows.len()) == 1).unwrap_or(1);
    let of_row = |&row: &usize| matrix.row(row).map(move |(column, _)| (row as u32, column as u32));
    rows.iter().step_by(every).flat_map(of_row).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A chain and the shape that it is applied to: what a matrix follows from.
type Chain = (Vec<LinearStep>, Shape);

/// A kind of matrix, the layouts on both sides, and whether parts of sums may be left over.
type Between = (usize, Layout, Layout, bool);

/// Matrices and costs that were found out, also in earlier choices for the same graph, in which most maps are the same.
#[derive(Default)]
pub(crate) struct Known {
    patterns: BTreeMap<Chain, Arc<Pattern>>,
    /// By kind.
    forms: Vec<Form>,
    costs: Mutex<BTreeMap<Between, Arc<Costs>>>,
}

impl Known {
    /// Learn the matrices of all links.
    pub(crate) fn learn(&mut self, graph: &Graph, network: &Network) -> Result<(), PackError> {
        let mut unknown: BTreeMap<Chain, &Link> =
            network.links.values().map(|link| (chain(graph, link), link)).collect();
        unknown.retain(|chain, _| !self.patterns.contains_key(chain));
        let matrix = |(chain, link): (Chain, &Link)| {
            let (matrix, shape) = matrix::of_chain(&chain.0, &chain.1, &graph.constants)
                .map_err(|e| PackError::matrix(&link.origin, e))?;
            let form = Form::of(&matrix, &shape);
            Ok((chain, matrix, shape, form))
        };
        let found: Vec<_> = unknown.into_par_iter().map(matrix).collect::<Result<_, PackError>>()?;
        for (chain, matrix, shape, form) in found {
            let kind = self.forms.iter().position(|known| *known == form).unwrap_or(self.forms.len());
            if kind == self.forms.len() {
                self.forms.push(form);
            }
            let form = self.forms[kind].clone();
            self.patterns.insert(chain, Arc::new(Pattern { matrix, shape, kind, form }));
        }
        Ok(())
    }

    /// The matrix of a link that was learnt.
    pub(crate) fn pattern(&self, graph: &Graph, link: &Link) -> Arc<Pattern> {
        Arc::clone(&self.patterns[&chain(graph, link)])
    }

    /// The costs of a link between two families.
    pub(crate) fn costs(&self, edge: &Edge, from: &Family, to: &Family, prices: &Prices) -> Arc<Costs> {
        let key = (edge.pattern.kind, from.layout.clone(), to.layout.clone(), edge.shared);
        let known = || self.costs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(costs) = known().get(&key) {
            return Arc::clone(costs);
        }
        let costs = Arc::new(Costs::of(edge, from, to, prices));
        Arc::clone(known().entry(key).or_insert(costs))
    }
}

fn chain(graph: &Graph, link: &Link) -> Chain {
    (link.steps.clone(), graph.shape(link.source).clone())
}

/// A way to evaluate a link with fewer diagonals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The copies of the input share the work.
    Copies(Copies),
    /// The first of equal rows along these axes is computed, and then spread.
    Spread(Vec<usize>),
    /// The first of equal rows along these axes is computed by sums that leave it in all places of the others.
    Everywhere(Vec<usize>),
}

/// Costs of a map between two families.
pub(crate) struct Costs {
    slots: usize,
    /// By the smaller period.
    by_modulus: BTreeMap<usize, f64>,
    /// From turned copies, by their period.
    from_turned: BTreeMap<usize, f64>,
    /// To turned copies, by the periods of input and output.
    to_turned: BTreeMap<(usize, usize), f64>,
    /// The same as by modulus where the first of equal rows is computed and then spread, if that is possible.
    spread: Option<Spread>,
    /// Where sums leave the first of equal rows in all places of the others.
    everywhere: Option<Everywhere>,
    /// Slots up to the last column.
    columns: usize,
    /// Rows, padded to a power of two, if copies may share the work.
    rows: Option<usize>,
}

/// Costs of the map alone by modulus, and of the rotations that spread its result along axes.
struct Spread {
    axes: Vec<usize>,
    by_modulus: BTreeMap<usize, f64>,
    rotations: f64,
}

/// Costs of the map alone by modulus, to the period that is left where only one of equal rows has a place.
struct Everywhere {
    axes: Vec<usize>,
    period: usize,
    by_modulus: BTreeMap<usize, f64>,
}

impl Costs {
    fn of(edge: &Edge, from: &Family, to: &Family, prices: &Prices) -> Self {
        let form = &edge.pattern.form;
        let differences = edge.differences(&form.entries, from, to);
        let slots = to.layout.slots.0;
        let repeats = |p: &&usize| **p < slots && turn(**p, slots) > 0;
        let (before, after) = (from.periods(), to.periods());
        let periods = [&after[..], &before].concat();
        let mut moduli = periods.clone();
        let columns = from.layout.span();
        let padded = to.layout.span().next_power_of_two();
        let rows = (edge.shared && from.ciphertexts == 1 && 2 * padded <= slots).then_some(padded);
        moduli.extend(rows.into_iter().flat_map(|rows| (0..rows.ilog2()).map(|log| 1 << log)));
        let plain = |modulus: usize| prices.linear(&differences.shapes(modulus));
        // A map that copies share is never a rotation alone.
        let rotation = |m: usize| differences.common(m).filter(|_| form.ones && periods.contains(&m));
        let cost = |modulus: usize| match rotation(modulus) {
            Some(0) => 0.0,
            Some(_) => from.ciphertexts as f64 * prices.rotate_and_add(),
            None => plain(modulus),
        };
        let turned = |p: usize, f: usize| prices.linear(&differences.turned_shapes(p, turn(f, slots), slots / f));
        let pairs = after.iter().filter(repeats).flat_map(|&f| before.iter().map(move |&p| (p, f)));
        let both = before.iter().filter(repeats).filter(|p| after.contains(p));
        let spread = form.equal.as_ref().and_then(|Equal { axes, entries }| {
            let rotations = spread::rotations(&to.layout, axes)?.len() * to.ciphertexts;
            let differences = edge.differences(entries, from, to);
            let by_modulus = moduli.iter().map(|&m| (m, prices.linear(&differences.shapes(m)))).collect();
            let rotations = rotations as f64 * prices.rotate_and_add();
            Some(Spread { axes: axes.clone(), by_modulus, rotations })
        });
        let everywhere = form.equal.as_ref().and_then(|Equal { axes, entries }| {
            let first = Family::new(spread::without(&to.layout, axes)?);
            let period = first.layout.period? as usize;
            let differences = edge.differences(entries, from, &first);
            let moduli = before.iter().map(|&p| p.min(period));
            let by_modulus = moduli.map(|m| (m, prices.linear(&differences.shapes(m)))).collect();
            Some(Everywhere { axes: axes.clone(), period, by_modulus })
        });
        Costs {
            slots,
            from_turned: both.map(|&p| (p, plain(turn(p, slots)))).collect(),
            to_turned: pairs.filter(|(p, f)| p <= f).map(|(p, f)| ((p, f), turned(p, f))).collect(),
            by_modulus: moduli.into_iter().map(|m| (m, cost(m))).collect(),
            spread,
            everywhere,
            columns,
            rows,
        }
    }

    /// Where the input, or the output, repeats as often as it can.
    pub(crate) fn cheapest(&self, from: &Family, to: &Family, prices: &Prices) -> f64 {
        let period = |family: &Family| family.periods().first().copied().unwrap_or(1);
        let plain = self.by_modulus[&period(from).min(period(to))];
        self.everywhere.as_ref().map_or(plain, |e| e.from(period(from), prices).min(plain))
    }

    /// Between two candidates of the families, and how if not plainly.
    pub(crate) fn between(&self, from: Candidate, to: Candidate, prices: &Prices) -> (f64, Option<Way>) {
        let (p, f) = (from.period, to.period);
        let added = |rotations: usize| rotations as f64 * prices.rotate_and_add();
        match (from.is_turned, to.is_turned) {
            (false, false) => {}
            (true, false) if p == f => return (self.from_turned[&p] + added(sums(self.slots, p).len()), None),
            (false, true) => return (self.to_turned.get(&(p, f)).copied().unwrap_or(f64::INFINITY), None),
            _ => return (f64::INFINITY, None),
        }
        let sums = added(sums(p, f).len());
        let mut best = (self.by_modulus[&p.min(f)] + sums, None);
        let mut consider = |cost: f64, way: Way| {
            if cost < best.0 {
                best = (cost, Some(way));
            }
        };
        let copies = self.rows.map(|rows| Copies { rows, period: p, count: f / p });
        if let Some(copies) = copies.filter(|c| c.count > 1 && c.count <= c.rows && self.columns + c.rows <= p) {
            consider(self.by_modulus[&copies.share()] + added(copies.sums(f).len()), Way::Copies(copies));
        }
        if let Some(Spread { axes, by_modulus, rotations }) = &self.spread {
            consider(by_modulus[&p.min(f)] + sums + rotations, Way::Spread(axes.clone()));
        }
        if let Some(everywhere) = &self.everywhere {
            consider(everywhere.from(p, prices), Way::Everywhere(everywhere.axes.clone()));
        }
        best
    }
}

impl Everywhere {
    /// From an input of period `p`.
    fn from(&self, p: usize, prices: &Prices) -> f64 {
        self.by_modulus[&p.min(self.period)] + sums(p, self.period).len() as f64 * prices.rotate_and_add()
    }
}
