//! Algebra of linear maps by diagonals and of plaintext operands.

use hec_ir::{Plain, Rotation, SlotMap, Slots};
use std::sync::Arc;

/// d rotated to the left.
fn rotated(d: &[f64], by: Rotation) -> Vec<f64> {
    let (head, tail) = d.split_at(by.0 as usize);
    [tail, head].concat()
}

fn plus(a: Rotation, b: Rotation, slots: Slots) -> Rotation {
    Rotation::new(i64::from(a.0) + i64::from(b.0), slots)
}

/// x ↦ A rotate(x, by)
pub fn after_rotation(map: &SlotMap, by: Rotation) -> SlotMap {
    let diagonals = map.diagonals.iter().map(|(&(o, i, r), d)| ((o, i, plus(r, by, map.slots)), d.clone())).collect();
    SlotMap { diagonals, ..map.clone() }
}

/// x ↦ rotate(A x, by)
pub fn before_rotation(map: &SlotMap, by: Rotation) -> SlotMap {
    let turn = |(&(o, i, r), d): (&(u32, u32, Rotation), &Arc<Vec<f64>>)| {
        ((o, i, plus(r, by, map.slots)), Arc::new(rotated(d, by)))
    };
    SlotMap { diagonals: map.diagonals.iter().map(turn).collect(), ..map.clone() }
}

/// The numbers of a plaintext operand at a ciphertext of its bundle.
fn of_ciphertext(plain: &Plain, which: u32, slots: Slots) -> Vec<f64> {
    match plain {
        Plain::Scalar(number) => vec![*number; slots.0],
        Plain::Slots(vectors) => vectors[which as usize].as_ref().clone(),
    }
}

fn times(a: &[f64], b: &[f64]) -> Arc<Vec<f64>> {
    Arc::new(a.iter().zip(b).map(|(a, b)| a * b).collect())
}

/// x ↦ p ⊙ A x
pub fn before_product(map: &SlotMap, p: &Plain) -> SlotMap {
    let masked = |(&k, d): (&(u32, u32, Rotation), &Arc<Vec<f64>>)| (k, times(d, &of_ciphertext(p, k.0, map.slots)));
    SlotMap { diagonals: map.diagonals.iter().map(masked).collect(), ..map.clone() }
}

/// x ↦ A (p ⊙ x)
pub fn after_product(map: &SlotMap, p: &Plain) -> SlotMap {
    let masked = |(&k, d): (&(u32, u32, Rotation), &Arc<Vec<f64>>)| {
        (k, times(d, &rotated(&of_ciphertext(p, k.1, map.slots), k.2)))
    };
    SlotMap { diagonals: map.diagonals.iter().map(masked).collect(), ..map.clone() }
}

/// x ↦ A x + factor·B x
pub fn sum(a: &SlotMap, b: &SlotMap, factor: f64) -> SlotMap {
    let mut diagonals = a.diagonals.clone();
    for (key, d) in &b.diagonals {
        let own = diagonals.get(key).map_or_else(|| vec![0.0; a.slots.0], |d| d.as_ref().clone());
        let both = own.iter().zip(d.iter()).map(|(a, b)| a + factor * b).collect();
        diagonals.insert(*key, Arc::new(both));
    }
    SlotMap { diagonals, name: format!("{}.{}", a.name, b.name), ..a.clone() }
}

/// The rotation that a map is, if it is one of every ciphertext.
pub fn as_rotation(map: &SlotMap) -> Option<Rotation> {
    let (&(_, _, first), _) = map.diagonals.first_key_value()?;
    let is_one =
        |(&(o, i, r), d): (&(u32, u32, Rotation), &Arc<Vec<f64>>)| o == i && r == first && d.iter().all(|&x| x == 1.0);
    let whole = map.inputs == map.outputs && map.diagonals.len() == map.outputs as usize;
    (whole && map.diagonals.iter().all(is_one)).then_some(first)
}

/// `combine` of two plaintext operands of bundles of `count`.
pub fn combine(a: &Plain, b: &Plain, count: u32, slots: Slots, combine: impl Fn(f64, f64) -> f64) -> Plain {
    if let (Plain::Scalar(a), Plain::Scalar(b)) = (a, b) {
        return Plain::Scalar(combine(*a, *b));
    }
    let vector = |which: u32| {
        let (a, b) = (of_ciphertext(a, which, slots), of_ciphertext(b, which, slots));
        Arc::new(a.iter().zip(&b).map(|(a, b)| combine(*a, *b)).collect())
    };
    Plain::Slots((0..count).map(vector).collect())
}

/// A plaintext operand with each vector rotated to the left.
pub fn rotate(plain: &Plain, by: Rotation) -> Plain {
    match plain {
        Plain::Scalar(number) => Plain::Scalar(*number),
        Plain::Slots(vectors) => Plain::Slots(vectors.iter().map(|v| Arc::new(rotated(v, by))).collect()),
    }
}

/// Whether a plaintext operand is this number everywhere.
pub fn is(plain: &Plain, number: f64) -> bool {
    match plain {
        Plain::Scalar(own) => *own == number,
        Plain::Slots(vectors) => vectors.iter().all(|v| v.iter().all(|&x| x == number)),
    }
}
