//! Split the rotations of a linear map into baby and giant steps.
//!
//! A baby step costs an inner product with a key (the decomposition is shared), a giant step a whole key switch, so more
//! baby steps than giant ones are best, in a ratio that the cost table decides (Bossuat et al. 2021, §4).

use hec_ir::cost::{CostTable, LinearShape, RingSize};
use hec_ir::program::BabyGiant;
use hec_ir::{Rotation, SlotMap, Slots};
use std::collections::BTreeSet;

/// Moduli up to this are all tried.
const SMALL_MODULI: i64 = 128;

/// The cheapest split `r = giant + baby` over moduli m, with babies in 0..m or centred around 0.
pub(crate) fn split(map: &SlotMap, ring: &RingSize, costs: &CostTable) -> BabyGiant {
    let rotations = map.rotations();
    let mut best: Option<(f64, BabyGiant)> = None;
    for modulus in moduli(&rotations, map.slots) {
        for centred in [false, true] {
            let plan = split_by(&rotations, map.slots, modulus, centred);
            let shape = LinearShape::of(map, &plan);
            let cost = costs.linear_shape(ring, &shape);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, plan));
            }
        }
    }
    best.map(|(_, plan)| plan).unwrap_or_default()
}

/// Moduli worth trying: small ones, powers of two, and the gaps between the rotations (strides of the layout).
fn moduli(rotations: &[Rotation], slots: Slots) -> BTreeSet<i64> {
    let n = slots.0 as i64;
    let mut moduli: BTreeSet<i64> = (1..=SMALL_MODULI.min(n)).collect();
    moduli.extend((0..=n.ilog2()).map(|k| 1 << k));
    let first = rotations.first().map_or(0, |r| i64::from(r.0));
    for pair in rotations.windows(2) {
        moduli.insert(i64::from(pair[1].0) - i64::from(pair[0].0));
        moduli.insert(i64::from(pair[1].0) - first);
    }
    moduli.retain(|&m| m > 0);
    moduli
}

fn split_by(rotations: &[Rotation], slots: Slots, modulus: i64, centred: bool) -> BabyGiant {
    let n = slots.0 as i64;
    let offset = if centred { modulus / 2 } else { 0 };
    let split = |r: &Rotation| {
        // Rotations near n are small rotations to the right.
        let signed = if centred && i64::from(r.0) > n / 2 { i64::from(r.0) - n } else { i64::from(r.0) };
        let giant = (signed + offset).div_euclid(modulus) * modulus;
        (*r, (Rotation::new(giant, slots), Rotation::new(signed - giant, slots)))
    };
    BabyGiant { split: rotations.iter().map(split).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn map(slots: usize, rotations: impl Iterator<Item = i64>) -> SlotMap {
        let diagonal = Arc::new(vec![1.0; slots]);
        let key = |r| (0, 0, Rotation::new(r, Slots(slots)));
        let diagonals = rotations.map(|r| (key(r), diagonal.clone())).collect();
        SlotMap { name: "m".into(), slots: Slots(slots), outputs: 1, inputs: 1, diagonals }
    }

    fn turns(map: &SlotMap) -> (usize, usize) {
        let ring = RingSize { log_n: 14, primes: 6, special: 1, digit_size: 1 };
        let plan = split(map, &ring, &CostTable::default());
        for (r, (g, b)) in &plan.split {
            assert_eq!((g.0 + b.0) as usize % map.slots.0, r.0 as usize);
        }
        let shape = LinearShape::of(map, &plan);
        (shape.babies, shape.giants)
    }

    /// A 5×5 convolution on rows of 32: the rows are giant steps, or nothing is when the taps are few.
    #[test]
    fn a_convolution_splits_by_rows() {
        let taps = (-2..=2).flat_map(|y| (-2..=2).map(move |x| 32 * y + x));
        let (babies, giants) = turns(&map(8192, taps));
        assert!(babies + giants <= 24 && giants <= 4, "{babies} {giants}");
    }

    /// 128 consecutive diagonals: far fewer steps than diagonals, and more baby than giant steps.
    #[test]
    fn consecutive_diagonals_take_about_a_root() {
        let (babies, giants) = turns(&map(8192, 0..128));
        assert!(babies + giants <= 40 && babies > giants, "{babies} {giants}");
    }
}
