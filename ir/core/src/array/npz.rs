//! Several named arrays: `.npz`, a zip archive of `.npy` files.

use super::{Array, ArrayError, ElementType, read_npy, write_npy};
use crate::tensor::Tensor;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// First bytes of an archive.
pub(super) const SIGNATURE: &[u8] = b"PK\x03\x04";
/// First bytes of an archive without entries.
pub(super) const EMPTY_SIGNATURE: &[u8] = b"PK\x05\x06";

/// What all entries together may grow to: real images compress to a tenth, not to a thousandth.
fn growth_limit(archive: usize) -> u64 {
    (64 << 20) + 16 * archive as u64
}

/// The arrays of a `.npz` file in the order of the archive, with their names (without `.npy`).
///
/// # Errors
/// When the archive or an array in it is ill-formed, or when it would grow too much.
pub fn read_npz(bytes: &[u8]) -> Result<Vec<(String, Array)>, ArrayError> {
    let limit = growth_limit(bytes.len());
    let mut left = limit;
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name().to_owned();
        let fail = |source| ArrayError::Entry { entry: name.clone(), source: Box::new(source) };
        let mut content = Vec::new();
        let read = entry.by_ref().take(left + 1).read_to_end(&mut content);
        read.map_err(|e| fail(ArrayError::Archive(e.into())))?;
        left = left.checked_sub(content.len() as u64).ok_or(ArrayError::Bomb { limit })?;
        let array = read_npy(&content).map_err(fail)?;
        arrays.push((name.strip_suffix(".npy").unwrap_or(&name).to_owned(), array));
    }
    Ok(arrays)
}

/// The bytes of an uncompressed `.npz` file; the same arrays give the same bytes.
///
/// # Errors
/// When a name repeats, or an element cannot be held exactly as its type.
pub fn write_npz<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a Tensor, ElementType)>,
) -> Result<Vec<u8>, ArrayError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(true);
    for (name, tensor, element) in arrays {
        let fail = |source| ArrayError::Entry { entry: name.to_owned(), source: Box::new(source) };
        let content = write_npy(tensor, element).map_err(fail)?;
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&content).map_err(|e| fail(ArrayError::Archive(e.into())))?;
    }
    Ok(archive.finish()?.into_inner())
}
