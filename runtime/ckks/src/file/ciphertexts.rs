//! Sections of requests, responses and checkpoints.

use std::borrow::Cow;
use std::io::{Read, Write};

use hec_params::{Level, Scale};

use super::container::array;
use super::{FileError, FileKind, Input, Section, StoredParts, residues};
use crate::encode::check_scale;
use crate::poly::Poly;
use crate::{Ciphertext, CkksError, Context, KeyId, SeededCiphertext, Snapshot};

/// Level, parts: u32 each; scale, f64. In a request the seed follows.
const ENTRY: usize = 16;
const SEEDED_ENTRY: usize = ENTRY + 32;

impl StoredParts for Vec<SeededCiphertext> {
    const KIND: FileKind = FileKind::Request;

    fn key_id(&self) -> Result<KeyId, CkksError> {
        one_key(self.iter().map(|c| c.key))
    }

    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError> {
        let mut table = Vec::new();
        for c in self {
            table.extend_from_slice(&entry(c.level, 1, c.scale));
            table.extend_from_slice(&c.seed);
        }
        let bodies = self.iter().map(|c| section(context, c.level, std::slice::from_ref(&c.body)));
        std::iter::once(Ok(Section::bytes(table))).chain(bodies).collect()
    }

    fn read<R: Read>(context: &Context, key: KeyId, input: &mut Input<'_, R>) -> Result<Self, CkksError> {
        let read = |table: &[u8], input: &mut Input<'_, R>| {
            let (level, parts, scale) = read_entry(context, table)?;
            if parts != 1 {
                return Err(FileError::Corrupt("a fresh ciphertext of more than one part").into());
            }
            let seed = array(table, ENTRY);
            let mut body = read_parts(context, level, parts, input)?;
            Ok(SeededCiphertext { key, level, scale, seed, body: body.remove(0) })
        };
        read_all(input, SEEDED_ENTRY, read)
    }
}

impl StoredParts for Vec<Ciphertext> {
    const KIND: FileKind = FileKind::Response;

    fn key_id(&self) -> Result<KeyId, CkksError> {
        one_key(self.iter().map(|c| c.key))
    }

    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError> {
        computed(context, self.iter())
    }

    fn read<R: Read>(context: &Context, key: KeyId, input: &mut Input<'_, R>) -> Result<Self, CkksError> {
        read_computed(context, key, input)
    }
}

/// The notes, then what a response has.
impl StoredParts for Snapshot<'_> {
    const KIND: FileKind = FileKind::Checkpoint;

    fn key_id(&self) -> Result<KeyId, CkksError> {
        one_key(self.ciphertexts.iter().map(|c| c.key))
    }

    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError> {
        let mut sections = computed(context, self.ciphertexts.iter().map(Cow::as_ref))?;
        sections.insert(0, Section::bytes(self.notes.clone()));
        Ok(sections)
    }

    fn read<R: Read>(context: &Context, key: KeyId, input: &mut Input<'_, R>) -> Result<Self, CkksError> {
        let notes = input.any_section()?.to_vec();
        let ciphertexts = read_computed(context, key, input)?.into_iter().map(Cow::Owned).collect();
        Ok(Snapshot { notes, ciphertexts })
    }
}

/// A table, and a section for each ciphertext.
fn computed<'a>(
    context: &'a Context,
    all: impl Iterator<Item = &'a Ciphertext> + Clone,
) -> Result<Vec<Section<'a>>, CkksError> {
    let table = all.clone().flat_map(|c| entry(c.level, c.parts.len() as u32, c.scale)).collect();
    let bodies = all.map(|c| section(context, c.level, &c.parts));
    std::iter::once(Ok(Section::bytes(table))).chain(bodies).collect()
}

fn read_computed<R: Read>(
    context: &Context,
    key: KeyId,
    input: &mut Input<'_, R>,
) -> Result<Vec<Ciphertext>, CkksError> {
    let read = |table: &[u8], input: &mut Input<'_, R>| {
        let (level, parts, scale) = read_entry(context, table)?;
        if !(2..=3).contains(&parts) {
            return Err(FileError::Corrupt("a ciphertext of neither two nor three parts").into());
        }
        Ok(Ciphertext { key, level, scale, parts: read_parts(context, level, parts, input)? })
    };
    read_all(input, ENTRY, read)
}

fn one_key(mut keys: impl Iterator<Item = KeyId>) -> Result<KeyId, CkksError> {
    let first = keys.next().ok_or(FileError::Empty)?;
    if keys.all(|key| key == first) { Ok(first) } else { Err(CkksError::WrongKey) }
}

fn entry(level: Level, parts: u32, scale: Scale) -> [u8; ENTRY] {
    let mut out = [0; ENTRY];
    out[..4].copy_from_slice(&level.0.to_le_bytes());
    out[4..8].copy_from_slice(&parts.to_le_bytes());
    out[8..].copy_from_slice(&scale.0.to_le_bytes());
    out
}

fn read_entry(context: &Context, entry: &[u8]) -> Result<(Level, u32, Scale), CkksError> {
    let level = Level(u32::from_le_bytes(array(entry, 0)));
    let scale = Scale(f64::from_le_bytes(array(entry, 8)));
    if context.check_level(level).is_err() || check_scale(scale).is_err() {
        return Err(FileError::Corrupt("a level or scale that the parameters do not have").into());
    }
    Ok((level, u32::from_le_bytes(array(entry, 4)), scale))
}

fn section<'a>(context: &'a Context, level: Level, parts: &'a [Poly]) -> Result<Section<'a>, CkksError> {
    context.check_level(level)?;
    let basis = context.basis(level);
    if !parts.iter().all(|part| part.fits(context, basis)) {
        return Err(CkksError::WrongParameters);
    }
    Ok(Section {
        length: parts.len() as u64 * residues::length(context, basis),
        write: Box::new(move |sink: &mut dyn Write| {
            parts.iter().try_for_each(|part| residues::write(context, part, sink))
        }),
    })
}

fn read_parts<R: Read>(
    context: &Context,
    level: Level,
    parts: u32,
    input: &mut Input<'_, R>,
) -> Result<Vec<Poly>, CkksError> {
    let basis = context.basis(level);
    let bytes = input.section(u64::from(parts) * residues::length(context, basis))?;
    let mut rest = &bytes[..];
    Ok((0..parts).map(|_| residues::read(context, basis, &mut rest)).collect::<Result<_, _>>()?)
}

fn read_all<T, R: Read>(
    input: &mut Input<'_, R>,
    entry: usize,
    read: impl Fn(&[u8], &mut Input<'_, R>) -> Result<T, CkksError>,
) -> Result<Vec<T>, CkksError> {
    let table = input.any_section()?;
    if table.len() != input.left() * entry || table.is_empty() {
        return Err(FileError::Corrupt("a ciphertext table of a wrong length").into());
    }
    table.chunks_exact(entry).map(|table| read(table, input)).collect()
}
