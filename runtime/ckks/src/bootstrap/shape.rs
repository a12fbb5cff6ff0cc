//! Where the diagonals of a transform lie: its rotations, and so its keys, follow without a single value.

use std::collections::BTreeSet;

use hec_params::{BootstrapParameters, Level, Parameters, Rotation, Slots, baby_steps};

use crate::periodic::octets;
use crate::{KeyRequest, LinearPlan, LinearTerm, RotationKeys};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From coefficients, which stand in the slots, to slots.
    SlotsToCoeffs,
    /// From slots to coefficients in the slots.
    CoeffsToSlots,
}

/// How diagonals are kept whose values do not repeat often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Without residues: they are transformed at each use.
    Integers,
    /// With all residues.
    Residues,
}

/// A transform on n slots as a product of factors of these radices, one a level.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub slots: Slots,
    pub direction: Direction,
    /// The level of the input of the first factor.
    pub level: Level,
    /// First factor first.
    pub factors: Vec<Factor>,
}

/// The diagonals of a factor.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    /// A factor M is written as N·rot_turn, such that the diagonals of N start at 0 and end as early as possible.
    pub turn: usize,
    /// The diagonals of N, in order.
    shifts: Vec<usize>,
    /// The stages of the FFT that it does, in the order in which they are applied.
    pub stages: Vec<u32>,
}

impl Shape {
    pub fn coeffs_to_slots(parameters: &BootstrapParameters) -> Self {
        let choice = parameters.choice();
        Self::new(choice.slots, Direction::CoeffsToSlots, &choice.coeffs_to_slots, parameters.raised_level())
    }

    pub fn slots_to_coeffs(parameters: &BootstrapParameters) -> Self {
        let choice = parameters.choice();
        Self::new(choice.slots, Direction::SlotsToCoeffs, &choice.slots_to_coeffs, parameters.slots_to_coeffs_level())
    }

    pub fn new(slots: Slots, direction: Direction, radices: &[u32], level: Level) -> Self {
        let n = slots.0;
        let stages = n.trailing_zeros();
        let mut start = 0;
        let factor = |&radix: &u32| {
            let range = start..start + radix;
            start = range.end;
            // The transforms take the stages of the FFT in opposite order.
            Factor::new(
                n,
                range.map(|i| if direction == Direction::SlotsToCoeffs { i } else { stages - 1 - i }).collect(),
            )
        };
        Shape { slots, direction, level, factors: radices.iter().map(factor).collect() }
    }

    /// The rotation that comes before all factors, at any level: M_k ⋯ M_1 = N_k ⋯ N_1 · rot_turn, since diagonals of M_i
    /// may be rotated instead of what comes after it.
    pub fn turn(&self) -> Rotation {
        let turn: usize = self.factors.iter().map(|factor| factor.turn).sum();
        Rotation((turn % self.slots.0) as u32)
    }

    /// The level of the input of each factor.
    pub fn levels(&self) -> impl Iterator<Item = Level> {
        (0..).map_while(|i| self.level.0.checked_sub(i)).map(Level)
    }

    /// Bytes of the encoded diagonals.
    pub fn bytes(&self, parameters: &Parameters, long: Encoding) -> usize {
        self.factors.iter().zip(self.levels()).map(|(factor, level)| factor.bytes(parameters, level, long)).sum()
    }

    /// The keys of the factors.
    pub fn request_keys(&self, request: &mut KeyRequest) {
        self.factors.iter().zip(self.levels()).for_each(|(factor, level)| factor.plan().request_keys(level, request));
    }
}

impl Factor {
    /// A product of butterflies, each with the diagonals 0, +h and −h.
    fn new(n: usize, stages: Vec<u32>) -> Self {
        let product = |all: BTreeSet<usize>, half: usize| {
            all.iter().flat_map(|shift| [0, half, n - half].map(|other| (shift + other) % n)).collect()
        };
        let shifts = stages.iter().map(|stage| 1 << stage).fold(BTreeSet::from([0]), product);
        Self::of(n, &shifts, stages)
    }

    fn of(n: usize, shifts: &BTreeSet<usize>, stages: Vec<u32>) -> Self {
        let all: Vec<usize> = shifts.iter().copied().collect();
        // The diagonals lie on a circle: they start after the largest gap.
        let before = |i: usize| all[(i + all.len() - 1) % all.len()];
        let gap = |i: usize| (all[i] + n - before(i) - 1) % n;
        let turn = (0..all.len()).max_by_key(|&i| (gap(i), all.len() - i)).map_or(0, |i| all[i]);
        let mut shifts: Vec<usize> = all.iter().map(|shift| (shift + n - turn) % n).collect();
        shifts.sort_unstable();
        Factor { turn, shifts, stages }
    }

    /// After how many slots the diagonals repeat: a stage has the values of one butterfly, 2h slots, over and over.
    pub fn period(&self) -> Slots {
        Slots(self.stages.iter().map(|stage| 2 << stage).max().unwrap_or(1))
    }

    /// How many there are.
    pub fn diagonals(&self) -> usize {
        self.shifts.len()
    }

    /// Bytes of the encoded diagonals, with residues if they are short or `long` ones have them.
    pub fn bytes(&self, parameters: &Parameters, level: Level, long: Encoding) -> usize {
        let primes = parameters.prime_count(level) + parameters.special().len();
        let degree = parameters.log_n().degree();
        let values = match (octets(degree, self.period()), long) {
            (Some(octets), _) => 8 * octets * primes,
            (None, Encoding::Residues) => degree * primes,
            (None, Encoding::Integers) => degree,
        };
        self.diagonals() * values * size_of::<f64>()
    }

    /// A term for each diagonal in order, with the baby steps that the parameters were chosen for.
    pub fn plan(&self) -> LinearPlan {
        let (stride, babies) = (self.stride(), baby_steps(self.shifts.len()));
        let term = |(diagonal, &shift): (usize, &usize)| {
            let baby = shift / stride % babies * stride;
            let (giant, baby) = (Rotation((shift - baby) as u32), Rotation(baby as u32));
            LinearTerm { output: 0, input: 0, giant, baby, diagonal }
        };
        let terms = self.shifts.iter().enumerate().map(term).collect();
        LinearPlan { inputs: 1, outputs: 1, terms, keys: RotationKeys::OneForGiants }
    }

    /// The distance of the diagonals.
    fn stride(&self) -> usize {
        1 << self.shifts.iter().filter(|&&d| d > 0).map(|d| d.trailing_zeros()).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonals_start_at_zero_after_a_turn() {
        let factor = Factor::of(16, &[14, 0, 2].into(), vec![0]);
        assert_eq!((factor.turn, factor.shifts), (14, vec![0, 2, 4]));
    }

    #[test]
    fn factors_have_as_many_diagonals_as_their_radix_allows() {
        let shape = Shape::new(Slots(1 << 9), Direction::CoeffsToSlots, &[4, 5], Level(9));
        let counts: Vec<usize> = shape.factors.iter().map(|f| f.shifts.len()).collect();
        // Opposite diagonals of the longest butterfly are one.
        assert_eq!(counts, [16, 63]);
    }
}
