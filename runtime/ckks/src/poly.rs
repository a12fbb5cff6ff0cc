//! A polynomial as residues: the one container of all data.

use std::ops::Range;

use hec_arith::NttTable;
use rayon::prelude::*;
use zeroize::Zeroize;

use crate::Context;
use crate::limb::Limb;

/// Below this many residues, starting threads costs more than it gains.
pub(crate) const PARALLEL_RESIDUES: usize = 1 << 15;

/// Which primes a polynomial is held by: the first `q` ciphertext primes, then all special primes if `special`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Basis {
    pub q: usize,
    pub special: bool,
}

/// A polynomial of degree below N: one limb of N residues a prime, in NTT evaluation order unless said otherwise.
#[derive(Debug)]
pub(crate) struct Poly {
    basis: Basis,
    limbs: Vec<Limb>,
}

impl Poly {
    pub fn zero(context: &Context, basis: Basis) -> Self {
        let mut zero = Self::any(context, basis);
        each_limb(&mut zero.limbs, |_, limb| limb.fill(0.0));
        zero
    }

    /// With any content: for results that overwrite all of it.
    pub fn any(context: &Context, basis: Basis) -> Self {
        Poly { basis, limbs: (0..context.limb_count(basis)).map(|_| context.pool().any()).collect() }
    }

    /// From one limb a prime of the basis.
    pub fn from_limbs(basis: Basis, limbs: Vec<Limb>) -> Self {
        Poly { basis, limbs }
    }

    /// Whether it belongs to this basis of these parameters, as far as its shape tells.
    pub fn fits(&self, context: &Context, basis: Basis) -> bool {
        self.basis == basis && self.degree() == context.degree()
    }

    pub fn basis(&self) -> Basis {
        self.basis
    }

    pub fn degree(&self) -> usize {
        self.limbs.first().map_or(0, |limb| limb.len())
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.limbs.len() * self.degree() * size_of::<f64>()
    }

    pub fn limb(&self, k: usize) -> &[f64] {
        &self.limbs[k]
    }

    pub fn limbs(&self) -> &[Limb] {
        &self.limbs
    }

    pub fn limbs_mut(&mut self) -> &mut [Limb] {
        &mut self.limbs
    }

    /// The limbs split into these groups, which hold all of them in order.
    pub fn limb_groups_mut(&mut self, groups: &[Range<usize>]) -> Vec<&mut [Limb]> {
        let mut rest = &mut self.limbs[..];
        let take = |group: &Range<usize>| rest.split_off_mut(..group.len()).unwrap_or_default();
        groups.iter().map(take).collect()
    }

    /// A copy of the first `q` limbs.
    pub fn prefix(&self, q: usize) -> Poly {
        Poly { basis: Basis { q, special: false }, limbs: copies(&self.limbs[..q]) }
    }

    /// Work on every limb, in parallel where that pays.
    pub fn for_each_limb(&mut self, context: &Context, work: impl Fn(usize, &NttTable, &mut [f64]) + Sync) {
        let basis = self.basis;
        each_limb(&mut self.limbs, |k, limb| work(k, context.table(basis, k), limb));
    }

    /// From evaluations to coefficients.
    pub fn inverse(&mut self, context: &Context) {
        self.for_each_limb(context, |_, table, limb| table.inverse(limb));
    }
}

impl Clone for Poly {
    fn clone(&self) -> Self {
        Poly { basis: self.basis, limbs: copies(&self.limbs) }
    }
}

/// Copies of limbs, made in parallel where that pays: memory is slow for one thread.
fn copies(limbs: &[Limb]) -> Vec<Limb> {
    if is_worth_threads(limbs) { limbs.par_iter().cloned().collect() } else { limbs.to_vec() }
}

/// Work on the limbs of two polynomials of one basis together.
pub(crate) fn for_each_limb_pair(
    context: &Context,
    first: &mut Poly,
    second: &mut Poly,
    work: impl Fn(usize, &NttTable, &mut [f64], &mut [f64]) + Sync,
) {
    debug_assert_eq!(first.basis, second.basis);
    let basis = first.basis;
    let run = |(k, (a, b)): (usize, (&mut Limb, &mut Limb))| work(k, context.table(basis, k), a, b);
    if is_worth_threads(&first.limbs) {
        first.limbs.par_iter_mut().zip(&mut second.limbs).enumerate().for_each(run);
    } else {
        first.limbs.iter_mut().zip(&mut second.limbs).enumerate().for_each(run);
    }
}

/// Work on each of several limbs, in parallel where that pays.
pub(crate) fn each_limb(limbs: &mut [Limb], work: impl Fn(usize, &mut [f64]) + Sync) {
    if is_worth_threads(limbs) {
        limbs.par_iter_mut().enumerate().for_each(|(k, limb)| work(k, limb));
    } else {
        limbs.iter_mut().enumerate().for_each(|(k, limb)| work(k, limb));
    }
}

pub(crate) fn is_worth_threads(limbs: &[Limb]) -> bool {
    limbs.iter().map(|limb| limb.len()).sum::<usize>() >= PARALLEL_RESIDUES
}

/// A polynomial that gives away the secret key; wiped when dropped.
#[derive(Debug)]
pub(crate) struct SecretPoly(pub Poly);

impl Drop for SecretPoly {
    fn drop(&mut self) {
        self.0.limbs.iter_mut().for_each(|limb| limb.zeroize());
    }
}
