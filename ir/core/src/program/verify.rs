//! What makes a program well-formed: registers are written before they are read, types follow, keys suffice.

use super::{Instruction, KeySet, Op, Program, Register};
use crate::circuit::{Circuit as Slotwise, CircuitError};
use crate::leveled::{self, Type};
use crate::{Level, Parameters, ParametersError, Plain, Rotation};
use std::collections::BTreeMap;

/// Why a program is ill-formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ProgramError {
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error(transparent)]
    Slots(#[from] CircuitError),
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
                Op::RelinearizeRescale => keys.relinearize = keys.relinearize.max(Some(Level(level.0 + 1))),
                Op::Rotate(r) => rotation(&mut keys, r, level),
                Op::Linear(map) => {
                    // Key switching happens before the rescale, one level above the result.
                    for &(giant, baby) in self.plans.get(map).iter().flat_map(|p| p.split.values()) {
                        rotation(&mut keys, giant, Level(level.0 + 1));
                        rotation(&mut keys, baby, Level(level.0 + 1));
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
        let parameters = Parameters::check(self.parameters.clone())?;
        self.constants_alone(&parameters).verify()?;
        let mut live: BTreeMap<Register, Type> = BTreeMap::new();
        for (index, instruction) in self.instructions.iter().enumerate() {
            self.step(instruction, &mut live, &parameters).map_err(|reason| ProgramError::Instruction {
                index,
                op: instruction.op.name(),
                destination: instruction.destination,
                reason,
            })?;
        }
        for output in &self.outputs {
            let fail = |reason: &str| ProgramError::Output { name: output.name.clone(), reason: reason.to_owned() };
            let ty = live.get(&output.value).ok_or_else(|| fail("its register is empty at the end"))?;
            output.layout.verify().map_err(|e| fail(&e.to_string()))?;
            if output.layout.slots != parameters.slots()
                || output.layout.ciphertexts() as u32 > ty.count
                || ty.parts != 2
            {
                return Err(fail("its layout does not fit its register"));
            }
        }
        if self.keys == self.required_keys() { Ok(()) } else { Err(ProgramError::Keys) }
    }

    fn step(
        &self,
        instruction: &Instruction,
        live: &mut BTreeMap<Register, Type>,
        parameters: &Parameters,
    ) -> Result<(), String> {
        let read = |r: &Register| live.get(r).copied().ok_or_else(|| format!("{r} is empty"));
        let args: Vec<Type> = instruction.args.iter().map(read).collect::<Result<_, _>>()?;
        let result = match instruction.op {
            Op::Decompose | Op::Forget | Op::Free => match (args.as_slice(), instruction.args.as_slice()) {
                ([ty], [register]) if *register == instruction.destination => {
                    if instruction.op == Op::Decompose && ty.parts != 2 {
                        return Err("only relinearized ciphertexts are decomposed".to_owned());
                    }
                    *ty
                }
                _ => return Err("it takes its destination as the only argument".to_owned()),
            },
            Op::RelinearizeRescale => {
                let whole = leveled::Op::Relinearize.infer(&args, 0, parameters)?;
                leveled::Op::Rescale.infer(&[whole], 0, parameters)?
            }
            op => {
                let op = op.leveled().ok_or("not an operation on ciphertexts")?;
                op.infer(&args, self.count(instruction.op, &args)?, parameters)?
            }
        };
        if result != instruction.ty {
            return Err(format!("declared as {:?}, but it is {result:?}", instruction.ty));
        }
        if instruction.op == Op::Free {
            live.remove(&instruction.destination);
        } else {
            live.insert(instruction.destination, result);
        }
        Ok(())
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
                let plan = self.plans.get(id).ok_or("the map has no plan")?;
                let n = map.slots.0 as u64;
                let adds_up = map.rotations().iter().all(|r| {
                    plan.split.get(r).is_some_and(|(g, b)| (u64::from(g.0) + u64::from(b.0)) % n == u64::from(r.0))
                });
                if !adds_up || map.inputs != first {
                    return Err("the plan or the input does not fit the map".to_owned());
                }
                Ok(map.outputs)
            }
            Op::AddPlain(id) | Op::MulPlain(id) => match self.plains.get(id).ok_or("no such plaintext")? {
                Plain::Slots(vectors) if vectors.len() as u32 != first => {
                    Err("the plaintext has another number of vectors".to_owned())
                }
                _ => Ok(first),
            },
            Op::Rotate(r) if r.0 as usize >= self.parameters.log_n.slots().0 => {
                Err("the rotation is not below the number of slots".to_owned())
            }
            _ => Ok(first),
        }
    }

    /// Constants and inputs alone, as a slot circuit, to check them by the same rules.
    fn constants_alone(&self, parameters: &Parameters) -> Slotwise {
        let mut slotwise = Slotwise::new(self.name.clone(), parameters.slots());
        slotwise.inputs = self.inputs.clone();
        slotwise.maps = self.maps.clone();
        slotwise.plains = self.plains.clone();
        slotwise
    }
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
            Op::Decompose | Op::Forget | Op::Free | Op::RelinearizeRescale => return None,
        })
    }
}
