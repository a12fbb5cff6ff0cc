//! Why a run is refused: a code, a reason, and what to do next.

use hec_ckks::{CkksError, FileError};
use hec_ir::array::ArrayError;
use hec_ir::artifact::ArtifactError;
use hec_ir::samples::SamplesError;
use hec_ir::tensor::InterpretError;
use std::path::{Path, PathBuf};

/// Everything that can go wrong for the three parties.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RunError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("{path}: {source}")]
    Stored { path: PathBuf, source: CkksError },
    #[error(transparent)]
    Array(#[from] ArrayError),
    #[error(transparent)]
    Samples(SamplesError),
    #[error("{0}")]
    Input(String),
    #[error("the program is ill-formed: {0}")]
    Program(String),
    #[error("layer {layer}, instruction {index} ({op}): {source}")]
    Instruction { index: usize, op: &'static str, layer: String, source: CkksError },
    #[error("{what}: {source}")]
    Constant { what: String, source: CkksError },
    #[error("the evaluation keys have no key for {name}, which this program needs at level {level}")]
    MissingKey { name: String, level: u32 },
    #[error("{what} has {found} ciphertexts, but this program's has {expected}")]
    Count { what: &'static str, found: usize, expected: usize },
    #[error("ciphertext {index} of the request is at level {found}, but this program starts at level {expected}")]
    FreshLevel { index: usize, found: u32, expected: u32 },
    #[error("what is left to the client: {0}")]
    ClientPart(#[from] InterpretError),
    #[error("evaluation takes at least {needed} of memory, but the limit is {limit}")]
    Memory { needed: String, limit: String },
    #[error("the checkpoint {path} is not of this evaluation: {reason}")]
    Checkpoint { path: PathBuf, reason: String },
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Ckks(#[from] CkksError),
}

impl RunError {
    /// A stable name of the kind of error, for people who look it up and for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            RunError::Io { .. } => "HEC-R001",
            RunError::Artifact(error) if is_io(error) => "HEC-R001",
            RunError::Artifact(_) | RunError::Program(_) => "HEC-R002",
            RunError::Array(_) => "HEC-R003",
            RunError::Input(_) | RunError::Samples(_) => "HEC-R004",
            RunError::Stored { source, .. } | RunError::Instruction { source, .. } | RunError::Ckks(source) => {
                ckks_code(source)
            }
            RunError::Constant { .. } => "HEC-R009",
            RunError::MissingKey { .. } => "HEC-R008",
            RunError::Count { .. } | RunError::FreshLevel { .. } => "HEC-R006",
            RunError::ClientPart(_) => "HEC-R010",
            RunError::Memory { .. } => "HEC-R011",
            RunError::Usage(_) => "HEC-R012",
            RunError::Checkpoint { .. } => "HEC-R013",
        }
    }

    /// What to do next; empty when the reason says it.
    pub fn help(&self) -> &'static str {
        match self {
            RunError::Io { .. } => "check that the path is right and that you may read or write it",
            RunError::Artifact(error) if is_io(error) => "check that the path is right and that you may read it",
            RunError::Artifact(_) | RunError::Program(_) => {
                "copy the file again, or compile the model again with the `hec` of this version"
            }
            RunError::Array(_) => "inputs are .npy, .npz or ONNX TensorProto .pb files of numbers",
            RunError::Stored { source, .. } | RunError::Instruction { source, .. } | RunError::Ckks(source) => {
                ckks_help(source)
            }
            RunError::MissingKey { .. } => "make the keys again with `hec-run keygen` for this program's client file",
            RunError::Count { .. } | RunError::FreshLevel { .. } => {
                "encrypt the input again with `hec-run encrypt` and this program's client file"
            }
            RunError::ClientPart(_) => "decrypt with `--raw` to get the output as the server computed it",
            RunError::Checkpoint { .. } => {
                "go on with the model, keys and request that it was made with, or remove it to begin anew"
            }
            RunError::Memory { .. } => "raise --max-memory, or compile for a smaller ring or fewer rotation keys",
            RunError::Constant { .. } => {
                "the constants do not fit the parameters: compile the model again with a larger base modulus"
            }
            RunError::Input(_) | RunError::Samples(_) | RunError::Usage(_) => "",
        }
    }

    /// Says which file.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> RunError + use<> {
        let path = path.to_owned();
        move |source| RunError::Io { path, source }
    }

    /// An error of a stored key or ciphertext, told with the file's name.
    pub fn stored(path: &Path) -> impl FnOnce(CkksError) -> RunError + use<> {
        let path = path.to_owned();
        move |source| match source {
            // It names the file already.
            CkksError::File(FileError::Io { path, source }) => RunError::Io { path, source },
            source => RunError::Stored { path, source },
        }
    }
}

impl From<SamplesError> for RunError {
    fn from(error: SamplesError) -> Self {
        match error {
            SamplesError::Array(ArrayError::Io { path, source }) => RunError::Io { path, source },
            SamplesError::Array(error) => RunError::Array(error),
            other => RunError::Samples(other),
        }
    }
}

fn is_io(error: &ArtifactError) -> bool {
    match error {
        ArtifactError::In { source, .. } => is_io(source),
        other => matches!(other, ArtifactError::Io(_)),
    }
}

fn ckks_code(error: &CkksError) -> &'static str {
    match error {
        CkksError::File(FileError::Io { .. }) => "HEC-R001",
        CkksError::File(FileError::Program | FileError::Parameters | FileError::Kind { .. }) => "HEC-R006",
        CkksError::WrongParameters => "HEC-R006",
        CkksError::File(_) => "HEC-R005",
        CkksError::WrongKey => "HEC-R007",
        CkksError::MissingKey { .. } | CkksError::KeyTooLow { .. } => "HEC-R008",
        _ => "HEC-R009",
    }
}

fn ckks_help(error: &CkksError) -> &'static str {
    match error {
        CkksError::File(FileError::Program | FileError::Parameters) | CkksError::WrongParameters => {
            "keys, requests and responses belong to one compiled model: make them again with its model.client.json"
        }
        CkksError::File(FileError::Kind { .. }) => "see what a file holds with `hec-run inspect`",
        CkksError::File(_) => "get the file again from where it was made",
        CkksError::WrongKey => "use the keys that the request was encrypted with: each `keygen` makes another secret",
        CkksError::MissingKey { .. } | CkksError::KeyTooLow { .. } => {
            "make the keys again with `hec-run keygen` for this program's client file"
        }
        CkksError::ValueTooLarge { .. } | CkksError::NotFinite { .. } => {
            "check that the input has the values that the model was calibrated for"
        }
        _ => "",
    }
}
