//! Tensors in and out of slot programs: what the client does, without encryption.

use crate::circuit::{Input, Output};
use crate::tensor::Tensor;

/// Slot vectors of a bundle, one for each ciphertext.
pub type SlotVectors = Vec<Vec<f64>>;

/// Why a simulation cannot run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SimulateError {
    #[error("the program takes {expected} inputs, but {found} were given")]
    InputCount { expected: usize, found: usize },
    #[error("input {name} must have shape {expected:?}, but the given one has {found:?}")]
    InputShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("{layer}, {op}: {reason}")]
    Operation { layer: String, op: &'static str, reason: String },
    #[error(transparent)]
    Parameters(#[from] crate::ParametersError),
}

/// Pack tensors by the layouts of the inputs.
///
/// # Errors
/// When their number or shapes differ from what the inputs say.
pub fn pack_inputs(inputs: &[Input], tensors: &[Tensor]) -> Result<Vec<SlotVectors>, SimulateError> {
    if inputs.len() != tensors.len() {
        return Err(SimulateError::InputCount { expected: inputs.len(), found: tensors.len() });
    }
    let pack = |(input, tensor): (&Input, &Tensor)| {
        let shape = &input.layout.shape;
        if tensor.shape == *shape && tensor.data.len() == shape.elements() {
            return Ok(input.layout.pack(&tensor.data));
        }
        Err(SimulateError::InputShape {
            name: input.name.clone(),
            expected: shape.dims().to_vec(),
            found: tensor.shape.dims().to_vec(),
        })
    };
    inputs.iter().zip(tensors).map(pack).collect()
}

/// Read a result out of its slot vectors by its layout. Client operations are not applied.
pub fn unpack_output<V>(output: &Output<V>, vectors: &[Vec<f64>]) -> Tensor {
    Tensor { shape: output.layout.shape.clone(), data: output.layout.unpack(vectors) }
}
