//! What the client computes in clear, before encryption and after decryption: tensor programs as text, and their weights
//! in an archive beside it.

use super::ArtifactError;
use super::container::hex;
use crate::array::{ElementType, read_npz, write_npz};
use crate::tensor::{Graph, Tensor};
use crate::text::{self, AnyLevel, ExternalConstants};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The client's own parts of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientPrograms {
    /// From the model's inputs to the encrypted ones.
    pub prologue: Option<Graph>,
    /// From the decrypted outputs to the model's.
    pub epilogue: Option<Graph>,
}

/// As they stand in the client's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredPrograms {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prologue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epilogue: Option<String>,
    /// The SHA-256 of the archive of weights, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

impl ClientPrograms {
    /// Whether the client computes nothing by itself.
    pub fn is_empty(&self) -> bool {
        self.prologue.is_none() && self.epilogue.is_none()
    }

    /// How many numbers of weights the client gets.
    pub fn numbers(&self) -> usize {
        let graphs = self.prologue.iter().chain(&self.epilogue);
        graphs.flat_map(|g| g.constants.iter()).map(|(_, _, tensor)| tensor.data.len()).sum()
    }

    /// The texts, and the archive of what they leave out.
    pub(super) fn store(&self) -> Result<(StoredPrograms, Option<Vec<u8>>), ArtifactError> {
        let mut weights: Vec<(String, Arc<Tensor>)> = Vec::new();
        let mut print = |part: &str, graph: &Option<Graph>| {
            graph.as_ref().map(|graph| {
                let (text, external) = text::print_tensor(graph);
                weights.extend(external.into_iter().map(|(name, tensor)| (format!("{part}/{name}"), tensor)));
                text
            })
        };
        let (prologue, epilogue) = (print("prologue", &self.prologue), print("epilogue", &self.epilogue));
        let entries = weights.iter().map(|(name, tensor)| (name.as_str(), tensor.as_ref(), smallest(tensor)));
        let archive = match weights.is_empty() {
            true => None,
            false => Some(write_npz(entries).map_err(in_weights)?),
        };
        let weights = archive.as_ref().map(|bytes| hex(&Sha256::digest(bytes)));
        Ok((StoredPrograms { prologue, epilogue, weights }, archive))
    }

    /// What [`ClientPrograms::store`] gave.
    pub(super) fn load(stored: &StoredPrograms, archive: Option<&[u8]>) -> Result<Self, ArtifactError> {
        let arrays = match (&stored.weights, archive) {
            (None, _) => Vec::new(),
            (Some(hash), Some(bytes)) if hex(&Sha256::digest(bytes)) == *hash => read_npz(bytes).map_err(in_weights)?,
            (Some(_), Some(_)) => return Err(ArtifactError::Checksum),
            (Some(_), None) => {
                return Err(ArtifactError::Client("the weights of what the client computes are missing".to_owned()));
            }
        };
        let arrays: Vec<(String, Arc<Tensor>)> =
            arrays.into_iter().map(|(name, array)| (name, Arc::new(array.tensor))).collect();
        let read = |part: &str, text: &Option<String>| {
            let own = |(name, tensor): &(String, Arc<Tensor>)| {
                let name = name.strip_prefix(part)?.strip_prefix('/')?;
                Some((name.to_owned(), tensor.clone()))
            };
            let external: ExternalConstants = arrays.iter().filter_map(own).collect();
            let graph = text.as_ref().map(|text| match text::parse(text, &external)? {
                AnyLevel::Tensor(graph) => Ok(graph),
                other => Err(ArtifactError::Client(format!("the {part} is a {}, not a tensor graph", other.name()))),
            });
            graph.transpose()
        };
        Ok(ClientPrograms {
            prologue: read("prologue", &stored.prologue)?,
            epilogue: read("epilogue", &stored.epilogue)?,
        })
    }
}

fn in_weights(source: crate::array::ArrayError) -> ArtifactError {
    ArtifactError::Constant { key: "weights of the client".to_owned(), source }
}

/// Single precision where it holds every number exactly, as it does for weights from ONNX.
fn smallest(tensor: &Tensor) -> ElementType {
    let fits = |&v: &f64| f64::from(v as f32) == v;
    if tensor.data.iter().all(fits) { ElementType::F32 } else { ElementType::F64 }
}
