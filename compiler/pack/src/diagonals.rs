//! A matrix between two layouts as a map by diagonals, and the rotations that it needs.
//!
//! With n slots, an input of period p (p = n: not repeated) and an output of period f:
//!
//! - f ≥ p: row q and column t meet on the diagonal (t − q) mod p. A repeated input wraps within its period, so a
//!   convolution to many channels needs only the diagonals of one.
//! - f < p: the *hybrid embedding* (Juvekar et al. 2018, GAZELLE; Ebel et al. 2025, Orion). Rows are repeated every f
//!   slots and the diagonal is (t − q) mod f; slot s then holds the part of the sum whose columns lie in s..s+f. All
//!   parts are added by log2(p/f) rotations by f, 2f, …, p/2, after which every slot holds complete sums.

use crate::sparse::SparseMatrix;
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
    limit: usize,
) -> Option<Embedding> {
    let n = output.slots.0;
    let (p, f) = (period(input), period(output));
    let modulus = p.min(f);
    let (columns, rows) = (input.slot_indices(), output.slot_indices());
    let (inputs, outputs) = (input.ciphertexts(), output.ciphertexts());
    let mut number: Vec<Option<usize>> = vec![None; inputs * outputs * n];
    let mut filled: Vec<((u32, u32, Rotation), Vec<f64>)> = Vec::new();
    for (row, at) in rows.iter().enumerate() {
        for (column, value) in matrix.row(row) {
            let from = columns[column];
            let (t, q) = (from.slot as usize, at.slot as usize);
            let r = rotation(t, q, modulus, n);
            let block = at.ciphertext as usize * inputs + from.ciphertext as usize;
            let known = number[block * n + r];
            if known.is_none() && (filled.len() + 1).saturating_mul(n) > limit {
                return None;
            }
            let index = *number[block * n + r].get_or_insert_with(|| {
                filled.push(((at.ciphertext, from.ciphertext, Rotation(r as u32)), vec![0.0; n]));
                filled.len() - 1
            });
            let diagonal = &mut filled[index].1;
            // Every slot that rotation r connects with a copy of the column and that stands for the row.
            let (first, step) = if f < p { ((t + n - r) & (p - 1), p) } else { (q, f) };
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
    Some(Embedding { map, sums: sums(p, f) })
}

/// The differences of slots that a matrix needs between two layouts, before any period is chosen:
/// sorted and distinct (block, (t − q) mod n), block = output ciphertext · inputs + input ciphertext.
#[derive(Clone, Debug)]
pub(crate) struct Differences {
    pub(crate) slots: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pairs: Vec<(u32, u32)>,
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
        let mut seen = vec![false; inputs * outputs * slots];
        for &(row, column) in entries {
            let (q, t) = (rows[row as usize], columns[column as usize]);
            let block = q.ciphertext as usize * inputs + t.ciphertext as usize;
            seen[block * slots + ((t.slot + slots as u32 - q.slot) as usize & (slots - 1))] = true;
        }
        let pair = |(at, _): (usize, &bool)| ((at / slots) as u32, (at % slots) as u32);
        let pairs = seen.iter().enumerate().filter(|s| *s.1).map(pair).collect();
        Differences { slots, inputs, outputs, pairs }
    }

    /// The number of diagonals and the distinct rotations for a modulus (the smaller period).
    pub(crate) fn modulo(&self, modulus: usize) -> (usize, Vec<usize>) {
        let mut diagonals: Vec<(u32, usize)> =
            self.pairs.iter().map(|&(block, r)| (block, rotation(r as usize, 0, modulus, self.slots))).collect();
        diagonals.sort_unstable();
        diagonals.dedup();
        let mut rotations: Vec<usize> = diagonals.iter().map(|d| d.1).collect();
        rotations.sort_unstable();
        rotations.dedup();
        (diagonals.len(), rotations)
    }
}
