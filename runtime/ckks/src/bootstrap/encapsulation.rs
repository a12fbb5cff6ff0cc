//! The raise, under a sparse secret that exists for it alone (Bossuat, Troncoso-Pastoriza, Hubaux 2022).
//!
//! The overflow of a raised ciphertext grows with the weight of its secret. So it is switched to a sparse secret at the
//! lowest modulus, where a sparse secret is as hard to find as a dense one at the highest, raised, and switched back.

use std::sync::Arc;

use hec_params::{BootstrapParameters, Level};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use zeroize::Zeroizing;

use crate::digits::DigitSource;
use crate::keys::{EvaluationKey, secret_power};
use crate::poly::Poly;
use crate::switch::KeySwitch;
use crate::switching::SwitchingKey;
use crate::{Ciphertext, CkksError, Context, KeyId, SecretKey};

/// The two switches of the raise.
#[derive(Debug)]
pub struct EncapsulationKeys {
    pub(super) id: KeyId,
    /// Modulo q(0)·p.
    to_sparse: EvaluationKey,
    /// Modulo QP of the level to which is raised.
    to_dense: EvaluationKey,
}

/// What the raise needs beside keys.
#[derive(Debug)]
pub(super) struct Encapsulation {
    /// The ring with the primes q(0) and p alone.
    low: Arc<Context>,
    weight: usize,
}

impl Encapsulation {
    pub fn new(parameters: &BootstrapParameters) -> Result<Self, CkksError> {
        Ok(Encapsulation { low: Context::new(parameters.encapsulation().clone())?, weight: parameters.choice().weight })
    }

    /// A sparse secret, and the switches to it and back.
    pub fn generate(
        &self,
        context: &Context,
        secret: &SecretKey,
        rng: &mut ChaCha20Rng,
    ) -> Result<EncapsulationKeys, CkksError> {
        if secret.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        let sparse = sparse_ternary(rng, context.degree(), self.weight);
        let dense = Zeroizing::new(secret.coefficients().to_vec());
        let switch = |context: &Context, from: &Zeroizing<Vec<i8>>, to: &Zeroizing<Vec<i8>>, rng: &mut ChaCha20Rng| {
            let poly = |coefficients: &Zeroizing<Vec<i8>>| {
                let secret = SecretKey::from_coefficients(context, secret.id(), coefficients.clone());
                secret_power(context, &secret, 1)
            };
            let top = context.parameters().top_level();
            let switching = SwitchingKey::generate(context, &poly(from), &poly(to), top, rng)?;
            Ok::<_, CkksError>(EvaluationKey { switching, automorphism: None })
        };
        Ok(EncapsulationKeys {
            id: secret.id(),
            to_sparse: switch(&self.low, &dense, &sparse, rng)?,
            to_dense: switch(context, &sparse, &dense, rng)?,
        })
    }

    /// The ciphertext of level 0, raised to the top level: it decrypts to m + q(0)·I.
    pub fn raise(&self, context: &Context, keys: &EncapsulationKeys, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let a = a.two_parts()?;
        let low = switch(&self.low, &keys.to_sparse, Level(0), a);
        let (top, table) = (context.parameters().top_level(), context.table(context.basis(Level(0)), 0));
        let raised = low.into_iter().map(|mut part| {
            part.limbs_mut().iter_mut().for_each(|limb| table.inverse(limb));
            let mut raised = Poly::any(context, context.basis(top));
            raised.for_each_limb(context, |_, table, limb| {
                crate::encode::embed_integers(table.modulus(), part.limb(0), limb);
                table.forward(limb);
            });
            raised
        });
        let raised: Vec<Poly> = raised.collect();
        let parts = switch(context, &keys.to_dense, top, (&raised[0], &raised[1]));
        Ok(Ciphertext { key: keys.id, level: top, scale: context.scale(top)?, parts })
    }
}

impl EncapsulationKeys {
    /// Bytes in memory.
    pub fn bytes(&self, context: &Context) -> usize {
        self.to_dense.switching.bytes(context) + 4 * context.degree() * size_of::<f64>()
    }
}

fn switch(context: &Context, key: &EvaluationKey, level: Level, (c0, c1): (&Poly, &Poly)) -> Vec<Poly> {
    let source = DigitSource::made(context, c1, level);
    KeySwitch { context, source, key, addends: [Some(c0), None] }.divide(context.mod_down(level))
}

/// `weight` coefficients ±1 at random places.
fn sparse_ternary(rng: &mut ChaCha20Rng, n: usize, weight: usize) -> Zeroizing<Vec<i8>> {
    let mut coefficients = Zeroizing::new(vec![0i8; n]);
    let mut left = weight;
    while left > 0 {
        // N is a power of two, so that the place is uniform; a place that is taken is drawn again.
        let word = rng.next_u64();
        let place = word as usize % n;
        if coefficients[place] == 0 {
            coefficients[place] = if word >> 63 == 0 { 1 } else { -1 };
            left -= 1;
        }
    }
    coefficients
}
