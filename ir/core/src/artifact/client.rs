//! `model.client.json`: all that a client needs, and no weights.

use super::container::hex;
use super::manifest::check_format;
use super::{Artifact, ArtifactError, FORMAT, file};
use crate::circuit::Input;
use crate::leveled::Scheme;
use crate::program::KeySet;
use crate::tensor::ClientOp;
use crate::{Layout, ParametersError, ParametersLiteral, Slots};
use hec_params::BootstrapChoice;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// How to make keys, encrypt inputs and read outputs of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFile {
    /// Name of the network.
    pub name: String,
    /// The program's hash, as in its manifest.
    pub program_id: String,
    /// Parameters.
    pub parameters: ParametersLiteral,
    /// What a bootstrap chooses, if the program has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapChoice>,
    /// The evaluation keys that the program needs.
    pub keys: KeySet,
    /// Inputs and how to pack them.
    pub inputs: Vec<Input>,
    /// Outputs and how to unpack them.
    pub outputs: Vec<ClientOutput>,
}

/// An output as the client sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientOutput {
    /// The model's name for it.
    pub name: String,
    /// Where its elements are.
    pub layout: Layout,
    /// What to do after decryption, in order.
    pub client: Vec<ClientOp>,
}

/// The file: the checksum is the SHA-256 of `client` as JSON without white space.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    /// The security line of the parameters, for people: what is below 128 bits says INSECURE.
    security: String,
    checksum: String,
    client: ClientFile,
}

impl ClientFile {
    /// The client's part of a compiled model.
    pub fn of(artifact: &Artifact) -> Self {
        let program = artifact.program();
        let output = |o: &crate::circuit::Output<_>| ClientOutput {
            name: o.name.clone(),
            layout: o.layout.clone(),
            client: o.client.clone(),
        };
        ClientFile {
            name: program.name.clone(),
            program_id: artifact.manifest().program_id.clone(),
            parameters: program.parameters.clone(),
            bootstrap: program.bootstrap.clone(),
            keys: program.keys.clone(),
            inputs: program.inputs.clone(),
            outputs: program.outputs.iter().map(output).collect(),
        }
    }

    /// Write `model.client.json`.
    ///
    /// # Errors
    /// When the file cannot be written; then it does not exist, or is what it was.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        file::write_file(path, self.to_json()?.as_bytes())
    }

    /// Read `model.client.json`.
    ///
    /// # Errors
    /// When the file cannot be read, is truncated or altered, of another version, or not well-formed.
    pub fn read(path: &Path) -> Result<Self, ArtifactError> {
        file::open(path, |mut file| {
            let mut json = Vec::new();
            file.read_to_end(&mut json)?;
            ClientFile::from_json(&json)
        })
    }

    /// The text of the file.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn to_json(&self) -> Result<String, ArtifactError> {
        let (security, checksum) = (self.parameters.security().to_string(), self.checksum()?);
        let stored = Stored { format: FORMAT, security, checksum, client: self.clone() };
        Ok(serde_json::to_string_pretty(&stored)? + "\n")
    }

    /// Read and check the text of the file.
    ///
    /// # Errors
    /// As [`ClientFile::read`].
    pub fn from_json(json: &[u8]) -> Result<Self, ArtifactError> {
        check_format(json)?;
        let Stored { security, checksum, client, .. } = serde_json::from_slice(json)?;
        if client.checksum()? != checksum {
            return Err(ArtifactError::Checksum);
        }
        client.verify()?;
        if client.parameters.security().to_string() != security {
            return Err(ArtifactError::Client("the security line is not that of its parameters".to_owned()));
        }
        Ok(client)
    }

    /// The checked parameters.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn scheme(&self) -> Result<Scheme, ParametersError> {
        Scheme::check(&self.parameters, self.bootstrap.as_ref())
    }

    fn checksum(&self) -> Result<String, ArtifactError> {
        Ok(hex(&Sha256::digest(serde_json::to_vec(self)?)))
    }

    /// Check parameters (security included), keys and layouts.
    ///
    /// # Errors
    /// The first reason found.
    pub fn verify(&self) -> Result<(), ArtifactError> {
        let scheme = self.scheme()?;
        let refuse = |reason: String| Err(ArtifactError::Client(reason));
        if self.program_id.len() != 64 || !self.program_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return refuse("the program's hash is not one".to_owned());
        }
        let (slots, top) = (scheme.slots(), scheme.input_level());
        for (rotation, level) in &self.keys.rotations {
            if rotation.is_zero() || rotation.0 as usize >= slots.0 || *level > top {
                return refuse(format!("there is no rotation by {rotation} at level {level}"));
            }
        }
        if let Some(level) = self.keys.relinearize.filter(|level| *level > top) {
            return refuse(format!("there is no relinearization at level {level}"));
        }
        if self.keys.bootstrap && scheme.bootstrap().is_none() {
            return refuse("there are no keys for a bootstrap that is not chosen".to_owned());
        }
        for input in &self.inputs {
            check_layout(&input.name, &input.layout, slots)?;
        }
        for output in &self.outputs {
            check_layout(&output.name, &output.layout, slots)?;
            for ClientOp::Softmax { axis } in &output.client {
                if *axis >= output.layout.shape.rank() {
                    return refuse(format!("output {}: softmax over axis {axis}, which does not exist", output.name));
                }
            }
        }
        Ok(())
    }
}

fn check_layout(name: &str, layout: &Layout, slots: Slots) -> Result<(), ArtifactError> {
    if layout.slots != slots {
        let reason = format!("layout of {name} is for {} slots, but a ciphertext has {slots}", layout.slots);
        return Err(ArtifactError::Client(reason));
    }
    layout.verify().map_err(|source| ArtifactError::Layout { name: name.to_owned(), source })
}
