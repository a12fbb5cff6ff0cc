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
//! - The copies of a repeated value may be *turned*, see [`Place`]: then they share the diagonals of any map.

use crate::bits::Bits;
use crate::sparse::SparseMatrix;
use hec_ir::cost::LinearShape;
use hec_ir::{Layout, Rotation, SlotIndex, SlotMap};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A layout, and whether its copies are turned: of K copies with period p, the k-th is rotated by k·p/K, so that slot
/// k·p + s holds what belongs to position s + k·p/K mod p.
///
/// Rotated by r, the copies hold positions that are r, r + p/K, r + 2p/K, … ahead: one diagonal multiplies K differences
/// of rows and columns, and log2(K) rotations by multiples of p add the copies. So a map from turned copies takes the
/// diagonals modulo p/K only. Its result repeats without being turned; a map *to* turned copies takes those of all K
/// turns, which for a convolution that joins all channels are no more than those of one. In a residual network whose inner
/// values are turned every second map costs a K-th.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) layout: Layout,
    pub(crate) is_turned: bool,
}

impl Place {
    /// By how many slots each copy is turned further than the one before.
    fn turn(&self) -> usize {
        turn(period(&self.layout), self.layout.slots.0)
    }

    /// The slot of copy k of a position.
    fn slot(&self, position: usize, copy: usize) -> usize {
        let p = period(&self.layout);
        copy * p + ((position + p - copy * self.turn()) & (p - 1))
    }

    /// Put a tensor's data (row-major) into slot vectors.
    pub(crate) fn pack(&self, data: &[f64]) -> Vec<Vec<f64>> {
        let mut vectors = self.layout.pack(data);
        if self.is_turned {
            let turn = self.turn();
            for vector in &mut vectors {
                let copies = vector.chunks_mut(period(&self.layout)).enumerate();
                copies.for_each(|(k, copy)| copy.rotate_left(k * turn));
            }
        }
        vectors
    }
}

/// The turn of copies with a period, among so many slots; 0 if there are more copies than places.
pub(crate) fn turn(period: usize, slots: usize) -> usize {
    period * period / slots
}

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
    /// The diagonals, without a name.
    pub(crate) map: SlotMap,
    /// Rotations of the rotate-and-add steps, in order.
    pub(crate) sums: Vec<Rotation>,
}

/// Rotations that sum over `from` slots in steps of `to`.
pub(crate) fn sums(from: usize, to: usize) -> Vec<Rotation> {
    std::iter::successors(Some(to), |r| Some(2 * r)).take_while(|&r| r < from).map(|r| Rotation(r as u32)).collect()
}

impl Embedding {
    /// The rotation that the map is, if it is one, so that it takes no level. Slots that stand for no row may hold anything
    /// afterwards; with `whole`, there are none such.
    pub(crate) fn as_rotation(&self, whole: bool) -> Option<Rotation> {
        let (map, n) = (&self.map, self.map.slots.0);
        let rotation = map.diagonals.keys().next()?.2;
        let period = self.sums.first().map_or(n, |r| r.0 as usize);
        let in_place = |&(o, i, r): &(u32, u32, Rotation)| o == i && r == rotation;
        let full = |d: &Arc<Vec<f64>>| {
            let same = |s: usize| d[s] == d[s % period] && (d[s] == 1.0 || (d[s] == 0.0 && !whole));
            (0..n).all(same)
        };
        let is_one = map.inputs == map.outputs
            && map.diagonals.len() == map.outputs as usize
            && map.diagonals.iter().all(|(key, d)| in_place(key) && full(d));
        is_one.then_some(rotation)
    }
}

/// How the parts of a result come together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How<'a> {
    /// Copies of the input that share the work.
    pub(crate) copies: Option<Copies>,
    /// Rows that are computed, if not all.
    pub(crate) rows: Option<&'a [bool]>,
    /// Where diagonals may have any values, so that as many as possible have the same value everywhere: products with a
    /// number take no memory, and are the same for all inputs of a batch.
    pub(crate) free: Option<Free>,
}

/// Slots of a diagonal that may have any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Free {
    /// Those that stand for no row: nothing reads them.
    Rows,
    /// Those that stand for no row or no column, which are zero.
    RowsAndColumns,
}

/// The diagonals of `matrix` between two places of the same slots, both with power-of-two periods: not both turned; from
/// turned copies to the same period; to turned copies of at least the period of the input. `None` if they would hold
/// more than `limit` values.
pub(crate) fn embed(matrix: &SparseMatrix, from: &Place, to: &Place, how: How, limit: usize) -> Option<Embedding> {
    let copies = how.copies;
    let (input, output) = (&from.layout, &to.layout);
    let n = output.slots.0;
    let (p, f) = (period(input), period(output));
    let modulus = p.min(f);
    let (columns, rows) = (input.slot_indices(), output.slot_indices());
    let (inputs, outputs) = (input.ciphertexts(), output.ciphertexts());
    // The number of each diagonal by block and rotation; blocks without entries take no memory.
    let mut numbers: Vec<Vec<Option<usize>>> = vec![Vec::new(); inputs * outputs];
    let mut filled: Vec<((u32, u32, Rotation), Vec<f64>)> = Vec::new();
    let computed = |row: usize| how.rows.is_none_or(|rows| rows[row]);
    for (row, at) in rows.iter().enumerate().filter(|&(row, _)| computed(row)) {
        for (column, value) in matrix.row(row) {
            let SlotIndex { ciphertext: from_ciphertext, slot } = columns[column];
            let (t, q) = (slot as usize, at.slot as usize);
            let block = at.ciphertext as usize * inputs + from_ciphertext as usize;
            if numbers[block].is_empty() {
                numbers[block].resize(n, None);
            }
            // The rotation, and every slot that it connects with a copy of the column and that stands for the row.
            let mut put = |r: usize, first: usize, step: usize| {
                let number = &mut numbers[block][r];
                if number.is_none() && (filled.len() + 1).saturating_mul(n) > limit {
                    return None;
                }
                let index = *number.get_or_insert_with(|| {
                    filled.push(((at.ciphertext, from_ciphertext, Rotation(r as u32)), vec![0.0; n]));
                    filled.len() - 1
                });
                let diagonal = &mut filled[index].1;
                for s in (first..n).step_by(step) {
                    diagonal[s] += value;
                }
                Some(())
            };
            match copies {
                Some(copies) => {
                    let (r, slot) = copies.place(t, q, n);
                    put(r, slot, f)?;
                }
                None if from.is_turned => {
                    let (r, slot) = from_turned(t, q, from);
                    put(r, slot, n)?;
                }
                None if to.is_turned => {
                    for slot in (0..n / f).map(|copy| to.slot(q, copy)) {
                        put(rotation(t, slot, p, n), slot, n)?;
                    }
                }
                None => {
                    let r = rotation(t, q, modulus, n);
                    let (first, step) = if f < p { ((t + n - r) & (p - 1), p) } else { (q, f) };
                    put(r, first, step)?;
                }
            }
        }
    }
    let sums = match copies {
        Some(copies) => copies.sums(n),
        None if from.is_turned => sums(n, p),
        None if to.is_turned => Vec::new(),
        None => sums(p, f),
    };
    if let Some(free) = how.free.filter(|_| sums.is_empty() && !from.is_turned && !to.is_turned) {
        let bound = Bound { rows: occupied(output, &rows), columns: occupied(input, &columns), free };
        for ((o, i, r), diagonal) in &mut filled {
            bound.level([*o as usize, *i as usize], r.0 as usize, diagonal);
        }
    }
    let diagonals: BTreeMap<_, _> = filled.into_iter().map(|(key, d)| (key, Arc::new(d))).collect();
    let map =
        SlotMap { name: String::new(), slots: output.slots, outputs: outputs as u32, inputs: inputs as u32, diagonals };
    Some(Embedding { map, sums })
}

/// For each ciphertext the slots that hold elements, in all copies.
fn occupied(layout: &Layout, elements: &[SlotIndex]) -> Vec<Vec<bool>> {
    let n = layout.slots.0;
    let mut slots = vec![vec![false; n]; layout.ciphertexts()];
    for at in elements {
        slots[at.ciphertext as usize].iter_mut().skip(at.slot as usize).step_by(period(layout)).for_each(|s| *s = true);
    }
    slots
}

/// Where the values of diagonals matter.
struct Bound {
    /// Slots that stand for rows and for columns, by ciphertext.
    rows: Vec<Vec<bool>>,
    columns: Vec<Vec<bool>>,
    free: Free,
}

impl Bound {
    /// Give a diagonal one value everywhere, if it has one where it matters.
    fn level(&self, [output, input]: [usize; 2], rotation: usize, diagonal: &mut [f64]) {
        let (rows, columns, n) = (&self.rows[output], &self.columns[input], diagonal.len());
        let matters = |s: &usize| rows[*s] && (self.free == Free::Rows || columns[(s + rotation) & (n - 1)]);
        let mut values = (0..n).filter(matters).map(|s| diagonal[s]);
        if let Some(value) = values.next()
            && values.all(|other| other == value)
        {
            diagonal.fill(value);
        }
    }
}

/// The rotation that brings the column at position `t` from one of the turned copies to row `q`, and the slot where it
/// does.
fn from_turned(t: usize, q: usize, from: &Place) -> (usize, usize) {
    let (n, p, turn) = (from.layout.slots.0, period(&from.layout), from.turn());
    let r = rotation(t, q, turn, n);
    // The copy that holds t so far behind q + r; next to it if that wraps around.
    let copy = (0..n / p).find(|&copy| from.slot(t, copy) & (p - 1) == (q + r) & (p - 1)).unwrap_or(0);
    let source = from.slot(t, copy);
    (r, (source + n - r) & (n - 1))
}

/// The differences of slots that a matrix needs between two layouts, before any period is chosen: for each pair of
/// ciphertexts that has entries, whether there is one with (t − q) mod n.
#[derive(Clone, Debug)]
pub(crate) struct Differences {
    inputs: usize,
    outputs: usize,
    seen: Vec<Option<Bits>>,
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
        let mut seen: Vec<Option<Bits>> = vec![None; inputs * outputs];
        for &(row, column) in entries {
            let (q, t) = (rows[row as usize], columns[column as usize]);
            let block = q.ciphertext as usize * inputs + t.ciphertext as usize;
            let seen = seen[block].get_or_insert_with(|| Bits::new(slots));
            seen.insert((t.slot + slots as u32 - q.slot) as usize & (slots - 1));
        }
        Differences { inputs, outputs, seen }
    }

    /// The rotation by which all elements move, modulo `modulus`, if they move alike and stay in their ciphertexts.
    pub(crate) fn common(&self, modulus: usize) -> Option<usize> {
        let filled = || self.seen.iter().enumerate().filter_map(|(block, seen)| Some((block, seen.as_ref()?)));
        if self.inputs != self.outputs || filled().any(|(block, _)| block / self.inputs != block % self.inputs) {
            return None;
        }
        let mut rotations = filled().map(|(_, seen)| seen.fold(modulus).only());
        let first = rotations.next()??;
        rotations.all(|r| r == Some(first)).then_some(first)
    }

    /// What a map takes whose smaller period is `modulus`: one shape for each power-of-two giant step.
    pub(crate) fn shapes(&self, modulus: usize) -> Vec<LinearShape> {
        self.turned_shapes(modulus, 0, 1)
    }

    /// What a map takes from a value of period `modulus` to `copies`, each turned by `turn` further than the one before.
    pub(crate) fn turned_shapes(&self, modulus: usize, turn: usize, copies: usize) -> Vec<LinearShape> {
        let mut union = Bits::new(modulus);
        let mut diagonals = 0;
        for block in self.seen.iter().flatten() {
            let one = block.fold(modulus);
            let mut folded = one.clone();
            (1..copies).for_each(|copy| folded.join(&one.turned(copy * turn)));
            diagonals += folded.count();
            union.join(&folded);
        }
        // Rotations from −modulus/2 to modulus/2 − 1, in order.
        let ordered = union.turned(modulus / 2);
        let shape = LinearShape { inputs: self.inputs, outputs: self.outputs, diagonals, babies: 0, giants: 0 };
        splits(&ordered).into_iter().map(|(babies, giants)| LinearShape { babies, giants, ..shape }).collect()
    }
}

/// How many baby and giant steps turn for each power-of-two step, of rotations −n/2..n/2 − 1 given in order.
fn splits(set: &Bits) -> Vec<(usize, usize)> {
    let n = set.len();
    let nonzero = |set: &Bits, zero: usize| set.count() - usize::from(set.contains(zero));
    let mut all = Vec::new();
    let mut coarse = set.clone();
    let mut finer: Option<Bits> = None;
    loop {
        let step = n / coarse.len();
        let zero = coarse.len() / 2;
        let babies = nonzero(&set.fold(step), if step == n { n / 2 } else { 0 });
        // Babies from 0 to step − 1, or around 0: the halves of neighbouring giants.
        let around = finer.map(|half| nonzero(&half.turned(1).paired(), zero));
        all.push((babies, nonzero(&coarse, zero).min(around.unwrap_or(usize::MAX))));
        if step == n {
            return all;
        }
        finer = Some(coarse.clone());
        coarse = coarse.paired();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::Slots;
    use hec_ir::tensor::Shape;

    /// A place of 16 numbers in 64 slots, four times.
    fn place(is_turned: bool) -> Place {
        let layout = Layout::row_major(Shape::new([16]), Slots(64)).with_period(16);
        Place { layout, is_turned }
    }

    #[test]
    fn turned_copies_share_the_diagonals_of_a_map() {
        let x: Vec<f64> = (0..16).map(|i| f64::from(i * i % 23) - 7.0).collect();
        for (kept, diagonals) in [(1, [4, 16]), (5, [4, 16]), (13, [3, 8])] {
            let entry = |row: usize, column: usize| ((row * 5 + column * 3) % 11) as f64 - 5.0;
            let is_kept = |row: usize, column: usize| ((column + 16 - row) % 16).is_multiple_of(kept);
            let matrix = SparseMatrix::from_rows(16, 16, |row, put| {
                (0..16).filter(|&column| is_kept(row, column)).for_each(|column| put(column, entry(row, column)));
            });
            let y: Vec<f64> = (0..16).map(|row| matrix.row(row).map(|(column, v)| v * x[column]).sum()).collect();
            for (is_from, count) in [true, false].into_iter().zip(diagonals) {
                let (from, to) = (place(is_from), place(!is_from));
                let Embedding { map, sums } = embed(&matrix, &from, &to, How::default(), usize::MAX).expect("no limit");
                assert!(map.diagonals.len() <= count, "{} of {count}", map.diagonals.len());
                let mut out = map.apply(&from.pack(&x));
                for sum in sums {
                    let mut turned = out[0].clone();
                    turned.rotate_left(sum.0 as usize);
                    out[0].iter_mut().zip(turned).for_each(|(a, b)| *a += b);
                }
                assert_eq!(out, to.pack(&y), "{kept} {is_from}");
            }
        }
    }
}
