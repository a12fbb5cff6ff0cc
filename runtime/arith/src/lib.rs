//! Arithmetic modulo primes below 2^50 in f64: NTT and vector kernels.
