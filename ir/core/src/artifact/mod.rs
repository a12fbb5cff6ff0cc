//! Compiled models in files.
//!
//! | file | for | holds |
//! |---|---|---|
//! | `model.hec` | the server | manifest, program in text, constants, report |
//! | `model.client.json` | the client | parameters, keys needed, layouts of inputs and outputs, what it computes in clear |
//! | `model.client.npz` | the client | the weights of what it computes in clear, such as embeddings; often there are none |
//!
//! `model.hec` is a zip archive whose entries are stored, not compressed, and begin at multiples of 64 bytes, so that
//! the constants can be mapped: `manifest.json`, `program.hel`, `constants/KEY.npy`, `report.json`. It ends with a
//! comment that holds the SHA-256 of everything before it. The same program and report give the same bytes.
//!
//! Start at [`Artifact`] and [`ClientFile`].
//! Invariants: what is read has passed its checksum, `verify`, and every consistency check; a file is written under
//! another name and renamed when it is complete.

mod client;
mod container;
mod error;
mod file;
mod manifest;
mod programs;

use crate::array::{ElementType, read_npy, write_npy};
use crate::program::Program;
use crate::text::{self, AnyLevel, ExternalConstants};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

pub use client::{ClientFile, ClientOutput};
pub use error::ArtifactError;
pub use file::write_file;
pub use manifest::{InputSummary, Manifest, OutputSummary, fingerprint};
pub use programs::ClientPrograms;

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

const MANIFEST: &str = "manifest.json";
const PROGRAM: &str = "program.hel";
const REPORT: &str = "report.json";

/// A compiled model.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    manifest: Manifest,
    program: Program,
    report: serde_json::Value,
}

impl Artifact {
    /// A program with its report (any JSON; the compiler's, for people and tools).
    ///
    /// # Errors
    /// When the program does not verify.
    pub fn new(program: Program, report: serde_json::Value) -> Result<Self, ArtifactError> {
        program.verify()?;
        let (text, constants) = text::print_program(&program);
        let manifest = Manifest::new(&program, &text, &constants)?;
        Ok(Artifact { manifest, program, report })
    }

    /// What the model is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The program; it verifies.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program alone.
    pub fn into_program(self) -> Program {
        self.program
    }

    /// The compiler's report.
    pub fn report(&self) -> &serde_json::Value {
        &self.report
    }

    /// Write `model.hec`.
    ///
    /// # Errors
    /// When the file cannot be written; then it does not exist, or is what it was.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        file::replace(path, |file| self.write_to(file).map(|_| ()))
    }

    /// Read `model.hec`.
    ///
    /// # Errors
    /// When the file cannot be read, is truncated or altered, of another version, or not well-formed.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        file::open(path, |file| Artifact::read_from(file))
    }

    /// Write the bytes of `model.hec` to an empty file, or what stands for one.
    ///
    /// # Errors
    /// Those of the file.
    pub fn write_to<F: Read + Write + Seek>(&self, file: F) -> Result<F, ArtifactError> {
        let (text, constants) = text::print_program(&self.program);
        let mut archive = container::Writer::new(file);
        archive.entry(MANIFEST, &serde_json::to_vec_pretty(&self.manifest)?)?;
        archive.entry(PROGRAM, text.as_bytes())?;
        for (key, tensor) in constants {
            let array = write_npy(&tensor, ElementType::F64);
            let bytes = array.map_err(|source| ArtifactError::Constant { key: key.clone(), source })?;
            archive.entry(&constant_entry(&key), &bytes)?;
        }
        archive.entry(REPORT, &serde_json::to_vec_pretty(&self.report)?)?;
        archive.finish()
    }

    /// Read the bytes of `model.hec`.
    ///
    /// # Errors
    /// As [`Artifact::read`].
    pub fn read_from<F: Read + Seek>(file: F) -> Result<Self, ArtifactError> {
        let mut archive = container::Reader::new(file)?;
        let manifest = Manifest::parse(&archive.entry(MANIFEST)?)?;
        let text = String::from_utf8(archive.entry(PROGRAM)?).map_err(|_| ArtifactError::Encoding)?;
        let report = serde_json::from_slice(&archive.entry(REPORT)?)?;
        let mut constants = ExternalConstants::new();
        for name in archive.names() {
            let Some(key) = name.strip_prefix("constants/").and_then(|n| n.strip_suffix(".npy")) else {
                if [MANIFEST, PROGRAM, REPORT].contains(&name.as_str()) {
                    continue;
                }
                return Err(ArtifactError::Unexpected(name));
            };
            let array = read_npy(&archive.entry(&name)?);
            let array = array.map_err(|source| ArtifactError::Constant { key: key.to_owned(), source })?;
            constants.insert(key.to_owned(), Arc::new(array.tensor));
        }
        let program = match text::parse(&text, &constants)? {
            AnyLevel::Program(program) => program,
            other => return Err(ArtifactError::Level(other.name())),
        };
        let expected = Manifest { hec: manifest.hec.clone(), ..Manifest::new(&program, &text, &constants)? };
        if expected != manifest {
            return Err(ArtifactError::Inconsistent);
        }
        Ok(Artifact { manifest, program, report })
    }
}

fn constant_entry(key: &str) -> String {
    format!("constants/{key}.npy")
}
