//! Where randomness comes from.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::f64::consts::TAU;
use zeroize::Zeroizing;

use crate::CkksError;

/// A seed of a ChaCha20 stream.
pub(crate) type Seed = [u8; 32];

/// A generator seeded by the operating system: the one to use for keys and encryptions.
///
/// # Errors
/// [`CkksError::Randomness`] when the operating system refuses.
pub fn os_rng() -> Result<ChaCha20Rng, CkksError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(CkksError::Randomness)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

pub(crate) fn new_seed(rng: &mut ChaCha20Rng) -> Seed {
    let mut seed = [0u8; 32];
    rng.fill_bytes(&mut seed);
    seed
}

/// The stream of one limb of seeded uniform polynomials: limbs can be expanded in any order, and a prime has the
/// same residues at every level.
pub(crate) fn seeded_stream(seed: &Seed, polynomial: usize, prime_index: usize) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    rng.set_stream(((polynomial as u64) << 32) | prime_index as u64);
    rng
}

/// Rounded normal integers of any standard deviation (Box, Muller 1958), for noise flooding.
pub(crate) fn wide_gaussian(rng: &mut ChaCha20Rng, count: usize, std_dev: f64) -> Vec<f64> {
    // 53 random bits in (0, 1].
    let mut unit = || ((rng.next_u64() >> 11) + 1) as f64 * 2f64.powi(-53);
    (0..count).map(|_| ((-2.0 * unit().ln()).sqrt() * (TAU * unit()).cos() * std_dev).round()).collect()
}
