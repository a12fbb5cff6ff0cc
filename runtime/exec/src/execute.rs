//! A program on real ciphertexts.

use crate::checkpoint::{Checkpoint, Keeper, Resumed};
use crate::pace::Pace;
use crate::{Prepared, Progress, RunError, Trace};
use hec_ckks::{Ciphertext, CkksError, Content, Decomposed, EvaluationKeys, MemoryBudget, Plaintext, ProgramId};
use hec_ir::circuit::{MapId, PlainId};
use hec_ir::evaluate::{Evaluator, Machine};
use hec_ir::program::{BabyGiant, Register};
use hec_ir::{Level, Origin, Plain, Rotation, SlotMap};
use rayon::prelude::*;
use std::sync::Arc;
use std::time::Instant;

/// The ciphertexts of one value.
#[derive(Clone, Debug)]
pub(crate) enum Bundle {
    /// Alone.
    Plain(Vec<Ciphertext>),
    /// With the raised digits that rotations and linear maps share.
    Decomposed(Vec<Decomposed>),
}

impl Bundle {
    fn len(&self) -> usize {
        match self {
            Bundle::Plain(all) => all.len(),
            Bundle::Decomposed(all) => all.len(),
        }
    }

    fn get(&self, i: usize) -> &Ciphertext {
        match self {
            Bundle::Plain(all) => &all[i],
            Bundle::Decomposed(all) => all[i].ciphertext(),
        }
    }

    pub fn refs(&self) -> Vec<&Ciphertext> {
        (0..self.len()).map(|i| self.get(i)).collect()
    }

    pub fn into_ciphertexts(self) -> Vec<Ciphertext> {
        match self {
            Bundle::Plain(all) => all,
            Bundle::Decomposed(all) => all.iter().map(|d| d.ciphertext().clone()).collect(),
        }
    }
}

/// The evaluator of real ciphertexts: what a [`Machine`] drives.
struct Execution<'a> {
    prepared: &'a Prepared,
    evaluator: hec_ckks::Evaluator,
    progress: &'a dyn Progress,
    pace: Pace,
    /// The time of each instruction so far.
    seconds: Vec<f64>,
    began: Instant,
}

/// The outputs' bundles, and where the time went.
pub(crate) struct Finished {
    pub outputs: Vec<Vec<Ciphertext>>,
    pub trace: Trace,
    /// How many instructions a checkpoint saved.
    pub resumed: usize,
}

/// Run a prepared program on input bundles, from where `checkpoint` left it.
///
/// # Errors
/// [`RunError::Instruction`] names the layer and the instruction that failed; a checkpoint that does not belong to this
/// evaluation, or cannot be written.
pub(crate) fn run(
    prepared: &Prepared,
    keys: &Arc<EvaluationKeys>,
    inputs: Vec<Vec<Ciphertext>>,
    checkpoint: Option<(&Checkpoint, &ProgramId)>,
    progress: &dyn Progress,
) -> Result<Finished, RunError> {
    let program = prepared.program();
    let evaluator = hec_ckks::Evaluator::new(prepared.context(), keys)?;
    let pace = Pace::of(program);
    let mut execution = Execution { prepared, evaluator, progress, pace, seconds: Vec::new(), began: Instant::now() };
    let fail = |index: usize, source| {
        let (op, layer) = program.instructions.get(index).map_or(("load", ""), |i| (i.op.name(), i.origin.layer()));
        RunError::Instruction { index, op, layer: layer.to_owned(), source }
    };
    let kept = checkpoint.map(|(checkpoint, id)| checkpoint.load(prepared, id)).transpose()?.flatten();
    let resumed = kept.as_ref().map_or(0, |kept| kept.seconds.len());
    let live = kept.map_or(Ok(Vec::new()), |kept| execution.take_up(kept)).map_err(|e| fail(resumed, e))?;
    let inputs = inputs.into_iter().map(Bundle::Plain).collect();
    let mut machine = Machine::resume(program, inputs, resumed, live);
    let mut keeper = checkpoint.map(|(checkpoint, id)| Keeper::new(checkpoint, prepared, id));
    loop {
        execution.began = Instant::now();
        if !machine.step(&mut execution).map_err(|e| fail(machine.position(), e))? {
            break;
        }
        execution.seconds.push(execution.began.elapsed().as_secs_f64());
        if let Some(keeper) = &mut keeper {
            keeper.consider(&machine, &execution.seconds)?;
        }
    }
    progress.advance(program.instructions.len(), program.instructions.len(), "");
    let outputs = machine.outputs().into_iter().map(Bundle::into_ciphertexts).collect();
    Ok(Finished { outputs, trace: Trace::new(program, &execution.seconds), resumed })
}

impl Execution<'_> {
    /// Registers as a checkpoint left them; decompositions are made anew.
    fn take_up(&mut self, kept: Resumed) -> Result<Vec<(Register, Bundle)>, CkksError> {
        let held = self.prepared.program().held_after(kept.seconds.len());
        self.seconds = kept.seconds;
        let take_up = |(register, ciphertexts)| {
            let mut bundle = Bundle::Plain(ciphertexts);
            if held.get(&register).is_some_and(|h| h.decomposed) {
                self.decompose(&mut bundle)?;
            }
            Ok((register, bundle))
        };
        kept.live.into_iter().map(take_up).collect()
    }

    /// The current instruction is done in part.
    fn tell(&self, part: f64, what: &str) {
        let at = self.seconds.len();
        let own = if part > 0.0 { self.began.elapsed().as_secs_f64() } else { 0.0 };
        if let Some(left) = self.pace.left(at, part, self.seconds.iter().sum::<f64>() + own) {
            self.progress.expect(left);
        }
        self.progress.advance(at, self.prepared.program().instructions.len(), what);
    }

    /// A bootstrap takes seconds: say which one it is.
    fn tell_bootstrap(&self, done: usize, count: usize) {
        let layer = self.prepared.program().instructions.get(self.seconds.len()).map_or("", |i| i.origin.layer());
        self.tell(done as f64 / count as f64, &format!("{layer}, bootstrap {} of {count}", done + 1));
    }

    /// The same operation on each ciphertext of a bundle.
    fn each(
        &self,
        x: &Bundle,
        f: impl Fn(&hec_ckks::Evaluator, &Ciphertext) -> Result<Ciphertext, CkksError> + Sync,
    ) -> Result<Bundle, CkksError> {
        // hec-ckks is parallel over primes already: one ciphertext needs no second layer of tasks.
        if let [one] = x.refs()[..] {
            return Ok(Bundle::Plain(vec![f(&self.evaluator, one)?]));
        }
        let all = x.refs().into_par_iter().map(|c| f(&self.evaluator, c)).collect::<Result<_, _>>()?;
        Ok(Bundle::Plain(all))
    }

    /// An operation on the ciphertexts of two bundles, pair by pair.
    fn both(
        &self,
        x: &Bundle,
        y: &Bundle,
        f: impl Fn(&hec_ckks::Evaluator, &Ciphertext, &Ciphertext) -> Result<Ciphertext, CkksError> + Sync,
    ) -> Result<Bundle, CkksError> {
        let pairs = x.refs().into_par_iter().zip(y.refs());
        Ok(Bundle::Plain(pairs.map(|(a, b)| f(&self.evaluator, a, b)).collect::<Result<_, _>>()?))
    }

    /// An operation on each ciphertext with its own encoded vector.
    fn with_plain(
        &self,
        x: &Bundle,
        plain: &[Plaintext],
        f: impl Fn(&hec_ckks::Evaluator, &Ciphertext, &Plaintext) -> Result<Ciphertext, CkksError> + Sync,
    ) -> Result<Bundle, CkksError> {
        let pairs = x.refs().into_par_iter().zip(plain);
        Ok(Bundle::Plain(pairs.map(|(c, p)| f(&self.evaluator, c, p)).collect::<Result<_, _>>()?))
    }
}

impl Evaluator for Execution<'_> {
    type Value = Bundle;
    type Error = CkksError;

    fn enter(&mut self, origin: &Origin, _op: &'static str) {
        self.tell(0.0, origin.layer());
    }

    fn linear(
        &mut self,
        x: &Bundle,
        (id, _): (MapId, &SlotMap),
        _plan: Option<&BabyGiant>,
    ) -> Result<Bundle, CkksError> {
        let level = x.get(0).level();
        let out_of_range = CkksError::PlanOutOfRange { what: "linear map", index: id.0 as usize, count: 0 };
        let map = self.prepared.map(id, level).ok_or(out_of_range)?;
        let budget = MemoryBudget(self.prepared.memory().working);
        let all = map.with_diagonals(|diagonals| match x {
            Bundle::Plain(all) => {
                let inputs: Vec<_> = all.iter().collect();
                self.evaluator.linear(&map.plan, &inputs, diagonals, budget)
            }
            Bundle::Decomposed(all) => {
                let inputs: Vec<_> = all.iter().collect();
                self.evaluator.linear_decomposed(&map.plan, &inputs, diagonals, budget)
            }
        })?;
        Ok(Bundle::Plain(all))
    }

    fn add_plain(&mut self, x: &Bundle, (id, plain): (PlainId, &Plain)) -> Result<Bundle, CkksError> {
        match *plain {
            Plain::Scalar(value) => self.each(x, |e, c| e.add_scalar(c, value)),
            Plain::Slots(_) => {
                let encoded = self.prepared.plain(id, x.get(0).level(), x.get(0).scale())?;
                self.with_plain(x, &encoded, hec_ckks::Evaluator::add_plain)
            }
        }
    }

    fn mul_plain(&mut self, x: &Bundle, (id, plain): (PlainId, &Plain)) -> Result<Bundle, CkksError> {
        match *plain {
            Plain::Scalar(value) => self.each(x, |e, c| e.mul_scalar(c, value)),
            Plain::Slots(_) => {
                let level = x.get(0).level();
                let encoded = self.prepared.plain(id, level, self.prepared.context().scale(level)?)?;
                self.with_plain(x, &encoded, hec_ckks::Evaluator::mul_plain)
            }
        }
    }

    fn add(&mut self, x: &Bundle, y: &Bundle) -> Result<Bundle, CkksError> {
        self.both(x, y, hec_ckks::Evaluator::add)
    }

    fn sub(&mut self, x: &Bundle, y: &Bundle) -> Result<Bundle, CkksError> {
        self.both(x, y, hec_ckks::Evaluator::sub)
    }

    fn negate(&mut self, x: &Bundle) -> Result<Bundle, CkksError> {
        self.each(x, hec_ckks::Evaluator::negate)
    }

    fn mul(&mut self, x: &Bundle, y: &Bundle) -> Result<Bundle, CkksError> {
        self.both(x, y, hec_ckks::Evaluator::multiply)
    }

    fn square(&mut self, x: &Bundle) -> Result<Bundle, CkksError> {
        self.each(x, hec_ckks::Evaluator::square)
    }

    fn rotate(&mut self, x: &Bundle, rotation: Rotation) -> Result<Bundle, CkksError> {
        let rotation = self.prepared.scheme().batch().rotation(rotation);
        match x {
            Bundle::Plain(_) => self.each(x, |e, c| e.rotate(c, rotation)),
            Bundle::Decomposed(all) => {
                let rotated = all.par_iter().map(|d| self.evaluator.rotate_decomposed(d, rotation));
                Ok(Bundle::Plain(rotated.collect::<Result<_, _>>()?))
            }
        }
    }

    fn relinearize(&mut self, x: &Bundle) -> Result<Bundle, CkksError> {
        self.each(x, hec_ckks::Evaluator::relinearize)
    }

    fn rescale(&mut self, x: &Bundle) -> Result<Bundle, CkksError> {
        self.each(x, hec_ckks::Evaluator::rescale)
    }

    fn relinearize_rescale(&mut self, x: &Bundle) -> Result<Bundle, CkksError> {
        self.each(x, hec_ckks::Evaluator::relinearize_rescale)
    }

    fn adjust(&mut self, x: &Bundle, level: Level) -> Result<Bundle, CkksError> {
        self.each(x, |e, c| e.adjust(c, level))
    }

    /// Slots of networks are real: two ciphertexts go through one bootstrap. One after another, since each takes all
    /// threads and much memory.
    fn bootstrap(&mut self, x: &Bundle, level: Level) -> Result<Bundle, CkksError> {
        let bootstrapper = self.prepared.bootstrapper().ok_or(CkksError::NoLevelLeft)?;
        let mut fresh = Vec::with_capacity(x.len());
        for pair in x.refs().chunks(2) {
            self.tell_bootstrap(fresh.len(), x.len());
            let lifted = match *pair {
                [a, b] => bootstrapper.bootstrap_pair(&self.evaluator, [a, b])?.to_vec(),
                _ => vec![bootstrapper.bootstrap(&self.evaluator, pair[0], Content::Real)?],
            };
            for c in lifted {
                fresh.push(self.evaluator.adjust(&c, level)?);
            }
        }
        Ok(Bundle::Plain(fresh))
    }

    fn decompose(&mut self, x: &mut Bundle) -> Result<(), CkksError> {
        if let Bundle::Plain(all) = x {
            let decomposed = all.par_iter().map(|c| self.evaluator.decompose(c)).collect::<Result<_, _>>()?;
            *x = Bundle::Decomposed(decomposed);
        }
        Ok(())
    }

    fn forget(&mut self, x: &mut Bundle) {
        if let Bundle::Decomposed(_) = x {
            *x = Bundle::Plain(std::mem::replace(x, Bundle::Plain(Vec::new())).into_ciphertexts());
        }
    }
}
