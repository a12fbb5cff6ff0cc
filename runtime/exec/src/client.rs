//! The client: makes keys, encrypts, decrypts. The only party that holds the secret key.

use crate::RunError;
use crate::keys::key_request;
use crate::shared::{interleaved, of_input, repeated};
use hec_ckks::{
    Ciphertext, CkksError, Context, Encoder, EvaluationKeys, KeyRequest, ProgramId, SecretKey, SeededCiphertext, os_rng,
};
use hec_ir::artifact::{ClientFile, ClientOutput};
use hec_ir::circuit::Input;
use hec_ir::leveled::Scheme;
use hec_ir::tensor::Tensor;
use hec_ir::{Batch, Parameters, ParametersLiteral};
use std::path::Path;
use std::sync::Arc;

/// How results are decrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decryption {
    /// Leave out what the client computes after decryption, such as softmax.
    pub raw: bool,
    /// Add Gaussian noise of standard deviation 2^−bits to every slot, so that the result may be shared: at least
    /// √12·2^(s/2) times the noise of the result hides it with s bits of statistical security (Li, Micciancio, Schultz,
    /// Sorrell 2022).
    pub flood_bits: Option<f64>,
}

/// A client of one program.
#[derive(Debug)]
pub struct Client {
    file: ClientFile,
    scheme: Scheme,
    program: ProgramId,
    context: Arc<Context>,
    encoder: Encoder,
}

impl Client {
    /// Check what the file says, and compute the tables of its parameters.
    ///
    /// # Errors
    /// Parameters or layouts that are ill-formed, or less secure than they claim.
    pub fn new(file: ClientFile) -> Result<Self, RunError> {
        let context = context(&file.parameters)?;
        Self::with_context(file, &context)
    }

    /// From `model.client.json`.
    ///
    /// # Errors
    /// When it cannot be read, and as [`Client::new`].
    pub fn load(path: &Path) -> Result<Self, RunError> {
        Self::new(ClientFile::read(path)?)
    }

    /// As [`Client::new`], sharing tables.
    ///
    /// # Errors
    /// As [`Client::new`]; a context of other parameters.
    pub fn with_context(file: ClientFile, context: &Arc<Context>) -> Result<Self, RunError> {
        if file.parameters != *context.parameters().literal() {
            return Err(CkksError::WrongParameters.into());
        }
        file.verify()?;
        let scheme = file.scheme().map_err(|e| RunError::Program(e.to_string()))?;
        let program = program_id(&file.program_id)?;
        Ok(Client { file, scheme, program, context: Arc::clone(context), encoder: Encoder::new(context) })
    }

    /// What is known of the program.
    pub fn file(&self) -> &ClientFile {
        &self.file
    }

    /// The parameters, and the bootstrap if the program has one.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The evaluation keys that the program needs.
    pub fn key_request(&self) -> KeyRequest {
        key_request(&self.file.keys, &self.scheme)
    }

    /// The compiled program that keys, requests and responses belong to.
    pub fn program(&self) -> &ProgramId {
        &self.program
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// A fresh secret key, and the evaluation keys that the program needs.
    ///
    /// # Errors
    /// No randomness; keys that the parameters do not have.
    pub fn keygen(&self) -> Result<(SecretKey, EvaluationKeys), RunError> {
        let mut rng = os_rng()?;
        let secret = SecretKey::generate(&self.context, &mut rng);
        let keys = EvaluationKeys::generate(&self.context, &secret, &self.key_request(), &mut rng)?;
        Ok((secret, keys))
    }

    /// Compute what is the client's of one tensor for each input of the model, pack and encrypt the result.
    ///
    /// # Errors
    /// Another number of inputs, another shape, values that are not finite or too large.
    pub fn encrypt(&self, secret: &SecretKey, inputs: &[Tensor]) -> Result<Vec<SeededCiphertext>, RunError> {
        self.encrypt_batch(secret, &[inputs])
    }

    /// The same of several samples, at most as many as the program evaluates at once; the others are filled with zeros.
    ///
    /// # Errors
    /// As [`Client::encrypt`]; no sample, or too many.
    pub fn encrypt_batch(
        &self,
        secret: &SecretKey,
        samples: &[impl AsRef<[Tensor]>],
    ) -> Result<Vec<SeededCiphertext>, RunError> {
        self.check_count(samples.len())?;
        let packed = samples.iter().map(|sample| self.pack(sample.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let mut rng = os_rng()?;
        let level = self.scheme.input_level();
        let (scale, slots) = (self.context.scale(level)?, self.context.parameters().slots());
        let encrypt = |ciphertext: usize| {
            let own: Vec<_> = packed.iter().map(|vectors| vectors[ciphertext].as_slice()).collect();
            let values = repeated(interleaved(&own, self.file.batch).into(), Batch::ONE, slots);
            let plaintext = self.encoder.encode(&values, level, scale)?;
            Ok(secret.encrypt(&self.context, &plaintext, &mut rng)?)
        };
        (0..packed.first().map_or(0, Vec::len)).map(encrypt).collect()
    }

    /// The slot vectors of a sample, those of all inputs in order.
    fn pack(&self, inputs: &[Tensor]) -> Result<Vec<Vec<f64>>, RunError> {
        let (expected, found) = (self.file.wanted().len(), inputs.len());
        if found != expected {
            return Err(RunError::Input(format!("the model takes {expected} inputs, but {found} were given")));
        }
        let inputs = self.file.prepare(inputs).map_err(|e| RunError::Input(e.to_string()))?;
        let mut vectors = Vec::new();
        for (input, tensor) in self.file.inputs.iter().zip(&inputs) {
            check_tensor(input, tensor)?;
            vectors.extend(input.layout.pack(&tensor.data));
        }
        Ok(vectors)
    }

    /// Whether a request holds so many samples.
    fn check_count(&self, count: usize) -> Result<(), RunError> {
        let most = self.file.batch.0;
        match count {
            0 => Err(RunError::Input("a request must hold a sample".to_owned())),
            _ if count <= most => Ok(()),
            _ => Err(RunError::Input(format!("a request holds at most {most} samples, but {count} were given"))),
        }
    }

    /// Decrypt and unpack one tensor for each output, and compute what is left to the client; of the first sample.
    ///
    /// # Errors
    /// Another number of ciphertexts, another key.
    pub fn decrypt(
        &self,
        secret: &SecretKey,
        response: &[Ciphertext],
        how: &Decryption,
    ) -> Result<Vec<Tensor>, RunError> {
        Ok(self.decrypt_batch(secret, response, 1, how)?.swap_remove(0))
    }

    /// The same of the first `count` samples of the request.
    ///
    /// # Errors
    /// As [`Client::decrypt`]; no sample, or more than a request holds.
    pub fn decrypt_batch(
        &self,
        secret: &SecretKey,
        response: &[Ciphertext],
        count: usize,
        how: &Decryption,
    ) -> Result<Vec<Vec<Tensor>>, RunError> {
        self.check_count(count)?;
        let expected = self.file.outputs.iter().map(|output| output.layout.ciphertexts()).sum();
        if response.len() != expected {
            return Err(RunError::Count { what: "the response", found: response.len(), expected });
        }
        let slots = response.iter().map(|c| self.decrypt_slots(secret, c, how)).collect::<Result<Vec<_>, _>>()?;
        let sample = |i: usize| {
            let own: Vec<Vec<f64>> = slots.iter().map(|all| of_input(all, i, self.file.batch)).collect();
            let tensors = self.unpack(&own);
            if how.raw { Ok(tensors) } else { Ok(self.file.finish(tensors)?) }
        };
        (0..count).map(sample).collect()
    }

    /// The outputs of one sample.
    fn unpack(&self, mut slots: &[Vec<f64>]) -> Vec<Tensor> {
        let output = |output: &ClientOutput| {
            let (own, after) = slots.split_at(output.layout.ciphertexts());
            slots = after;
            Tensor { shape: output.layout.shape.clone(), data: output.layout.unpack(own) }
        };
        self.file.outputs.iter().map(output).collect()
    }

    fn decrypt_slots(
        &self,
        secret: &SecretKey,
        ciphertext: &Ciphertext,
        how: &Decryption,
    ) -> Result<Vec<f64>, RunError> {
        let plaintext = match how.flood_bits {
            None => secret.decrypt(&self.context, ciphertext)?,
            Some(bits) => {
                // A slot adds up N/2 coefficients' worth of variance (hec_ckks::noise::slot_std_dev).
                let half_degree = self.context.degree() as f64 / 2.0;
                let std_dev = (-bits).exp2() * ciphertext.scale().0 / half_degree.sqrt();
                secret.decrypt_flooded(&self.context, ciphertext, std_dev, &mut os_rng()?)?
            }
        };
        Ok(self.encoder.decode(&plaintext)?)
    }
}

/// The tables of a parameter set, which is checked first.
pub(crate) fn context(literal: &ParametersLiteral) -> Result<Arc<Context>, RunError> {
    let parameters = Parameters::check(literal.clone()).map_err(|e| RunError::Program(e.to_string()))?;
    Ok(Context::new(parameters)?)
}

/// The program's hash, which is kept as hexadecimal digits.
pub(crate) fn program_id(digits: &str) -> Result<ProgramId, RunError> {
    let refused = || RunError::Program("its hash is not 64 hexadecimal digits".to_owned());
    let mut id = [0; 32];
    if !digits.is_ascii() || digits.len() != 2 * id.len() {
        return Err(refused());
    }
    for (i, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..][..2], 16).map_err(|_| refused())?;
    }
    Ok(id)
}

fn check_tensor(input: &Input, tensor: &Tensor) -> Result<(), RunError> {
    let (expected, found) = (input.layout.shape.dims(), tensor.shape.dims());
    let name = &input.name;
    if expected != found || tensor.data.len() != tensor.shape.elements() {
        return Err(RunError::Input(format!("input {name} has shape {found:?}, but the model takes {expected:?}")));
    }
    match tensor.data.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(RunError::Input(format!("input {name}: element {at} is {}, not a number", tensor.data[at]))),
        None => Ok(()),
    }
}
