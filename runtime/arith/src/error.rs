//! What can be wrong with a request to this crate.

use crate::Backend;

/// Why a table, a converter or a sampler could not be made, or a backend not be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArithError {
    /// The ring degree has no transform here.
    #[error("ring degree 2^{0} is outside 2^4..2^17; choose log2 N between 4 and 17")]
    RingDegree(u32),
    /// The modulus does not allow exact arithmetic in `f64`.
    #[error("modulus {0} is not an odd prime below 2^50; choose another")]
    NotAPrime(u64),
    /// The prime has no primitive 2N-th root of unity.
    #[error("prime {p} is not 1 modulo 2N = 2^{log_2n}, so it has no negacyclic transform; choose a prime that is")]
    NotNttFriendly {
        /// The prime.
        p: u64,
        /// log2 of 2N.
        log_2n: u32,
    },
    /// An automorphism X → X^g needs an odd g below 2N.
    #[error("Galois element {0} is not odd and below 2N")]
    GaloisElement(u64),
    /// Base conversion needs at least one prime to convert from, and no prime twice.
    #[error("a base must be one or more different primes; {0:?} is not")]
    Base(Vec<u64>),
    /// A value to embed is not an integer.
    #[error("a value to embed is not a finite integer; round the values first")]
    NotAnInteger,
    /// A standard deviation that the Gaussian sampler does not serve.
    #[error("standard deviation {0} is outside (0, 1024]")]
    StandardDeviation(f64),
    /// The processor lacks the instructions of a backend.
    #[error("this processor cannot run the {0:?} kernels; use Backend::available() to see which it can")]
    Backend(Backend),
}
