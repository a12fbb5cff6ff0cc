//! Residues as packed integers: each prime takes the fewest whole bytes that hold it (6 for a 45-bit prime), which is
//! a quarter smaller than 64-bit words and, unlike packed bits, needs no shifts across bytes.

use std::io::{self, Write};

use super::FileError;
use crate::Context;
use crate::poly::{Basis, Poly};

fn width(p: u64) -> usize {
    (u64::BITS - p.leading_zeros()).div_ceil(8) as usize
}

/// Bytes of a polynomial.
pub(super) fn length(context: &Context, basis: Basis) -> u64 {
    let primes = (0..context.limb_count(basis)).map(|k| context.table(basis, k).modulus().value());
    primes.map(|p| (context.degree() * width(p)) as u64).sum()
}

pub(super) fn write(context: &Context, poly: &Poly, sink: &mut dyn Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (k, limb) in poly.limbs().into_iter().enumerate() {
        let m = context.table(poly.basis(), k).modulus();
        let width = width(m.value());
        bytes.clear();
        for &r in limb {
            bytes.extend_from_slice(&m.to_u64(r).to_le_bytes()[..width]);
        }
        sink.write_all(&bytes)?;
    }
    Ok(())
}

/// A polynomial from the start of `bytes`, which has at least [`length`] of them; moves on to the rest.
pub(super) fn read(context: &Context, basis: Basis, bytes: &mut &[u8]) -> Result<Poly, FileError> {
    let mut poly = Poly::zero(context, basis);
    for (k, limb) in poly.limbs_mut().iter_mut().enumerate() {
        let p = context.table(basis, k).modulus().value();
        let width = width(p);
        let (own, rest) = bytes.split_at_checked(width * limb.len()).ok_or(FileError::Corrupt("a short section"))?;
        *bytes = rest;
        for (r, packed) in limb.iter_mut().zip(own.chunks_exact(width)) {
            let mut word = [0; 8];
            word[..width].copy_from_slice(packed);
            let x = u64::from_le_bytes(word);
            if x >= p {
                return Err(FileError::Corrupt("a residue that is not below its prime"));
            }
            *r = if x > p / 2 { -((p - x) as f64) } else { x as f64 };
        }
    }
    Ok(poly)
}
