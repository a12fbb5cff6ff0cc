//! Which samples are for fitting and which for validation, and what rare ones may look like.
//!
//! A polynomial network fails on inputs that are a little further out than all that it was fitted to: every layer squares
//! the distance. Some samples are therefore taken a second time, stretched away from the mean input. They take part with
//! the others, so that the fits reach further along the directions in which inputs really vary.

use crate::network::{Truth, truth};
use hec_ir::tensor::{Domain, Graph, Op, Tensor, ValueId};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// One of so many samples is taken a second time.
const STRETCHED: usize = 16;

/// How much further from the mean a stretched sample is.
const STRETCH: f64 = 1.25;

/// Samples in order: for fitting, stretched ones for fitting, for validation, stretched ones for validation.
pub struct Split<'a> {
    /// Inputs.
    pub samples: Vec<Cow<'a, [Tensor]>>,
    /// What the original network computes on each.
    pub truths: Vec<Truth>,
    /// How many are for fitting.
    pub fitting: usize,
}

impl<'a> Split<'a> {
    /// The last `validation` samples are for validation.
    pub fn new(
        graph: &Graph,
        wanted: &BTreeSet<ValueId>,
        samples: &[&'a [Tensor]],
        mut truths: Vec<Truth>,
        validation: usize,
    ) -> Self {
        let fitting = samples.len() - validation;
        let held_out = truths.split_off(fitting);
        let mean = mean(&samples[..fitting]);
        let mut split = Split { samples: Vec::new(), truths: Vec::new(), fitting: 0 };
        for (samples, truths) in [(&samples[..fitting], truths), (&samples[fitting..], held_out)] {
            split.fitting = split.samples.len();
            split.samples.extend(samples.iter().map(|&s| Cow::Borrowed(s)));
            split.truths.extend(truths);
            let far: Vec<Vec<Tensor>> =
                samples.iter().skip(STRETCHED - 1).step_by(STRETCHED).map(|s| stretched(s, &mean)).collect();
            let inputs: Vec<&[Tensor]> = far.iter().map(Vec::as_slice).collect();
            let truths = truth(graph, &inputs, wanted).unwrap_or_default();
            let sound = |t: &Truth| t.not_finite.is_none() && same_signs(graph, t, &split.truths[0]);
            let far: Vec<_> = far.into_iter().zip(truths).filter(|(_, t)| sound(t)).collect();
            for (sample, truth) in far {
                split.samples.push(Cow::Owned(sample));
                split.truths.push(truth);
            }
        }
        split
    }
}

/// Whether no input of 1/x and its like has gone through zero, where a stretched sample shows nothing that could be.
fn same_signs(graph: &Graph, stretched: &Truth, usual: &Truth) -> bool {
    let split = |id: ValueId| matches!(graph.nodes[id].op, Op::Activation(f) if f.domain() == Domain::NonZero);
    stretched.values.iter().filter(|(id, _)| split(**id)).all(|(id, values)| {
        usual.values.get(id).is_none_or(|usual| values.iter().zip(usual).all(|(a, b)| a.signum() == b.signum()))
    })
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
