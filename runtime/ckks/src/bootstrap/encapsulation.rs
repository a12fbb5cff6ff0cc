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
use crate::switch::{Addend, KeySwitch};
use crate::switching::SwitchingKey;
use crate::{Ciphertext, CkksError, Context, SecretKey};

/// The two switches of the raise.
#[derive(Debug)]
pub(crate) struct EncapsulationKeys {
    /// The ring with the primes q(0) and p alone.
    low: Arc<Context>,
    /// In that ring.
    to_sparse: EvaluationKey,
    /// Modulo QP of the level to which is raised.
    to_dense: EvaluationKey,
}

impl EncapsulationKeys {
    /// A sparse secret, and the switches to it and back.
    pub fn generate(
        context: &Context,
        secret: &SecretKey,
        parameters: &BootstrapParameters,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, CkksError> {
        if context.parameters() != parameters.parameters() {
            return Err(CkksError::WrongParameters);
        }
        let low = Self::low_ring(context)?;
        let sparse = sparse_ternary(rng, context.degree(), parameters.choice().weight);
        let dense = Zeroizing::new(secret.coefficients().to_vec());
        let switch = |context: &Context, from: &Zeroizing<Vec<i8>>, to: &Zeroizing<Vec<i8>>, rng: &mut ChaCha20Rng| {
            let poly = |coefficients: &Zeroizing<Vec<i8>>| {
                let secret = SecretKey::from_coefficients(context, secret.id(), coefficients.clone());
                secret_power(context, &secret, 1)
            };
            let top = context.parameters().top_level();
            SwitchingKey::generate(context, &poly(from), &poly(to), top, rng)
        };
        let to_sparse = switch(&low, &dense, &sparse, rng)?;
        let to_dense = switch(context, &sparse, &dense, rng)?;
        Ok(Self::from_parts(low, to_sparse, to_dense))
    }

    /// The ring of the switch to the sparse secret.
    pub fn low_ring(context: &Context) -> Result<Arc<Context>, CkksError> {
        Context::new(context.parameters().encapsulation().map_err(|_| CkksError::WrongParameters)?)
    }

    pub fn from_parts(low: Arc<Context>, to_sparse: SwitchingKey, to_dense: SwitchingKey) -> Self {
        let key = |switching| EvaluationKey { switching, automorphism: None };
        EncapsulationKeys { low, to_sparse: key(to_sparse), to_dense: key(to_dense) }
    }

    /// To the sparse secret, with its ring, and back.
    pub fn switches(&self) -> ((&Context, &SwitchingKey), &SwitchingKey) {
        ((&self.low, &self.to_sparse.switching), &self.to_dense.switching)
    }

    /// The ciphertext of level 0, raised to the top level: it decrypts to m + q(0)·I.
    pub fn raise(&self, context: &Context, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let low = switch(&self.low, &self.to_sparse, Level(0), a.two_parts()?);
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
        let parts = switch(context, &self.to_dense, top, (&raised[0], &raised[1]));
        Ok(Ciphertext { key: a.key, level: top, scale: context.scale(top)?, parts })
    }

    /// Bytes in memory.
    pub fn bytes(&self, context: &Context) -> usize {
        self.to_sparse.switching.bytes(&self.low) + self.to_dense.switching.bytes(context)
    }
}

fn switch(context: &Context, key: &EvaluationKey, level: Level, (c0, c1): (&Poly, &Poly)) -> Vec<Poly> {
    let source = DigitSource::made(context, c1, level);
    KeySwitch { context, source, key, addends: [Addend::Poly(c0), Addend::Zero] }.divide(context.mod_down(level))
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
