//! Split the rotations of a linear map into baby and giant steps.
//!
//! A baby step costs an inner product with a key (the decomposition is shared), a giant step a whole key switch, so more
//! baby steps than giant ones are best, in a ratio that the cost table decides (Bossuat et al. 2021, §4).

use crate::keys::Keys;
use hec_ir::cost::{CostTable, LinearShape, RingSize};
use hec_ir::program::BabyGiant;
use hec_ir::{Level, Rotation, SlotMap, Slots};
use std::collections::BTreeSet;

/// Moduli up to this are all tried.
const SMALL_MODULI: i64 = 128;

/// The cheapest split `r = giant + baby` over moduli m, with babies in 0..m or centred around 0, of a map whose input is
/// at `level`.
pub(crate) fn split(map: &SlotMap, level: Level, keys: &Keys, costs: &CostTable) -> BabyGiant {
    let rotations = map.rotations();
    let ring = RingSize::at(keys.parameters, level);
    let shape = LinearShape {
        inputs: map.inputs as usize,
        outputs: map.outputs as usize,
        diagonals: map.diagonals.len(),
        ..LinearShape::default()
    };
    let mut steps = Steps::new(map.slots);
    let mut best: Option<(f64, Split)> = None;
    for modulus in moduli(&rotations, map.slots) {
        for centred in [false, true] {
            let split = Split { slots: map.slots, modulus, centred };
            let Counts { babies, giants, price } = steps.count(&rotations, &split, |r| keys.price(r, level));
            let cost = costs.linear_shape(&ring, &LinearShape { babies, giants, ..shape }) + price;
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, split));
            }
        }
    }
    let plan = |(_, split): (f64, Split)| rotations.iter().map(|&r| (r, split.of(r))).collect();
    BabyGiant { split: best.map(plan).unwrap_or_default() }
}

/// One way to split rotations.
struct Split {
    slots: Slots,
    modulus: i64,
    centred: bool,
}

impl Split {
    /// The giant and the baby step of a rotation.
    fn of(&self, rotation: Rotation) -> (Rotation, Rotation) {
        let (n, r) = (self.slots.0 as i64, i64::from(rotation.0));
        let offset = if self.centred { self.modulus / 2 } else { 0 };
        // Rotations near n are small rotations to the right.
        let signed = if self.centred && r > n / 2 { r - n } else { r };
        let giant = (signed + offset).div_euclid(self.modulus) * self.modulus;
        (Rotation::new(giant, self.slots), Rotation::new(signed - giant, self.slots))
    }
}

/// Steps that turn, and the price of their keys.
#[derive(Default)]
struct Counts {
    babies: usize,
    giants: usize,
    price: f64,
}

/// Counts distinct steps.
struct Steps {
    /// By rotation: in which count it was last a baby step, and a giant step.
    last: Vec<[u32; 2]>,
    number: u32,
}

impl Steps {
    fn new(slots: Slots) -> Self {
        Steps { last: vec![[0; 2]; slots.0], number: 0 }
    }

    fn count(&mut self, rotations: &[Rotation], split: &Split, price: impl Fn(Rotation) -> f64) -> Counts {
        self.number += 1;
        let mut counts = Counts::default();
        for &rotation in rotations {
            let (giant, baby) = split.of(rotation);
            for (kind, count, step) in [(0, &mut counts.babies, baby), (1, &mut counts.giants, giant)] {
                let last = &mut self.last[step.0 as usize];
                if last[kind] == self.number || step.is_zero() {
                    continue;
                }
                *count += 1;
                if last[1 - kind] != self.number {
                    counts.price += price(step);
                }
                last[kind] = self.number;
            }
        }
        counts
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::{Depth, LogN, Parameters, ParametersLiteral};
    use hec_params::ChainRequest;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn map(slots: usize, rotations: impl Iterator<Item = i64>) -> SlotMap {
        let diagonal = Arc::new(vec![1.0; slots]);
        let key = |r| (0, 0, Rotation::new(r, Slots(slots)));
        let diagonals = rotations.map(|r| (key(r), diagonal.clone())).collect();
        SlotMap { name: "m".into(), slots: Slots(slots), outputs: 1, inputs: 1, diagonals }
    }

    /// Six primes at level 5, and a special one.
    fn parameters() -> Parameters {
        let request = ChainRequest {
            log_n: LogN(14),
            depth: Depth(5),
            scale_bits: 40.0,
            base_bits: 45.0,
            digit_size: 1,
            insecure_toy: false,
        };
        Parameters::check(ParametersLiteral::new(&request).unwrap()).unwrap()
    }

    fn turns(map: &SlotMap) -> (usize, usize) {
        let parameters = parameters();
        let plan = split(map, Level(5), &Keys::new(&parameters, 0.0, BTreeMap::new()), &CostTable::default());
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

    /// A second map takes rotations that the first has keys for, if a key is worth something.
    #[test]
    fn keys_are_shared_for_a_price() {
        let (first, second) = (map(8192, 0..144), map(8192, (0..128).map(|k| 2 * k)));
        let parameters = parameters();
        let count = |price| {
            let mut keys = Keys::new(&parameters, price, BTreeMap::new());
            let mut all = BTreeSet::new();
            for map in [&first, &second] {
                let plan = split(map, Level(5), &keys, &CostTable::default());
                keys.add(&plan, Level(5));
                all.extend(plan.babies().into_iter().chain(plan.giants()));
            }
            all.len()
        };
        assert!(count(1e-6) < count(0.0), "{} {}", count(1e-6), count(0.0));
    }
}
