//! What operations cost on a machine: the one cost model, read by packing, planning, scheduling and reports.
//!
//! Units: seconds of one thread. The table holds a few measured primitives per ring element; the costs of operations
//! follow from how many of them each takes (hybrid key switching as in Han and Ki 2020, hoisting as in Bossuat et al.
//! 2021 §4). `hec-run calibrate` measures a table; the built-in one stands until it is given another.

use crate::program::BabyGiant;
use crate::{Level, Parameters, SlotMap};
use serde::{Deserialize, Serialize};

/// Measured primitives, in nanoseconds of one thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostTable {
    /// One NTT butterfly.
    pub butterfly: f64,
    /// One multiplication with addition of residues in memory.
    pub multiply_add: f64,
    /// One addition or permutation of residues in memory.
    pub add: f64,
    /// One butterfly of the encoding FFT.
    pub fft_butterfly: f64,
    /// How much faster all threads of the machine are than one.
    pub parallel_speedup: f64,
}

impl Default for CostTable {
    /// As `hec-run calibrate` measured them on two cores with AVX-512 (Zen 4).
    fn default() -> Self {
        CostTable { butterfly: 0.22, multiply_add: 0.52, add: 0.36, fft_butterfly: 2.6, parallel_speedup: 1.7 }
    }
}

/// How a ciphertext looks at a level: what costs depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RingSize {
    /// log2 of the degree.
    pub log_n: u32,
    /// Primes of the ciphertext.
    pub primes: usize,
    /// Special primes.
    pub special: usize,
    /// Primes a digit.
    pub digit_size: usize,
}

impl RingSize {
    /// Of a ciphertext at `level`.
    pub fn at(parameters: &Parameters, level: Level) -> Self {
        RingSize {
            log_n: parameters.log_n().0,
            primes: parameters.prime_count(level),
            special: parameters.special().len(),
            digit_size: parameters.digit_size(),
        }
    }

    fn degree(&self) -> f64 {
        (1u64 << self.log_n) as f64
    }

    fn digits(&self) -> f64 {
        self.primes.div_ceil(self.digit_size) as f64
    }

    fn extended(&self) -> f64 {
        (self.primes + self.special) as f64
    }
}

const NANO: f64 = 1e-9;
/// A product with a number in that with a diagonal, which comes from memory.
const NUMBER: f64 = 0.4;

impl CostTable {
    /// NTTs of `limbs` polynomials.
    fn ntt(&self, ring: &RingSize, limbs: f64) -> f64 {
        NANO * self.butterfly * limbs * ring.degree() * ring.log_n as f64 / 2.0
    }

    fn multiply_adds(&self, ring: &RingSize, limbs: f64) -> f64 {
        NANO * self.multiply_add * limbs * ring.degree()
    }

    /// Sum of two ciphertexts.
    pub fn addition(&self, ring: &RingSize) -> f64 {
        NANO * self.add * 2.0 * ring.primes as f64 * ring.degree()
    }

    /// Product with an encoded plaintext.
    pub fn multiply_plain(&self, ring: &RingSize) -> f64 {
        self.multiply_adds(ring, 2.0 * ring.primes as f64)
    }

    /// Product of two ciphertexts, without relinearization.
    pub fn multiply(&self, ring: &RingSize) -> f64 {
        self.multiply_adds(ring, 4.0 * ring.primes as f64)
    }

    /// Encoding of a plaintext in `limbs` primes.
    pub fn encode(&self, ring: &RingSize, limbs: usize) -> f64 {
        let fft = NANO * self.fft_butterfly * ring.degree() / 2.0 * (ring.log_n as f64 - 1.0) / 2.0;
        fft + self.ntt(ring, limbs as f64) + self.multiply_adds(ring, limbs as f64)
    }

    /// mod_up of one polynomial: all its digits in the extended basis.
    pub fn decompose(&self, ring: &RingSize) -> f64 {
        let converted = ring.digits() * ring.extended() - ring.primes as f64;
        self.ntt(ring, ring.primes as f64 + converted) + self.multiply_adds(ring, converted * ring.digit_size as f64)
    }

    /// Inner product of a decomposition with a key, in the extended basis.
    pub fn inner_product(&self, ring: &RingSize) -> f64 {
        self.multiply_adds(ring, 2.0 * ring.digits() * ring.extended())
    }

    /// mod_down of one polynomial.
    pub fn mod_down(&self, ring: &RingSize) -> f64 {
        self.ntt(ring, ring.extended()) + self.multiply_adds(ring, (ring.special * ring.primes) as f64)
    }

    /// Relinearization, or a rotation without a shared decomposition.
    pub fn key_switch(&self, ring: &RingSize) -> f64 {
        self.decompose(ring) + self.inner_product(ring) + 2.0 * self.mod_down(ring)
    }

    /// Division by the primes of one level, two polynomials.
    pub fn rescale(&self, ring: &RingSize) -> f64 {
        2.0 * (self.ntt(ring, ring.primes as f64) + self.multiply_adds(ring, ring.primes as f64))
    }

    /// A linear map at the level of its input, with double hoisting. Diagonals are encoded while it runs, but for those
    /// that are numbers.
    pub fn linear(&self, ring: &RingSize, map: &SlotMap, plan: &BabyGiant) -> f64 {
        let shape = LinearShape::of(map, plan);
        let numbers = map.numbers();
        let diagonals = shape.diagonals - numbers;
        let of_numbers = numbers as f64 * NUMBER * self.multiply_adds(ring, 2.0 * ring.extended());
        self.linear_shape(ring, &LinearShape { diagonals, ..shape })
            + diagonals as f64 * self.encode(ring, ring.primes + ring.special)
            + of_numbers
    }

    /// The same from counts alone, without encoding.
    pub fn linear_shape(&self, ring: &RingSize, shape: &LinearShape) -> f64 {
        let decompose = if shape.babies > 0 { shape.inputs as f64 * self.decompose(ring) } else { 0.0 };
        let permute = NANO * self.add * 2.0 * ring.extended() * ring.degree();
        let babies = (shape.inputs * shape.babies) as f64 * (self.inner_product(ring) + permute);
        let products = shape.diagonals as f64 * self.multiply_adds(ring, 2.0 * ring.extended());
        let giants = (shape.outputs * shape.giants) as f64
            * (self.mod_down(ring) + self.decompose(ring) + self.inner_product(ring) + permute);
        decompose + babies + products + giants + shape.outputs as f64 * (2.0 * self.mod_down(ring) + self.rescale(ring))
    }
}

/// Counts that decide what a linear map costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinearShape {
    /// Ciphertexts in.
    pub inputs: usize,
    /// Ciphertexts out.
    pub outputs: usize,
    /// Non-zero diagonals over all blocks.
    pub diagonals: usize,
    /// Baby steps that rotate.
    pub babies: usize,
    /// Giant steps that rotate.
    pub giants: usize,
}

impl LinearShape {
    /// The counts of a planned map.
    pub fn of(map: &SlotMap, plan: &BabyGiant) -> Self {
        let turning = |r: &[crate::Rotation]| r.iter().filter(|r| !r.is_zero()).count();
        LinearShape {
            inputs: map.inputs as usize,
            outputs: map.outputs as usize,
            diagonals: map.diagonals.len(),
            babies: turning(&plan.babies()),
            giants: turning(&plan.giants()),
        }
    }
}
