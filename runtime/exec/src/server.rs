//! The server: evaluates a program on ciphertexts. It holds no secret.

use crate::{Checkpoint, MemoryPlan, Prepared, Progress, RunError, Trace, client, execute};
use hec_ckks::{Ciphertext, CkksError, Context, EvaluationKeys, KeyName, ProgramId, SeededCiphertext};
use hec_ir::Level;
use hec_ir::artifact::Artifact;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server of one program, for any number of clients.
#[derive(Debug)]
pub struct Server {
    id: ProgramId,
    prepared: Prepared,
}

/// The result of one request, and where the time went.
#[derive(Debug)]
pub struct Evaluated {
    /// The ciphertexts of all outputs, in order.
    pub response: Vec<Ciphertext>,
    /// The time of every instruction.
    pub trace: Trace,
    /// The time of the whole request, without what a checkpoint saved.
    pub duration: Duration,
    /// How many instructions a checkpoint saved.
    pub resumed: usize,
}

impl Server {
    /// Verify and prepare a program. `max_memory` in bytes bounds keys, ciphertexts and constants together.
    ///
    /// # Errors
    /// An ill-formed program; a memory limit that does not hold what must be held.
    pub fn new(artifact: Artifact, max_memory: Option<usize>, progress: &dyn Progress) -> Result<Self, RunError> {
        let context = client::context(&artifact.program().parameters)?;
        Self::with_context(artifact, &context, max_memory, progress)
    }

    /// From `model.hec`.
    ///
    /// # Errors
    /// When it cannot be read, and as [`Server::new`].
    pub fn load(path: &Path, max_memory: Option<usize>, progress: &dyn Progress) -> Result<Self, RunError> {
        Self::new(Artifact::read(path)?, max_memory, progress)
    }

    /// As [`Server::new`], sharing tables.
    ///
    /// # Errors
    /// As [`Server::new`]; a context of other parameters.
    pub fn with_context(
        artifact: Artifact,
        context: &Arc<Context>,
        max_memory: Option<usize>,
        progress: &dyn Progress,
    ) -> Result<Self, RunError> {
        let id = client::program_id(&artifact.manifest().program_id)?;
        let prepared = Prepared::new(Arc::new(artifact.into_program()), context, max_memory, progress)?;
        Ok(Server { id, prepared })
    }

    /// The compiled program that keys and requests must belong to.
    pub fn program(&self) -> &ProgramId {
        &self.id
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        self.prepared.context()
    }

    /// The prepared program.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// What memory was planned with.
    pub fn memory(&self) -> MemoryPlan {
        self.prepared.memory()
    }

    /// Evaluate one request.
    ///
    /// # Errors
    /// Keys or ciphertexts that do not fit the program or each other; otherwise the instruction that failed, with its
    /// layer.
    pub fn eval(
        &self,
        keys: &Arc<EvaluationKeys>,
        request: Vec<SeededCiphertext>,
        progress: &dyn Progress,
    ) -> Result<Evaluated, RunError> {
        self.eval_from(keys, request, None, progress)
    }

    /// As [`Server::eval`], going on from where `checkpoint` says, and saving it from time to time, which takes a few
    /// hundredths of the time. The response is the same to the byte.
    ///
    /// # Errors
    /// As [`Server::eval`]; [`RunError::Checkpoint`] for a file that does not belong to this evaluation; one that cannot
    /// be written.
    pub fn eval_from(
        &self,
        keys: &Arc<EvaluationKeys>,
        request: Vec<SeededCiphertext>,
        checkpoint: Option<&Checkpoint>,
        progress: &dyn Progress,
    ) -> Result<Evaluated, RunError> {
        let start = Instant::now();
        self.check_keys(keys)?;
        self.check_request(keys, &request)?;
        let context = self.context();
        let all = request.into_par_iter().map(|c| c.expand(context));
        let mut all = all.collect::<Result<Vec<_>, _>>()?.into_iter();
        let program = self.prepared.program();
        let inputs = program.inputs.iter().map(|i| all.by_ref().take(i.layout.ciphertexts()).collect()).collect();
        let checkpoint = checkpoint.map(|checkpoint| (checkpoint, &self.id));
        let execute::Finished { outputs, trace, resumed } =
            execute::run(&self.prepared, keys, inputs, checkpoint, progress)?;
        // A register may hold more ciphertexts than the output's layout reads.
        let outputs = outputs.into_iter().zip(&program.outputs);
        let response = outputs.flat_map(|(all, o)| all.into_iter().take(o.layout.ciphertexts())).collect();
        Ok(Evaluated { response, trace, duration: start.elapsed(), resumed })
    }

    fn check_keys(&self, keys: &EvaluationKeys) -> Result<(), RunError> {
        let held: BTreeMap<KeyName, Level> = keys.names().collect();
        for (name, level) in self.prepared.key_request().names() {
            if held.get(&name).is_none_or(|&up_to| up_to < level) {
                return Err(RunError::MissingKey { name: name.to_string(), level: level.0 });
            }
        }
        Ok(())
    }

    fn check_request(&self, keys: &EvaluationKeys, request: &[SeededCiphertext]) -> Result<(), RunError> {
        let program = self.prepared.program();
        let expected = program.inputs.iter().map(|i| i.layout.ciphertexts()).sum();
        if request.len() != expected {
            return Err(RunError::Count { what: "the request", found: request.len(), expected });
        }
        let start = self.prepared.scheme().input_level();
        for (index, ciphertext) in request.iter().enumerate() {
            if ciphertext.key() != keys.id() {
                return Err(CkksError::WrongKey.into());
            }
            if ciphertext.level() != start {
                return Err(RunError::FreshLevel { index, found: ciphertext.level().0, expected: start.0 });
            }
            let (scale, canonical) = (ciphertext.scale(), self.context().scale(start)?);
            if scale != canonical {
                return Err(CkksError::NotCanonical { level: start, scale, canonical }.into());
            }
        }
        Ok(())
    }
}
