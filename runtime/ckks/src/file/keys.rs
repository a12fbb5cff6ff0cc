//! Sections of keys.

use std::io::{Read, Write};

use hec_params::{Level, Rotation};
use zeroize::Zeroizing;

use super::container::array;
use super::{FileError, FileKind, Input, Section, StoredParts, residues};
use crate::bootstrap::EncapsulationKeys;
use crate::random::Seed;
use crate::switching::{SwitchingKey, digit_ranges};
use crate::{CkksError, Context, EvaluationKeys, KeyId, KeyName, SecretKey};

/// One byte a coefficient: 0, 1 or 255 for −1.
impl StoredParts for SecretKey {
    const KIND: FileKind = FileKind::SecretKey;

    fn key_id(&self) -> Result<KeyId, CkksError> {
        Ok(self.id())
    }

    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError> {
        if self.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        Ok(vec![Section::bytes(self.coefficients().iter().map(|&c| c as u8).collect())])
    }

    fn read<R: Read>(context: &Context, key: KeyId, input: &mut Input<'_, R>) -> Result<Self, CkksError> {
        let bytes = input.section(context.degree() as u64)?;
        let coefficients = Zeroizing::new(bytes.iter().map(|&b| b as i8).collect::<Vec<i8>>());
        if coefficients.iter().any(|c| !(-1..=1).contains(c)) {
            return Err(FileError::Corrupt("a coefficient of the secret that is not -1, 0 or 1").into());
        }
        Ok(SecretKey::from_coefficients(context, key, coefficients))
    }
}

/// What a key is for, rotation, level, zero: u32 each; seed.
const ENTRY: usize = 48;

/// What a key is for, and its rotation. An encapsulation has a second key, after the first.
fn numbers(name: KeyName) -> [u32; 2] {
    match name {
        KeyName::Relinearize => [0, 0],
        KeyName::Conjugate => [1, 0],
        KeyName::Rotate(rotation) => [2, rotation.0],
        KeyName::Encapsulate => [3, 0],
    }
}

/// The second key of an encapsulation.
const BACK: [u32; 2] = [4, 0];

impl StoredParts for EvaluationKeys {
    const KIND: FileKind = FileKind::EvaluationKeys;

    fn key_id(&self) -> Result<KeyId, CkksError> {
        Ok(self.id())
    }

    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError> {
        if self.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        let encapsulation = self.encapsulation().into_iter().flat_map(|keys| {
            let ((low, to_sparse), to_dense) = keys.switches();
            [(numbers(KeyName::Encapsulate), low, to_sparse), (BACK, context, to_dense)]
        });
        let keys = self.switching_keys().map(|(name, key)| (numbers(name), context, key));
        let all: Vec<_> = keys.chain(encapsulation).collect();
        let mut table = Vec::new();
        for ([what, rotation], _, key) in &all {
            for field in [*what, *rotation, key.level().0, 0] {
                table.extend_from_slice(&field.to_le_bytes());
            }
            table.extend_from_slice(key.seed());
        }
        let body = |(_, ring, key): ([u32; 2], &'a Context, &'a SwitchingKey)| Section {
            length: key_length(ring, key.level()),
            write: Box::new(move |sink: &mut dyn Write| {
                key.bodies().try_for_each(|body| residues::write(ring, body, sink))
            }),
        };
        Ok(std::iter::once(Section::bytes(table)).chain(all.into_iter().map(body)).collect())
    }

    fn read<R: Read>(context: &Context, id: KeyId, input: &mut Input<'_, R>) -> Result<Self, CkksError> {
        let table = input.any_section()?;
        if table.len() != input.left() * ENTRY {
            return Err(FileError::Corrupt("a key table of a wrong length").into());
        }
        let (mut keys, mut to_sparse, mut to_dense, mut last) = (Vec::new(), None, None, None);
        for entry in table.chunks_exact(ENTRY) {
            let [what, rotation, level, zero] = [0, 4, 8, 12].map(|at| u32::from_le_bytes(array(entry, at)));
            if last.replace([what, rotation]).is_some_and(|last| last >= [what, rotation]) {
                return Err(FileError::Corrupt("keys out of order").into());
            }
            if rotation as usize >= context.parameters().slots().0 {
                return Err(FileError::Corrupt("a rotation that the parameters do not have").into());
            }
            let (level, seed) = (Level(level), array(entry, 16));
            let mut read = |ring: &Context| read_key(ring, level, seed, input);
            match (what, rotation, zero) {
                (0, 0, 0) => keys.push((KeyName::Relinearize, read(context)?)),
                (1, 0, 0) => keys.push((KeyName::Conjugate, read(context)?)),
                (2, 1.., 0) => keys.push((KeyName::Rotate(Rotation(rotation)), read(context)?)),
                (3, 0, 0) => {
                    let low = EncapsulationKeys::low_ring(context);
                    let low =
                        low.map_err(|_| FileError::Corrupt("an encapsulation that the parameters do not have"))?;
                    to_sparse = Some((read(&low)?, low));
                }
                (4, 0, 0) if level == context.parameters().top_level() => to_dense = Some(read(context)?),
                _ => return Err(FileError::Corrupt("an unknown key").into()),
            }
        }
        let encapsulation = match (to_sparse, to_dense) {
            (None, None) => None,
            (Some((to_sparse, low)), Some(to_dense)) => Some(EncapsulationKeys::from_parts(low, to_sparse, to_dense)),
            _ => return Err(FileError::Corrupt("half of an encapsulation").into()),
        };
        EvaluationKeys::from_parts(context, id, keys, encapsulation)
    }
}

/// The key of the next section.
fn read_key<R: Read>(
    context: &Context,
    level: Level,
    seed: Seed,
    input: &mut Input<'_, R>,
) -> Result<SwitchingKey, CkksError> {
    if context.check_level(level).is_err() {
        return Err(FileError::Corrupt("a level that the parameters do not have").into());
    }
    let bytes = input.section(key_length(context, level))?;
    let mut rest = &bytes[..];
    let bodies = digit_ranges(context, level)
        .map(|_| residues::read(context, context.extended_basis(level), &mut rest))
        .collect::<Result<_, _>>()?;
    Ok(SwitchingKey::from_parts(context, level, seed, bodies))
}

fn key_length(context: &Context, level: Level) -> u64 {
    digit_ranges(context, level).count() as u64 * residues::length(context, context.extended_basis(level))
}
