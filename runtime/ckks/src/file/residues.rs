//! Residues as packed integers: each prime takes the fewest whole bytes that hold it (6 for a 45-bit prime), which is
//! a quarter smaller than 64-bit words and, unlike packed bits, needs no shifts across bytes.

use std::io::{self, Write};

use hec_arith::Modulus;
use rayon::prelude::*;

use super::FileError;
use crate::Context;
use crate::limb::Limb;
use crate::poly::{Basis, Poly};

fn width(p: u64) -> usize {
    (u64::BITS - p.leading_zeros()).div_ceil(8) as usize
}

/// Bytes of each limb of a polynomial.
fn lengths(context: &Context, basis: Basis) -> impl Iterator<Item = usize> {
    let prime = move |k| context.table(basis, k).modulus().value();
    (0..context.limb_count(basis)).map(move |k| context.degree() * width(prime(k)))
}

/// Bytes of a polynomial.
pub(super) fn length(context: &Context, basis: Basis) -> u64 {
    lengths(context, basis).map(|length| length as u64).sum()
}

pub(super) fn write(context: &Context, poly: &Poly, sink: &mut dyn Write) -> io::Result<()> {
    let pack_limb = |(k, limb): (usize, &Limb)| {
        let m = context.table(poly.basis(), k).modulus();
        match width(m.value()) {
            1 => pack::<1>(m, limb),
            2 => pack::<2>(m, limb),
            3 => pack::<3>(m, limb),
            4 => pack::<4>(m, limb),
            5 => pack::<5>(m, limb),
            6 => pack::<6>(m, limb),
            _ => pack::<7>(m, limb),
        }
    };
    let packed: Vec<Vec<u8>> = poly.limbs().par_iter().enumerate().map(pack_limb).collect();
    packed.iter().try_for_each(|bytes| sink.write_all(bytes))
}

/// A polynomial from the start of `bytes`; moves on to the rest.
pub(super) fn read(context: &Context, basis: Basis, bytes: &mut &[u8]) -> Result<Poly, FileError> {
    let mut packed = Vec::new();
    for length in lengths(context, basis) {
        let (own, rest) = bytes.split_at_checked(length).ok_or(FileError::Corrupt("a short section"))?;
        *bytes = rest;
        packed.push(own);
    }
    let mut poly = Poly::any(context, basis);
    let below = poly.limbs_mut().par_iter_mut().zip(packed).enumerate().map(|(k, (limb, bytes))| {
        let p = context.table(basis, k).modulus().value();
        match width(p) {
            1 => unpack::<1>(p, bytes, limb),
            2 => unpack::<2>(p, bytes, limb),
            3 => unpack::<3>(p, bytes, limb),
            4 => unpack::<4>(p, bytes, limb),
            5 => unpack::<5>(p, bytes, limb),
            6 => unpack::<6>(p, bytes, limb),
            _ => unpack::<7>(p, bytes, limb),
        }
    });
    if below.all(|ok| ok) { Ok(poly) } else { Err(FileError::Corrupt("a residue that is not below its prime")) }
}

/// The lowest `W` bytes of each residue; primes are below 2^50, so that 7 always suffice.
fn pack<const W: usize>(m: Modulus, limb: &[f64]) -> Vec<u8> {
    let mut bytes = vec![0; W * limb.len()];
    for (packed, &r) in bytes.as_chunks_mut::<W>().0.iter_mut().zip(limb) {
        packed.copy_from_slice(&m.to_u64(r).to_le_bytes()[..W]);
    }
    bytes
}

/// Whether all residues are below `p`.
fn unpack<const W: usize>(p: u64, bytes: &[u8], limb: &mut [f64]) -> bool {
    let mut largest = 0;
    for (packed, r) in bytes.as_chunks::<W>().0.iter().zip(limb) {
        let mut word = [0; 8];
        word[..W].copy_from_slice(packed);
        let x = u64::from_le_bytes(word);
        largest = largest.max(x);
        *r = if x > p / 2 { x as f64 - p as f64 } else { x as f64 };
    }
    largest < p
}
