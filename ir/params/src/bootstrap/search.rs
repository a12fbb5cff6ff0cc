//! The cheapest bootstrap that gives what is asked.

use super::noise::BootstrapError;
use super::overflow::Overflow;
use super::{BootstrapChoice, BootstrapParameters, Order, Sine};
use crate::{Depth, LogN, ParametersError, Slots, max_log_qp};
use serde::{Deserialize, Serialize};

/// What is asked of a bootstrap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapLiteral {
    /// Ring.
    pub log_n: LogN,
    /// Slots that are bootstrapped, a power of two.
    pub slots: Slots,
    /// −log2 of the mean error of uniform messages in [−1, 1], at least.
    pub precision_bits: f64,
    /// Levels between two bootstraps.
    pub levels: Depth,
    /// log2 of the scale of those levels.
    pub scale_bits: f64,
    /// log2 of the probability that a bootstrap fails, at most.
    pub log2_failure: f64,
    /// Whether slots are real, so that slots-to-coeffs first needs one eval-mod.
    pub is_real: bool,
    /// Where slots-to-coeffs stands; `None`: wherever it is cheaper.
    pub order: Option<Order>,
    /// Bytes of keys in memory, at most.
    pub key_bytes: f64,
    /// Accept less than 128 bits.
    pub insecure_toy: bool,
}

impl BootstrapLiteral {
    /// Real slots, failure at most 2^-100, at most 2.5 GiB of keys.
    pub fn new(log_n: LogN, slots: Slots, precision_bits: f64, levels: Depth) -> Self {
        BootstrapLiteral {
            log_n,
            slots,
            precision_bits,
            levels,
            scale_bits: 40.0,
            log2_failure: -100.0,
            is_real: true,
            order: None,
            key_bytes: 2.5 * 1024.0 * 1024.0 * 1024.0,
            insecure_toy: false,
        }
    }

    /// The cheapest choice, checked.
    ///
    /// Every combination of orders, polynomials, scales, factors and digits is priced by the transforms and products
    /// of limbs that it takes, and the cheapest one that is precise, secure and small enough is taken.
    ///
    /// # Errors
    /// [`ParametersError::NoBootstrap`] when there is none.
    pub fn search(&self) -> Result<BootstrapParameters, ParametersError> {
        self.search_among(&self.precise())
    }

    /// All choices that are precise enough, of any levels and sizes of a digit: precision depends on neither, so that
    /// searches which differ in nothing else share them.
    pub fn precise(&self) -> PreciseChoices {
        let overflow = Overflow::new(WEIGHT, 2 * self.slots.0, self.log2_failure);
        PreciseChoices(self.candidates(&overflow).collect())
    }

    /// As [`BootstrapLiteral::search`], among the choices that were found for this literal, or for one of other levels.
    ///
    /// # Errors
    /// [`ParametersError::NoBootstrap`] when there is none.
    pub fn search_among(&self, precise: &PreciseChoices) -> Result<BootstrapParameters, ParametersError> {
        let most = if self.insecure_toy { Some(f64::INFINITY) } else { max_log_qp(self.log_n).map(|max| max - 0.5) };
        let mut found: Vec<(f64, usize, usize)> = Vec::new();
        for (index, choice) in precise.0.iter().enumerate() {
            let choice = BootstrapChoice { levels: self.levels, ..choice.clone() };
            let upper = super::chain::upper_bits(&choice);
            for digit_size in DIGIT_SIZES {
                let chain = Chain::of(&choice, &upper, digit_size);
                // Most choices are refused here, before anything is priced.
                if most.is_some_and(|most| chain.log_qp <= most) {
                    found.push((cost(&choice, &chain, self.is_real), index, digit_size));
                }
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let small = found.into_iter().filter_map(|(_, index, digit_size)| {
            let choice = BootstrapChoice { levels: self.levels, digit_size, ..precise.0[index].clone() };
            let chain = Chain::of(&choice, &super::chain::upper_bits(&choice), digit_size);
            (key_bytes(&choice, &chain) <= self.key_bytes).then_some(choice)
        });
        // An estimate may be off by the distance of primes from their targets.
        let checked = small.take(64).find_map(|choice| BootstrapParameters::check(choice).ok());
        checked.ok_or(ParametersError::NoBootstrap)
    }

    /// All choices that are precise enough, but for levels and the size of a digit.
    fn candidates<'a>(&'a self, overflow: &'a Overflow) -> impl Iterator<Item = BootstrapChoice> + 'a {
        let log_slots = self.slots.0.trailing_zeros();
        let orders =
            [Order::CoeffsFirst, Order::CoeffsLast].into_iter().filter(|&o| self.order.is_none_or(|own| own == o));
        let precise = orders.flat_map(|order| SINES.map(|sine| (order, sine))).flat_map(move |(order, sine)| {
            let ratios = (6..=28).map(|half| f64::from(half) / 2.0);
            // For one scale the largest ratio whose noise is small enough needs the least arcsine.
            let scales = (36..=49).flat_map(|bits| [0, 2, 4, 6].map(|boost| (f64::from(bits), f64::from(boost))));
            scales.filter_map(move |(eval_bits, boost_bits)| {
                let with_ratio = |ratio_bits| BootstrapChoice {
                    order,
                    sine: Sine { ratio_bits, ..sine },
                    eval_bits,
                    boost_bits,
                    ..self.base()
                };
                ratios.clone().map(with_ratio).find(|choice| self.is_precise(choice, overflow))
            })
        });
        precise.flat_map(move |choice| {
            let factors = (2..=5).flat_map(|c| (1..=4).map(move |s| (c, s)));
            let factors = factors.filter(move |&(c, s)| c <= log_slots && s <= log_slots);
            let with_factors = move |(c, s)| BootstrapChoice {
                coeffs_to_slots: radices(log_slots, c),
                // The other way round, so that equal factors share their keys.
                slots_to_coeffs: radices(log_slots, s).into_iter().rev().collect(),
                ..choice.clone()
            };
            // Few factors have small diagonals, which are rounded more.
            factors.map(with_factors).filter(|choice| self.is_precise(choice, overflow))
        })
    }

    /// Messages come through repeated bootstraps: the part of the error that repeats must be small.
    fn is_precise(&self, choice: &BootstrapChoice, overflow: &Overflow) -> bool {
        let error = BootstrapError::given(choice, overflow);
        error.bits() >= self.precision_bits + RESERVE_BITS && error.systematic <= error.noise * REPEATED
    }

    fn base(&self) -> BootstrapChoice {
        BootstrapChoice {
            log_n: self.log_n,
            slots: self.slots,
            order: Order::CoeffsFirst,
            levels: self.levels,
            scale_bits: self.scale_bits,
            base_bits: 49.8f64.min(self.scale_bits + 12.0),
            eval_bits: 0.0,
            boost_bits: 0.0,
            coeffs_to_slots: Vec::new(),
            slots_to_coeffs: Vec::new(),
            sine: SINES[0],
            weight: WEIGHT,
            log2_failure: self.log2_failure,
            digit_size: 1,
            insecure_toy: self.insecure_toy,
        }
    }
}

/// What [`BootstrapLiteral::precise`] gives.
#[derive(Clone, Debug)]
pub struct PreciseChoices(Vec<BootstrapChoice>);

/// The systematic error over the noise, at most: after 1,000 bootstraps of one message the noise has grown by √1000, and
/// what repeats by 1000 at most.
const REPEATED: f64 = 1.0 / 64.0;
/// What predictions of precision have been off by.
const RESERVE_BITS: f64 = 0.2;
/// Hamming weight of the sparse secret (Bossuat et al. 2022).
const WEIGHT: usize = 32;
/// Cosines that the search tries, each with every arcsine.
const SINES: [Sine; 8] = {
    const fn sine(degree: usize, double_angles: u32, arcsine: usize) -> Sine {
        Sine { degree, double_angles, arcsine, ratio_bits: 0.0 }
    }
    [
        sine(30, 3, 1),
        sine(30, 3, 3),
        sine(30, 3, 5),
        sine(30, 3, 7),
        sine(46, 2, 1),
        sine(46, 2, 3),
        sine(46, 2, 5),
        sine(46, 2, 7),
    ]
};

/// Primes of a digit that the search tries.
const DIGIT_SIZES: std::ops::RangeInclusive<usize> = 1..=20;

/// `log` in `count` parts as equal as possible, the larger first.
fn radices(log: u32, count: u32) -> Vec<u32> {
    (0..count).map(|i| log / count + u32::from(i < log % count)).collect()
}

/// The chain of a choice, before there are primes.
struct Chain {
    /// Limbs above which eval-mod begins.
    top_of_eval: usize,
    /// Limbs of the raised modulus.
    q: usize,
    special: usize,
    digit: usize,
    log_qp: f64,
}

impl Chain {
    /// With the bits of its upper levels.
    fn of(choice: &BootstrapChoice, upper: &[f64], digit_size: usize) -> Self {
        let limbs = |bits: &[f64]| bits.iter().map(|b| libm::ceil(b / 49.9) as usize).sum::<usize>();
        let (program, eval) = depths(choice);
        let top_of_eval = 1 + program + limbs(&upper[..eval]);
        let q = 1 + program + limbs(upper);
        let log_q = choice.base_bits + program as f64 * choice.scale_bits + upper.iter().sum::<f64>();
        let digit = digit_size.min(q);
        let digit_bits = choice.eval_bits.max(choice.scale_bits) * digit as f64 + super::chain::MARGIN;
        let special = libm::ceil(digit_bits / 49.9) as usize;
        Chain { top_of_eval, q, special, digit, log_qp: log_q + digit_bits + 0.5 }
    }

    /// A key switch of so many limbs.
    fn switch(&self, limbs: usize) -> Switch {
        Switch { limbs, special: self.special, digit: self.digit.min(limbs) }
    }
}

/// Levels of the program, with slots-to-coeffs where that comes first; levels of eval-mod, with it where it comes last.
fn depths(choice: &BootstrapChoice) -> (usize, usize) {
    let (program, eval) = (choice.levels.0 as usize, choice.sine.depth() as usize);
    let last = choice.slots_to_coeffs.len();
    if choice.order == Order::CoeffsFirst { (program + last, eval) } else { (program, eval + last) }
}

/// Of the cosine polynomials of degree 30 and 46.
const RELINEARIZATIONS: f64 = 8.0;

// Operations on limbs of degree 2^16 in transforms of them, measured on one thread: the shares of the kernels in the time
// of bootstraps, by how often they run there.

/// A product with a limb of a key, which comes from memory.
const KEY_PRODUCT: f64 = 0.25;
/// A product with a limb of a diagonal.
const PRODUCT: f64 = 0.18;
/// The same limb from memory, where it is too long for the cache.
const READ: f64 = 0.3;
/// From one limb to one other in a conversion.
const CONVERSION: f64 = 0.13;
/// A sum, a permutation or a copy.
const PASS: f64 = 0.12;

/// A factor of a transform.
struct Map {
    switch: Switch,
    diagonals: usize,
    babies: usize,
    /// log2 of the distance of its diagonals.
    below: u32,
    /// Whether its stride is the largest, so that it wraps around.
    wraps: bool,
}

/// The factors of both transforms.
fn maps(choice: &BootstrapChoice, chain: &Chain) -> impl Iterator<Item = Map> {
    let levels = if choice.order == Order::CoeffsFirst { 0 } else { choice.levels.0 as usize };
    let all = choice.slots.0.trailing_zeros();
    let transform = move |radices: &[u32], top: usize, is_down: bool| {
        let mut done = 0;
        let map = |(i, &radix): (usize, &u32)| {
            let below = if is_down { all - done - radix } else { done };
            done += radix;
            // The radix with the largest stride wraps around.
            let wraps = if is_down { i == 0 } else { i + 1 == radices.len() };
            let diagonals = if wraps { 1 << radix } else { (2 << radix) - 1 };
            Map { switch: chain.switch(top - i), diagonals, babies: baby_steps(diagonals), below, wraps }
        };
        radices.iter().enumerate().map(map).collect::<Vec<_>>()
    };
    let first = transform(&choice.coeffs_to_slots, chain.q, true);
    first.into_iter().chain(transform(&choice.slots_to_coeffs, 1 + levels + choice.slots_to_coeffs.len(), false))
}

/// Doublings of slots that repeat.
fn doublings(choice: &BootstrapChoice) -> u32 {
    (choice.log_n.slots().0 / choice.slots.0).trailing_zeros()
}

/// What a choice costs, before there are primes, in transforms of limbs.
fn cost(choice: &BootstrapChoice, chain: &Chain, is_real: bool) -> f64 {
    let mut cost = 0.0;
    for Map { switch, diagonals, babies, wraps, .. } in maps(choice, chain) {
        let giants = diagonals.div_ceil(babies);
        let read = if wraps && choice.slots == choice.log_n.slots() { READ } else { 0.0 };
        cost += switch.lift() + (babies - 1) as f64 * switch.inner() + switch.divide(2);
        cost += (giants - 1) as f64 * (switch.lift() + switch.inner() + switch.divide(1) + switch.pass());
        cost += diagonals as f64 * (2.0 * PRODUCT + read) * switch.extended() as f64;
    }
    // Relinearizations of the cosine, which has 5 levels or 6; later levels have one, as the arcsine does.
    let of_cosine = choice.sine.depth() - choice.sine.double_angles - if choice.sine.arcsine > 1 { 2 } else { 0 };
    let repeats = if is_real && choice.order == Order::CoeffsFirst { 1.0 } else { 2.0 };
    for level in 0..choice.sine.depth() {
        let each = if level < of_cosine { RELINEARIZATIONS / f64::from(of_cosine) } else { 1.0 };
        cost += each * repeats * chain.switch(chain.top_of_eval - level as usize).whole();
    }
    cost + f64::from(doublings(choice) + 2) * chain.switch(chain.q).whole()
}

/// Bytes of the keys of a choice in memory, before there are primes.
fn key_bytes(choice: &BootstrapChoice, chain: &Chain) -> f64 {
    // Rotations of both transforms, with the limbs of their keys.
    let of_map = |map: Map| (1..=map.babies).map(move |step| (step << map.below, map.switch.key_limbs()));
    let mut rotations: Vec<(usize, usize)> = maps(choice, chain).flat_map(of_map).collect();
    // What both rotate by has one key, the larger.
    rotations.sort_unstable_by(|a, b| b.cmp(a));
    rotations.dedup_by_key(|(rotation, _)| *rotation);
    let rotations: usize = rotations.iter().map(|(_, limbs)| limbs).sum();
    let raised = (doublings(choice) as usize + 1) * chain.switch(chain.q).key_limbs();
    let all = rotations + raised + 2 * chain.switch(chain.top_of_eval).key_limbs();
    (all * choice.log_n.degree()) as f64 * 8.0
}

/// How many baby steps a factor with so many diagonals has: two for each giant step, or nearly. They share one
/// decomposition, and cost a fifth of a giant step; more of them would need more keys.
pub fn baby_steps(diagonals: usize) -> usize {
    let giants = (1..).find(|giants| 2 * giants * giants >= diagonals).unwrap_or(1);
    diagonals.div_ceil(giants)
}

/// A key switch; costs are in transforms.
struct Switch {
    limbs: usize,
    special: usize,
    digit: usize,
}

impl Switch {
    fn extended(&self) -> usize {
        self.limbs + self.special
    }

    fn digits(&self) -> usize {
        self.limbs.div_ceil(self.digit)
    }

    fn key_limbs(&self) -> usize {
        2 * self.digits() * self.extended()
    }

    /// All digits, modulo all primes.
    fn lift(&self) -> f64 {
        let converted = self.limbs * (self.extended() - self.digit);
        (self.digits() * self.extended()) as f64 + converted as f64 * CONVERSION
    }

    /// The inner product, and its image.
    fn inner(&self) -> f64 {
        self.key_limbs() as f64 * KEY_PRODUCT + self.pass()
    }

    /// The division of some parts by the special primes.
    fn divide(&self, parts: usize) -> f64 {
        let converted = (self.limbs * self.special) as f64 * CONVERSION;
        parts as f64 * (self.extended() as f64 + converted + self.limbs as f64 * PASS)
    }

    /// One operation on both parts.
    fn pass(&self) -> f64 {
        (2 * self.extended()) as f64 * PASS
    }

    /// Lift, inner product, division of both parts.
    fn whole(&self) -> f64 {
        self.lift() + self.inner() + self.divide(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_asked() {
        for (log_n, log_slots, bits, levels) in [(16, 15, 19.0, 9), (16, 12, 19.0, 10), (15, 12, 15.0, 2)] {
            let literal = BootstrapLiteral::new(LogN(log_n), Slots(1 << log_slots), bits, Depth(levels));
            let found = literal.search().expect("fits");
            assert!(found.parameters().security().is_secure() && found.encapsulation_report().is_secure());
            assert!(found.error().bits() >= bits && found.log2_failure() <= -100.0);
            assert_eq!(found.output_level().0 - found.input_level().0, levels);
            let other = if found.choice().order == Order::CoeffsFirst { Order::CoeffsLast } else { Order::CoeffsFirst };
            if let Ok(other) = (BootstrapLiteral { order: Some(other), ..literal.clone() }).search() {
                let price = |p: &BootstrapParameters| {
                    let choice = p.choice();
                    let upper = crate::bootstrap::chain::upper_bits(choice);
                    cost(choice, &Chain::of(choice, &upper, choice.digit_size), true)
                };
                assert!(price(&found) <= price(&other), "the order is the cheaper one");
            }
        }
    }

    #[test]
    fn is_precise_with_the_factors_that_are_chosen() {
        for levels in [4, 9, 12] {
            let literal = BootstrapLiteral::new(LogN(5), Slots(16), 16.0, Depth(levels));
            let found = BootstrapLiteral { insecure_toy: true, ..literal }.search().expect("fits");
            assert!(found.error().bits() >= 16.0, "{:?}", found.choice());
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let literal = BootstrapLiteral::new(LogN(13), Slots(1 << 12), 19.0, Depth(9));
        assert_eq!(literal.search(), Err(ParametersError::NoBootstrap));
        let literal = BootstrapLiteral::new(LogN(16), Slots(1 << 15), 19.0, Depth(9));
        assert_eq!(BootstrapLiteral { key_bytes: 1e8, ..literal.clone() }.search(), Err(ParametersError::NoBootstrap));
        let mut choice = literal.search().expect("fits").choice().clone();
        choice.weight = 4;
        assert!(matches!(BootstrapParameters::check(choice), Err(ParametersError::InsecureEncapsulation { .. })));
    }
}
