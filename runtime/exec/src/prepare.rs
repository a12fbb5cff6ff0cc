//! A program made ready for many requests: rotation plans, and constants encoded as far as memory allows.

use crate::keys::key_request;
use crate::memory::{DiagonalForm, Sizes, diagonal_forms};
use crate::shared::repeated;
use crate::{MemoryPlan, Progress, RunError};
use hec_ckks::{
    Bootstrapper, CkksError, Context, DiagonalValues, Diagonals, EncodedDiagonals, Encoder, KeyRequest, LinearPlan,
    LinearTerm, MemoryBudget, Plaintext, RotationKeys,
};
use hec_ir::circuit::{MapId, PlainId};
use hec_ir::leveled::Scheme;
use hec_ir::program::{BabyGiant, Op, Program};
use hec_ir::{Batch, Level, Plain, Rotation, Scale, SlotMap, Slots};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A slot vector that is encoded at one level and scale (as bits, so that it orders).
type PlainUse = (PlainId, Level, u64);

/// A verified program with its constants encoded; many requests and many clients share it.
#[derive(Debug)]
pub struct Prepared {
    program: Arc<Program>,
    scheme: Scheme,
    context: Arc<Context>,
    encoder: Encoder,
    memory: MemoryPlan,
    bootstrapper: Option<Bootstrapper>,
    maps: BTreeMap<(MapId, Level), PreparedMap>,
    plains: BTreeMap<PlainUse, Vec<Plaintext>>,
    duration: Duration,
}

/// A linear map for inputs of one level.
#[derive(Debug)]
pub(crate) struct PreparedMap {
    pub plan: LinearPlan,
    source: Source,
    encoded: Option<EncodedDiagonals>,
}

/// Diagonals of a map, each with the giant step that it is rotated against.
#[derive(Clone, Debug)]
struct Source {
    diagonals: Vec<(Arc<Vec<f64>>, usize)>,
    /// Of a ciphertext.
    slots: Slots,
    /// Inputs that share them.
    batch: Batch,
}

impl Prepared {
    /// Verify the program, plan memory, and encode as many constants as fit. `max_memory` in bytes bounds keys,
    /// ciphertexts and constants together.
    ///
    /// # Errors
    /// An ill-formed program; parameters that are not the context's; a constant that does not fit the parameters; a
    /// limit that does not hold what must be held.
    pub fn new(
        program: Arc<Program>,
        context: &Arc<Context>,
        max_memory: Option<usize>,
        progress: &dyn Progress,
    ) -> Result<Self, RunError> {
        let start = Instant::now();
        if program.parameters != *context.parameters().literal() {
            return Err(CkksError::WrongParameters.into());
        }
        verify(&program)?;
        let scheme = program.scheme().map_err(|e| RunError::Program(e.to_string()))?;
        let memory = MemoryPlan::new(&program, &scheme, max_memory)?;
        let mut prepared = Prepared {
            encoder: Encoder::new(context),
            context: Arc::clone(context),
            scheme,
            memory,
            bootstrapper: None,
            maps: BTreeMap::new(),
            plains: BTreeMap::new(),
            duration: Duration::ZERO,
            program,
        };
        let left = prepared.encode_plains()?;
        prepared.encode_maps(left, progress)?;
        prepared.prepare_bootstrap(progress)?;
        prepared.duration = start.elapsed();
        Ok(prepared)
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The parameters, and the bootstrap if the program has one.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The evaluation keys that the program needs.
    pub fn key_request(&self) -> KeyRequest {
        key_request(&self.program.keys, &self.scheme)
    }

    /// What memory was planned with.
    pub fn memory(&self) -> MemoryPlan {
        self.memory
    }

    /// How long preparation took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Bytes of constants that are encoded ahead.
    pub fn encoded_bytes(&self) -> usize {
        let sizes = Sizes(self.context.parameters());
        let plains = self.plains.iter().map(|(&(_, level, _), all)| all.len() * sizes.polynomial(level));
        let maps = self.maps.values().filter_map(|map| map.encoded.as_ref()).map(EncodedDiagonals::bytes);
        let bootstrap = self.bootstrapper.as_ref().map_or(0, Bootstrapper::bytes);
        plains.sum::<usize>() + maps.sum::<usize>() + bootstrap
    }

    pub(crate) fn bootstrapper(&self) -> Option<&Bootstrapper> {
        self.bootstrapper.as_ref()
    }

    pub(crate) fn map(&self, map: MapId, level: Level) -> Option<&PreparedMap> {
        self.maps.get(&(map, level))
    }

    /// A plaintext operand at a level and scale: as it was encoded ahead, or encoded here.
    pub(crate) fn plain(&self, id: PlainId, level: Level, scale: Scale) -> Result<Cow<'_, [Plaintext]>, CkksError> {
        if let Some(ready) = self.plains.get(&(id, level, scale.0.to_bits())) {
            return Ok(Cow::Borrowed(ready));
        }
        match self.program.plains.get(id) {
            Some(Plain::Slots(vectors)) => Ok(Cow::Owned(self.encode(vectors, level, scale)?)),
            _ => Ok(Cow::Owned(Vec::new())),
        }
    }

    fn encode(&self, vectors: &[Arc<Vec<f64>>], level: Level, scale: Scale) -> Result<Vec<Plaintext>, CkksError> {
        let (slots, batch) = (self.context.parameters().slots(), self.program.batch);
        let encode =
            |v: &Arc<Vec<f64>>| self.encoder.encode(&repeated(v.as_slice().into(), batch, slots), level, scale);
        vectors.par_iter().map(encode).collect()
    }

    /// Encode slot vectors in the order of their use; what is left of the budget.
    fn encode_plains(&mut self) -> Result<usize, RunError> {
        let mut left = self.memory.constants;
        let program = Arc::clone(&self.program);
        for instruction in &program.instructions {
            let (Op::AddPlain(id) | Op::MulPlain(id)) = instruction.op else { continue };
            let Plain::Slots(vectors) = &program.plains[id] else { continue };
            let level = instruction.ty.level;
            // A factor has the canonical scale; a summand that of the sum.
            let factor = matches!(instruction.op, Op::MulPlain(_));
            let scale = if factor { self.context.parameters().scale(level) } else { instruction.ty.scale };
            let key = (id, level, scale.0.to_bits());
            let size = vectors.len() * Sizes(self.context.parameters()).polynomial(level);
            if !self.plains.contains_key(&key) && size <= left {
                let what = || format!("layer {}, constant {id}", instruction.origin.layer());
                let fail = |source| RunError::Constant { what: what(), source };
                self.plains.insert(key, self.encode(vectors, level, scale).map_err(fail)?);
                left -= size;
            }
        }
        Ok(left)
    }

    fn encode_maps(&mut self, budget: usize, progress: &dyn Progress) -> Result<(), RunError> {
        let uses: BTreeSet<(MapId, Level)> = map_uses(&self.program).collect();
        let forms = diagonal_forms(&self.program, self.context.parameters(), &uses, budget);
        for (done, (&(id, level), &form)) in forms.iter().enumerate() {
            let map = &self.program.maps[id];
            progress.advance(done, forms.len(), &map.name);
            let prepared =
                PreparedMap::new(map, &self.program.plans[id], self.program.batch, &self.encoder, level, form)
                    .map_err(|source| RunError::Constant { what: format!("linear map {}", map.name), source })?;
            self.maps.insert((id, level), prepared);
        }
        progress.advance(forms.len(), forms.len(), "");
        Ok(())
    }

    fn prepare_bootstrap(&mut self, progress: &dyn Progress) -> Result<(), RunError> {
        if let Some(parameters) = self.scheme.bootstrap().filter(|_| self.program.keys.bootstrap) {
            progress.advance(0, 1, "bootstrap");
            let diagonals = MemoryBudget(self.memory.bootstrap);
            let bootstrapper = Bootstrapper::with_diagonals(&self.context, parameters, diagonals)?;
            self.bootstrapper = Some(bootstrapper.with_budget(MemoryBudget(self.memory.working)));
            progress.advance(1, 1, "");
        }
        Ok(())
    }
}

impl PreparedMap {
    fn new(
        map: &SlotMap,
        split: &BabyGiant,
        batch: Batch,
        encoder: &Encoder,
        level: Level,
        form: DiagonalForm,
    ) -> Result<Self, CkksError> {
        let mut terms = Vec::with_capacity(map.diagonals.len());
        let mut source = Vec::with_capacity(map.diagonals.len());
        for (diagonal, (&(output, input, rotation), values)) in map.diagonals.iter().enumerate() {
            let (giant, baby) = split.split[&rotation];
            let (giant, baby) = (batch.rotation(giant), batch.rotation(baby));
            terms.push(LinearTerm { output: output as usize, input: input as usize, giant, baby, diagonal });
            source.push((Arc::clone(values), giant.0 as usize));
        }
        let source = Source { diagonals: source, slots: encoder.context().parameters().slots(), batch };
        let encode = |i| source.rotated(i);
        let encoded = match form {
            DiagonalForm::Values => None,
            DiagonalForm::Integers => Some(EncodedDiagonals::integers(encoder, level, terms.len(), encode)?),
            DiagonalForm::Residues => Some(EncodedDiagonals::residues(encoder, level, terms.len(), encode)?),
        };
        let plan =
            LinearPlan { inputs: map.inputs as usize, outputs: map.outputs as usize, terms, keys: RotationKeys::Each };
        Ok(PreparedMap { plan, source, encoded })
    }

    /// Call `f` with the diagonals, in the form that they are kept in.
    pub fn with_diagonals<R>(&self, f: impl FnOnce(&dyn Diagonals) -> R) -> R {
        match &self.encoded {
            Some(encoded) => f(encoded),
            None => f(&DiagonalValues::new(self.source.diagonals.len(), |i| self.source.rotated(i))),
        }
    }
}

impl Source {
    /// A diagonal rotated by minus its giant step, as it is multiplied before the rotation by the giant step.
    fn rotated(&self, index: usize) -> Cow<'_, [f64]> {
        let (values, giant) = &self.diagonals[index];
        let mut values = repeated(values.as_slice().into(), self.batch, self.slots);
        if *giant > 0 {
            values.to_mut().rotate_right(*giant);
        }
        values
    }
}

/// Every linear map with the level of its input, which is one above that of its result.
fn map_uses(program: &Program) -> impl Iterator<Item = (MapId, Level)> + '_ {
    program.instructions.iter().filter_map(|instruction| match instruction.op {
        Op::Linear(map) => Some((map, Level(instruction.ty.level.0 + 1))),
        _ => None,
    })
}

/// What evaluation relies on: types and registers, each input loaded at most once, no empty bundle, rotations reduced.
fn verify(program: &Program) -> Result<(), RunError> {
    program.verify().map_err(|e| RunError::Program(e.to_string()))?;
    for (map, plan) in program.maps.values().zip(program.plans.values()) {
        let slots = map.slots.0;
        let reduced = |&(giant, baby): &(Rotation, Rotation)| (giant.0 as usize) < slots && (baby.0 as usize) < slots;
        if map.inputs == 0 || map.outputs == 0 || !plan.split.values().all(reduced) {
            return Err(RunError::Program(format!("linear map {} is empty or its plan out of range", map.name)));
        }
    }
    let mut loaded = BTreeSet::new();
    for instruction in &program.instructions {
        if let Op::Load(input) = instruction.op
            && !loaded.insert(input)
        {
            return Err(RunError::Program(format!("input {input} is loaded twice")));
        }
    }
    Ok(())
}
