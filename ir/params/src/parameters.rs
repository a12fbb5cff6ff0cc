//! A parameter set as it is asked for and as it has been checked.

use crate::security::log2_product;
use crate::{Level, LogN, PRIME_LIMIT_BITS, Scale, SecurityReport, Slots, is_prime, max_log_qp};
use serde::{Deserialize, Serialize};

/// What is asked for. Nothing here is trusted: [`Parameters::check`] looks at all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParametersLiteral {
    /// Ring.
    pub log_n: LogN,
    /// The primes of each level, level 0 first. Rescaling at level ℓ divides by the primes of level ℓ.
    pub levels: Vec<Vec<u64>>,
    /// The special primes P of hybrid key switching.
    pub special: Vec<u64>,
    /// How many consecutive primes make a key-switching digit (the last digit may be shorter).
    pub digit_size: usize,
    /// The scale of ciphertexts at the top level. Below it, Δ(ℓ−1) = Δ(ℓ)² / q(ℓ).
    pub top_scale: Scale,
    /// Accept a set below 128-bit security. Every report then says INSECURE.
    #[serde(default)]
    pub insecure_toy: bool,
}

/// Why a parameter set is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ParametersError {
    #[error("ring 2^{0} is outside 2^4..2^17")]
    Ring(u32),
    #[error("there must be at least one level, each with at least one prime, and at least one special prime")]
    Empty,
    #[error("{0} is not a prime below 2^50 that is 1 modulo 2N")]
    Prime(u64),
    #[error("prime {0} appears twice")]
    Repeated(u64),
    #[error("digit size {0} must lie between 1 and the number of primes, {1}")]
    DigitSize(usize, usize),
    #[error("special primes have {special:.1} bits, but a digit has {digit:.1}: key switching would drown in noise")]
    SpecialTooSmall { special: f64, digit: f64 },
    #[error("scale 2^{0:.1} does not fit below the modulus of level {1}")]
    Scale(f64, u32),
    #[error(
        "log2(QP) = {log_qp:.1} exceeds {max:?}, the 128-bit bound for N = 2^{log_n}; use a larger ring or fewer levels"
    )]
    Insecure { log_qp: f64, max: Option<f64>, log_n: u32 },
    #[error(
        "a top level of depth {depth} does not fit: log2(QP) would be {log_qp:.1}, at most {max:.1} for N = 2^{log_n}"
    )]
    TooDeep { depth: u32, log_qp: f64, max: f64, log_n: u32 },
    #[error("no more primes near 2^{0:.1}")]
    NoPrime(f64),
    #[error(
        "the sparse secret at log2(q) = {log_modulus:.1} holds 2^{bits:.0} operations only; use a larger ring or weight"
    )]
    InsecureEncapsulation { bits: f64, log_modulus: f64 },
    #[error("no bootstrap fits: ask for less precision or fewer levels, or use a larger ring")]
    NoBootstrap,
    #[error("a batch of {batch}: it must be a power of two, and at most the {slots} slots")]
    Batch { batch: usize, slots: usize },
    #[error("bootstrapping: {0}")]
    Bootstrap(&'static str),
}

/// A parameter set that has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    literal: ParametersLiteral,
    scales: Vec<Scale>,
}

impl Parameters {
    /// Check every property that the scheme relies on.
    pub fn check(literal: ParametersLiteral) -> Result<Self, ParametersError> {
        let l = &literal;
        if !(4..=17).contains(&l.log_n.0) {
            return Err(ParametersError::Ring(l.log_n.0));
        }
        if l.levels.is_empty() || l.levels.iter().any(Vec::is_empty) || l.special.is_empty() {
            return Err(ParametersError::Empty);
        }
        let primes: Vec<u64> = l.levels.iter().flatten().copied().collect();
        let mut seen = std::collections::BTreeSet::new();
        for &p in primes.iter().chain(&l.special) {
            if p >> PRIME_LIMIT_BITS != 0 || p % (2 * l.log_n.degree() as u64) != 1 || !is_prime(p) {
                return Err(ParametersError::Prime(p));
            }
            if !seen.insert(p) {
                return Err(ParametersError::Repeated(p));
            }
        }
        if l.digit_size == 0 || l.digit_size > primes.len() {
            return Err(ParametersError::DigitSize(l.digit_size, primes.len()));
        }
        let special = log2_product(&l.special);
        let digit = primes.chunks(l.digit_size).map(log2_product).fold(0.0, f64::max);
        // P a little smaller than a digit costs little noise; much smaller destroys the message.
        if special < digit - 6.0 {
            return Err(ParametersError::SpecialTooSmall { special, digit });
        }
        let security = l.security();
        if !l.insecure_toy && !security.is_secure() {
            return Err(ParametersError::Insecure {
                log_qp: security.log_qp,
                max: security.max_log_qp,
                log_n: l.log_n.0,
            });
        }
        let scales = scales_of(l)?;
        Ok(Parameters { literal, scales })
    }

    /// What was asked for.
    pub fn literal(&self) -> &ParametersLiteral {
        &self.literal
    }

    /// Ring.
    pub fn log_n(&self) -> LogN {
        self.literal.log_n
    }

    /// Slots of a ciphertext.
    pub fn slots(&self) -> Slots {
        self.literal.log_n.slots()
    }

    /// The level of a fresh ciphertext.
    pub fn top_level(&self) -> Level {
        Level(self.literal.levels.len() as u32 - 1)
    }

    /// The canonical scale of every rescaled ciphertext at `level`; also the scale at which a plaintext factor is
    /// encoded there, so that the product rescales exactly to the scale of the level below.
    pub fn scale(&self, level: Level) -> Scale {
        self.scales[level.index()]
    }

    /// The primes that a ciphertext at `level` holds, level 0 first.
    pub fn primes_at(&self, level: Level) -> impl Iterator<Item = u64> + '_ {
        self.literal.levels[..=level.index()].iter().flatten().copied()
    }

    /// How many primes a ciphertext at `level` holds.
    pub fn prime_count(&self, level: Level) -> usize {
        self.literal.levels[..=level.index()].iter().map(Vec::len).sum()
    }

    /// log2 of the modulus at `level`.
    pub fn log_q(&self, level: Level) -> f64 {
        log2_product(self.literal.levels[..=level.index()].iter().flatten())
    }

    /// The special primes.
    pub fn special(&self) -> &[u64] {
        &self.literal.special
    }

    /// Primes a key-switching digit.
    pub fn digit_size(&self) -> usize {
        self.literal.digit_size
    }

    /// The security line.
    pub fn security(&self) -> SecurityReport {
        self.literal.security()
    }
}

impl ParametersLiteral {
    /// What the security of such a set would rest on, checked or not.
    pub fn security(&self) -> SecurityReport {
        SecurityReport {
            log_n: self.log_n,
            log_qp: log2_product(self.levels.iter().flatten().chain(&self.special)),
            max_log_qp: max_log_qp(self.log_n),
            insecure_toy: self.insecure_toy,
        }
    }
}

/// Δ(ℓ−1) = Δ(ℓ)² / q(ℓ): then every product of two ciphertexts of one level has the scale of the next.
fn scales_of(l: &ParametersLiteral) -> Result<Vec<Scale>, ParametersError> {
    let mut scales = vec![l.top_scale; l.levels.len()];
    for level in (0..l.levels.len()).rev() {
        if level + 1 < l.levels.len() {
            let above = scales[level + 1].0;
            let q = l.levels[level + 1].iter().fold(1.0, |q, &p| q * p as f64);
            scales[level] = Scale(above * (above / q));
        }
        let log_q = log2_product(l.levels[..=level].iter().flatten());
        let log_scale = scales[level].log2();
        if !(log_scale >= 10.0 && log_scale < log_q) {
            return Err(ParametersError::Scale(log_scale, level as u32));
        }
    }
    Ok(scales)
}
