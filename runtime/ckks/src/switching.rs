//! Hybrid key switching (Han, Ki 2020): from a ciphertext part under one secret to two parts under another.
//!
//! A key holds, for every digit j, an encryption of P·T_j·s_in under s_out modulo QP, where T_j is 1 modulo the primes
//! of digit j and 0 modulo the others. This gadget is the same at every level, so that a key for level ℓ is a prefix
//! of the key for a higher one.

use hec_arith::sample;
use hec_params::{ERROR_STD_DEV, Level};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::limb::Limb;
use crate::poly::{Basis, Poly, SecretPoly};
use crate::random::{Seed, new_seed, seeded_stream};
use crate::{CkksError, Context};

/// One switching key up to a level; the uniform halves are a seed on disk and expanded here.
#[derive(Clone, Debug)]
pub(crate) struct SwitchingKey {
    level: Level,
    seed: Seed,
    basis: Basis,
    digits: Vec<KeyDigit>,
}

#[derive(Clone, Debug)]
struct KeyDigit {
    /// −a·s_out + e + P·T_j·s_in.
    body: Poly,
    /// a.
    mask: Poly,
}

impl SwitchingKey {
    /// From `input` to `output`, both in QP of the top level.
    pub fn generate(
        context: &Context,
        input: &SecretPoly,
        output: &SecretPoly,
        level: Level,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, CkksError> {
        let seed = new_seed(rng);
        let basis = context.extended_basis(level);
        let mut bodies = Vec::new();
        for (j, (start, end)) in digit_ranges(context, level).enumerate() {
            let error = Zeroizing::new(sample::gaussian(rng, context.degree(), ERROR_STD_DEV)?);
            let mut body = Poly::any(context, basis);
            body.for_each_limb(context, |k, table, limb| {
                let m = table.modulus();
                let prime = context.prime_index(basis, k);
                hec_arith::embed_i64(m, &error, limb);
                table.forward(limb);
                let mut mask = Zeroizing::new(vec![0.0; limb.len()]);
                sample::uniform(m, &mut seeded_stream(&seed, j, prime), &mut mask);
                hec_arith::mul_assign(m, &mut mask, output.0.limb(prime));
                hec_arith::sub_assign(m, limb, &mask);
                if (start..end).contains(&k) {
                    hec_arith::mul_scalar_add_assign(m, limb, input.0.limb(prime), context.special_product(k));
                }
            });
            bodies.push(body);
        }
        Ok(Self::from_parts(context, level, seed, bodies))
    }

    /// Expand the uniform halves.
    pub fn from_parts(context: &Context, level: Level, seed: Seed, bodies: Vec<Poly>) -> Self {
        let basis = context.extended_basis(level);
        let expand = |(j, body)| {
            let mut mask = Poly::any(context, basis);
            mask.for_each_limb(context, |k, table, limb| {
                let prime = context.prime_index(basis, k);
                sample::uniform(table.modulus(), &mut seeded_stream(&seed, j, prime), limb);
            });
            KeyDigit { body, mask }
        };
        SwitchingKey { level, seed, basis, digits: bodies.into_iter().enumerate().map(expand).collect() }
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    pub fn bodies(&self) -> impl Iterator<Item = &Poly> {
        self.digits.iter().map(|digit| &digit.body)
    }

    /// Bytes in memory.
    pub fn bytes(&self, context: &Context) -> usize {
        2 * self.digits.len() * context.limb_count(self.basis) * context.degree() * size_of::<f64>()
    }

    /// Limb `k` of both inner products of the digits with the key, each plus its addend (limb, residue): limb·residue.
    /// `basis` is that of the digits.
    pub fn inner_products(
        &self,
        context: &Context,
        basis: Basis,
        k: usize,
        digits: &[&[f64]],
        addends: [Option<(&[f64], f64)>; 2],
    ) -> [Limb; 2] {
        let m = context.table(basis, k).modulus();
        // A key of a higher level holds more ciphertext primes before the special ones.
        let key_k = if k < basis.q { k } else { k - basis.q + self.basis.q };
        let halves = self.digits.iter().map(|key| [key.body.limb(key_k), key.mask.limb(key_k)]);
        let terms: Vec<_> = digits.iter().copied().zip(halves).collect();
        let [mut first, mut second] = [context.pool().any(), context.pool().any()];
        hec_arith::inner_products(m, [&mut first, &mut second], &terms, addends);
        [first, second]
    }
}

/// The limbs of each digit at a level.
pub(crate) fn digit_ranges(context: &Context, level: Level) -> impl Iterator<Item = (usize, usize)> {
    let count = context.parameters().prime_count(level);
    let size = context.parameters().digit_size();
    (0..count).step_by(size).map(move |start| (start, (start + size).min(count)))
}
