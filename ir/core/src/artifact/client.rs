//! `model.client.json`: all that a client needs; with `model.client.npz` beside it if the client computes a part of the
//! network that has weights.

use super::container::hex;
use super::manifest::check_format;
use super::programs::{ClientPrograms, StoredPrograms};
use super::{Artifact, ArtifactError, FORMAT, file};
use crate::circuit::Input;
use crate::leveled::Scheme;
use crate::program::KeySet;
use crate::samples::Wanted;
use crate::tensor::{ClientOp, InterpretError, Output, ShapeError, Tensor};
use crate::{Batch, Layout, ParametersError, ParametersLiteral, Slots};
use hec_params::BootstrapChoice;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

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
    /// How many inputs share a ciphertext.
    #[serde(default, skip_serializing_if = "Batch::is_one")]
    pub batch: Batch,
    /// The evaluation keys that the program needs.
    pub keys: KeySet,
    /// Inputs and how to pack them.
    pub inputs: Vec<Input>,
    /// Outputs and how to unpack them.
    pub outputs: Vec<ClientOutput>,
    /// What the client computes before encryption and after decryption.
    #[serde(skip)]
    pub programs: ClientPrograms,
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

/// The file: the checksum is the SHA-256 of `client` and `programs` as JSON without white space.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    /// The security line of the parameters, for people: what is below 128 bits says INSECURE.
    security: String,
    checksum: String,
    client: ClientFile,
    #[serde(default)]
    programs: StoredPrograms,
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
            batch: program.batch,
            keys: program.keys.clone(),
            inputs: program.inputs.clone(),
            outputs: program.outputs.iter().map(output).collect(),
            programs: ClientPrograms::default(),
        }
    }

    /// With what the client computes by itself.
    pub fn with_programs(self, programs: ClientPrograms) -> Self {
        ClientFile { programs, ..self }
    }

    /// What the model takes: the name and shape of each input, as the client has it.
    pub fn wanted(&self) -> Wanted {
        match &self.programs.prologue {
            Some(prologue) => crate::samples::wanted_by_graph(prologue),
            None => crate::samples::wanted_by_program(&self.inputs),
        }
    }

    /// The names of the model's results; those of the program if `raw`.
    pub fn result_names(&self, raw: bool) -> Vec<&str> {
        match &self.programs.epilogue {
            Some(epilogue) if !raw => epilogue.outputs.iter().map(|o| o.name.as_str()).collect(),
            _ => self.outputs.iter().map(|o| o.name.as_str()).collect(),
        }
    }

    /// From the model's inputs to those that are encrypted.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn prepare(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, InterpretError> {
        match &self.programs.prologue {
            Some(prologue) => prologue.run(inputs),
            None => Ok(inputs.to_vec()),
        }
    }

    /// From the decrypted outputs to the model's results.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn finish(&self, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, InterpretError> {
        let own = outputs.into_iter().zip(&self.outputs);
        let done = own.map(|(tensor, o)| finished(tensor, &o.name, &o.client)).collect::<Result<Vec<_>, _>>()?;
        let Some(epilogue) = &self.programs.epilogue else {
            return Ok(done);
        };
        let last = epilogue.run(&done)?.into_iter().zip(&epilogue.outputs);
        last.map(|(tensor, o): (Tensor, &Output)| finished(tensor, &o.name, &o.client)).collect()
    }

    /// Write `model.client.json`, and first `model.client.npz` if there are weights.
    ///
    /// # Errors
    /// When a file cannot be written; then it does not exist, or is what it was.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        if let Some(weights) = self.weights()? {
            file::write_file(&weights_path(path), &weights)?;
        }
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
            ClientFile::from_json(&json, || {
                file::open(&weights_path(path), |mut file| {
                    let mut weights = Vec::new();
                    file.read_to_end(&mut weights)?;
                    Ok(weights)
                })
            })
        })
    }

    /// The client's part of the model in `model.hec`: the file beside it, or without one what the program itself tells.
    ///
    /// # Errors
    /// As [`ClientFile::read`].
    pub fn beside(path: &Path, artifact: &Artifact) -> Result<Self, ArtifactError> {
        let own = ClientFile::of(artifact);
        let file = path.with_extension("client.json");
        if !file.exists() {
            return Ok(own);
        }
        let stored = ClientFile::read(&file)?;
        Ok(if stored.program_id == own.program_id { stored } else { own })
    }

    /// The archive of the weights that the client gets, if any.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn weights(&self) -> Result<Option<Vec<u8>>, ArtifactError> {
        Ok(self.programs.store()?.1)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn to_json(&self) -> Result<String, ArtifactError> {
        let (programs, _) = self.programs.store()?;
        let (security, checksum) = (self.parameters.security().to_string(), self.checksum(&programs)?);
        let stored = Stored { format: FORMAT, security, checksum, client: self.clone(), programs };
        Ok(serde_json::to_string_pretty(&stored)? + "\n")
    }

    /// Read and check the text of the file; `weights` gives the archive of weights, if it needs one.
    ///
    /// # Errors
    /// As [`ClientFile::read`].
    pub fn from_json(
        json: &[u8],
        weights: impl FnOnce() -> Result<Vec<u8>, ArtifactError>,
    ) -> Result<Self, ArtifactError> {
        check_format(json)?;
        let Stored { security, checksum, client, programs, .. } = serde_json::from_slice(json)?;
        if client.checksum(&programs)? != checksum {
            return Err(ArtifactError::Checksum);
        }
        let archive = programs.weights.is_some().then(weights).transpose()?;
        let client = client.with_programs(ClientPrograms::load(&programs, archive.as_deref())?);
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
        Scheme::check(&self.parameters, self.bootstrap.as_ref(), self.batch)
    }

    fn checksum(&self, programs: &StoredPrograms) -> Result<String, ArtifactError> {
        Ok(hex(&Sha256::digest(serde_json::to_vec(&(self, programs))?)))
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
        self.verify_programs().map_err(ArtifactError::Client)
    }

    /// The client's programs begin and end with what is encrypted.
    fn verify_programs(&self) -> Result<(), String> {
        let ClientPrograms { prologue, epilogue } = &self.programs;
        if let Some(graph) = prologue {
            let made = graph.outputs.iter().map(|o| (o.name.as_str(), graph.shape(o.value)));
            let taken = self.inputs.iter().map(|i| (i.name.as_str(), &i.layout.shape));
            if !made.eq(taken) || graph.outputs.iter().any(|o| !o.client.is_empty()) {
                return Err("the prologue does not give what is encrypted".to_owned());
            }
        }
        if let Some(graph) = epilogue {
            let taken = graph.inputs().map(|(id, name)| (name, graph.shape(id)));
            let made = self.outputs.iter().map(|o| (o.name.as_str(), &o.layout.shape));
            if !made.eq(taken) {
                return Err("the epilogue does not take what is decrypted".to_owned());
            }
        }
        Ok(())
    }
}

/// Where the weights lie: `model.client.npz` for `model.client.json`.
fn weights_path(path: &Path) -> PathBuf {
    path.with_extension("npz")
}

fn finished(tensor: Tensor, name: &str, ops: &[ClientOp]) -> Result<Tensor, InterpretError> {
    let at = |source: ShapeError| InterpretError::Node { layer: name.to_owned(), source };
    ops.iter().try_fold(tensor, |x, op| op.apply(&x).map_err(at))
}

fn check_layout(name: &str, layout: &Layout, slots: Slots) -> Result<(), ArtifactError> {
    if layout.slots != slots {
        let reason = format!("layout of {name} is for {} slots, but a ciphertext has {slots}", layout.slots);
        return Err(ArtifactError::Client(reason));
    }
    layout.verify().map_err(|source| ArtifactError::Layout { name: name.to_owned(), source })
}
