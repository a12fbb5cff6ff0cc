//! The keys that an evaluator needs, each up to the level at which it is used.

use std::collections::BTreeMap;
use std::fmt;

use hec_arith::{Automorphism, conjugation_galois_element, galois_element_for_rotation};
use hec_params::{BootstrapParameters, Level, Rotation};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::bootstrap::EncapsulationKeys;
use crate::limb::Limb;
use crate::poly::{Poly, SecretPoly};
use crate::random::new_seed;
use crate::switching::SwitchingKey;
use crate::{CkksError, Context, KeyId, SecretKey};

/// Which keys to make, each with the highest level at which it is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyRequest {
    /// For products of ciphertexts.
    pub relinearize: Option<Level>,
    /// For rotations; rotation 0 needs no key and is ignored.
    pub rotations: BTreeMap<Rotation, Level>,
    /// For conjugation.
    pub conjugate: Option<Level>,
    /// For the raise of this bootstrap.
    pub encapsulate: Option<BootstrapParameters>,
}

impl KeyRequest {
    /// Ask for a rotation at `level` too.
    pub fn rotation(&mut self, rotation: Rotation, level: Level) {
        if !rotation.is_zero() {
            let entry = self.rotations.entry(rotation).or_insert(level);
            *entry = level.max(*entry);
        }
    }

    /// What is asked for, and up to which level.
    pub fn names(&self) -> impl Iterator<Item = (KeyName, Level)> {
        let encapsulate = self.encapsulate.iter().map(|parameters| (KeyName::Encapsulate, parameters.raised_level()));
        self.switches().chain(encapsulate)
    }

    /// The keys of one switch each.
    fn switches(&self) -> impl Iterator<Item = (KeyName, Level)> {
        let rotations = self.rotations.iter().filter(|(r, _)| !r.is_zero());
        let relinearize = self.relinearize.map(|level| (KeyName::Relinearize, level));
        let conjugate = self.conjugate.map(|level| (KeyName::Conjugate, level));
        relinearize.into_iter().chain(conjugate).chain(rotations.map(|(&r, &level)| (KeyName::Rotate(r), level)))
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyName {
    /// s² to s.
    Relinearize,
    /// Complex conjugation of the slots.
    Conjugate,
    /// Rotation of the slots to the left.
    Rotate(Rotation),
    /// To a sparse secret at the lowest modulus and back at the highest, for the raise of a bootstrap.
    Encapsulate,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Relinearize => write!(f, "relinearization"),
            KeyName::Conjugate => write!(f, "conjugation"),
            KeyName::Rotate(rotation) => write!(f, "rotation by {rotation}"),
            KeyName::Encapsulate => write!(f, "encapsulation in a sparse secret"),
        }
    }
}

/// Everything that an evaluator needs; holds no secret.
#[derive(Debug)]
pub struct EvaluationKeys {
    id: KeyId,
    fingerprint: [u8; 32],
    keys: BTreeMap<KeyName, EvaluationKey>,
    encapsulation: Option<EncapsulationKeys>,
}

/// A switching key, and for rotations and conjugation the automorphism φ that goes with it.
///
/// The key leads from s to φ⁻¹(s) and φ comes after the inner product: two polynomials are permuted instead of all
/// digits, and one decomposition serves every rotation (Bossuat et al. 2021, section 4).
#[derive(Debug)]
pub(crate) struct EvaluationKey {
    pub switching: SwitchingKey,
    pub automorphism: Option<Automorphism>,
}

impl EvaluationKey {
    /// φ of a limb in evaluation order; a relinearization key changes nothing.
    pub fn image(&self, context: &Context, limb: Limb) -> Limb {
        let Some(automorphism) = &self.automorphism else { return limb };
        let mut out = context.pool().any();
        automorphism.apply(&limb, &mut out);
        out
    }
}

impl EvaluationKeys {
    /// Make the keys that `request` names.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`], [`CkksError::NoSuchLevel`], [`CkksError::NoSuchRotation`].
    pub fn generate(
        context: &Context,
        secret: &SecretKey,
        request: &KeyRequest,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, CkksError> {
        if secret.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        // One seed a key, drawn in order: the result does not depend on the number of threads.
        let tasks: Vec<_> =
            request.switches().map(|(name, level)| (name, level, Zeroizing::new(new_seed(rng)))).collect();
        let secret_poly = secret_power(context, secret, 1);
        let square = secret_power(context, secret, 2);
        let generate = |(name, level, seed): &(KeyName, Level, Zeroizing<[u8; 32]>)| {
            context.check_level(*level)?;
            let mut rng = ChaCha20Rng::from_seed(**seed);
            let automorphism = automorphism(context, *name)?;
            let switching = match inverse_automorphism(context, *name)? {
                None => SwitchingKey::generate(context, &square, &secret_poly, *level, &mut rng)?,
                Some(inverse) => {
                    let output = permuted(context, &secret_poly, &inverse);
                    SwitchingKey::generate(context, &secret_poly, &output, *level, &mut rng)?
                }
            };
            Ok((*name, EvaluationKey { switching, automorphism }))
        };
        let keys = tasks.par_iter().map(generate).collect::<Result<_, CkksError>>()?;
        let encapsulate = |parameters| EncapsulationKeys::generate(context, secret, parameters, rng);
        let encapsulation = request.encapsulate.as_ref().map(encapsulate).transpose()?;
        Ok(EvaluationKeys { id: secret.id(), fingerprint: context.fingerprint(), keys, encapsulation })
    }

    pub(crate) fn from_parts(
        context: &Context,
        id: KeyId,
        switching: Vec<(KeyName, SwitchingKey)>,
        encapsulation: Option<EncapsulationKeys>,
    ) -> Result<Self, CkksError> {
        let with_automorphism =
            |(name, switching)| Ok((name, EvaluationKey { switching, automorphism: automorphism(context, name)? }));
        let keys = switching.into_iter().map(with_automorphism).collect::<Result<_, CkksError>>()?;
        Ok(EvaluationKeys { id, fingerprint: context.fingerprint(), keys, encapsulation })
    }

    /// The secret key that they belong to.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What there are keys for, and up to which level.
    pub fn names(&self) -> impl Iterator<Item = (KeyName, Level)> {
        let encapsulate = self.encapsulation.iter().map(|keys| (KeyName::Encapsulate, keys.switches().1.level()));
        self.keys.iter().map(|(&name, key)| (name, key.switching.level())).chain(encapsulate)
    }

    /// Bytes in memory.
    pub fn bytes(&self, context: &Context) -> usize {
        let switches: usize = self.keys.values().map(|key| key.switching.bytes(context)).sum();
        switches + self.encapsulation.as_ref().map_or(0, |keys| keys.bytes(context))
    }

    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub(crate) fn switching_keys(&self) -> impl Iterator<Item = (KeyName, &SwitchingKey)> {
        self.keys.iter().map(|(&name, key)| (name, &key.switching))
    }

    pub(crate) fn encapsulation(&self) -> Option<&EncapsulationKeys> {
        self.encapsulation.as_ref()
    }

    /// The key for `name`, if it reaches `level`.
    pub(crate) fn get(&self, name: KeyName, level: Level) -> Result<&EvaluationKey, CkksError> {
        let key = self.keys.get(&name).ok_or(CkksError::MissingKey { name })?;
        let holds = key.switching.level();
        if holds < level { Err(CkksError::KeyTooLow { name, holds, needs: level }) } else { Ok(key) }
    }
}

fn automorphism(context: &Context, name: KeyName) -> Result<Option<Automorphism>, CkksError> {
    let log_n = context.parameters().log_n();
    let element = match name {
        KeyName::Relinearize | KeyName::Encapsulate => return Ok(None),
        KeyName::Conjugate => conjugation_galois_element(log_n),
        KeyName::Rotate(rotation) => {
            let slots = context.parameters().slots().0;
            if rotation.0 as usize >= slots {
                return Err(CkksError::NoSuchRotation { rotation: rotation.0, slots });
            }
            galois_element_for_rotation(rotation, log_n)
        }
    };
    Ok(Some(Automorphism::new(log_n, element)?))
}

fn inverse_automorphism(context: &Context, name: KeyName) -> Result<Option<Automorphism>, CkksError> {
    let inverse = match name {
        KeyName::Rotate(rotation) => {
            KeyName::Rotate(Rotation::new(-i64::from(rotation.0), context.parameters().slots()))
        }
        own_inverse => own_inverse,
    };
    automorphism(context, inverse)
}

/// s or s² in QP of the top level.
pub(crate) fn secret_power(context: &Context, secret: &SecretKey, power: u32) -> SecretPoly {
    let top = context.parameters().top_level();
    let mut poly = SecretPoly(Poly::zero(context, context.extended_basis(top)));
    poly.0.for_each_limb(context, |k, table, limb| {
        limb.copy_from_slice(secret.limb(k));
        for _ in 1..power {
            hec_arith::mul_assign(table.modulus(), limb, secret.limb(k));
        }
    });
    poly
}

fn permuted(context: &Context, poly: &SecretPoly, automorphism: &Automorphism) -> SecretPoly {
    let mut out = SecretPoly(Poly::zero(context, poly.0.basis()));
    out.0.for_each_limb(context, |k, _, limb| automorphism.apply(poly.0.limb(k), limb));
    out
}
