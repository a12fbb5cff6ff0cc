//! What makes a program well-formed: registers are written before they are read, types follow, keys suffice.

use super::{Instruction, KeySet, Op, Program, Register};
use crate::circuit::{Circuit as Slotwise, CircuitError, MapId, verify_client};
use crate::entity::Entity;
use crate::leveled::{self, Scheme, Type};
use crate::{Level, ParametersError, Plain, Rotation, Slots};
use std::collections::{BTreeMap, BTreeSet};

/// Why a program is ill-formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ProgramError {
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error(transparent)]
    Slots(#[from] CircuitError),
    #[error("the plan of {0} does not split every rotation r as giant + baby = r modulo the slots, both below them")]
    Plan(MapId),
    #[error("there are {plans} plans for {maps} maps: every map needs one")]
    Plans { plans: usize, maps: usize },
    #[error("instruction {index} ({op} to {destination}): {reason}")]
    Instruction { index: usize, op: &'static str, destination: Register, reason: String },
    #[error("output {name}: {reason}")]
    Output { name: String, reason: String },
    #[error("the key list does not equal what the instructions need")]
    Keys,
}

impl Program {
    /// The keys that the instructions need: every one with the highest level at which it is used.
    pub fn required_keys(&self) -> KeySet {
        let mut keys = KeySet::default();
        let rotation = |keys: &mut KeySet, r: Rotation, level: Level| {
            if !r.is_zero() {
                let at = keys.rotations.entry(r).or_insert(level);
                *at = level.max(*at);
            }
        };
        for instruction in &self.instructions {
            let level = instruction.ty.level;
            match instruction.op {
                Op::Relinearize => keys.relinearize = keys.relinearize.max(Some(level)),
                Op::RelinearizeRescale => keys.relinearize = keys.relinearize.max(Some(above(level))),
                Op::Rotate(r) => rotation(&mut keys, r, level),
                Op::Bootstrap(_) => keys.bootstrap = true,
                Op::Linear(map) => {
                    // Key switching happens before the rescale, one level above the result.
                    for &(giant, baby) in self.plans.get(map).iter().flat_map(|p| p.split.values()) {
                        rotation(&mut keys, giant, above(level));
                        rotation(&mut keys, baby, above(level));
                    }
                }
                _ => {}
            }
        }
        keys
    }

    /// Check parameters (security included), constants, plans, every instruction, outputs and keys.
    ///
    /// # Errors
    /// The first reason found.
    pub fn verify(&self) -> Result<(), ProgramError> {
        let scheme = self.scheme()?;
        self.constants_alone(scheme.slots()).verify()?;
        self.verify_plans(scheme.slots())?;
        let mut live: BTreeMap<Register, Type> = BTreeMap::new();
        let mut loaded = BTreeSet::new();
        for (index, instruction) in self.instructions.iter().enumerate() {
            let (op, destination) = (instruction.op, instruction.destination);
            let fail = |reason| ProgramError::Instruction { index, op: op.name(), destination, reason };
            // An input is handed over when it is loaded; registers are numbered densely, as a table of them is kept.
            if matches!(op, Op::Load(i) if !loaded.insert(i)) {
                return Err(fail("the input has been loaded before".to_owned()));
            }
            if destination.index() >= self.instructions.len() {
                return Err(fail("register numbers must be below the number of instructions".to_owned()));
            }
            self.step(instruction, &mut live, &scheme).map_err(fail)?;
        }
        for output in &self.outputs {
            let fail = |reason: &str| ProgramError::Output { name: output.name.clone(), reason: reason.to_owned() };
            let ty = live.get(&output.value).ok_or_else(|| fail("its register is empty at the end"))?;
            output.layout.verify().map_err(|e| fail(&e.to_string()))?;
            if output.layout.slots != scheme.slots() || output.layout.ciphertexts() as u32 > ty.count || ty.parts != 2 {
                return Err(fail("its layout does not fit its register"));
            }
            verify_client(&output.name, &output.layout, &output.client)?;
        }
        if self.keys == self.required_keys() { Ok(()) } else { Err(ProgramError::Keys) }
    }

    /// Check that every rotation of a map is the sum of its giant and its baby step.
    fn verify_plans(&self, slots: Slots) -> Result<(), ProgramError> {
        if self.plans.len() != self.maps.len() {
            return Err(ProgramError::Plans { plans: self.plans.len(), maps: self.maps.len() });
        }
        let n = slots.0 as u64;
        for (id, map) in self.maps.iter() {
            let split = &self.plans[id].split;
            let adds_up = split.iter().all(|(r, (giant, baby))| {
                let (r, giant, baby) = (u64::from(r.0), u64::from(giant.0), u64::from(baby.0));
                giant < n && baby < n && (giant + baby) % n == r
            });
            if !adds_up || !map.rotations().iter().all(|r| split.contains_key(r)) {
                return Err(ProgramError::Plan(id));
            }
        }
        Ok(())
    }

    fn step(
        &self,
        instruction: &Instruction,
        live: &mut BTreeMap<Register, Type>,
        scheme: &Scheme,
    ) -> Result<(), String> {
        let read = |r: &Register| live.get(r).copied().ok_or_else(|| format!("{r} is empty"));
        let args: Vec<Type> = instruction.args.iter().map(read).collect::<Result<_, _>>()?;
        let in_place = matches!(instruction.op, Op::Decompose | Op::Forget | Op::Free);
        if in_place && instruction.args != [instruction.destination] {
            return Err("it takes its destination as the only argument".to_owned());
        }
        let result = self.infer(instruction.op, &args, scheme)?;
        if result != instruction.ty {
            return Err(format!("declared as {}, but it is {result}", instruction.ty));
        }
        if instruction.op == Op::Free {
            live.remove(&instruction.destination);
        } else {
            live.insert(instruction.destination, result);
        }
        Ok(())
    }

    /// What is known of the result of `op` on arguments of these types.
    ///
    /// # Errors
    /// A reason in words, when they do not fit.
    pub fn infer(&self, op: Op, args: &[Type], scheme: &Scheme) -> Result<Type, String> {
        match (op, args) {
            (Op::Decompose, [ty]) if ty.parts != 2 => Err("only relinearized ciphertexts are decomposed".to_owned()),
            (Op::Decompose | Op::Forget | Op::Free, [ty]) => Ok(*ty),
            (Op::RelinearizeRescale, _) => {
                let whole = leveled::Op::Relinearize.infer(args, 0, scheme)?;
                leveled::Op::Rescale.infer(&[whole], 0, scheme)
            }
            _ => {
                let on_ciphertexts = op.leveled().ok_or("it takes its destination as the only argument")?;
                on_ciphertexts.infer(args, self.count(op, args)?, scheme)
            }
        }
    }

    /// Ciphertexts of the result, where constants or inputs decide it.
    fn count(&self, op: Op, args: &[Type]) -> Result<u32, String> {
        let first = args.first().map_or(0, |t| t.count);
        match op {
            Op::Load(i) => {
                let input = self.inputs.get(i as usize).ok_or("no such input")?;
                Ok(input.layout.ciphertexts() as u32)
            }
            Op::Linear(id) => {
                let map = self.maps.get(id).ok_or("no such map")?;
                if map.inputs != first {
                    return Err(format!("the map takes {} ciphertexts, not {first}", map.inputs));
                }
                Ok(map.outputs)
            }
            Op::AddPlain(id) | Op::MulPlain(id) => match self.plains.get(id).ok_or("no such plaintext")? {
                Plain::Slots(vectors) if vectors.len() as u32 != first => {
                    Err("the plaintext has another number of vectors".to_owned())
                }
                _ => Ok(first),
            },
            _ => Ok(first),
        }
    }

    /// Constants and inputs alone, as a slot circuit, to check them by the same rules.
    fn constants_alone(&self, slots: Slots) -> Slotwise {
        let mut slotwise = Slotwise::new(self.name.clone(), slots);
        slotwise.inputs = self.inputs.clone();
        slotwise.maps = self.maps.clone();
        slotwise.plains = self.plains.clone();
        slotwise
    }
}

/// The level before a rescale.
fn above(level: Level) -> Level {
    Level(level.0.saturating_add(1))
}

impl Op {
    /// The leveled operation that decides the type of the result, where there is one.
    pub fn leveled(self) -> Option<leveled::Op> {
        Some(match self {
            Op::Load(i) => leveled::Op::Input(i),
            Op::Linear(m) => leveled::Op::Linear(m),
            Op::AddPlain(p) => leveled::Op::AddPlain(p),
            Op::MulPlain(p) => leveled::Op::MulPlain(p),
            Op::Add => leveled::Op::Add,
            Op::Sub => leveled::Op::Sub,
            Op::Negate => leveled::Op::Negate,
            Op::Mul => leveled::Op::Mul,
            Op::Square => leveled::Op::Square,
            Op::Rotate(r) => leveled::Op::Rotate(r),
            Op::Relinearize => leveled::Op::Relinearize,
            Op::Rescale => leveled::Op::Rescale,
            Op::Adjust(l) => leveled::Op::Adjust(l),
            Op::Bootstrap(l) => leveled::Op::Bootstrap(l),
            Op::Decompose | Op::Forget | Op::Free | Op::RelinearizeRescale => return None,
        })
    }
}
