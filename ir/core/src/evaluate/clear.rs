//! Slots in clear: what a circuit or a program computes when there is no encryption.

use super::layers::ByLayer;
use super::tensors::{SimulateError, SlotVectors, pack_inputs, unpack_output};
use super::{Evaluator, run_circuit, run_leveled, run_program, visit_circuit};
use crate::circuit::{self, MapId, PlainId};
use crate::entity::EntityVec;
use crate::leveled;
use crate::program::{BabyGiant, Program};
use crate::tensor::Tensor;
use crate::{Level, Origin, Plain, Rotation, SlotMap};
use std::convert::Infallible;
use std::sync::Arc;

/// Exact arithmetic on slots (in `f64`). Levels, scales and keys do not exist for it, but for bootstraps it keeps how
/// large their inputs are, as only slots in [−1, 1] come out as they went in.
#[derive(Clone, Debug)]
pub struct Clear {
    layers: ByLayer<Option<f64>>,
}

impl Clear {
    /// Nothing bootstrapped yet.
    pub fn new() -> Self {
        Clear { layers: ByLayer::new() }
    }

    /// The largest magnitude of a slot that each layer bootstraps, for layers that do, in the order of the program.
    pub fn bootstrapped(self) -> Vec<(String, f64)> {
        self.layers.into_entries().into_iter().filter_map(|(layer, largest)| Some((layer, largest?))).collect()
    }
}

impl Default for Clear {
    fn default() -> Self {
        Clear::new()
    }
}

/// Largest magnitude of a slot; infinite if one is not a number.
fn magnitude(x: &[Vec<f64>]) -> f64 {
    let size = |x: &f64| if x.is_nan() { f64::INFINITY } else { x.abs() };
    x.iter().flatten().map(size).fold(0.0, f64::max)
}

/// Each slot vector of a bundle, changed.
pub(super) fn map(x: &[Vec<f64>], f: impl Fn(f64) -> f64) -> SlotVectors {
    x.iter().map(|vector| vector.iter().map(|&x| f(x)).collect()).collect()
}

/// Two bundles, slot by slot.
pub(super) fn zip(x: &[Vec<f64>], y: &[Vec<f64>], f: impl Fn(f64, f64) -> f64) -> SlotVectors {
    let vector = |(x, y): (&Vec<f64>, &Vec<f64>)| x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect();
    x.iter().zip(y).map(vector).collect()
}

/// A bundle and a plaintext, slot by slot.
pub(super) fn zip_plain(x: &[Vec<f64>], plain: &Plain, f: impl Fn(f64, f64) -> f64) -> SlotVectors {
    match plain {
        Plain::Scalar(p) => map(x, |x| f(x, *p)),
        Plain::Slots(vectors) => {
            let vector = |(x, p): (&Vec<f64>, &Arc<Vec<f64>>)| x.iter().zip(p.iter()).map(|(&x, &p)| f(x, p)).collect();
            x.iter().zip(vectors).map(vector).collect()
        }
    }
}

impl Evaluator for Clear {
    type Value = Arc<SlotVectors>;
    type Error = Infallible;

    fn enter(&mut self, origin: &Origin, op: &'static str) {
        self.layers.enter(origin, op);
    }

    fn linear(
        &mut self,
        x: &Self::Value,
        (_, map): (MapId, &SlotMap),
        _plan: Option<&BabyGiant>,
    ) -> Result<Self::Value, Infallible> {
        Ok(map.apply(x).into())
    }
    fn add_plain(&mut self, x: &Self::Value, (_, plain): (PlainId, &Plain)) -> Result<Self::Value, Infallible> {
        Ok(zip_plain(x, plain, |x, p| x + p).into())
    }
    fn mul_plain(&mut self, x: &Self::Value, (_, plain): (PlainId, &Plain)) -> Result<Self::Value, Infallible> {
        Ok(zip_plain(x, plain, |x, p| x * p).into())
    }
    fn add(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(zip(x, y, |x, y| x + y).into())
    }
    fn sub(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(zip(x, y, |x, y| x - y).into())
    }
    fn negate(&mut self, x: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(map(x, |x| -x).into())
    }
    fn mul(&mut self, x: &Self::Value, y: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(zip(x, y, |x, y| x * y).into())
    }
    fn square(&mut self, x: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(map(x, |x| x * x).into())
    }
    fn rotate(&mut self, x: &Self::Value, rotation: Rotation) -> Result<Self::Value, Infallible> {
        let mut out = SlotVectors::clone(x);
        out.iter_mut().for_each(|vector| vector.rotate_left(rotation.0 as usize));
        Ok(out.into())
    }
    fn relinearize(&mut self, x: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(x.clone())
    }
    fn rescale(&mut self, x: &Self::Value) -> Result<Self::Value, Infallible> {
        Ok(x.clone())
    }
    fn adjust(&mut self, x: &Self::Value, _level: Level) -> Result<Self::Value, Infallible> {
        Ok(x.clone())
    }
    fn bootstrap(&mut self, x: &Self::Value, _level: Level) -> Result<Self::Value, Infallible> {
        if let Some(largest) = self.layers.current() {
            *largest = Some(largest.unwrap_or(0.0).max(magnitude(x)));
        }
        Ok(x.clone())
    }
}

fn simulate<V>(
    inputs: &[circuit::Input],
    outputs: &[circuit::Output<V>],
    tensors: &[Tensor],
    run: impl FnOnce(Vec<Arc<SlotVectors>>) -> Result<Vec<Arc<SlotVectors>>, Infallible>,
) -> Result<Vec<Tensor>, SimulateError> {
    let inputs = pack_inputs(inputs, tensors)?.into_iter().map(Arc::new).collect();
    let Ok(values) = run(inputs);
    Ok(outputs.iter().zip(&values).map(|(output, value)| unpack_output(output, value)).collect())
}

/// Pack, run in clear, unpack: the outputs of a program that verifies, before client operations.
///
/// # Errors
/// When the inputs do not fit.
pub fn simulate_clear(program: &Program, inputs: &[Tensor]) -> Result<Vec<Tensor>, SimulateError> {
    Ok(run_clear(program, inputs)?.outputs)
}

/// What a program computes in clear.
#[derive(Clone, Debug, PartialEq)]
pub struct ClearRun {
    /// The outputs, before client operations.
    pub outputs: Vec<Tensor>,
    /// The largest magnitude of a slot that each layer bootstraps.
    pub bootstrapped: Vec<(String, f64)>,
}

/// As [`simulate_clear`], with what the bootstraps see.
///
/// # Errors
/// When the inputs do not fit.
pub fn run_clear(program: &Program, inputs: &[Tensor]) -> Result<ClearRun, SimulateError> {
    let mut clear = Clear::new();
    let run = |inputs| run_program(program, &mut clear, inputs);
    let outputs = simulate(&program.inputs, &program.outputs, inputs, run)?;
    Ok(ClearRun { outputs, bootstrapped: clear.bootstrapped() })
}

/// The largest magnitude of a slot of every value of a slot circuit that verifies, over all samples.
///
/// # Errors
/// When the inputs do not fit.
pub fn magnitudes(
    circuit: &circuit::Circuit,
    samples: &[Vec<Tensor>],
) -> Result<EntityVec<circuit::ValueId, f64>, SimulateError> {
    let mut largest: EntityVec<circuit::ValueId, f64> = circuit.nodes.keys().map(|_| 0.0).collect();
    for sample in samples {
        let inputs: Vec<_> = pack_inputs(&circuit.inputs, sample)?.into_iter().map(Arc::new).collect();
        let see = |id, value: &Arc<SlotVectors>| largest[id] = f64::max(largest[id], magnitude(value));
        let Ok(_) = visit_circuit(circuit, &mut Clear::new(), &inputs, see);
    }
    Ok(largest)
}

/// The same for a slot circuit that verifies.
///
/// # Errors
/// When the inputs do not fit.
pub fn simulate_circuit(circuit: &circuit::Circuit, inputs: &[Tensor]) -> Result<Vec<Tensor>, SimulateError> {
    simulate(&circuit.inputs, &circuit.outputs, inputs, |inputs| run_circuit(circuit, &mut Clear::new(), &inputs))
}

/// The same for a leveled circuit that verifies.
///
/// # Errors
/// When the inputs do not fit.
pub fn simulate_leveled(circuit: &leveled::Circuit, inputs: &[Tensor]) -> Result<Vec<Tensor>, SimulateError> {
    simulate(&circuit.inputs, &circuit.outputs, inputs, |inputs| run_leveled(circuit, &mut Clear::new(), &inputs))
}
