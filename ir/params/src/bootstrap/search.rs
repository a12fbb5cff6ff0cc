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
        let mut found: Vec<(f64, BootstrapChoice)> = Vec::new();
        let overflow = Overflow::new(WEIGHT, 2 * self.slots.0, self.log2_failure);
        for choice in self.candidates(&overflow) {
            let estimate = Estimate::of(&choice, self.is_real);
            let fits = self.insecure_toy || max_log_qp(self.log_n).is_some_and(|max| estimate.log_qp <= max - 0.5);
            if fits && estimate.key_bytes <= self.key_bytes {
                found.push((estimate.cost, choice));
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        // An estimate may be off by the distance of primes from their targets.
        let checked = found.into_iter().take(64).find_map(|(_, choice)| BootstrapParameters::check(choice).ok());
        checked.ok_or(ParametersError::NoBootstrap)
    }

    /// All choices that are precise enough.
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
            factors.filter(move |&(c, s)| c <= log_slots && s <= log_slots).flat_map(move |(c, s)| {
                let choice = BootstrapChoice {
                    coeffs_to_slots: radices(log_slots, c),
                    slots_to_coeffs: radices(log_slots, s),
                    ..choice.clone()
                };
                (1..=20).map(move |digit_size| BootstrapChoice { digit_size, ..choice.clone() })
            })
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

/// `log` in `count` parts as equal as possible, the larger first.
fn radices(log: u32, count: u32) -> Vec<u32> {
    (0..count).map(|i| log / count + u32::from(i < log % count)).collect()
}

/// What a choice costs, before there are primes.
struct Estimate {
    log_qp: f64,
    key_bytes: f64,
    /// In transforms of limbs.
    cost: f64,
}

/// Of the cosine polynomials of degree 30 and 46.
const RELINEARIZATIONS: f64 = 8.0;
/// A product of limbs in transforms of limbs of degree 2^16.
const PRODUCT: f64 = 0.12;

impl Estimate {
    fn of(choice: &BootstrapChoice, is_real: bool) -> Estimate {
        let transforms = (choice.coeffs_to_slots.len(), choice.slots_to_coeffs.len());
        let is_first = choice.order == Order::CoeffsFirst;
        let program = choice.levels.0 as usize + if is_first { transforms.1 } else { 0 };
        let eval = choice.sine.depth() as usize + if is_first { 0 } else { transforms.1 };
        let upper = super::chain::upper_bits(choice);
        let limbs = |bits: &[f64]| bits.iter().map(|b| libm::ceil(b / 49.9) as usize).sum::<usize>();
        let top_of_eval = 1 + program + limbs(&upper[..eval]);
        let q = 1 + program + limbs(&upper);
        let log_q = choice.base_bits + program as f64 * choice.scale_bits + upper.iter().sum::<f64>();
        let digit = choice.digit_size.min(q);
        let digit_bits = choice.eval_bits.max(choice.scale_bits) * digit as f64 + super::chain::MARGIN;
        let special = libm::ceil(digit_bits / 49.9) as usize;
        let log_qp = log_q + digit_bits + 0.5;
        let switch = |limbs: usize| Switch { limbs, special, digits: limbs.div_ceil(digit) };
        let (mut cost, mut keys) = (0.0, 0.0);
        let mut linear = |radices: &[u32], top: usize| {
            for (i, &radix) in radices.iter().enumerate() {
                let switch = switch(top - i);
                // The radix with the largest stride wraps around.
                let wraps = if is_first_factor(choice, radices, i) { 1 << radix } else { (2 << radix) - 1 };
                let babies = (0..).map(|log| 1usize << log).find(|b| b * b >= wraps).unwrap_or(1);
                let giants = wraps.div_ceil(babies);
                cost += (babies - 1) as f64 * switch.inner() + giants as f64 * switch.whole();
                cost += wraps as f64 * (1.0 + 2.0 * PRODUCT) * (switch.limbs + special) as f64;
                keys += babies as f64 * switch.key_limbs();
            }
        };
        linear(&choice.coeffs_to_slots, q);
        let low = if is_first { 1 + transforms.1 } else { 1 + program + transforms.1 };
        linear(&choice.slots_to_coeffs, low);
        // Relinearizations of the cosine, which has 5 levels or 6; later levels have one, as the arcsine does.
        let of_cosine = choice.sine.depth() - choice.sine.double_angles - if choice.sine.arcsine > 1 { 2 } else { 0 };
        let repeats = if is_real && is_first { 1.0 } else { 2.0 };
        for level in 0..choice.sine.depth() {
            let each = if level < of_cosine { RELINEARIZATIONS / f64::from(of_cosine) } else { 1.0 };
            cost += each * repeats * switch(top_of_eval - level as usize).whole();
        }
        let trace = (choice.log_n.slots().0 / choice.slots.0).trailing_zeros();
        cost += f64::from(trace + 2) * switch(q).whole();
        keys += f64::from(trace + 1) * switch(q).key_limbs() + 2.0 * switch(top_of_eval).key_limbs();
        Estimate { log_qp, key_bytes: keys * choice.log_n.degree() as f64 * 8.0, cost }
    }
}

/// Whether the factor holds the stage that is as long as the ring of slots.
fn is_first_factor(choice: &BootstrapChoice, radices: &[u32], i: usize) -> bool {
    if std::ptr::eq(radices, &choice.coeffs_to_slots[..]) { i == 0 } else { i + 1 == radices.len() }
}

/// A key switch.
struct Switch {
    limbs: usize,
    special: usize,
    digits: usize,
}

impl Switch {
    fn key_limbs(&self) -> f64 {
        (2 * self.digits * (self.limbs + self.special)) as f64
    }

    /// The inner product alone.
    fn inner(&self) -> f64 {
        self.key_limbs() * PRODUCT
    }

    /// Lift, inner product, division of both parts.
    fn whole(&self) -> f64 {
        let lift = self.limbs + self.digits * (self.limbs + self.special) - self.limbs;
        let divide = 2 * (self.limbs + self.special);
        let convert = (self.limbs * self.special) as f64 * 3.0 * PRODUCT / 2.0;
        (lift + self.limbs + divide) as f64 + convert + self.inner()
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
                let cost = |p: &BootstrapParameters| Estimate::of(p.choice(), true).cost;
                assert!(cost(&found) <= cost(&other), "the order is the cheaper one");
            }
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
