//! Parameters of bootstrapping: what is asked, what is chosen, what has been checked.
//!
//! A bootstrap takes a ciphertext at the bottom of its chain and gives the same slots further up. Its chain is, from
//! level 0: the base; the levels for the program; for [`Order::CoeffsLast`] the levels of slots-to-coeffs; those of
//! eval-mod; those of coeffs-to-slots.

mod chain;
mod noise;
mod overflow;
mod search;
mod security;

pub use noise::BootstrapError;
pub use overflow::{log2_failure, overflow_bound, overflow_probability};
pub use search::{BootstrapLiteral, PreciseChoices, baby_steps};
pub use security::EncapsulationReport;

use crate::{Depth, Level, LogN, Parameters, ParametersError, ParametersLiteral, Slots};
use serde::{Deserialize, Serialize};

/// Where slots-to-coeffs stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Before the raise, on the lowest levels, where it is cheap. Messages are the coefficients that eval-mod
    /// corrects, so that its noise comes out as it is, and real messages need one eval-mod instead of two.
    CoeffsFirst,
    /// After eval-mod. Needs no level before the bootstrap; the noise of eval-mod grows by √(N/2).
    CoeffsLast,
}

/// How x mod 1 is approximated for |x| ≤ bound + 1/ratio: a polynomial for the cosine, double angles, an arcsine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sine {
    /// Even degree of the polynomial that approximates the cosine.
    pub degree: usize,
    /// Double angles after it.
    pub double_angles: u32,
    /// Odd degree of the polynomial that approximates the arcsine; with 1 the sine itself stands for its argument.
    pub arcsine: usize,
    /// log2 of q(0) over the largest message at the time of the raise.
    pub ratio_bits: f64,
}

impl Sine {
    /// Levels that it uses.
    pub fn depth(&self) -> u32 {
        let tree = |degree: usize| (degree + 1).next_power_of_two().trailing_zeros();
        tree(self.degree) + self.double_angles + if self.arcsine > 1 { tree(self.arcsine) } else { 0 }
    }
}

/// Every choice that a bootstrap depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapChoice {
    /// Ring.
    pub log_n: LogN,
    /// How many slots are bootstrapped, a power of two: the message repeats with this period.
    pub slots: Slots,
    /// Where slots-to-coeffs stands.
    pub order: Order,
    /// Levels for the program between two bootstraps.
    pub levels: Depth,
    /// log2 of the scale of those levels.
    pub scale_bits: f64,
    /// log2 of q(0), below 50.
    pub base_bits: f64,
    /// log2 of the primes above the program's: of both transforms and of eval-mod but for its boost.
    pub eval_bits: f64,
    /// How many bits the scale at the top of eval-mod is above that of its primes. Noise of T₂ grows by 4 with every
    /// later doubling of the degree where its argument is small, so that the first products need more precision.
    pub boost_bits: f64,
    /// log2 of the radix of each factor of coeffs-to-slots, first factor first; one level each.
    pub coeffs_to_slots: Vec<u32>,
    /// The same for slots-to-coeffs.
    pub slots_to_coeffs: Vec<u32>,
    /// Eval-mod.
    pub sine: Sine,
    /// Hamming weight of the sparse secret at the raise.
    pub weight: usize,
    /// log2 of the largest probability of failure of a bootstrap that is accepted.
    pub log2_failure: f64,
    /// Primes a key-switching digit.
    pub digit_size: usize,
    /// Accept less than 128 bits.
    pub insecure_toy: bool,
}

/// A choice that has been checked, with its primes.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapParameters {
    choice: BootstrapChoice,
    parameters: Parameters,
    encapsulation: Parameters,
    bound: u32,
}

impl Parameters {
    /// The ring and the modulus q(0)·p at which a ciphertext of these parameters is switched to a sparse secret, with one
    /// special prime p. A table for dense secrets says nothing about it.
    ///
    /// # Errors
    /// When there is no such prime.
    pub fn encapsulation(&self) -> Result<Parameters, ParametersError> {
        Parameters::check(chain::encapsulation(self)?)
    }
}

impl BootstrapParameters {
    /// Choose the primes and check everything.
    ///
    /// # Errors
    /// Whatever is wrong with the choice, or with the parameters that follow from it.
    pub fn check(choice: BootstrapChoice) -> Result<Self, ParametersError> {
        let refuse = |reason: &'static str| Err(ParametersError::Bootstrap(reason));
        let c = &choice;
        let (log_slots, power) = (c.slots.0.trailing_zeros(), c.slots.0.is_power_of_two());
        if !(4..=17).contains(&c.log_n.0) {
            return Err(ParametersError::Ring(c.log_n.0));
        }
        if !power || c.slots.0 < 2 || c.slots > c.log_n.slots() {
            return refuse("the number of slots is a power of two from 2 to N/2");
        }
        let radices = [&c.coeffs_to_slots, &c.slots_to_coeffs];
        if radices
            .iter()
            .any(|r| r.contains(&0) || r.len() > 17 || r.iter().map(|&r| u64::from(r)).sum::<u64>() != log_slots.into())
        {
            return refuse("the radices of a transform multiply to the number of slots");
        }
        let Sine { degree, double_angles, arcsine, ratio_bits } = c.sine;
        if degree < 2 || !degree.is_multiple_of(2) || degree > 1022 || double_angles > 8 {
            return refuse("the cosine has an even degree of 2 to 1022 and at most 8 double angles");
        }
        if arcsine.is_multiple_of(2) || arcsine > 15 {
            return refuse("the arcsine has an odd degree of at most 15");
        }
        if !(1.0..=40.0).contains(&ratio_bits) {
            return refuse("the message ratio lies between 2^1 and 2^40");
        }
        if c.weight == 0 || c.weight > c.log_n.degree().min(1 << 10) {
            return refuse("the sparse secret has a Hamming weight of 1 to 1024");
        }
        let bits = [c.scale_bits, c.base_bits, c.eval_bits];
        if bits.iter().any(|b| !(15.0..100.0).contains(b))
            || c.base_bits >= 50.0
            || c.levels.0 > 100
            || !(0.0..=20.0).contains(&c.boost_bits)
        {
            return refuse("scales and primes have 15 bits at least, and the base is one prime below 2^50");
        }
        let literal = chain::literal(&choice)?;
        Self::with_primes(choice, literal)
    }

    /// The same with fewer levels for the program: what such a bootstrap takes and gives are ciphertexts of these
    /// parameters too, and with fewer primes in between it costs less.
    ///
    /// # Errors
    /// More levels than there are.
    pub fn with_levels(&self, levels: Depth) -> Result<Self, ParametersError> {
        if levels > self.choice.levels {
            return Err(ParametersError::Bootstrap("a shorter bootstrap leaves fewer levels, not more"));
        }
        let choice = BootstrapChoice { levels, ..self.choice.clone() };
        let literal = chain::shortened(self, &choice)?;
        Self::with_primes(choice, literal)
    }

    fn with_primes(choice: BootstrapChoice, literal: ParametersLiteral) -> Result<Self, ParametersError> {
        let c = &choice;
        let bound = overflow_bound(c.weight, 2 * c.slots.0, c.log2_failure);
        if log2_failure(c.weight, bound, 2 * c.slots.0) > c.log2_failure {
            return Err(ParametersError::Bootstrap("no bound on the overflow has so small a probability of failure"));
        }
        let parameters = Parameters::check(literal)?;
        let encapsulation = parameters.encapsulation()?;
        let checked = BootstrapParameters { choice, parameters, encapsulation, bound };
        let report = checked.encapsulation_report();
        if !report.is_secure() && !checked.choice.insecure_toy {
            return Err(ParametersError::InsecureEncapsulation { bits: report.bits, log_modulus: report.log_modulus });
        }
        Ok(checked)
    }

    /// What was chosen.
    pub fn choice(&self) -> &BootstrapChoice {
        &self.choice
    }

    /// Primes and scales.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The ring and the modulus q(0)·p at which a ciphertext is switched to the sparse secret: those of
    /// [`Parameters::encapsulation`].
    pub fn encapsulation(&self) -> &Parameters {
        &self.encapsulation
    }

    /// The security of that switch.
    pub fn encapsulation_report(&self) -> EncapsulationReport {
        let log_modulus = self.encapsulation.security().log_qp;
        EncapsulationReport::new(self.choice.log_n, self.choice.weight, log_modulus)
    }

    /// What a bootstrap is predicted to add to the slots.
    pub fn error(&self) -> BootstrapError {
        BootstrapError::of(&self.choice)
    }

    /// Overflows up to this size are corrected.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// log2 of the probability that a bootstrap of any message fails: that some coefficient overflows further.
    pub fn log2_failure(&self) -> f64 {
        log2_failure(self.choice.weight, self.bound, 2 * self.choice.slots.0)
    }

    /// The level at which a bootstrap takes its input.
    pub fn input_level(&self) -> Level {
        match self.choice.order {
            Order::CoeffsFirst => Level(self.choice.slots_to_coeffs.len() as u32),
            Order::CoeffsLast => Level(0),
        }
    }

    /// The level of the result.
    pub fn output_level(&self) -> Level {
        Level(self.input_level().0 + self.choice.levels.0)
    }

    /// The level at which slots-to-coeffs starts.
    pub fn slots_to_coeffs_level(&self) -> Level {
        match self.choice.order {
            Order::CoeffsFirst => self.input_level(),
            Order::CoeffsLast => Level(self.output_level().0 + self.choice.slots_to_coeffs.len() as u32),
        }
    }

    /// The level at which eval-mod starts, after coeffs-to-slots.
    pub fn eval_mod_level(&self) -> Level {
        Level(self.output_level().0.max(self.slots_to_coeffs_level().0) + self.choice.sine.depth())
    }

    /// The level to which a ciphertext is raised.
    pub fn raised_level(&self) -> Level {
        self.parameters.top_level()
    }
}
