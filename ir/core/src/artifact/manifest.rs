//! What a compiled model is: names, versions, and the hashes by which its files find each other.

use super::container::hex;
use super::{ArtifactError, FORMAT};
use crate::ParametersLiteral;
use crate::program::Program;
use crate::tensor::{ClientOp, Shape};
use crate::text::ExternalConstants;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first entry of a compiled model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the network.
    pub name: String,
    /// Version of hec that compiled it.
    pub hec: String,
    /// The security line of the parameters, for people: what is below 128 bits says INSECURE.
    pub security: String,
    /// Hash of the parameters, see [`fingerprint`].
    pub fingerprint: String,
    /// SHA-256 over the text of the program and its constants; keys, requests and results name it.
    pub program_id: String,
    /// The inputs, in order.
    pub inputs: Vec<InputSummary>,
    /// The outputs, in order.
    pub outputs: Vec<OutputSummary>,
}

/// An input, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSummary {
    /// The model's name for it.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Ciphertexts that it takes.
    pub ciphertexts: usize,
}

/// An output, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSummary {
    /// The model's name for it.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Ciphertexts that it takes.
    pub ciphertexts: usize,
    /// What the client does after decryption.
    pub client: Vec<ClientOp>,
}

impl Manifest {
    pub(super) fn new(program: &Program, text: &str, constants: &ExternalConstants) -> Result<Self, ArtifactError> {
        let inputs = program.inputs.iter().map(|input| InputSummary {
            name: input.name.clone(),
            shape: input.layout.shape.clone(),
            ciphertexts: input.layout.ciphertexts(),
        });
        let outputs = program.outputs.iter().map(|output| OutputSummary {
            name: output.name.clone(),
            shape: output.layout.shape.clone(),
            ciphertexts: output.layout.ciphertexts(),
            client: output.client.clone(),
        });
        Ok(Manifest {
            format: FORMAT,
            name: program.name.clone(),
            hec: env!("CARGO_PKG_VERSION").to_owned(),
            security: program.parameters.security().to_string(),
            fingerprint: fingerprint(&program.parameters)?,
            program_id: program_id(text, constants),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
        })
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, ArtifactError> {
        check_format(json)?;
        Ok(serde_json::from_slice(json)?)
    }
}

/// Refuse other formats before anything else of them is looked at.
pub(super) fn check_format(json: &[u8]) -> Result<(), ArtifactError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let Format { format: found } = serde_json::from_slice(json)?;
    if found == u64::from(FORMAT) { Ok(()) } else { Err(ArtifactError::Format { found, known: FORMAT }) }
}

/// SHA-256, in hexadecimal, of the parameters as JSON without white space, fields in the order of their declaration.
///
/// # Errors
/// When a number of them is not finite.
pub fn fingerprint(parameters: &ParametersLiteral) -> Result<String, ArtifactError> {
    Ok(hex(&Sha256::digest(serde_json::to_vec(parameters)?)))
}

/// SHA-256 over the text and every constant by key; each part is preceded by its length.
fn program_id(text: &str, constants: &ExternalConstants) -> String {
    fn part(hash: &mut Sha256, bytes: &[u8]) {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    let mut hash = Sha256::new();
    part(&mut hash, b"hec program");
    part(&mut hash, text.as_bytes());
    for (key, tensor) in constants {
        part(&mut hash, key.as_bytes());
        let dims: Vec<u8> = tensor.shape.dims().iter().flat_map(|&d| (d as u64).to_le_bytes()).collect();
        part(&mut hash, &dims);
        hash.update((tensor.data.len() as u64).to_le_bytes());
        tensor.data.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    hex(&hash.finalize())
}
