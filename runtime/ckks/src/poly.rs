//! A polynomial as residues: the one container of all data.

use hec_arith::NttTable;
use rayon::prelude::*;
use zeroize::Zeroize;

use crate::Context;

/// Below this many residues, starting threads costs more than it gains.
const PARALLEL_RESIDUES: usize = 1 << 15;

/// Which primes a polynomial is held by: the first `q` ciphertext primes, then all special primes if `special`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Basis {
    pub q: usize,
    pub special: bool,
}

/// A polynomial of degree below N: one limb of N residues a prime, in NTT evaluation order unless said otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Poly {
    n: usize,
    basis: Basis,
    data: Vec<f64>,
}

impl Poly {
    pub fn zero(context: &Context, basis: Basis) -> Self {
        let n = context.degree();
        Poly { n, basis, data: vec![0.0; n * context.limb_count(basis)] }
    }

    pub fn basis(&self) -> Basis {
        self.basis
    }

    pub fn degree(&self) -> usize {
        self.n
    }

    pub fn data(&self) -> &[f64] {
        &self.data
    }

    pub fn limb(&self, k: usize) -> &[f64] {
        &self.data[k * self.n..(k + 1) * self.n]
    }

    pub fn limbs(&self) -> Vec<&[f64]> {
        self.data.chunks_exact(self.n).collect()
    }

    pub fn limbs_mut(&mut self) -> Vec<&mut [f64]> {
        self.data.chunks_exact_mut(self.n).collect()
    }

    /// A copy of the first `q` limbs.
    pub fn prefix(&self, q: usize) -> Poly {
        Poly { n: self.n, basis: Basis { q, special: false }, data: self.data[..q * self.n].to_vec() }
    }

    /// Work on every limb, in parallel where that pays.
    pub fn for_each_limb(&mut self, context: &Context, work: impl Fn(usize, &NttTable, &mut [f64]) + Sync) {
        let basis = self.basis;
        each_chunk(&mut self.data, self.n, |k, limb| work(k, context.table(basis, k), limb));
    }

    /// From evaluations to coefficients.
    pub fn inverse(&mut self, context: &Context) {
        self.for_each_limb(context, |_, table, limb| table.inverse(limb));
    }
}

/// Work on the limbs of two polynomials of one basis together.
pub(crate) fn for_each_limb_pair(
    context: &Context,
    first: &mut Poly,
    second: &mut Poly,
    work: impl Fn(usize, &NttTable, &mut [f64], &mut [f64]) + Sync,
) {
    debug_assert_eq!(first.basis, second.basis);
    let (n, basis) = (first.n, first.basis);
    let run = |(k, (a, b)): (usize, (&mut [f64], &mut [f64]))| work(k, context.table(basis, k), a, b);
    if is_worth_threads(first.data.len()) {
        first.data.par_chunks_exact_mut(n).zip(second.data.par_chunks_exact_mut(n)).enumerate().for_each(run);
    } else {
        first.data.chunks_exact_mut(n).zip(second.data.chunks_exact_mut(n)).enumerate().for_each(run);
    }
}

/// Work on consecutive chunks of `size`, in parallel where that pays.
pub(crate) fn each_chunk(data: &mut [f64], size: usize, work: impl Fn(usize, &mut [f64]) + Sync) {
    if is_worth_threads(data.len()) {
        data.par_chunks_exact_mut(size).enumerate().for_each(|(k, chunk)| work(k, chunk));
    } else {
        data.chunks_exact_mut(size).enumerate().for_each(|(k, chunk)| work(k, chunk));
    }
}

pub(crate) fn is_worth_threads(residues: usize) -> bool {
    residues >= PARALLEL_RESIDUES
}

/// A polynomial that gives away the secret key; wiped when dropped.
#[derive(Debug)]
pub(crate) struct SecretPoly(pub Poly);

impl Drop for SecretPoly {
    fn drop(&mut self) {
        self.0.data.zeroize();
    }
}
