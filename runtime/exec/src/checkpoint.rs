//! An evaluation that goes on after its process was killed.
//!
//! Instructions run one after another, each on all threads, so that between two of them the position and the live
//! registers are the whole state. Ciphertexts are computed exactly: what goes on from there ends with the same bytes.

use crate::execute::Bundle;
use crate::{Prepared, RunError};
use hec_ckks::{Ciphertext, CkksError, FileError, ProgramId, Snapshot, Stored};
use hec_ir::evaluate::Machine;
use hec_ir::program::Register;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Share of the time that saving may take.
const SHARE: f64 = 0.02;
/// Bytes a second that are saved, until it has been measured.
const RATE: f64 = 2e8;
/// What any file takes.
const LEAST: f64 = 2e-3;

/// The file that an evaluation is kept in from time to time, and what it belongs to beside program and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    path: PathBuf,
    keys: [u8; 32],
    request: [u8; 32],
}

/// What a checkpoint says of itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    /// Of this program, since another may round otherwise.
    version: String,
    keys: [u8; 32],
    request: [u8; 32],
    /// The time of each instruction that is done.
    seconds: Vec<f64>,
}

/// Where an evaluation stood.
pub(crate) struct Resumed {
    /// The time of each instruction that is done.
    pub seconds: Vec<f64>,
    /// What registers hold, without decompositions.
    pub live: Vec<(Register, Vec<Ciphertext>)>,
}

impl Checkpoint {
    /// In the file `path`. `keys` and `request` are hashes of the evaluation keys and of the request.
    pub fn new(path: &Path, keys: [u8; 32], request: [u8; 32]) -> Self {
        Checkpoint { path: path.to_owned(), keys, request }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Remove the file, after the response is in safety.
    ///
    /// # Errors
    /// [`RunError::Io`], unless there is none.
    pub fn remove(&self) -> Result<(), RunError> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(RunError::io(&self.path)(source)),
            _ => Ok(()),
        }
    }

    /// What the file holds; `None` if there is none.
    pub(crate) fn load(&self, prepared: &Prepared, program: &ProgramId) -> Result<Option<Resumed>, RunError> {
        let refused = |reason: &str| RunError::Checkpoint { path: self.path.clone(), reason: reason.to_owned() };
        let snapshot = match Snapshot::load(prepared.context(), program, &self.path) {
            Err(CkksError::File(FileError::Io { source, .. })) if source.kind() == ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(CkksError::File(FileError::Io { path, source })) => return Err(RunError::Io { path, source }),
            Err(error) => return Err(refused(&error.to_string())),
            Ok(snapshot) => snapshot,
        };
        let notes: Notes = serde_json::from_slice(&snapshot.notes).map_err(|_| refused("its notes are ill-formed"))?;
        if notes.version != env!("CARGO_PKG_VERSION") {
            return Err(refused(&format!("it is of version {} of hec-run", notes.version)));
        }
        if notes.keys != self.keys {
            return Err(refused("it was made with other evaluation keys"));
        }
        if notes.request != self.request {
            return Err(refused("it was made for another request"));
        }
        let live = registers(prepared, notes.seconds.len(), snapshot.ciphertexts);
        let live = live.ok_or_else(|| refused("it does not hold what the program has at this point"))?;
        Ok(Some(Resumed { seconds: notes.seconds, live }))
    }
}

/// Ciphertexts as the registers after `done` instructions; `None` if they do not fit the program.
fn registers(
    prepared: &Prepared,
    done: usize,
    ciphertexts: Vec<Cow<'_, Ciphertext>>,
) -> Option<Vec<(Register, Vec<Ciphertext>)>> {
    if done > prepared.program().instructions.len() {
        return None;
    }
    let mut rest = ciphertexts.into_iter().map(Cow::into_owned);
    let mut live = Vec::new();
    for (register, held) in prepared.program().held_after(done) {
        let ty = held.ty;
        let own: Vec<Ciphertext> = rest.by_ref().take(ty.count as usize).collect();
        let fits = |c: &Ciphertext| (c.level(), c.scale(), c.parts()) == (ty.level, ty.scale, usize::from(ty.parts));
        if own.len() != ty.count as usize || !own.iter().all(fits) {
            return None;
        }
        live.push((register, own));
    }
    rest.next().is_none().then_some(live)
}

/// Saves an evaluation as often as it costs little.
pub(crate) struct Keeper<'a> {
    checkpoint: &'a Checkpoint,
    prepared: &'a Prepared,
    program: &'a ProgramId,
    /// When it was last saved, or began.
    last: Instant,
    /// Bytes a second.
    rate: f64,
}

impl<'a> Keeper<'a> {
    pub fn new(checkpoint: &'a Checkpoint, prepared: &'a Prepared, program: &'a ProgramId) -> Self {
        Keeper { checkpoint, prepared, program, last: Instant::now(), rate: RATE }
    }

    /// Save what stands between two instructions if enough time has passed for what it takes: registers are few and
    /// at low levels before a bootstrap, so that such moments come first. `seconds` are those of the instructions so far.
    pub fn consider(&mut self, machine: &Machine<'_, Bundle>, seconds: &[f64]) -> Result<(), RunError> {
        let ciphertexts: Vec<_> = machine.live().flat_map(|(_, bundle)| bundle.refs()).map(Cow::Borrowed).collect();
        let bytes = ciphertexts.iter().map(|c| c.bytes()).sum::<usize>() as f64;
        let takes = LEAST + bytes / self.rate;
        if ciphertexts.is_empty() || self.last.elapsed().mul_f64(SHARE) < Duration::from_secs_f64(takes) {
            return Ok(());
        }
        let Checkpoint { path, keys, request } = self.checkpoint;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let notes = Notes { version, keys: *keys, request: *request, seconds: seconds.to_vec() };
        let notes = serde_json::to_vec(&notes).map_err(|e| RunError::Usage(format!("no checkpoint: {e}")))?;
        let start = Instant::now();
        let saved = Snapshot { notes, ciphertexts }.replace(self.prepared.context(), self.program, path);
        saved.map_err(RunError::stored(path))?;
        self.last = Instant::now();
        self.rate = bytes / start.elapsed().as_secs_f64().max(LEAST);
        Ok(())
    }
}
