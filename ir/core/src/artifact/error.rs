//! Why a file of a compiled model is refused.

use crate::array::ArrayError;
use crate::program::ProgramError;
use crate::text::TextError;
use crate::{LayoutError, ParametersError};
use std::path::PathBuf;

/// Why a file of a compiled model cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ArtifactError {
    #[error("{path}: {source}")]
    In { path: PathBuf, source: Box<ArtifactError> },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("this is not a compiled model; `hec compile` makes one")]
    Foreign,
    #[error("the file is truncated or was altered: its checksum does not match; copy it again")]
    Checksum,
    #[error("format {found} is not known, only {known}; read it with the version of hec that wrote it")]
    Format { found: u64, known: u32 },
    #[error("ill-formed archive: {0}")]
    Archive(#[from] zip::result::ZipError),
    #[error("entry {0} is missing")]
    Missing(String),
    #[error("entry {0} does not belong to a compiled model")]
    Unexpected(String),
    #[error("entry {0} is compressed, or larger than the archive")]
    Entry(String),
    #[error("ill-formed JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the program is not UTF-8")]
    Encoding,
    #[error("program: {0}")]
    Text(#[from] TextError),
    #[error("the text is a {0}, not a program; compile it first")]
    Level(&'static str),
    #[error("program: {0}")]
    Program(#[from] ProgramError),
    #[error("constant {key}: {source}")]
    Constant { key: String, source: ArrayError },
    #[error("the manifest does not describe the program that comes with it")]
    Inconsistent,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("layout of {name}: {source}")]
    Layout { name: String, source: LayoutError },
    #[error("{0}")]
    Client(String),
}
