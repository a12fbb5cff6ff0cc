//! A matrix between two layouts as a map by diagonals, and the rotations that it needs.
//!
//! With n slots, an input of period p (p = n: not repeated) and an output of period f:
//!
//! - f ≥ p: row q and column t meet on the diagonal (t − q) mod p. A repeated input wraps within its period, so a
//!   convolution to many channels needs only the diagonals of one.
//! - f < p: the *hybrid embedding* (Juvekar et al. 2018, GAZELLE; Ebel et al. 2025, Orion). Rows are repeated every f
//!   slots and the diagonal is (t − q) mod f; slot s then holds the part of the sum whose columns lie in s..s+f. All
//!   parts are added by log2(p/f) rotations by f, 2f, …, p/2, after which every slot holds complete sums.
//! - f = c·p, few rows: the c *copies* of a repeated input share the diagonals of a hybrid embedding, see [`Copies`].

use crate::sparse::SparseMatrix;
use hec_ir::cost::LinearShape;
use hec_ir::{Layout, Rotation, SlotIndex, SlotMap};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The period of a layout; the number of slots if it does not repeat.
pub(crate) fn period(layout: &Layout) -> usize {
    layout.period.map_or(layout.slots.0, |p| p as usize)
}

/// What the rotation of column slot `t` to row slot `q` is, modulo `modulus`, nearest to zero, modulo `slots`.
fn rotation(t: usize, q: usize, modulus: usize, slots: usize) -> usize {
    let r = (t + slots - q) & (modulus - 1);
    if 2 * r >= modulus { (r + slots - modulus) & (slots - 1) } else { r }
}

/// How the copies of a repeated input share the work of a map to `rows` rows (a power of two).
///
/// Of the `rows` diagonals of a hybrid embedding, copy k computes those numbered kδ..kδ+δ−1, δ = rows/c, with
/// rotations common to all copies: its rows are shifted by kδ. So only δ diagonals remain. All parts of row q lie at
/// q + k(p+δ) + j·rows; log2(p/rows) + log2(c) rotations add them. The sums are complete at slots below `rows` only:
/// elsewhere are parts of sums, which nothing reads, but which an output must not show. For the windows of the
/// copies to stay apart, the columns must lie below p − rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copies {
    /// Rows, a power of two.
    pub(crate) rows: usize,
    /// Period of the input.
    pub(crate) period: usize,
    /// How many copies share the work, a power of two.
    pub(crate) count: usize,
}

impl Copies {
    /// Diagonals that remain for each copy.
    pub(crate) fn share(&self) -> usize {
        self.rows / self.count
    }

    /// Rotations that add all parts.
    pub(crate) fn sums(&self, slots: usize) -> Vec<Rotation> {
        let apart = self.period + self.share();
        let copies = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k < self.count);
        let between = copies.map(|k| Rotation(((k * apart) & (slots - 1)) as u32));
        sums(self.period, self.rows).into_iter().chain(between).collect()
    }

    /// The rotation that brings column `t` to row `q`, and the slot where it does.
    fn place(&self, t: usize, q: usize, slots: usize) -> (usize, usize) {
        let difference = (t + slots - q) & (self.rows - 1);
        let (copy, own) = (difference / self.share(), difference % self.share());
        // Further right by `rows`, so that no slot is left of its copy.
        ((own + slots - self.rows) & (slots - 1), copy * self.period + t + self.rows - own)
    }
}

/// A map whose result must still be summed over rotations.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    /// The diagonals.
    pub(crate) map: SlotMap,
    /// Rotations of the rotate-and-add steps, in order.
    pub(crate) sums: Vec<Rotation>,
}

/// Rotations that sum over `from` slots in steps of `to`.
pub(crate) fn sums(from: usize, to: usize) -> Vec<Rotation> {
    std::iter::successors(Some(to), |r| Some(2 * r)).take_while(|&r| r < from).map(|r| Rotation(r as u32)).collect()
}

/// The diagonals of `matrix` between two layouts of the same slots, both with power-of-two periods. `None` if they
/// would hold more than `limit` values.
pub(crate) fn embed(
    name: &str,
    matrix: &SparseMatrix,
    input: &Layout,
    output: &Layout,
    copies: Option<Copies>,
    limit: usize,
) -> Option<Embedding> {
    let n = output.slots.0;
    let (p, f) = (period(input), period(output));
    let modulus = p.min(f);
    let (columns, rows) = (input.slot_indices(), output.slot_indices());
    let (inputs, outputs) = (input.ciphertexts(), output.ciphertexts());
    // The number of each diagonal by block and rotation; blocks without entries take no memory.
    let mut numbers: Vec<Vec<Option<usize>>> = vec![Vec::new(); inputs * outputs];
    let mut filled: Vec<((u32, u32, Rotation), Vec<f64>)> = Vec::new();
    for (row, at) in rows.iter().enumerate() {
        for (column, value) in matrix.row(row) {
            let from = columns[column];
            let (t, q) = (from.slot as usize, at.slot as usize);
            // The rotation, and every slot that it connects with a copy of the column and that stands for the row.
            let (r, first, step) = match copies {
                Some(copies) => {
                    let (r, slot) = copies.place(t, q, n);
                    (r, slot, f)
                }
                None => {
                    let r = rotation(t, q, modulus, n);
                    if f < p { (r, (t + n - r) & (p - 1), p) } else { (r, q, f) }
                }
            };
            let block = at.ciphertext as usize * inputs + from.ciphertext as usize;
            if numbers[block].is_empty() {
                numbers[block].resize(n, None);
            }
            let number = &mut numbers[block][r];
            if number.is_none() && (filled.len() + 1).saturating_mul(n) > limit {
                return None;
            }
            let index = *number.get_or_insert_with(|| {
                filled.push(((at.ciphertext, from.ciphertext, Rotation(r as u32)), vec![0.0; n]));
                filled.len() - 1
            });
            let diagonal = &mut filled[index].1;
            for s in (first..n).step_by(step) {
                diagonal[s] += value;
            }
        }
    }
    let diagonals: BTreeMap<_, _> = filled.into_iter().map(|(key, d)| (key, Arc::new(d))).collect();
    let map = SlotMap {
        name: name.to_owned(),
        slots: output.slots,
        outputs: outputs as u32,
        inputs: inputs as u32,
        diagonals,
    };
    let sums = copies.map_or_else(|| sums(p, f), |copies| copies.sums(n));
    Some(Embedding { map, sums })
}

/// The differences of slots that a matrix needs between two layouts, before any period is chosen: for each pair of
/// ciphertexts that has entries, whether there is one with (t − q) mod n.
#[derive(Clone, Debug)]
pub(crate) struct Differences {
    inputs: usize,
    outputs: usize,
    seen: Vec<Vec<bool>>,
}

impl Differences {
    /// Of (row, column) positions of entries.
    pub(crate) fn new(
        entries: &[(u32, u32)],
        input: (&[SlotIndex], usize),
        output: (&[SlotIndex], usize),
        slots: usize,
    ) -> Self {
        let ((columns, inputs), (rows, outputs)) = (input, output);
        let mut seen: Vec<Vec<bool>> = vec![Vec::new(); inputs * outputs];
        for &(row, column) in entries {
            let (q, t) = (rows[row as usize], columns[column as usize]);
            let block = q.ciphertext as usize * inputs + t.ciphertext as usize;
            if seen[block].is_empty() {
                seen[block].resize(slots, false);
            }
            seen[block][(t.slot + slots as u32 - q.slot) as usize & (slots - 1)] = true;
        }
        Differences { inputs, outputs, seen }
    }

    /// What a map takes whose smaller period is `modulus`: one shape for each power-of-two giant step.
    pub(crate) fn shapes(&self, modulus: usize) -> Vec<LinearShape> {
        let mut union = vec![false; modulus];
        let mut diagonals = 0;
        for block in self.seen.iter().filter(|b| !b.is_empty()) {
            let folded = fold(block, modulus);
            diagonals += count(&folded);
            join(&mut union, &folded);
        }
        // Rotations from −modulus/2 to modulus/2 − 1, in order.
        union.rotate_left(modulus / 2);
        let shape = LinearShape { inputs: self.inputs, outputs: self.outputs, diagonals, babies: 0, giants: 0 };
        splits(&union).into_iter().map(|(babies, giants)| LinearShape { babies, giants, ..shape }).collect()
    }
}

fn count(set: &[bool]) -> usize {
    set.iter().filter(|&&s| s).count()
}

fn join(set: &mut [bool], other: &[bool]) {
    set.iter_mut().zip(other).for_each(|(a, &b)| *a |= b);
}

/// The residues of a set modulo a divisor of its length.
fn fold(set: &[bool], modulus: usize) -> Vec<bool> {
    let mut folded = set[..modulus].to_vec();
    set.chunks(modulus).skip(1).for_each(|part| join(&mut folded, part));
    folded
}

/// How many baby and giant steps turn for each power-of-two step, of rotations −n/2..n/2 − 1 given in order.
fn splits(set: &[bool]) -> Vec<(usize, usize)> {
    let n = set.len();
    let nonzero = |set: &[bool], zero: usize| count(set) - usize::from(set[zero]);
    // Residues modulo n, n/2, …, 1, each from the one before.
    let halve = |residues: &Vec<bool>| (residues.len() > 1).then(|| fold(residues, residues.len() / 2));
    let mut residues: Vec<Vec<bool>> = std::iter::successors(Some(set.to_vec()), halve).collect();
    let mut all = Vec::new();
    let mut coarse = set.to_vec();
    let mut finer: Option<Vec<bool>> = None;
    loop {
        let step = n / coarse.len();
        let zero = coarse.len() / 2;
        let babies = residues.pop().map_or(0, |r| nonzero(&r, if step == n { n / 2 } else { 0 }));
        // Babies from 0 to step − 1, or around 0: the halves of neighbouring giants.
        let around = finer.map(|half| {
            let pairs = (0..coarse.len()).map(|k| half[(2 * k + half.len() - 1) % half.len()] || half[2 * k]);
            nonzero(&pairs.collect::<Vec<_>>(), zero)
        });
        all.push((babies, nonzero(&coarse, zero).min(around.unwrap_or(usize::MAX))));
        if step == n {
            return all;
        }
        let next = coarse.chunks(2).map(|pair| pair[0] || pair[1]).collect();
        finer = Some(std::mem::replace(&mut coarse, next));
    }
}
