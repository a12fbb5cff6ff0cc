//! Files that are whole or not there.

use super::ArtifactError;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

fn at(path: &Path, source: impl Into<ArtifactError>) -> ArtifactError {
    ArtifactError::In { path: path.to_owned(), source: Box::new(source.into()) }
}

/// Write a file under another name in the same folder, and rename it when it is complete and on disk.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&File) -> Result<(), ArtifactError>,
) -> Result<(), ArtifactError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or_else(|| at(path, std::io::Error::from(std::io::ErrorKind::IsADirectory)))?);
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&partial);
    let file = open.map_err(|e| at(&partial, e))?;
    let written = write(&file).and_then(|()| Ok(file.sync_all()?)).and_then(|()| Ok(fs::rename(&partial, path)?));
    written.map_err(|source| {
        // The first error is the one to tell; a partial file that cannot be removed does no harm.
        let _ = fs::remove_file(&partial);
        at(path, source)
    })
}

/// Write a file whole: a failure leaves what was there before.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    replace(path, |mut file| Ok(file.write_all(bytes)?))
}

/// Read a file; errors name it.
pub(super) fn open<T>(path: &Path, read: impl FnOnce(&File) -> Result<T, ArtifactError>) -> Result<T, ArtifactError> {
    let file = File::open(path).map_err(|e| at(path, e))?;
    read(&file).map_err(|e| at(path, e))
}
