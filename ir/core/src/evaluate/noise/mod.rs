//! Slots in clear with a noise model: how far decrypted results lie from exact ones.
//!
//! Every slot carries the variance of the real part of its error, in units of the message. Errors of different origin
//! are independent with mean 0, so that variances add; `model.rs` says what each operation adds. What was there before
//! is carried along: d²·v through a product with d, x²·v_y + y²·v_x + 2·v_x·v_y through a product of two ciphertexts
//! (the imaginary parts of both errors make up the 2), 4·x²·v + 4·v² through a square. A value is not independent of
//! itself: x + x carries 4·v, x − x nothing, and x·x is a square.
//! Sources: Costache, Curtis, Hales, Murphy, Ogilvie, Player, "On the precision loss in approximate homomorphic
//! encryption" (2023), for the central-limit model in slots; Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux (2021), §4,
//! for where key switching rounds when it is hoisted.

mod forecast;
mod gauss;
mod model;

use super::layers::ByLayer;
use super::tensors::{SimulateError, SlotVectors, pack_inputs, unpack_output};
use super::{Evaluator, clear, run_program};
use crate::circuit::{MapId, PlainId};
use crate::leveled::{Op, Scheme, Type};
use crate::program::{BabyGiant, Program};
use crate::tensor::Tensor;
use crate::{Level, Origin, Plain, Rotation, SlotMap};
pub use forecast::{DEVIATIONS, Forecast, forecast};
use gauss::Gauss;
use model::Model;
use std::sync::Arc;

/// A bundle with its errors.
#[derive(Clone, Debug)]
pub struct NoisyValue {
    /// Level, scale, parts.
    pub ty: Type,
    /// The slots: exact, or with one sample of the noise.
    pub slots: Arc<SlotVectors>,
    /// Variance of each slot's error; no vectors where only samples are drawn.
    pub variance: Arc<SlotVectors>,
}

/// Predicts errors, and draws samples of them when it has a seed.
#[derive(Debug)]
pub struct Noise<'a> {
    scheme: &'a Scheme,
    model: Model<'a>,
    sampler: Option<Gauss>,
    /// Whether variances are carried.
    predicts: bool,
    layers: ByLayer<Option<(f64, f64)>>,
}

impl<'a> Noise<'a> {
    /// Slots stay exact; errors are only predicted.
    pub fn predict(scheme: &'a Scheme) -> Self {
        let model = Model { parameters: scheme.parameters() };
        Noise { scheme, model, sampler: None, predicts: true, layers: ByLayer::new() }
    }

    /// Slots get errors drawn from the model, too: the same seed gives the same errors on every machine.
    pub fn sample(scheme: &'a Scheme, seed: u64) -> Self {
        Noise { sampler: Some(Gauss::new(seed)), ..Noise::predict(scheme) }
    }

    /// As [`Noise::sample`], without variances, which take as long as the samples.
    fn sample_alone(scheme: &'a Scheme, seed: u64) -> Self {
        Noise { predicts: false, ..Noise::sample(scheme, seed) }
    }

    /// A fresh encryption of slot vectors.
    ///
    /// # Errors
    /// None for parameters that were checked; the rules of the leveled circuit decide.
    pub fn encrypt(&mut self, slots: SlotVectors) -> Result<NoisyValue, SimulateError> {
        let ty = self.layers.infer(Op::Input(0), &[], slots.len() as u32, self.scheme)?;
        let fresh = self.model.fresh(ty.scale);
        let nothing = slots.iter().filter(|_| self.predicts).map(|s| vec![0.0; s.len()]).collect();
        Ok(self.make(ty, slots, nothing, |_, _| fresh))
    }

    /// What is known after each layer's last operation, in the order of the program.
    pub fn layers(self) -> Vec<LayerNoise> {
        let noise = |(layer, found): (String, Option<(f64, f64)>)| {
            let (std_dev, range) = found?;
            Some(LayerNoise { layer, std_dev, range })
        };
        self.layers.into_entries().into_iter().filter_map(noise).collect()
    }

    /// A result: `added(vector, slot)` is the variance of the error that the operation itself makes.
    fn make(
        &mut self,
        ty: Type,
        mut slots: SlotVectors,
        mut variance: SlotVectors,
        added: impl Fn(usize, usize) -> f64,
    ) -> NoisyValue {
        for (i, variance) in variance.iter_mut().enumerate() {
            variance.iter_mut().enumerate().for_each(|(s, variance)| *variance += added(i, s));
        }
        if let Some(sampler) = &mut self.sampler {
            for (i, slots) in slots.iter_mut().enumerate() {
                for (s, slot) in slots.iter_mut().enumerate() {
                    let new = added(i, s);
                    if new > 0.0 {
                        *slot += new.sqrt() * sampler.next();
                    }
                }
            }
        }
        if let Some(layer) = self.layers.current() {
            let range = slots.iter().flatten().fold(0.0, |m: f64, x| m.max(x.abs()));
            *layer = Some((variance.iter().flatten().copied().fold(0.0, f64::max).sqrt(), range));
        }
        NoisyValue { ty, slots: Arc::new(slots), variance: Arc::new(variance) }
    }

    fn infer(&self, op: Op, args: &[&NoisyValue], count: u32) -> Result<Type, SimulateError> {
        let types: Vec<Type> = args.iter().map(|v| v.ty).collect();
        self.layers.infer(op, &types, count, self.scheme)
    }

    /// The same slots and errors, as a value of another type, with the same error added to every slot.
    fn keep(&mut self, x: &NoisyValue, op: Op, added: f64) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(op, &[x], x.ty.count)?;
        Ok(self.make(ty, SlotVectors::clone(&x.slots), SlotVectors::clone(&x.variance), |_, _| added))
    }

    /// x + sign·y, without an error of its own: variances add either way, but for those of the same error.
    fn combine(&mut self, x: &NoisyValue, y: &NoisyValue, op: Op, sign: f64) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(op, &[x, y], x.ty.count)?;
        let slots = clear::zip(&x.slots, &y.slots, |x, y| x + sign * y);
        let variance = if x.is_same(y) {
            clear::map(&x.variance, |v| (1.0 + sign) * (1.0 + sign) * v)
        } else {
            clear::zip(&x.variance, &y.variance, |v, w| v + w)
        };
        Ok(self.make(ty, slots, variance, |_, _| 0.0))
    }

    /// x², without an error of its own.
    fn squared(&mut self, x: &NoisyValue, ty: Type) -> NoisyValue {
        let variance = clear::zip(&x.slots, &x.variance, |x, v| 4.0 * v * (x * x + v));
        self.make(ty, clear::map(&x.slots, |x| x * x), variance, |_, _| 0.0)
    }
}

impl NoisyValue {
    /// Whether both are one value with one error: every operation makes its variances anew.
    fn is_same(&self, other: &NoisyValue) -> bool {
        Arc::ptr_eq(&self.variance, &other.variance)
    }
}

impl Evaluator for Noise<'_> {
    type Value = NoisyValue;
    type Error = SimulateError;

    fn enter(&mut self, origin: &Origin, op: &'static str) {
        self.layers.enter(origin, op);
    }

    /// Σ over diagonals of d²·(v + what the baby step adds) + x²·(rounding of d); then what the giant steps and the
    /// division at the end add, the same in every slot.
    fn linear(
        &mut self,
        x: &NoisyValue,
        (id, map): (MapId, &SlotMap),
        plan: Option<&BabyGiant>,
    ) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Linear(id), &[x], map.outputs)?;
        let rounding = self.model.encoding(self.model.parameters.scale(x.ty.level));
        let baby_step = self.model.key_switch_product(x.ty.level, x.ty.scale);
        let n = map.slots.0;
        let mut added = vec![vec![0.0; n]; map.outputs as usize];
        let mut carried = if self.predicts { added.clone() } else { SlotVectors::new() };
        for (&(o, i, r), diagonal) in &map.diagonals {
            // Without a plan every rotation is one of the input.
            let turned = plan.and_then(|p| p.split.get(&r)).map_or(r, |split| split.1);
            let step = if turned.is_zero() { 0.0 } else { baby_step };
            let (o, i, r) = (o as usize, i as usize, r.0 as usize);
            for (to, from) in [(0..n - r, r..n), (n - r..n, 0..r)] {
                let (diagonal, slots) = (&diagonal[to.clone()], &x.slots[i][from.clone()]);
                for ((added, d), x) in added[o][to.clone()].iter_mut().zip(diagonal).zip(slots) {
                    *added += d * d * step + x * x * rounding;
                }
                if self.predicts {
                    let variances = &x.variance[i][from];
                    for ((carried, d), v) in carried[o][to].iter_mut().zip(diagonal).zip(variances) {
                        *carried += d * d * v;
                    }
                }
            }
        }
        let giants = plan.map_or(0, |p| p.giants().iter().filter(|g| !g.is_zero()).count());
        let end = self.model.giant_steps(x.ty.level, x.ty.scale, giants) + self.model.rescale(ty.scale, 2);
        Ok(self.make(ty, map.apply(&x.slots), carried, |o, s| added[o][s] + end))
    }

    fn add_plain(&mut self, x: &NoisyValue, (id, plain): (PlainId, &Plain)) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::AddPlain(id), &[x], x.ty.count)?;
        let rounding = self.model.plain(plain, ty.scale);
        let slots = clear::zip_plain(&x.slots, plain, |x, p| x + p);
        Ok(self.make(ty, slots, SlotVectors::clone(&x.variance), |_, _| rounding))
    }

    fn mul_plain(&mut self, x: &NoisyValue, (id, plain): (PlainId, &Plain)) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::MulPlain(id), &[x], x.ty.count)?;
        let rounding = self.model.plain(plain, self.model.parameters.scale(x.ty.level));
        let slots = clear::zip_plain(&x.slots, plain, |x, p| x * p);
        let variance = clear::zip_plain(&x.variance, plain, |v, p| v * p * p);
        Ok(self.make(ty, slots, variance, |i, s| x.slots[i][s] * x.slots[i][s] * rounding))
    }

    fn add(&mut self, x: &NoisyValue, y: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        self.combine(x, y, Op::Add, 1.0)
    }

    fn sub(&mut self, x: &NoisyValue, y: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        self.combine(x, y, Op::Sub, -1.0)
    }

    fn negate(&mut self, x: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Negate, &[x], x.ty.count)?;
        Ok(self.make(ty, clear::map(&x.slots, |x| -x), SlotVectors::clone(&x.variance), |_, _| 0.0))
    }

    fn mul(&mut self, x: &NoisyValue, y: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Mul, &[x, y], x.ty.count)?;
        if x.is_same(y) {
            return Ok(self.squared(x, ty));
        }
        let own = |value: &[Vec<f64>], other: &[Vec<f64>]| clear::zip(value, other, |x, v| x * x * v);
        let sum = clear::zip(&own(&x.slots, &y.variance), &own(&y.slots, &x.variance), |a, b| a + b);
        let both = clear::zip(&x.variance, &y.variance, |v, w| 2.0 * v * w);
        let slots = clear::zip(&x.slots, &y.slots, |x, y| x * y);
        Ok(self.make(ty, slots, clear::zip(&sum, &both, |a, b| a + b), |_, _| 0.0))
    }

    fn square(&mut self, x: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Square, &[x], x.ty.count)?;
        Ok(self.squared(x, ty))
    }

    fn rotate(&mut self, x: &NoisyValue, rotation: Rotation) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Rotate(rotation), &[x], x.ty.count)?;
        let turned = |vectors: &SlotVectors| {
            let mut out = vectors.clone();
            out.iter_mut().for_each(|vector| vector.rotate_left(rotation.0 as usize));
            out
        };
        let added = if rotation.is_zero() { 0.0 } else { self.model.key_switch(ty.level, ty.scale) };
        Ok(self.make(ty, turned(&x.slots), turned(&x.variance), |_, _| added))
    }

    fn relinearize(&mut self, x: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        let added = self.model.key_switch(x.ty.level, x.ty.scale);
        self.keep(x, Op::Relinearize, added)
    }

    fn rescale(&mut self, x: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Rescale, &[x], x.ty.count)?;
        let added = self.model.rescale(ty.scale, x.ty.parts);
        self.keep(x, Op::Rescale, added)
    }

    /// One division rounds once.
    fn relinearize_rescale(&mut self, x: &NoisyValue) -> Result<NoisyValue, SimulateError> {
        let added = self.model.key_switch_product(x.ty.level, x.ty.scale);
        let whole = self.keep(x, Op::Relinearize, added)?;
        self.rescale(&whole)
    }

    fn adjust(&mut self, x: &NoisyValue, level: Level) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Adjust(level), &[x], x.ty.count)?;
        let factor = self.model.adjust_factor(x.ty.scale, level);
        let end = self.model.rescale(ty.scale, x.ty.parts);
        let (slots, variance) = (SlotVectors::clone(&x.slots), SlotVectors::clone(&x.variance));
        Ok(self.make(ty, slots, variance, |i, s| x.slots[i][s] * x.slots[i][s] * factor + end))
    }

    /// What [`BootstrapParameters::error`](hec_params::BootstrapParameters::error) predicts for slots in [−1, 1]. The
    /// error of the polynomials is the same in every bootstrap of a message, but messages differ from slot to slot.
    fn bootstrap(&mut self, x: &NoisyValue, level: Level) -> Result<NoisyValue, SimulateError> {
        let ty = self.infer(Op::Bootstrap(level), &[x], x.ty.count)?;
        let Some(bootstrap) = self.scheme.bootstrap() else { return Ok(x.clone()) };
        let error = bootstrap.error();
        let own = error.noise * error.noise + error.systematic * error.systematic;
        let (factor, end) = if level < bootstrap.output_level() {
            let from = self.model.parameters.scale(bootstrap.output_level());
            (self.model.adjust_factor(from, level), self.model.rescale(ty.scale, 2))
        } else {
            (0.0, 0.0)
        };
        let (slots, variance) = (SlotVectors::clone(&x.slots), SlotVectors::clone(&x.variance));
        Ok(self.make(ty, slots, variance, |i, s| own + x.slots[i][s] * x.slots[i][s] * factor + end))
    }
}

/// A result with its error.
#[derive(Clone, Debug, PartialEq)]
pub struct NoisyOutput {
    /// The elements: exact, or with one sample of the noise.
    pub tensor: Tensor,
    /// Standard deviation of each element's error.
    pub std_dev: Tensor,
}

impl NoisyOutput {
    /// log2 of the root mean square of the predicted standard deviations; −∞ for an empty tensor.
    pub fn log2_std_dev(&self) -> f64 {
        let sum: f64 = self.std_dev.data.iter().map(|s| s * s).sum();
        0.5 * libm::log2(sum / self.std_dev.data.len().max(1) as f64)
    }
}

/// The result of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNoise {
    /// The layer, as reports name it.
    pub layer: String,
    /// The largest standard deviation of a slot.
    pub std_dev: f64,
    /// The largest magnitude of a slot.
    pub range: f64,
}

/// The outputs of a program with their errors, before client operations.
#[derive(Clone, Debug, PartialEq)]
pub struct NoisyRun {
    /// One for each output of the program.
    pub outputs: Vec<NoisyOutput>,
    /// The result of each layer, in the order of the program.
    pub layers: Vec<LayerNoise>,
}

/// Pack, run with the noise model, unpack, for a program that verifies. With a seed the outputs hold one sample of the
/// noise; without one they are exact.
///
/// # Errors
/// When the inputs do not fit.
pub fn simulate_noise(program: &Program, inputs: &[Tensor], seed: Option<u64>) -> Result<NoisyRun, SimulateError> {
    let scheme = program.scheme()?;
    let mut noise = match seed {
        Some(seed) => Noise::sample(&scheme, seed),
        None => Noise::predict(&scheme),
    };
    let packed = pack_inputs(&program.inputs, inputs)?;
    let fresh = packed.into_iter().map(|slots| noise.encrypt(slots)).collect::<Result<_, _>>()?;
    let values = run_program(program, &mut noise, fresh)?;
    let unpack = |(output, value): (&crate::circuit::Output<_>, &NoisyValue)| {
        let mut std_dev = unpack_output(output, &value.variance);
        std_dev.data.iter_mut().for_each(|v| *v = v.sqrt());
        NoisyOutput { tensor: unpack_output(output, &value.slots), std_dev }
    };
    let outputs = program.outputs.iter().zip(&values).map(unpack).collect();
    Ok(NoisyRun { outputs, layers: noise.layers() })
}
