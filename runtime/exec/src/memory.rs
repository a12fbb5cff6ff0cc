//! How much memory evaluation takes, and what that leaves for constants that are encoded ahead.

use crate::RunError;
use crate::keys::key_request;
use hec_ckks::{BootstrapMemory, KeyRequest, MemoryBudget};
use hec_ir::circuit::MapId;
use hec_ir::leveled::{Scheme, Type};
use hec_ir::program::{Op, Program, Register};
use hec_ir::{BootstrapParameters, Level, Parameters};
use std::collections::{BTreeMap, BTreeSet};

/// Without a limit of the user, evaluation stays near this.
const DEFAULT_LIMIT: usize = 2 << 30;
/// Most that a linear map gets for its sums and for diagonals that it encodes itself.
const MAX_WORKING: usize = 512 << 20;
/// What it gets at least where nobody sets a limit: its baby steps are computed anew for each part of its giant steps.
const UNLIMITED_WORKING: usize = 256 << 20;
/// A linear map works with less, but slowly.
const MIN_WORKING: usize = 32 << 20;
/// The process itself: its code, the tables of the parameters, what the allocator keeps.
const PROCESS: usize = 24 << 20;

/// Bytes that one evaluation takes, by what takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Evaluation keys, uniform halves expanded.
    pub keys: usize,
    /// Constants of the program as they are stored.
    pub program: usize,
    /// The process itself.
    pub process: usize,
    /// Encoded transforms of the bootstrap.
    pub bootstrap: usize,
    /// Ciphertexts and decompositions at the worst instruction.
    pub registers: usize,
    /// What a linear map may use for sums and for diagonals that it encodes.
    pub working: usize,
    /// What is left for constants that are encoded ahead.
    pub constants: usize,
}

/// How the diagonals of a linear map are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiagonalForm {
    /// Slot values, encoded at each use.
    Values,
    /// Integer coefficients, 8 N bytes each.
    Integers,
    /// All residues, 8 N bytes a prime of QP: the fastest.
    Residues,
}

/// Sizes in memory that follow from the parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes<'a>(pub &'a Parameters);

impl Sizes<'_> {
    /// N residues.
    pub fn limb(self) -> usize {
        self.0.log_n().degree() * size_of::<f64>()
    }

    fn extended(self, level: Level) -> usize {
        self.0.prime_count(level) + self.0.special().len()
    }

    /// One polynomial at a level.
    pub fn polynomial(self, level: Level) -> usize {
        self.0.prime_count(level) * self.limb()
    }

    /// One polynomial in QP.
    pub fn extended_polynomial(self, level: Level) -> usize {
        self.extended(level) * self.limb()
    }

    fn decomposition(self, level: Level) -> usize {
        self.0.prime_count(level).div_ceil(self.0.digit_size()) * self.extended_polynomial(level)
    }

    fn bundle(self, ty: &Type) -> usize {
        ty.count as usize * usize::from(ty.parts) * self.polynomial(ty.level)
    }

    fn key(self, level: Level) -> usize {
        2 * self.decomposition(level)
    }

    /// A key in a file: the uniform half is a seed, and residues take whole bytes.
    fn stored_key(self, level: Level) -> usize {
        let width = |p: u64| (u64::BITS - p.leading_zeros()).div_ceil(8) as usize;
        let residue: usize = self.0.primes_at(level).chain(self.0.special().iter().copied()).map(width).sum();
        self.0.prime_count(level).div_ceil(self.0.digit_size()) * residue * self.0.log_n().degree()
    }

    /// Evaluation keys in memory.
    pub fn keys(self, keys: &KeyRequest) -> usize {
        self.sum(keys, |sizes, level| sizes.key(level))
    }

    /// Evaluation keys in a file, without its tables.
    pub fn stored_keys(self, keys: &KeyRequest) -> usize {
        self.sum(keys, |sizes, level| sizes.stored_key(level))
    }

    /// An encapsulation has a second key, at the lowest level of a ring of its own.
    fn sum(self, keys: &KeyRequest, size: impl Fn(Sizes<'_>, Level) -> usize) -> usize {
        let second = keys.encapsulate.as_ref().map(BootstrapParameters::encapsulation);
        let second = second.map_or(0, |ring| size(Sizes(ring), Level(0)));
        keys.names().map(|(_, level)| size(self, level)).sum::<usize>() + second
    }
}

impl MemoryPlan {
    /// For a verified program. Without a limit, what must be held is held, and constants are encoded ahead up to 2 GiB
    /// in all.
    ///
    /// # Errors
    /// [`RunError::Memory`] when `limit` does not hold what must be held.
    pub fn new(program: &Program, scheme: &Scheme, limit: Option<usize>) -> Result<Self, RunError> {
        let keys = Sizes(scheme.parameters()).keys(&key_request(&program.keys, scheme));
        let parameters = scheme.bootstrap().filter(|_| program.keys.bootstrap);
        let of_bootstrap = |budget| {
            let memory = parameters.map(|parameters| BootstrapMemory::of(parameters, budget));
            memory.map_or((0, 0), |b| (b.diagonals, b.working))
        };
        let (mut bootstrap, working) = of_bootstrap(MemoryBudget::DIAGONALS);
        let registers = peak_of_registers(program, scheme, working);
        let stored = stored_constants(program);
        let mut fixed = keys + registers + stored + bootstrap + PROCESS;
        if limit.is_some_and(|limit| fixed + MIN_WORKING > limit) {
            fixed -= bootstrap;
            (bootstrap, _) = of_bootstrap(MemoryBudget(0));
            fixed += bootstrap;
        }
        if let Some(limit) = limit.filter(|&limit| fixed + MIN_WORKING > limit) {
            return Err(RunError::Memory { needed: bytes(fixed + MIN_WORKING), limit: bytes(limit) });
        }
        let left = limit.unwrap_or(DEFAULT_LIMIT).saturating_sub(fixed);
        let least = if limit.is_some() { MIN_WORKING } else { UNLIMITED_WORKING };
        let working = (left / 3).clamp(least, MAX_WORKING);
        let constants = left.saturating_sub(working);
        Ok(MemoryPlan { keys, program: stored, process: PROCESS, bootstrap, registers, working, constants })
    }

    /// Everything.
    pub fn total(&self) -> usize {
        let held = self.keys + self.program + self.process + self.bootstrap;
        held + self.registers + self.working + self.constants
    }
}

fn stored_constants(program: &Program) -> usize {
    program.maps.values().map(|map| map.diagonals.len() * map.slots.0 * size_of::<f64>()).sum()
}

/// Ciphertexts that are held at once, and what linear maps and bootstraps add while they run.
fn peak_of_registers(program: &Program, scheme: &Scheme, bootstrap: usize) -> usize {
    let sizes = Sizes(scheme.parameters());
    let mut live: BTreeMap<Register, (usize, usize)> = BTreeMap::new();
    let mut peak = 0;
    for instruction in &program.instructions {
        let ty = &instruction.ty;
        let decomposition = ty.count as usize * sizes.decomposition(ty.level);
        let mut extra = 0;
        match instruction.op {
            Op::Decompose => {
                live.entry(instruction.destination).or_default().1 = decomposition;
            }
            Op::Forget => live.entry(instruction.destination).or_default().1 = 0,
            Op::Free => {
                live.remove(&instruction.destination);
            }
            Op::Linear(map) => {
                let above = Level(ty.level.0 + 1);
                let inputs = program.maps.get(map).map_or(0, |m| m.inputs as usize);
                extra = inputs * sizes.decomposition(above) + 2 * ty.count as usize * sizes.extended_polynomial(above);
                live.insert(instruction.destination, (sizes.bundle(ty), 0));
            }
            Op::Bootstrap(_) => {
                // The argument, whose register may be the destination.
                let argument = ty.count as usize * 2 * sizes.polynomial(ty.level);
                extra = bootstrap + argument;
                live.insert(instruction.destination, (sizes.bundle(ty), 0));
            }
            _ => {
                live.insert(instruction.destination, (sizes.bundle(ty), 0));
            }
        }
        peak = peak.max(extra + live.values().map(|(bundle, digits)| bundle + digits).sum::<usize>());
    }
    let inputs = program.inputs.iter().map(|input| input.layout.ciphertexts()).sum::<usize>();
    peak + 2 * inputs * sizes.polynomial(scheme.input_level())
}

/// The best form for each use of a linear map within `budget`: first integers for all in order, then residues.
pub(crate) fn diagonal_forms(
    program: &Program,
    parameters: &Parameters,
    uses: &BTreeSet<(MapId, Level)>,
    budget: usize,
) -> BTreeMap<(MapId, Level), DiagonalForm> {
    let sizes = Sizes(parameters);
    let mut left = budget;
    let mut forms: BTreeMap<_, _> = uses.iter().map(|&u| (u, DiagonalForm::Values)).collect();
    let mut upgrade = |to: DiagonalForm, cost: &dyn Fn(MapId, Level) -> usize| {
        for (&(map, level), form) in &mut forms {
            let cost = cost(map, level);
            // Residues replace integers, which must be there first.
            let ready = to == DiagonalForm::Integers || *form == DiagonalForm::Integers;
            if ready && cost <= left {
                left -= cost;
                *form = to;
            }
        }
    };
    let integers = |map: MapId| program.maps[map].diagonals.len().saturating_mul(sizes.limb());
    // The residues of a number take next to nothing.
    let long = |map: MapId| program.maps[map].diagonals.len() - program.maps[map].numbers();
    upgrade(DiagonalForm::Integers, &|map, _| integers(map));
    upgrade(DiagonalForm::Residues, &|map, level| {
        long(map).saturating_mul(sizes.extended_polynomial(level)).saturating_sub(integers(map))
    });
    forms
}

/// Most memory that this process has held, where the system tells.
pub fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// A size as people write it: `512M`, `2G`, `1.5GiB`, or plain bytes; powers of 1024.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size; write for example 512M or 2G");
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches("ib").trim_end_matches('b');
    let split = number.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(number.len());
    let (number, unit) = number.split_at(split);
    let unit = match unit {
        "" => 1u64,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return Err(wrong()),
    };
    let size = number.trim().parse::<f64>().map_err(|_| wrong())? * unit as f64;
    if (1.0..9e15).contains(&size) { Ok(size as usize) } else { Err(wrong()) }
}

/// A size for people.
pub fn bytes(count: usize) -> String {
    let x = count as f64;
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", x / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", x / 1_048_576.0),
        _ => format!("{:.2} GiB", x / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let sizes = [("2G", 2 << 30), ("512m", 512 << 20), ("1.5GiB", 3 << 29), ("100", 100), ("64 KB", 64 << 10)];
        for (text, expected) in sizes {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "-1G", "2X", "1e400", "nan", "0"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(bytes(3 << 29), "1.50 GiB");
    }
}
