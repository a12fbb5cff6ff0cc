//! Files of keys and ciphertexts: one container for all kinds.
//!
//! A file is refused unless its kind, version, parameters and program are the expected ones and its checksum holds.
//! The checksum finds damage; it is not a signature. Every field is checked against the parameters, and nothing is
//! allocated beyond the file's own size.

mod ciphertexts;
mod container;
mod keys;
mod residues;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand_core::RngCore;

pub use container::FileInfo;
pub(crate) use container::{Input, Section};

use crate::{CkksError, Context, KeyId, os_rng};
use container::Header;

/// Names the compiled program that keys and ciphertexts are for; chosen by the caller, for example a hash of it.
pub type ProgramId = [u8; 32];

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A [`SecretKey`](crate::SecretKey): stays with the client.
    SecretKey = 1,
    /// [`EvaluationKeys`](crate::EvaluationKeys).
    EvaluationKeys = 2,
    /// Fresh ciphertexts, a `Vec<SeededCiphertext>`.
    Request = 3,
    /// Computed ciphertexts, a `Vec<Ciphertext>`.
    Response = 4,
    /// A [`Snapshot`](crate::Snapshot).
    Checkpoint = 5,
}

impl FileKind {
    const ALL: [FileKind; 5] =
        [FileKind::SecretKey, FileKind::EvaluationKeys, FileKind::Request, FileKind::Response, FileKind::Checkpoint];
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FileKind::SecretKey => "secret key",
            FileKind::EvaluationKeys => "evaluation keys",
            FileKind::Request => "request",
            FileKind::Response => "response",
            FileKind::Checkpoint => "checkpoint",
        })
    }
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum FileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("not a file of keys or ciphertexts")]
    Magic,
    #[error("format version {found} is not supported, only {supported}: use the program version that wrote it")]
    Version { found: u32, supported: u32 },
    #[error("the file holds {found}, where {expected} is expected")]
    Kind { found: FileKind, expected: FileKind },
    #[error("the file was made for other parameters: make keys and requests for this program")]
    Parameters,
    #[error("the file was made for another program")]
    Program,
    #[error("the file has {found} bytes instead of {expected}: it was cut off or appended to; copy it again")]
    Length { found: u64, expected: u64 },
    #[error("the checksum does not hold: the file is damaged; copy it again")]
    Checksum,
    #[error("the file is damaged: {0}")]
    Corrupt(&'static str),
    #[error("nothing to write: a file of ciphertexts holds at least one")]
    Empty,
}

/// What can be kept in a file: [`SecretKey`](crate::SecretKey), [`EvaluationKeys`](crate::EvaluationKeys),
/// `Vec<SeededCiphertext>` (a request), `Vec<Ciphertext>` (a response) and [`Snapshot`](crate::Snapshot).
pub trait Stored: StoredParts {
    /// The file's bytes. Those of a secret key are the caller's to wipe.
    ///
    /// # Errors
    /// A value of other parameters; ciphertexts of different keys, or none.
    fn to_bytes(&self, context: &Context, program: &ProgramId) -> Result<Vec<u8>, CkksError> {
        let mut bytes = Vec::new();
        write_to(self, context, program, Path::new("memory"), &mut bytes)?;
        Ok(bytes)
    }

    /// From a file's bytes.
    ///
    /// # Errors
    /// [`FileError`] for anything but an intact file of this kind, version, parameters and program.
    fn from_bytes(context: &Context, program: &ProgramId, bytes: &[u8]) -> Result<Self, CkksError> {
        read_from(context, program, Path::new("memory"), bytes, bytes.len() as u64)
    }

    /// Write a file: under a temporary name first, renamed when it is complete. A secret key's file is readable by its
    /// owner only.
    ///
    /// # Errors
    /// [`FileError::Io`], and as [`Stored::to_bytes`].
    fn save(&self, context: &Context, program: &ProgramId, path: &Path) -> Result<(), CkksError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".partial-{:016x}", os_rng()?.next_u64()));
        self.save_renamed(context, program, &path.with_file_name(name), path)
    }

    /// As [`Stored::save`], over and over to one path from one process at a time: the temporary name is the same each time
    /// (`.partial` behind the path's), so that a process that is killed leaves one such file at most, which the next save
    /// replaces.
    ///
    /// # Errors
    /// As [`Stored::save`].
    fn replace(&self, context: &Context, program: &ProgramId, path: &Path) -> Result<(), CkksError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let partial = path.with_file_name(name);
        match fs::remove_file(&partial) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io_error(&partial, source)),
            _ => {}
        }
        self.save_renamed(context, program, &partial, path)
    }

    /// Read a file.
    ///
    /// # Errors
    /// [`FileError`] for anything but an intact file of this kind, version, parameters and program.
    fn load(context: &Context, program: &ProgramId, path: &Path) -> Result<Self, CkksError> {
        let file = fs::File::open(path).map_err(|source| io_error(path, source))?;
        let length = file.metadata().map_err(|source| io_error(path, source))?.len();
        read_from(context, program, path, file, length)
    }
}

impl<T: StoredParts> Stored for T {}

/// How a kind of file is made of sections.
pub trait StoredParts: Sized {
    /// Kind.
    #[doc(hidden)]
    const KIND: FileKind;

    #[doc(hidden)]
    fn key_id(&self) -> Result<KeyId, CkksError>;

    #[doc(hidden)]
    fn sections<'a>(&'a self, context: &'a Context) -> Result<Vec<Section<'a>>, CkksError>;

    #[doc(hidden)]
    fn read<R: Read>(context: &Context, key: KeyId, input: &mut Input<R>) -> Result<Self, CkksError>;

    #[doc(hidden)]
    fn save_as(&self, context: &Context, program: &ProgramId, path: &Path) -> Result<(), CkksError> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if Self::KIND == FileKind::SecretKey {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut file = options.open(path).map_err(|source| io_error(path, source))?;
        write_to(self, context, program, path, &mut file)?;
        file.sync_all().map_err(|source| io_error(path, source))
    }

    #[doc(hidden)]
    fn save_renamed(
        &self,
        context: &Context,
        program: &ProgramId,
        partial: &Path,
        path: &Path,
    ) -> Result<(), CkksError> {
        let result = self
            .save_as(context, program, partial)
            .and_then(|()| fs::rename(partial, path).map_err(|source| io_error(path, source)));
        if result.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(partial);
        }
        result
    }
}

fn write_to<T: StoredParts>(
    value: &T,
    context: &Context,
    program: &ProgramId,
    path: &Path,
    sink: &mut dyn Write,
) -> Result<(), CkksError> {
    let header = Header {
        kind: T::KIND,
        insecure: !context.parameters().security().is_secure(),
        fingerprint: context.fingerprint(),
        program: *program,
        key: value.key_id()?,
    };
    let sections = value.sections(context)?;
    container::write(&header, &sections, sink).map_err(|source| io_error(path, source))
}

fn read_from<T: StoredParts>(
    context: &Context,
    program: &ProgramId,
    path: &Path,
    source: impl Read,
    length: u64,
) -> Result<T, CkksError> {
    let mut input = Input::open(source, length, path)?;
    let header = input.header();
    if header.kind != T::KIND {
        return Err(FileError::Kind { found: header.kind, expected: T::KIND }.into());
    }
    if header.fingerprint != context.fingerprint() {
        return Err(FileError::Parameters.into());
    }
    if header.program != *program {
        return Err(FileError::Program.into());
    }
    let value = T::read(context, header.key, &mut input)?;
    input.finish()?;
    Ok(value)
}

fn io_error(path: &Path, source: io::Error) -> CkksError {
    FileError::Io { path: path.to_owned(), source }.into()
}
