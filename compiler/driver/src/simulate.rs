//! Run a compiled program in clear, with or without the scheme's noise, and compare it with its model.

use crate::cli::Simulate;
use crate::comparison::{Comparison, class};
use crate::{Failure, Preprocess, pipeline, samples};
use hec_ir::Level;
use hec_ir::array::{self, ElementType};
use hec_ir::artifact::{Artifact, ClientFile};
use hec_ir::circuit::Output;
use hec_ir::evaluate::clear::{ClearRun, run_clear};
use hec_ir::evaluate::noise::simulate_noise;
use hec_ir::program::{Program, Register};
use hec_ir::samples::read_labels;
use hec_ir::tensor::{Graph, InterpretError, Shape, Tensor};
use indicatif::{ParallelProgressIterator, ProgressBar};
use rayon::prelude::*;
use serde::Serialize;
use std::io::IsTerminal;
use std::path::Path;

/// What a simulation shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulated {
    /// Inputs that were run.
    pub samples: usize,
    /// Whether the scheme's noise was simulated.
    pub noise: bool,
    /// The largest output that the parameters hold.
    pub capacity: f64,
    /// Inputs with an output beyond that, which would decrypt to something else.
    pub overflows: usize,
    /// Layers that bootstrap slots outside [−1, 1], which would come out as something else, with the number of inputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<(String, usize)>,
    /// The program, as simulated, against itself without noise.
    pub against_exact: Comparison,
    /// The program, as simulated, against the original model.
    pub against_model: Option<Comparison>,
    /// Correct answers of the simulated program, if labels are given.
    pub correct: Option<usize>,
    /// Correct answers of the original model.
    pub model_correct: Option<usize>,
}

/// `hec simulate`
///
/// # Errors
/// When a file cannot be read or the inputs do not fit.
pub fn simulate(args: &Simulate) -> Result<Simulated, Failure> {
    let artifact = Artifact::read(&args.program).map_err(|e| Failure::file(&args.program, e))?;
    let program = artifact.program();
    let client = ClientFile::beside(&args.program, &artifact).map_err(|e| Failure::file(&args.program, e))?;
    let mut inputs = samples::load(&args.input, &client.wanted())?;
    inputs.truncate(args.count.unwrap_or(usize::MAX));
    let mut labels = args.labels.as_deref().map(read_labels).transpose()?;
    if let Some(labels) = &mut labels {
        labels.truncate(inputs.len());
    }
    let capacity = capacity(program)?;
    let refused = |e: InterpretError| Failure::new("HEC-C004", e);
    let encrypted = run(&inputs, "preparing", |_, x| client.prepare(x).map_err(refused))?;
    let clear = run(&encrypted, "simulating", |_, x| run_clear(program, x).map_err(|e| Failure::new("HEC-C004", e)))?;
    let outside = outside(&clear);
    let exact: Vec<Vec<Tensor>> = clear.into_iter().map(|run| run.outputs).collect();
    let decrypted = if args.no_noise {
        exact.clone()
    } else {
        run(&encrypted, "simulating noise", |i, x| {
            let seed = args.seed.wrapping_add(i as u64);
            let run = simulate_noise(program, x, Some(seed)).map_err(|e| Failure::new("HEC-C004", e))?;
            Ok(run.outputs.into_iter().map(|o| o.tensor).collect())
        })?
    };
    let overflows = exact.iter().filter(|o| o.iter().flat_map(|t| &t.data).any(|v| v.abs() > capacity)).count();
    let last = |outputs: Vec<Vec<Tensor>>| match &client.programs.epilogue {
        Some(epilogue) => run(&outputs, "finishing", |_, x| epilogue.run(x).map_err(refused)),
        None => Ok(outputs),
    };
    let (exact, shown) = (last(exact)?, last(decrypted)?);
    let model = args.against.as_deref().map(|path| original(path, &artifact, &client)).transpose()?;
    let reference = model
        .map(|graph| run(&inputs, "running the model", |_, x| graph.run(x).map_err(|e| Failure::new("HEC-C004", e))))
        .transpose()?;
    if let Some(path) = &args.output {
        write_outputs(path, &shown)?;
    }
    if let (Some(path), Some(reference)) = (&args.model_output, &reference) {
        write_outputs(path, reference)?;
    }
    let correct = |outputs: &[Vec<Tensor>]| {
        labels.as_ref().map(|labels| {
            outputs.iter().zip(labels).filter(|(o, label)| o.first().is_some_and(|t| class(t) == **label)).count()
        })
    };
    Ok(Simulated {
        samples: shown.len(),
        noise: !args.no_noise,
        capacity,
        overflows,
        outside,
        against_exact: Comparison::of(&shown, &exact),
        against_model: reference.as_ref().map(|r| Comparison::of(&shown, r)),
        correct: correct(&shown),
        model_correct: reference.as_deref().and_then(correct),
    })
}

/// Half the modulus over the scale at the lowest level of an output: a larger output wraps around.
fn capacity(program: &Program) -> Result<f64, Failure> {
    let scheme = program.scheme()?;
    let parameters = scheme.parameters();
    let level = |o: &Output<Register>| {
        let writer = program.instructions.iter().rev().find(|i| i.destination == o.value);
        writer.map_or(Level(0), |i| i.ty.level)
    };
    let lowest = program.outputs.iter().map(level).min().unwrap_or(Level(0));
    Ok(libm::exp2(parameters.log_q(lowest) - parameters.scale(lowest).log2() - 1.0))
}

/// Layers that bootstrap too large slots, with the number of inputs that make them.
fn outside(runs: &[ClearRun]) -> Vec<(String, usize)> {
    let layers = runs.first().map_or(&[][..], |run| &run.bootstrapped);
    let count = |i: usize| runs.iter().filter(|run| run.bootstrapped.get(i).is_some_and(|(_, x)| *x > 1.0)).count();
    let counted = layers.iter().enumerate().map(|(i, (layer, _))| (layer.clone(), count(i)));
    counted.filter(|(_, count)| *count > 0).collect()
}

/// Samples in parallel, with a progress bar on a terminal.
fn run<T: Send>(
    inputs: &[Vec<Tensor>],
    what: &'static str,
    f: impl Fn(usize, &[Tensor]) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal { ProgressBar::new(inputs.len() as u64) } else { ProgressBar::hidden() };
    bar.set_message(what);
    let out = inputs.par_iter().enumerate().progress_with(bar.clone()).map(|(i, x)| f(i, x)).collect();
    bar.finish_and_clear();
    out
}

/// The model that the program was compiled from, with the preprocessing that it was compiled with.
fn original(path: &Path, artifact: &Artifact, client: &ClientFile) -> Result<Graph, Failure> {
    let graph = pipeline::read_network(path, client.wanted().first().map_or(1, |(_, shape)| batch(shape)))?;
    match artifact.report().get("preprocess").and_then(|p| p.as_str()) {
        Some(text) => Preprocess::parse(text)?.prepend(&graph),
        None => Ok(graph),
    }
}

fn batch(shape: &Shape) -> usize {
    shape.dims().first().copied().unwrap_or(1).max(1)
}

/// The first output of every sample, along one leading axis.
fn write_outputs(path: &Path, outputs: &[Vec<Tensor>]) -> Result<(), Failure> {
    let first: Vec<&Tensor> = outputs.iter().filter_map(|o| o.first()).collect();
    let Some(shape) = first.first().map(|t| t.shape.dims().to_vec()) else {
        return Err(Failure::new("HEC-C005", "there is no output to write"));
    };
    let rest = if shape.first() == Some(&1) { &shape[1..] } else { &shape[..] };
    let dims = [&[first.len()], rest].concat();
    let data = first.iter().flat_map(|t| t.data.iter().copied()).collect();
    let bytes = array::write_npy(&Tensor { shape: Shape::new(dims), data }, ElementType::F64)?;
    hec_ir::artifact::write_file(path, &bytes).map_err(|e| Failure::file(path, e))
}

impl Simulated {
    /// For people.
    pub fn print(&self) -> String {
        let mut out =
            format!("{} inputs, {}\n", self.samples, if self.noise { "with simulated noise" } else { "without noise" });
        if self.noise {
            out.push_str(&line("against the program without noise", &self.against_exact));
        }
        if self.overflows > 0 {
            let (count, of) = (self.overflows, self.samples);
            out.push_str(&format!(
                "  warning: {count} of {of} inputs have outputs beyond {:.3e}, which the parameters do not hold; compile \
                 with --calibrate on inputs like these\n",
                self.capacity
            ));
        }
        for (layer, count) in &self.outside {
            let of = self.samples;
            out.push_str(&format!(
                "  warning: layer {layer} bootstraps slots outside [-1, 1] on {count} of {of} inputs; compile with \
                 --calibrate on inputs like these\n"
            ));
        }
        if let Some(c) = &self.against_model {
            out.push_str(&line("against the original model", c));
        }
        for (who, correct) in [("program", self.correct), ("original model", self.model_correct)] {
            if let Some(correct) = correct {
                out.push_str(&format!("  correct answers, {who}: {correct} of {}\n", self.samples));
            }
        }
        out
    }
}

fn line(what: &str, c: &Comparison) -> String {
    let classes = c.same_class.map_or(String::new(), |n| format!(", same class {n} of {}", c.samples));
    format!("  {what}: error rms 2^{:.1}, max 2^{:.1} of the range {:.3}{classes}\n", c.log2_rms, c.log2_max, c.range)
}
