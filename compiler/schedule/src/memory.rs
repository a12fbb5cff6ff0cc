//! How much memory a program needs, before it runs.

use hec_ir::evaluate::cost::{Factor, transforms};
use hec_ir::leveled::Scheme;
use hec_ir::program::{Op, Program, Register};
use hec_ir::{BootstrapParameters, Level, Parameters, ParametersError, Rotation};
use std::collections::BTreeMap;

/// Bytes of one residue in memory.
const RESIDUE: usize = 8;

/// Without a limit of the user, evaluation encodes constants ahead as long as it stays below this.
const DEFAULT_LIMIT: usize = 2 << 30;
/// What a linear map gets for its sums and for diagonals that it encodes itself, at least and at most.
const WORKING: (usize, usize) = (256 << 20, 512 << 20);
/// The process itself: its code, the tables of the parameters.
const PROCESS: usize = 32 << 20;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Evaluation keys in memory: two polynomials a digit, special primes included.
    pub keys: usize,
    /// The largest sum of live ciphertexts and decompositions.
    pub ciphertexts: usize,
    /// Diagonals and plaintexts as they are stored in the artifact; transforms of a bootstrap, encoded.
    pub constants: usize,
    /// The process itself, sums of linear maps, and constants that are encoded ahead where nobody bounds memory.
    pub working: usize,
    /// Whether all constants are encoded ahead where nobody bounds memory.
    pub encodes_ahead: bool,
}

impl MemoryEstimate {
    /// Everything that is held at once.
    pub fn peak(&self) -> usize {
        self.keys + self.ciphertexts + self.constants + self.working
    }
}

/// Estimate the memory of `program`.
///
/// # Errors
/// When its parameters are not valid.
pub fn memory(program: &Program) -> Result<MemoryEstimate, ParametersError> {
    let scheme = program.scheme()?;
    let diagonals: usize = program.maps.values().flat_map(|m| m.diagonals.values()).map(|d| d.len() * 8).sum();
    let plains: usize = program.plains.values().map(plain_bytes).sum();
    let mut estimate = MemoryEstimate {
        keys: keys(program, &scheme, |level| key_bytes(scheme.parameters(), level)),
        ciphertexts: peak_ciphertexts(program, &scheme),
        constants: diagonals + plains + scheme.bootstrap().map_or(0, bootstrap_diagonals),
        // The allocator cuts blocks into 64 buffers of N residues each.
        working: PROCESS + 64 * scheme.parameters().log_n().degree() * RESIDUE,
        encodes_ahead: false,
    };
    let left = DEFAULT_LIMIT.saturating_sub(estimate.peak());
    let sums = (left / 3).clamp(WORKING.0, WORKING.1);
    let (needed, encoded) = linear_working(program, scheme.parameters());
    estimate.encodes_ahead = encoded <= left.saturating_sub(sums);
    estimate.working += needed.min(sums) + encoded.min(left.saturating_sub(sums));
    Ok(estimate)
}

/// The most that the sums of a linear map take, with the diagonals that it encodes, and what all constants take that are
/// encoded with their residues.
fn linear_working(program: &Program, parameters: &Parameters) -> (usize, usize) {
    let limb = parameters.log_n().degree() * RESIDUE;
    let extended = |level| parameters.prime_count(level) + parameters.special().len();
    let (mut most, mut encoded) = (0, BTreeMap::new());
    for i in &program.instructions {
        match i.op {
            Op::Linear(map) => {
                let above = Level(i.ty.level.0 + 1);
                let giants = program.plans[map].giants().len() * program.maps[map].outputs as usize;
                let diagonals = program.maps[map].diagonals.len();
                most = most.max((2 * giants * extended(above) + diagonals) * limb);
                encoded.insert((Some(map), None, above), diagonals * extended(above) * limb);
            }
            Op::AddPlain(plain) | Op::MulPlain(plain) => {
                if let hec_ir::Plain::Slots(vectors) = &program.plains[plain] {
                    let bytes = vectors.len() * parameters.prime_count(i.ty.level) * limb;
                    encoded.insert((None, Some(plain), i.ty.level), bytes);
                }
            }
            _ => {}
        }
    }
    (most, encoded.into_values().sum())
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

/// Bytes of the evaluation keys of `program` in a file.
///
/// # Errors
/// When its parameters are not valid.
pub fn stored_keys(program: &Program) -> Result<usize, ParametersError> {
    Ok(keys_in_a_file(program, &program.scheme()?))
}

pub(crate) fn keys_in_a_file(program: &Program, scheme: &Scheme) -> usize {
    keys(program, scheme, |level| stored_key_bytes(scheme.parameters(), level))
}

/// The size of all evaluation keys. What the program and its bootstrap both rotate by has one key, and a bootstrap
/// relinearizes further up than the program.
fn keys(program: &Program, scheme: &Scheme, size: impl Fn(Level) -> usize) -> usize {
    let own = program.keys.rotations.iter().map(|(&rotation, &level)| (program.batch.rotation(rotation), level));
    let (mut rotations, mut others): (BTreeMap<_, _>, _) = (own.collect(), 0);
    match scheme.bootstrap() {
        None => others += program.keys.relinearize.map_or(0, &size),
        Some(bootstrap) => {
            for (rotation, level) in bootstrap_rotations(bootstrap) {
                let known = rotations.entry(rotation).or_insert(level);
                *known = (*known).max(level);
            }
            others += other_bootstrap_keys(bootstrap, &size);
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

/// The diagonals of a bootstrap with their residues.
fn bootstrap_diagonals(bootstrap: &BootstrapParameters) -> usize {
    let parameters = bootstrap.parameters();
    let degree = parameters.log_n().degree();
    let diagonals = |f: &Factor| {
        let limbs = parameters.prime_count(f.level) + parameters.special().len();
        // What repeats in a ring of a shorter period is kept once for each of 8 residues.
        f.shape.diagonals * limbs * degree.min(16 << f.stages.end) * RESIDUE
    };
    transforms(bootstrap).iter().map(diagonals).sum()
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
