//! How much memory a program needs, before it runs.

use hec_ir::program::{Op, Program, Register};
use hec_ir::{Level, Parameters, ParametersError, Rotation};
use std::collections::BTreeMap;

/// Bytes of one residue in memory.
const RESIDUE: usize = 8;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Evaluation keys in memory: two polynomials a digit, special primes included.
    pub keys: usize,
    /// The largest sum of live ciphertexts and decompositions.
    pub ciphertexts: usize,
    /// Diagonals and plaintexts as they are stored in the artifact.
    pub constants: usize,
}

/// Estimate the memory of `program`.
///
/// # Errors
/// When its parameters are not valid.
pub fn memory(program: &Program) -> Result<MemoryEstimate, ParametersError> {
    let parameters = Parameters::check(program.parameters.clone())?;
    let keys = program.keys.rotations.values().copied().chain(program.keys.relinearize);
    let diagonals: usize = program.maps.values().flat_map(|m| m.diagonals.values()).map(|d| d.len() * 8).sum();
    let plains: usize = program.plains.values().map(plain_bytes).sum();
    Ok(MemoryEstimate {
        keys: keys.map(|level| key_bytes(&parameters, level)).sum(),
        ciphertexts: peak_ciphertexts(program, &parameters),
        constants: diagonals + plains,
    })
}

fn plain_bytes(plain: &hec_ir::Plain) -> usize {
    match plain {
        hec_ir::Plain::Scalar(_) => RESIDUE,
        hec_ir::Plain::Slots(vectors) => vectors.iter().map(|v| v.len() * 8).sum(),
    }
}

/// A switching key up to `level`.
fn key_bytes(parameters: &Parameters, level: Level) -> usize {
    2 * decomposition_bytes(parameters, level)
}

/// All digits of one polynomial in the extended basis.
fn decomposition_bytes(parameters: &Parameters, level: Level) -> usize {
    let primes = parameters.prime_count(level);
    let digits = primes.div_ceil(parameters.digit_size());
    digits * (primes + parameters.special().len()) * parameters.log_n().degree() * RESIDUE
}

fn peak_ciphertexts(program: &Program, parameters: &Parameters) -> usize {
    let mut live: BTreeMap<Register, usize> = BTreeMap::new();
    let mut digits: BTreeMap<Register, usize> = BTreeMap::new();
    let mut peak = 0;
    for i in &program.instructions {
        let limbs = parameters.prime_count(i.ty.level) * usize::from(i.ty.parts) * i.ty.count as usize;
        let transient = match i.op {
            Op::Decompose => {
                digits.insert(i.destination, i.ty.count as usize * decomposition_bytes(parameters, i.ty.level));
                0
            }
            Op::Forget => {
                digits.remove(&i.destination);
                0
            }
            Op::Free => {
                digits.remove(&i.destination);
                live.remove(&i.destination);
                0
            }
            Op::Linear(map) => {
                let above = Level(i.ty.level.0 + 1);
                let babies = program.plans[map].babies().iter().filter(|r: &&Rotation| !r.is_zero()).count() + 1;
                let extended = parameters.prime_count(above) + parameters.special().len();
                let rotated = babies * 2 * extended * parameters.log_n().degree() * RESIDUE;
                program.maps[map].inputs as usize * (rotated + decomposition_bytes(parameters, above))
            }
            Op::Rotate(_) | Op::Relinearize => decomposition_bytes(parameters, i.ty.level),
            Op::RelinearizeRescale => decomposition_bytes(parameters, Level(i.ty.level.0 + 1)),
            _ => 0,
        };
        if !matches!(i.op, Op::Free | Op::Forget | Op::Decompose) {
            digits.remove(&i.destination);
            live.insert(i.destination, limbs * parameters.log_n().degree() * RESIDUE);
        }
        peak = peak.max(live.values().sum::<usize>() + digits.values().sum::<usize>() + transient);
    }
    peak
}
