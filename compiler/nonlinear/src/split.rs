//! Which samples are for fitting and which for validation, and what rare ones may look like.
//!
//! A polynomial network fails on inputs that are a little further out than all that it was fitted to: every layer squares
//! the distance. Some samples are therefore taken a second time, stretched away from the mean input. They take part with
//! the others, so that the fits reach further along the directions in which inputs really vary.

use crate::network::{Probe, probe};
use hec_ir::tensor::{Graph, Tensor};
use std::borrow::Cow;

/// One of so many samples is taken a second time.
const STRETCHED: usize = 16;

/// How much further from the mean a stretched sample is.
const STRETCH: f64 = 1.25;

/// Samples in order: for fitting, stretched ones for fitting, for validation, stretched ones for validation.
pub struct Split<'a> {
    /// Inputs.
    pub samples: Vec<Cow<'a, [Tensor]>>,
    /// How many are for fitting.
    pub fitting: usize,
}

impl<'a> Split<'a> {
    /// The last `validation` samples are for validation.
    pub fn new(graph: &Graph, samples: &[&'a [Tensor]], validation: usize) -> Self {
        let (fitting, held_out) = samples.split_at(samples.len() - validation);
        let mean = mean(fitting);
        let mut split = Split { samples: Vec::new(), fitting: 0 };
        for samples in [fitting, held_out] {
            split.fitting = split.samples.len();
            split.samples.extend(samples.iter().map(|&s| Cow::Borrowed(s)));
            let far: Vec<Vec<Tensor>> =
                samples.iter().skip(STRETCHED - 1).step_by(STRETCHED).map(|s| stretched(s, &mean)).collect();
            let inputs: Vec<&[Tensor]> = far.iter().map(Vec::as_slice).collect();
            // Where a stretched sample divides by something of the other sign it shows nothing that could be.
            let usual = probe(graph, &samples[..samples.len().min(1)]).unwrap_or_default();
            let sound = |p: &Probe| p.not_finite.is_none() && usual.iter().all(|u| u.signs == p.signs);
            let probes = probe(graph, &inputs).unwrap_or_default();
            let far = far.into_iter().zip(probes).filter(|(_, p)| sound(p));
            split.samples.extend(far.map(|(sample, _)| Cow::Owned(sample)));
        }
        split
    }
}

/// The mean of each input.
fn mean(samples: &[&[Tensor]]) -> Vec<Vec<f64>> {
    let Some(first) = samples.first() else { return Vec::new() };
    let mut sums: Vec<Vec<f64>> = first.iter().map(|t| vec![0.0; t.data.len()]).collect();
    for sample in samples {
        for (sums, tensor) in sums.iter_mut().zip(*sample) {
            sums.iter_mut().zip(&tensor.data).for_each(|(sum, x)| *sum += x);
        }
    }
    let count = samples.len() as f64;
    sums.iter_mut().flatten().for_each(|sum| *sum /= count);
    sums
}

fn stretched(sample: &[Tensor], mean: &[Vec<f64>]) -> Vec<Tensor> {
    let far = |(tensor, mean): (&Tensor, &Vec<f64>)| Tensor {
        shape: tensor.shape.clone(),
        data: tensor.data.iter().zip(mean).map(|(x, m)| m + STRETCH * (x - m)).collect(),
    };
    sample.iter().zip(mean).map(far).collect()
}
