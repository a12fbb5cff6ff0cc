//! How much memory a program needs, before it runs.

use hec_ir::evaluate::cost::{Factor, transforms};
use hec_ir::leveled::Scheme;
use hec_ir::program::{Op, Program, Register};
use hec_ir::{BootstrapParameters, Level, Parameters, ParametersError, Rotation};
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
    let scheme = program.scheme()?;
    let parameters = scheme.parameters();
    // A bootstrap relinearizes further up, and its keys are counted with it.
    let relinearize = program.keys.relinearize.filter(|_| scheme.bootstrap().is_none());
    let keys = program.keys.rotations.values().copied().chain(relinearize);
    let diagonals: usize = program.maps.values().flat_map(|m| m.diagonals.values()).map(|d| d.len() * 8).sum();
    let plains: usize = program.plains.values().map(plain_bytes).sum();
    let own: usize = keys.map(|level| key_bytes(parameters, level)).sum();
    let (bootstrap_keys, bootstrap_diagonals) = scheme.bootstrap().map_or((0, 0), bootstrap_bytes);
    Ok(MemoryEstimate {
        keys: own + bootstrap_keys,
        ciphertexts: peak_ciphertexts(program, &scheme),
        constants: diagonals + plains + bootstrap_diagonals,
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

/// A switching key in a file: the uniform half is a seed, and residues take whole bytes.
pub(crate) fn stored_key_bytes(parameters: &Parameters, level: Level) -> usize {
    let width = |p: u64| (u64::BITS - p.leading_zeros()).div_ceil(8) as usize;
    let residues: usize = parameters.primes_at(level).chain(parameters.special().iter().copied()).map(width).sum();
    parameters.prime_count(level).div_ceil(parameters.digit_size()) * residues * parameters.log_n().degree()
}

/// The evaluation keys of `program` in a file. What the program and its bootstrap both rotate by has one key.
pub(crate) fn stored_keys(program: &Program, scheme: &Scheme) -> usize {
    let parameters = scheme.parameters();
    let size = |level| stored_key_bytes(parameters, level);
    let own = program.keys.rotations.iter().map(|(&rotation, &level)| (program.batch.rotation(rotation), level));
    let (mut rotations, mut others): (BTreeMap<_, _>, _) = (own.collect(), 0);
    match scheme.bootstrap() {
        None => others += program.keys.relinearize.map_or(0, size),
        Some(bootstrap) => {
            for (rotation, level) in bootstrap_rotations(bootstrap) {
                let known = rotations.entry(rotation).or_insert(level);
                *known = (*known).max(level);
            }
            others += other_bootstrap_keys(bootstrap, size);
        }
    }
    others + rotations.into_values().map(size).sum::<usize>()
}

/// All digits of one polynomial in the extended basis.
fn decomposition_bytes(parameters: &Parameters, level: Level) -> usize {
    let primes = parameters.prime_count(level);
    let digits = primes.div_ceil(parameters.digit_size());
    digits * (primes + parameters.special().len()) * parameters.log_n().degree() * RESIDUE
}

/// The rotations of the transforms of a bootstrap: one for each baby step, and one for all giant steps.
fn bootstrap_rotations(bootstrap: &BootstrapParameters) -> BTreeMap<Rotation, Level> {
    let mut rotations = BTreeMap::new();
    for factor in transforms(bootstrap) {
        for step in 1..=factor.shape.babies as i64 + 1 {
            let rotation = Rotation::new(step << factor.stages.start, bootstrap.choice().slots);
            let known = rotations.entry(rotation).or_insert(factor.level);
            *known = factor.level.max(*known);
        }
    }
    rotations
}

/// The rotations of a bootstrap that a program's slots may need too.
pub(crate) fn shared_rotations(scheme: &Scheme) -> BTreeMap<Rotation, Level> {
    let batch = scheme.batch().0 as u32;
    let all = scheme.bootstrap().map(bootstrap_rotations).unwrap_or_default().into_iter();
    all.filter(|(r, _)| r.0 % batch == 0).map(|(r, level)| (Rotation(r.0 / batch), level)).collect()
}

/// The other keys of a bootstrap: two turns; the trace; conjugation and relinearization; back from the sparse secret.
fn other_bootstrap_keys(bootstrap: &BootstrapParameters, size: impl Fn(Level) -> usize) -> usize {
    let trace = (bootstrap.parameters().slots().0 / bootstrap.choice().slots.0).trailing_zeros() as usize;
    let turns = size(bootstrap.slots_to_coeffs_level()) + size(Level(0));
    turns + (trace + 1) * size(bootstrap.raised_level()) + 2 * size(bootstrap.eval_mod_level())
}

/// Keys of a bootstrap, and its diagonals with their residues.
fn bootstrap_bytes(bootstrap: &BootstrapParameters) -> (usize, usize) {
    let parameters = bootstrap.parameters();
    let factors = transforms(bootstrap);
    let degree = parameters.log_n().degree();
    let diagonals = |f: &Factor| {
        let limbs = parameters.prime_count(f.level) + parameters.special().len();
        // What repeats in a ring of a shorter period is kept once for each of 8 residues.
        f.shape.diagonals * limbs * degree.min(16 << f.stages.end) * RESIDUE
    };
    let size = |level| key_bytes(parameters, level);
    let rotations: usize = bootstrap_rotations(bootstrap).into_values().map(size).sum();
    (rotations + other_bootstrap_keys(bootstrap, size), factors.iter().map(diagonals).sum())
}

/// What a linear map holds beside its inputs: its rotated inputs in the extended basis, and a decomposition.
fn linear_bytes(parameters: &Parameters, level: Level, babies: usize) -> usize {
    let extended = parameters.prime_count(level) + parameters.special().len();
    (babies + 1) * 2 * extended * parameters.log_n().degree() * RESIDUE + decomposition_bytes(parameters, level)
}

fn peak_ciphertexts(program: &Program, scheme: &Scheme) -> usize {
    let parameters = scheme.parameters();
    let of_bootstrap = scheme.bootstrap().map_or(0, |b| {
        transforms(b).iter().map(|f| linear_bytes(parameters, f.level, f.shape.babies)).max().unwrap_or(0)
    });
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
                let babies = program.plans[map].babies().iter().filter(|r: &&Rotation| !r.is_zero()).count();
                program.maps[map].inputs as usize * linear_bytes(parameters, above, babies)
            }
            Op::Rotate(_) | Op::Relinearize => decomposition_bytes(parameters, i.ty.level),
            Op::RelinearizeRescale => decomposition_bytes(parameters, Level(i.ty.level.0 + 1)),
            Op::Bootstrap(_) => of_bootstrap,
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
