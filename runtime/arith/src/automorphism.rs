//! Automorphisms X → X^g of Z[X]/(X^N + 1): rotations of the slots and conjugation.

use crate::ArithError;
use crate::order::evaluation_exponents;
use hec_params::{LogN, Rotation};

/// The Galois element of a rotation of the slots to the left: 5^r mod 2N.
pub fn galois_element_for_rotation(rotation: Rotation, log_n: LogN) -> u64 {
    let mask = 2 * log_n.degree() as u64 - 1;
    let (mut result, mut base, mut e) = (1, 5, rotation.0);
    while e > 0 {
        if e & 1 == 1 {
            result = (result * base) & mask;
        }
        base = (base * base) & mask;
        e >>= 1;
    }
    result
}

/// The Galois element of complex conjugation of the slots: 2N − 1.
pub fn conjugation_galois_element(log_n: LogN) -> u64 {
    2 * log_n.degree() as u64 - 1
}

/// The automorphism a(X) → a(X^g), for limbs of any prime.
#[derive(Clone, Debug)]
pub struct Automorphism {
    galois_element: u64,
    /// In the evaluation order, `dst[i] = src[sources[i]]`.
    sources: Vec<u32>,
}

impl Automorphism {
    /// The automorphism X → X^g of the ring of degree N.
    pub fn new(log_n: LogN, galois_element: u64) -> Result<Self, ArithError> {
        if !(1..=17).contains(&log_n.0) {
            return Err(ArithError::RingDegree(log_n.0));
        }
        let two_n = 2 * log_n.degree();
        if galois_element.is_multiple_of(2) || galois_element >= two_n as u64 {
            return Err(ArithError::GaloisElement(galois_element));
        }
        let exponents = evaluation_exponents(log_n);
        let mut position = vec![0u32; two_n];
        for (i, &e) in exponents.iter().enumerate() {
            position[e as usize] = i as u32;
        }
        let g = galois_element as usize;
        let sources = exponents.iter().map(|&e| position[(e as usize * g) & (two_n - 1)]).collect();
        Ok(Automorphism { galois_element, sources })
    }

    /// g.
    pub fn galois_element(&self) -> u64 {
        self.galois_element
    }

    /// Applies it to a limb in evaluation order.
    ///
    /// # Panics
    /// If a slice is not N long.
    pub fn apply(&self, src: &[f64], dst: &mut [f64]) {
        assert_eq!((src.len(), dst.len()), (self.sources.len(), self.sources.len()), "limbs of length N");
        for (d, &i) in dst.iter_mut().zip(&self.sources) {
            *d = src[i as usize];
        }
    }

    /// Applies it to a limb of coefficients: the coefficient of X^i goes to X^(ig mod 2N), with X^N = −1.
    ///
    /// # Panics
    /// If a slice is not N long.
    pub fn apply_coefficients(&self, src: &[f64], dst: &mut [f64]) {
        let n = self.sources.len();
        assert_eq!((src.len(), dst.len()), (n, n), "limbs of length N");
        let g = self.galois_element as usize;
        for (i, &c) in src.iter().enumerate() {
            let target = (i * g) & (2 * n - 1);
            if target < n {
                dst[target] = c;
            } else {
                dst[target - n] = 0.0 - c;
            }
        }
    }
}
