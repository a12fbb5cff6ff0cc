//! What the network is measured on: the samples, or inputs that stand for them.

use crate::Failure;
use hec_ir::circuit::{Circuit, ValueId};
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::clear;
use hec_ir::tensor::{Shape, Tensor};
use rayon::prelude::*;

/// At most this many samples decide how large outputs get.
const MAGNITUDE_SAMPLES: usize = 64;
/// At most this many decide how large the values between get: every circuit that is tried runs on all of them.
const CIRCUIT_SAMPLES: usize = 16;
/// Inputs that stand for samples where there are none.
const SEEDED: u64 = 8;

/// At least one input, and how large the outputs get.
pub(super) struct Inputs {
    pub samples: Vec<Vec<Tensor>>,
    /// The largest absolute output.
    pub range: f64,
}

impl Inputs {
    /// Of the samples, or of seeded inputs in [−1, 1] if there are none.
    pub fn new<'a, S: Iterator<Item = &'a Shape>>(
        shapes: impl Fn() -> S,
        samples: &[Vec<Tensor>],
        run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, Failure> + Sync,
    ) -> Result<Self, Failure> {
        let samples: Vec<Vec<Tensor>> = if samples.is_empty() {
            (0..SEEDED).map(|seed| seeded(shapes(), seed)).collect()
        } else {
            samples.iter().take(MAGNITUDE_SAMPLES).cloned().collect()
        };
        let ranges: Result<Vec<f64>, Failure> = samples.par_iter().map(|x| Ok(largest(&run(x)?))).collect();
        let range = ranges?.into_iter().fold(0.0, f64::max);
        if range == 0.0 {
            return Err(Failure::new(
                "HEC-N003",
                "every output is zero on the calibration data, so errors have no measure",
            )
            .advise("give inputs as the network will see them, and check its weights"));
        }
        if range.is_infinite() {
            return Err(Failure::new("HEC-N002", "the polynomial network overflows on the calibration data")
                .advise("give more calibration data, or pin higher degrees"));
        }
        Ok(Inputs { samples, range })
    }

    /// The largest magnitude of a slot of every value of a circuit.
    pub fn magnitudes(&self, circuit: &Circuit) -> Result<EntityVec<ValueId, f64>, Failure> {
        let of_sample = |sample: &Vec<Tensor>| clear::magnitudes(circuit, std::slice::from_ref(sample));
        let samples = &self.samples[..self.samples.len().min(CIRCUIT_SAMPLES)];
        let all: Vec<_> = samples.par_iter().map(of_sample).collect::<Result<_, _>>().map_err(unfit)?;
        let largest = |id| all.iter().map(|one| one[id]).fold(0.0, f64::max);
        Ok(circuit.nodes.keys().map(largest).collect())
    }
}

/// The inputs do not fit the network.
pub(super) fn unfit(error: impl std::fmt::Display) -> Failure {
    Failure::new("HEC-C004", error)
}

/// Largest absolute element; infinite if one is not a number.
pub(super) fn largest(outputs: &[Tensor]) -> f64 {
    let size = |v: &f64| if v.is_nan() { f64::INFINITY } else { v.abs() };
    outputs.iter().flat_map(|t| &t.data).map(size).fold(0.0, f64::max)
}

/// Reproducible inputs in [−1, 1].
pub(super) fn seeded<'a>(shapes: impl Iterator<Item = &'a Shape>, seed: u64) -> Vec<Tensor> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    shapes.map(|shape| Tensor { shape: shape.clone(), data: (0..shape.elements()).map(|_| next()).collect() }).collect()
}
