//! Sections of keys.

use std::io::{Read, Write};

use hec_params::{Level, Rotation};
use zeroize::Zeroizing;

use super::container::array;
use super::{FileError, FileKind, Input, Section, StoredParts, residues};
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

impl StoredParts for EvaluationKeys {
    const KIND: FileKind = FileKind::EvaluationKeys;

    fn key_id(&self) -> Result<KeyId, CkksError> {
        Ok(self.id())
    }

    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError> {
        if self.fingerprint() != context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        let mut table = Vec::new();
        for (name, key) in self.switching_keys() {
            let (what, rotation) = match name {
                KeyName::Relinearize => (0, 0),
                KeyName::Conjugate => (1, 0),
                KeyName::Rotate(rotation) => (2, rotation.0),
            };
            for field in [what, rotation, key.level().0, 0u32] {
                table.extend_from_slice(&field.to_le_bytes());
            }
            table.extend_from_slice(key.seed());
        }
        let body = |key: &'a SwitchingKey| Section {
            length: key_length(context, key.level()),
            write: Box::new(move |sink: &mut dyn Write| {
                key.bodies().try_for_each(|body| residues::write(context, body, sink))
            }),
        };
        let bodies = self.switching_keys().map(|(_, key)| body(key));
        Ok(std::iter::once(Section::bytes(table)).chain(bodies).collect())
    }

    fn read<R: Read>(context: &Context, id: KeyId, input: &mut Input<'_, R>) -> Result<Self, CkksError> {
        let table = input.any_section()?;
        if table.len() != input.left() * ENTRY {
            return Err(FileError::Corrupt("a key table of a wrong length").into());
        }
        let mut keys: Vec<(KeyName, SwitchingKey)> = Vec::new();
        for entry in table.chunks_exact(ENTRY) {
            let [what, rotation, level, zero] = [0, 4, 8, 12].map(|at| u32::from_le_bytes(array(entry, at)));
            let name = match (what, rotation, zero) {
                (0, 0, 0) => KeyName::Relinearize,
                (1, 0, 0) => KeyName::Conjugate,
                (2, 1.., 0) => KeyName::Rotate(Rotation(rotation)),
                _ => return Err(FileError::Corrupt("an unknown key").into()),
            };
            if keys.last().is_some_and(|(last, _)| *last >= name) {
                return Err(FileError::Corrupt("keys out of order").into());
            }
            let level = Level(level);
            if context.check_level(level).is_err() || rotation as usize >= context.parameters().slots().0 {
                return Err(FileError::Corrupt("a level or rotation that the parameters do not have").into());
            }
            let bytes = input.section(key_length(context, level))?;
            let mut rest = &bytes[..];
            let bodies = digit_ranges(context, level)
                .map(|_| residues::read(context, context.extended_basis(level), &mut rest))
                .collect::<Result<_, _>>()?;
            keys.push((name, SwitchingKey::from_parts(context, level, array(entry, 16), bodies)));
        }
        EvaluationKeys::from_parts(context, id, keys)
    }
}

fn key_length(context: &Context, level: Level) -> u64 {
    digit_ranges(context, level).count() as u64 * residues::length(context, context.extended_basis(level))
}
