//! What a program costs, by layer: predicted seconds, and counts of the operations that make them up.

mod bootstrap;

use super::layers::ByLayer;
use super::{Evaluator, Machine, SimulateError, run_leveled, run_program};
use crate::circuit::{Input, MapId, PlainId};
use crate::cost::{CostTable, LinearShape, RingSize};
use crate::leveled::{self, Op, Scheme, Type};
use crate::program::{BabyGiant, Program};
use crate::{Level, Origin, Plain, Rotation, SlotMap};
use serde::{Deserialize, Serialize};

pub use bootstrap::{Factor, bootstrap, transforms};

/// Counts of ciphertext operations. A bundle of three ciphertexts counts three times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Predicted seconds of one thread.
    pub seconds: f64,
    /// Non-zero diagonals of linear maps: each is one product with a plaintext.
    pub diagonals: usize,
    /// Rotations of inputs of linear maps, each with one key switch without its decomposition.
    pub baby_steps: usize,
    /// Rotations of sums in linear maps, each with a whole key switch.
    pub giant_steps: usize,
    /// Rotations outside linear maps.
    pub rotations: usize,
    /// Products of two ciphertexts, squares included.
    pub ciphertext_products: usize,
    /// Products with a plaintext outside linear maps.
    pub plaintext_products: usize,
    /// Inner products with an evaluation key: rotations of all kinds and relinearizations.
    pub key_switches: usize,
    /// Decompositions (mod_up) for key switching.
    pub decompositions: usize,
    /// Rescales outside linear maps.
    pub rescales: usize,
    /// Ciphertexts that are bootstrapped; the other counts hold what that takes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bootstraps: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.seconds += other.seconds;
        self.diagonals += other.diagonals;
        self.baby_steps += other.baby_steps;
        self.giant_steps += other.giant_steps;
        self.rotations += other.rotations;
        self.ciphertext_products += other.ciphertext_products;
        self.plaintext_products += other.plaintext_products;
        self.key_switches += other.key_switches;
        self.decompositions += other.decompositions;
        self.rescales += other.rescales;
        self.bootstraps += other.bootstraps;
    }
}

/// The cost of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerCost {
    /// The layer, as reports name it.
    pub layer: String,
    /// The highest level of a value that it reads, before its first bootstrap if it has one.
    pub level_in: u32,
    /// The lowest level of a value that it makes.
    pub level_out: u32,
    /// The highest level to which a bootstrap brings one of its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrapped_to: Option<u32>,
    /// What it takes.
    pub counts: Counts,
}

/// The cost of a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostReport {
    /// By layer, in the order of the program.
    pub layers: Vec<LayerCost>,
    /// Sums over all layers.
    pub total: Counts,
}

impl CostReport {
    /// Predicted seconds of a program that verifies.
    ///
    /// # Errors
    /// When the program is ill-formed.
    pub fn of_program(program: &Program, table: &CostTable) -> Result<Self, SimulateError> {
        Self::with_constants(program, table, Constants::AsStored)
    }

    /// The same, where constants are held in this form.
    ///
    /// # Errors
    /// When the program is ill-formed.
    pub fn with_constants(program: &Program, table: &CostTable, constants: Constants) -> Result<Self, SimulateError> {
        let scheme = program.scheme()?;
        let mut cost = Cost { constants, ..Cost::new(&scheme, table) };
        let inputs = cost.inputs(&program.inputs)?;
        run_program(program, &mut cost, inputs)?;
        Ok(cost.report())
    }

    /// Predicted seconds of a leveled circuit that verifies. Its linear maps have no plan yet: each is counted with the
    /// cheapest split into a power-of-two number of baby steps and giant steps.
    ///
    /// # Errors
    /// When the circuit is ill-formed.
    pub fn of_leveled(circuit: &leveled::Circuit, table: &CostTable) -> Result<Self, SimulateError> {
        let scheme = circuit.scheme()?;
        let mut cost = Cost::new(&scheme, table);
        let inputs = cost.inputs(&circuit.inputs)?;
        run_leveled(circuit, &mut cost, &inputs)?;
        Ok(cost.report())
    }
}

/// How the diagonals and vectors of a program are held while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Constants {
    /// As slot values, encoded at each use.
    #[default]
    AsStored,
    /// Encoded ahead, once for all requests.
    Encoded,
}

/// Predicted seconds of one thread for each instruction of a program that verifies.
///
/// # Errors
/// When the program is ill-formed.
pub fn seconds_by_instruction(program: &Program, table: &CostTable) -> Result<Vec<f64>, SimulateError> {
    let scheme = program.scheme()?;
    let mut cost = Cost::new(&scheme, table);
    let mut machine = Machine::new(program, cost.inputs(&program.inputs)?);
    let mut seconds = Vec::with_capacity(program.instructions.len());
    let mut before = 0.0;
    while machine.step(&mut cost)? {
        seconds.push(cost.seconds - before);
        before = cost.seconds;
    }
    Ok(seconds)
}

#[derive(Clone, Debug, Default)]
struct Layer {
    levels: Option<(Level, Level)>,
    bootstrapped_to: Option<Level>,
    counts: Counts,
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostValue {
    /// Level, scale, parts.
    pub ty: Type,
    /// Whether its decomposition is kept, so that rotations need none.
    pub decomposed: bool,
}

/// Counts operations and predicts their time.
#[derive(Debug)]
pub struct Cost<'a> {
    scheme: &'a Scheme,
    table: &'a CostTable,
    layers: ByLayer<Layer>,
    constants: Constants,
    /// Of everything so far.
    seconds: f64,
}

impl<'a> Cost<'a> {
    /// Nothing counted yet.
    pub fn new(scheme: &'a Scheme, table: &'a CostTable) -> Self {
        Cost { scheme, table, layers: ByLayer::new(), constants: Constants::default(), seconds: 0.0 }
    }

    /// The values of fresh inputs.
    ///
    /// # Errors
    /// None for parameters that were checked; the rules of the leveled circuit decide.
    pub fn inputs(&self, inputs: &[Input]) -> Result<Vec<CostValue>, SimulateError> {
        let fresh = |input: &Input| {
            let count = input.layout.ciphertexts() as u32;
            let ty = self.layers.infer(Op::Input(0), &[], count, self.scheme)?;
            Ok(CostValue { ty, decomposed: false })
        };
        inputs.iter().map(fresh).collect()
    }

    /// What was counted.
    pub fn report(self) -> CostReport {
        let mut report = CostReport::default();
        for (layer, Layer { levels, bootstrapped_to, counts }) in self.layers.into_entries() {
            // A layer without an operation is an input that is only passed on.
            let Some((high, low)) = levels else { continue };
            report.total.add(&counts);
            let bootstrapped_to = bootstrapped_to.map(|level| level.0);
            report.layers.push(LayerCost { layer, level_in: high.0, level_out: low.0, bootstrapped_to, counts });
        }
        report
    }

    fn ring(&self, level: Level) -> RingSize {
        RingSize::at(self.scheme.parameters(), level)
    }

    /// Count `counts` for an operation from `args` to a result whose type follows from `op`.
    fn step(&mut self, op: Op, args: &[&CostValue], count: u32, counts: Counts) -> Result<CostValue, SimulateError> {
        let types: Vec<Type> = args.iter().map(|v| v.ty).collect();
        let ty = self.layers.infer(op, &types, count, self.scheme)?;
        self.seconds += counts.seconds;
        if let Some(layer) = self.layers.current() {
            let high = types.iter().map(|t| t.level).max().unwrap_or(ty.level);
            let (top, bottom) = layer.levels.unwrap_or((high, ty.level));
            // What a layer does after a bootstrap is at levels that it has made itself.
            let top = if layer.bootstrapped_to.is_some() { top } else { top.max(high) };
            layer.levels = Some((top, bottom.min(ty.level)));
            layer.counts.add(&counts);
        }
        Ok(CostValue { ty, decomposed: false })
    }

    /// A sum of bundles, or of a bundle and a plaintext (which only touches the first part).
    fn addition(&self, x: &CostValue, parts: u8) -> Counts {
        let seconds = self.table.addition(&self.ring(x.ty.level)) * f64::from(parts) / 2.0 * f64::from(x.ty.count);
        Counts { seconds, ..Counts::default() }
    }

    /// Encoding one plaintext vector for each ciphertext, where that is not done ahead; a scalar costs nothing.
    fn encoding(&self, x: &CostValue, plain: &Plain) -> f64 {
        let ring = self.ring(x.ty.level);
        match plain {
            _ if self.constants == Constants::Encoded => 0.0,
            Plain::Scalar(_) => 0.0,
            Plain::Slots(vectors) => vectors.len() as f64 * self.table.encode(&ring, ring.primes),
        }
    }

    /// A key switch of every ciphertext; without the decomposition if it is kept.
    fn key_switch(&self, x: &CostValue) -> Counts {
        let (ring, count) = (self.ring(x.ty.level), x.ty.count as usize);
        let kept = if x.decomposed { self.table.decompose(&ring) } else { 0.0 };
        Counts {
            seconds: count as f64 * (self.table.key_switch(&ring) - kept),
            key_switches: count,
            decompositions: if x.decomposed { 0 } else { count },
            ..Counts::default()
        }
    }
}

/// The cheapest split r = giant + baby with babies below a power of two.
pub fn cheapest_split(table: &CostTable, ring: &RingSize, map: &SlotMap) -> BabyGiant {
    let rotations = map.rotations();
    let widths = (0..=map.slots.0.ilog2()).map(|bits| 1u32 << bits);
    let splits = widths.map(|width| {
        let parts = |r: &Rotation| (*r, (Rotation(r.0 / width * width), Rotation(r.0 % width)));
        BabyGiant { split: rotations.iter().map(parts).collect() }
    });
    let seconds = |plan: &BabyGiant| table.linear_shape(ring, &LinearShape::of(map, plan));
    splits.min_by(|a, b| seconds(a).total_cmp(&seconds(b))).unwrap_or_default()
}

impl Evaluator for Cost<'_> {
    type Value = CostValue;
    type Error = SimulateError;

    fn enter(&mut self, origin: &Origin, op: &'static str) {
        self.layers.enter(origin, op);
    }

    fn linear(
        &mut self,
        x: &CostValue,
        (id, map): (MapId, &SlotMap),
        plan: Option<&BabyGiant>,
    ) -> Result<CostValue, SimulateError> {
        let ring = self.ring(x.ty.level);
        let split = plan.is_none().then(|| cheapest_split(self.table, &ring, map));
        let plan = plan.or(split.as_ref()).expect("split where there is no plan");
        let shape = LinearShape::of(map, plan);
        let (baby_steps, giant_steps) = (shape.inputs * shape.babies, shape.outputs * shape.giants);
        let mut seconds = match self.constants {
            Constants::AsStored => self.table.linear(&ring, map, plan),
            Constants::Encoded => self.table.linear_shape(&ring, &shape),
        };
        let mut decompositions = giant_steps;
        if shape.babies > 0 && x.decomposed {
            seconds -= shape.inputs as f64 * self.table.decompose(&ring);
        } else if shape.babies > 0 {
            decompositions += shape.inputs;
        }
        let counts = Counts {
            seconds,
            diagonals: shape.diagonals,
            baby_steps,
            giant_steps,
            key_switches: baby_steps + giant_steps,
            decompositions,
            ..Counts::default()
        };
        self.step(Op::Linear(id), &[x], map.outputs, counts)
    }

    fn add_plain(&mut self, x: &CostValue, (id, plain): (PlainId, &Plain)) -> Result<CostValue, SimulateError> {
        let mut counts = self.addition(x, 1);
        counts.seconds += self.encoding(x, plain);
        self.step(Op::AddPlain(id), &[x], x.ty.count, counts)
    }

    fn mul_plain(&mut self, x: &CostValue, (id, plain): (PlainId, &Plain)) -> Result<CostValue, SimulateError> {
        let count = x.ty.count as usize;
        let product = count as f64 * self.table.multiply_plain(&self.ring(x.ty.level));
        let seconds = product + self.encoding(x, plain);
        let counts = Counts { seconds, plaintext_products: count, ..Counts::default() };
        self.step(Op::MulPlain(id), &[x], x.ty.count, counts)
    }

    fn add(&mut self, x: &CostValue, y: &CostValue) -> Result<CostValue, SimulateError> {
        let counts = self.addition(x, x.ty.parts.max(y.ty.parts));
        self.step(Op::Add, &[x, y], x.ty.count, counts)
    }

    fn sub(&mut self, x: &CostValue, y: &CostValue) -> Result<CostValue, SimulateError> {
        let counts = self.addition(x, x.ty.parts.max(y.ty.parts));
        self.step(Op::Sub, &[x, y], x.ty.count, counts)
    }

    fn negate(&mut self, x: &CostValue) -> Result<CostValue, SimulateError> {
        let counts = self.addition(x, x.ty.parts);
        self.step(Op::Negate, &[x], x.ty.count, counts)
    }

    fn mul(&mut self, x: &CostValue, y: &CostValue) -> Result<CostValue, SimulateError> {
        let count = x.ty.count as usize;
        let seconds = count as f64 * self.table.multiply(&self.ring(x.ty.level));
        let counts = Counts { seconds, ciphertext_products: count, ..Counts::default() };
        self.step(Op::Mul, &[x, y], x.ty.count, counts)
    }

    fn square(&mut self, x: &CostValue) -> Result<CostValue, SimulateError> {
        let count = x.ty.count as usize;
        let seconds = count as f64 * self.table.multiply(&self.ring(x.ty.level));
        let counts = Counts { seconds, ciphertext_products: count, ..Counts::default() };
        self.step(Op::Square, &[x], x.ty.count, counts)
    }

    fn rotate(&mut self, x: &CostValue, rotation: Rotation) -> Result<CostValue, SimulateError> {
        let turned = if rotation.is_zero() { Counts::default() } else { self.key_switch(x) };
        let counts = Counts { rotations: turned.key_switches, ..turned };
        self.step(Op::Rotate(rotation), &[x], x.ty.count, counts)
    }

    fn relinearize(&mut self, x: &CostValue) -> Result<CostValue, SimulateError> {
        let counts = self.key_switch(x);
        self.step(Op::Relinearize, &[x], x.ty.count, counts)
    }

    fn rescale(&mut self, x: &CostValue) -> Result<CostValue, SimulateError> {
        let count = x.ty.count as usize;
        let seconds = count as f64 * self.table.rescale(&self.ring(x.ty.level)) * f64::from(x.ty.parts) / 2.0;
        self.step(Op::Rescale, &[x], x.ty.count, Counts { seconds, rescales: count, ..Counts::default() })
    }

    /// One division for both: the rescale is free.
    fn relinearize_rescale(&mut self, x: &CostValue) -> Result<CostValue, SimulateError> {
        let whole = self.relinearize(x)?;
        let counts = Counts { rescales: x.ty.count as usize, ..Counts::default() };
        self.step(Op::Rescale, &[&whole], x.ty.count, counts)
    }

    fn adjust(&mut self, x: &CostValue, level: Level) -> Result<CostValue, SimulateError> {
        let (ring, count) = (self.ring(Level((level.0 + 1).min(x.ty.level.0))), x.ty.count as usize);
        let seconds = count as f64 * (self.table.multiply_plain(&ring) + self.table.rescale(&ring));
        let counts = Counts { seconds, rescales: count, ..Counts::default() };
        self.step(Op::Adjust(level), &[x], x.ty.count, counts)
    }

    /// A target below the level at which a bootstrap ends takes an adjustment.
    fn bootstrap(&mut self, x: &CostValue, level: Level) -> Result<CostValue, SimulateError> {
        let mut counts = Counts::default();
        if let Some(parameters) = self.scheme.bootstrap() {
            counts = bootstrap(self.table, parameters, x.ty.count);
            if level < parameters.output_level() {
                let ring = self.ring(Level(level.0 + 1));
                counts.rescales += x.ty.count as usize;
                counts.seconds +=
                    f64::from(x.ty.count) * (self.table.multiply_plain(&ring) + self.table.rescale(&ring));
            }
        }
        if let Some(layer) = self.layers.current() {
            layer.bootstrapped_to = layer.bootstrapped_to.max(Some(level));
        }
        self.step(Op::Bootstrap(level), &[x], x.ty.count, counts)
    }

    fn decompose(&mut self, x: &mut CostValue) -> Result<(), SimulateError> {
        let count = x.ty.count as usize;
        let seconds = count as f64 * self.table.decompose(&self.ring(x.ty.level));
        self.seconds += seconds;
        if let Some(layer) = self.layers.current() {
            layer.counts.add(&Counts { seconds, decompositions: count, ..Counts::default() });
        }
        x.decomposed = true;
        Ok(())
    }

    fn forget(&mut self, x: &mut CostValue) {
        x.decomposed = false;
    }
}
