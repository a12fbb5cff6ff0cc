//! All three parties in one process.

use crate::memory::Sizes;
use crate::{Client, Decryption, Progress, RunError, Server, Trace};
use hec_ckks::{EvaluationKeys, SecretKey, Stored};
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::tensor::Tensor;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client and a server of one program, with fresh keys.
#[derive(Debug)]
pub struct Session {
    client: Client,
    server: Server,
    secret: SecretKey,
    keys: Arc<EvaluationKeys>,
    keygen: Duration,
}

/// The results of the samples of a request, and what they took.
#[derive(Debug)]
pub struct Inference {
    /// Decrypted outputs of each sample, in order.
    pub outputs: Vec<Vec<Tensor>>,
    /// Time to pack and encrypt.
    pub encrypt: Duration,
    /// Time to evaluate.
    pub eval: Duration,
    /// Time to decrypt and unpack.
    pub decrypt: Duration,
    /// Where the time of evaluation went.
    pub trace: Trace,
}

impl Session {
    /// Prepare a program and make keys for it.
    ///
    /// # Errors
    /// As [`Server::new`] and [`Client::keygen`].
    pub fn new(artifact: Artifact, max_memory: Option<usize>, progress: &dyn Progress) -> Result<Self, RunError> {
        Self::with_client(ClientFile::of(&artifact), artifact, max_memory, progress)
    }

    /// As [`Session::new`], for a client that computes parts of the network itself.
    ///
    /// # Errors
    /// As [`Session::new`]; a client's file of another program.
    pub fn with_client(
        client: ClientFile,
        artifact: Artifact,
        max_memory: Option<usize>,
        progress: &dyn Progress,
    ) -> Result<Self, RunError> {
        let client = Client::new(client)?;
        let server = Server::with_context(artifact, client.context(), max_memory, progress)?;
        progress.advance(0, 1, "making keys");
        let start = Instant::now();
        let (secret, keys) = client.keygen()?;
        Ok(Session { client, server, secret, keys: Arc::new(keys), keygen: start.elapsed() })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Time to make all keys.
    pub fn keygen(&self) -> Duration {
        self.keygen
    }

    /// Bytes of the evaluation keys in memory.
    pub fn key_bytes(&self) -> usize {
        self.keys.bytes(self.client.context())
    }

    /// Bytes of the evaluation keys in a file, but for its header and tables.
    pub fn stored_key_bytes(&self) -> usize {
        Sizes(self.client.context().parameters()).stored_keys(&self.client.key_request())
    }

    /// Bytes of a request in a file.
    ///
    /// # Errors
    /// As [`Client::encrypt`].
    pub fn request_bytes(&self, inputs: &[Tensor]) -> Result<usize, RunError> {
        let request = self.client.encrypt(&self.secret, inputs)?;
        Ok(request.to_bytes(self.client.context(), self.client.program())?.len())
    }

    /// Encrypt, evaluate and decrypt one sample.
    ///
    /// # Errors
    /// As [`Client::encrypt`], [`Server::eval`], [`Client::decrypt`].
    pub fn infer(&self, inputs: &[Tensor], how: &Decryption, progress: &dyn Progress) -> Result<Inference, RunError> {
        self.infer_batch(&[inputs], how, progress)
    }

    /// The same of several samples at once, at most as many as the program evaluates at once.
    ///
    /// # Errors
    /// As [`Client::encrypt_batch`], [`Server::eval`], [`Client::decrypt_batch`].
    pub fn infer_batch(
        &self,
        samples: &[impl AsRef<[Tensor]>],
        how: &Decryption,
        progress: &dyn Progress,
    ) -> Result<Inference, RunError> {
        let start = Instant::now();
        let request = self.client.encrypt_batch(&self.secret, samples)?;
        let encrypt = start.elapsed();
        let evaluated = self.server.eval(&self.keys, request, progress)?;
        let start = Instant::now();
        let outputs = self.client.decrypt_batch(&self.secret, &evaluated.response, samples.len(), how)?;
        Ok(Inference { outputs, encrypt, eval: evaluated.duration, decrypt: start.elapsed(), trace: evaluated.trace })
    }
}
