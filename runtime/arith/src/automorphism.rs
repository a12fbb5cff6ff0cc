//! Automorphisms X → X^g of Z[X]/(X^N + 1): rotations of the slots and conjugation.

use crate::order::evaluation_exponents;
use crate::{ArithError, Modulus, simd};
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
    n: usize,
    permutation: Permutation,
}

/// Elements of a block, or all if there are fewer.
pub(crate) const BLOCK: usize = 64;

/// What an automorphism does in the evaluation order: exponents whose positions differ in the lowest six bits are equal
/// modulo N/32, and so are their products with g. Blocks therefore go to blocks, in at most 64 patterns.
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    /// Where each block comes from, and the number of its pattern.
    blocks: Vec<(u32, u32)>,
    /// Where in its block each element comes from.
    patterns: Vec<[u8; BLOCK]>,
}

impl Permutation {
    /// The permutation dst\[i\] = src\[sources\[i\]\].
    pub(crate) fn new(sources: &[u32]) -> Self {
        let (mut blocks, mut patterns) = (Vec::new(), Vec::new());
        for sources in sources.chunks(BLOCK) {
            let mut pattern = [0; BLOCK];
            for (i, &source) in pattern.iter_mut().zip(sources) {
                *i = (source as usize % BLOCK) as u8;
            }
            let number = patterns.iter().position(|known| *known == pattern).unwrap_or(patterns.len());
            if number == patterns.len() {
                patterns.push(pattern);
            }
            blocks.push((sources[0] / BLOCK as u32, number as u32));
        }
        Permutation { blocks, patterns }
    }

    #[inline(always)]
    pub(crate) fn source(&self, block: usize) -> usize {
        self.blocks[block].0 as usize
    }

    #[inline(always)]
    pub(crate) fn pattern(&self, block: usize) -> &[u8; BLOCK] {
        &self.patterns[self.blocks[block].1 as usize]
    }
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
        let sources: Vec<u32> = exponents.iter().map(|&e| position[(e as usize * g) & (two_n - 1)]).collect();
        Ok(Automorphism { galois_element, n: sources.len(), permutation: Permutation::new(&sources) })
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
        assert_eq!((src.len(), dst.len()), (self.n, self.n), "limbs of length N");
        if self.n < BLOCK {
            dst.iter_mut().zip(self.permutation.pattern(0)).for_each(|(d, &i)| *d = src[usize::from(i)]);
        } else {
            simd::permute(&self.permutation, dst, src);
        }
    }

    /// dst = φ((a − b)·w) for limbs in evaluation order and one reduced residue w: the last step of a rotation.
    ///
    /// # Panics
    /// If a slice is not N long.
    pub fn apply_sub_mul_scalar(&self, m: Modulus, dst: &mut [f64], (a, b, w): (&[f64], &[f64], f64)) {
        assert_eq!((dst.len(), a.len(), b.len()), (self.n, self.n, self.n), "limbs of length N");
        if self.n < BLOCK {
            let mut products = a.to_vec();
            simd::sub_mul_scalar_assign(m, &mut products, b, w);
            self.apply(&products, dst);
        } else {
            simd::sub_mul_scalar_permute(m, &self.permutation, dst, (a, b, w));
        }
    }

    /// Applies it to a limb of coefficients: the coefficient of X^i goes to X^(ig mod 2N), with X^N = −1.
    ///
    /// # Panics
    /// If a slice is not N long.
    pub fn apply_coefficients(&self, src: &[f64], dst: &mut [f64]) {
        let n = self.n;
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
