//! `hec tune`: train the polynomial network to give what the original one gives.

use crate::cli::{Augmentation, Tune};
use crate::{Failure, How, Progress, pipeline, samples, text};
use hec_ir::samples::wanted_by_graph;
use hec_ir::tensor::{Graph, Tensor};
use hec_tune::{Augment, Checkpoint, Options, Score, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// Polynomials are fitted to at most this many samples before they are trained.
const FITTED: usize = 500;

/// How often the state is written.
const CHECKPOINTS: Duration = Duration::from_secs(60);

/// `hec tune`
///
/// # Errors
/// When a file cannot be read or written, or the network cannot be tuned.
pub fn tune(args: &Tune) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.unwrap_or(0)).build();
    pool.map_err(|e| Failure::new("HEC-C010", e))?.install(|| run(args))
}

fn run(args: &Tune) -> Result<(), Failure> {
    let start = Instant::now();
    let how = How {
        preprocess: args.preprocess.clone(),
        activation: args.activation.clone(),
        batch: args.batch,
        ..How::default()
    };
    let mut progress = Progress::new();
    progress.stage("import");
    let original = pipeline::import(&args.model, &how)?;
    let samples = samples::load(&args.calibrate, &wanted_by_graph(&original))?;
    progress.stage("nonlinear: polynomials for activations");
    let polynomial = untrained(&original, &samples, &how)?;
    progress.stage("tune: measuring the networks");
    let mut trainer = trainer(args, &original, &polynomial, &samples)?;
    drop(samples);
    progress.finish();

    let checkpoint = args.output.with_extension("checkpoint");
    let (training, validation) = trainer.samples();
    println!("inputs     {training} for training, {validation} for validation; {} layers compared", trainer.hints());
    if args.resume {
        let bytes = std::fs::read(&checkpoint).map_err(|e| Failure::file(&checkpoint, e))?;
        trainer.resume(Checkpoint::from_bytes(&bytes)?)?;
        println!("resumed    after {} of {} steps", trainer.done(), trainer.steps());
    } else {
        println!("start      {}", describe(&trainer.best()));
    }
    let deadline = args.minutes.map(|m| start + Duration::from_secs_f64(60.0 * m.clamp(0.0, 1e6)));
    train(&mut trainer, deadline, &checkpoint)?;
    write(&trainer.checkpoint(), &checkpoint)?;
    text::store(&trainer.graph(), Some(&args.output))?;
    finish(args, &trainer);
    Ok(())
}

/// The network with a polynomial for each function and re-fitted layers, from which the training starts.
fn untrained(original: &Graph, samples: &[Vec<Tensor>], how: &How) -> Result<Graph, Failure> {
    let options = hec_nonlinear::Options { max_samples: FITTED, ..pipeline::nonlinear_options(how)? };
    let calibration = hec_nonlinear::Calibration { samples: samples.to_vec() };
    Ok(hec_nonlinear::replace(original, &calibration, &options)?.graph)
}

fn trainer(args: &Tune, original: &Graph, polynomial: &Graph, samples: &[Vec<Tensor>]) -> Result<Trainer, Failure> {
    let options = Options {
        seed: args.seed,
        epochs: args.epochs as usize,
        rate: args.rate,
        augment: match args.augment {
            Augmentation::Auto => Augment::Auto,
            Augmentation::None => Augment::None,
        },
        ..Options::default()
    };
    Ok(Trainer::new(original, polynomial, samples, options)?)
}

/// Steps until the end or the deadline; a line for each epoch.
fn train(trainer: &mut Trainer, deadline: Option<Instant>, checkpoint: &Path) -> Result<(), Failure> {
    let bar = bar(trainer);
    let mut written = Instant::now();
    while trainer.done() < trainer.steps() && deadline.is_none_or(|d| Instant::now() < d) {
        let loss = trainer.step()?;
        bar.set_position(trainer.done() as u64);
        bar.set_message(format!("loss {loss:.4}, best so far: {}", describe(&trainer.best())));
        if trainer.done().is_multiple_of(trainer.steps_of_epoch()) {
            let (score, loss) = trainer.validate();
            let epoch = trainer.done() / trainer.steps_of_epoch();
            bar.suspend(|| println!("epoch {epoch:<4} loss {loss:.4}, {}", describe(&score)));
        }
        if written.elapsed() > CHECKPOINTS {
            write(&trainer.checkpoint(), checkpoint)?;
            written = Instant::now();
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Quiet unless standard error is a terminal.
fn bar(trainer: &Trainer) -> ProgressBar {
    let steps = trainer.steps() as u64;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(steps) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {eta} left, {msg}") {
        bar.set_style(style);
    }
    bar.set_position(trainer.done() as u64);
    bar.reset_eta();
    bar
}

fn write(checkpoint: &Checkpoint, path: &Path) -> Result<(), Failure> {
    hec_ir::artifact::write_file(path, &checkpoint.to_bytes()).map_err(|e| Failure::file(path, e))
}

fn describe(score: &Score) -> String {
    let bounds = if score.overshoots() { ", outputs out of bounds" } else { "" };
    match score.agreement {
        Some(share) => format!("same class {:.1} %, divergence {:.4}{bounds}", 100.0 * share, score.divergence),
        None => format!("relative square error {:.3e}{bounds}", score.divergence),
    }
}

fn finish(args: &Tune, trainer: &Trainer) {
    println!("best       {} on {} validation inputs", describe(&trainer.best()), trainer.samples().1);
    if trainer.done() < trainer.steps() {
        println!(
            "stopped    after {} of {} steps; the same command with --resume goes on",
            trainer.done(),
            trainer.steps()
        );
    }
    let output = args.output.display();
    println!("wrote      {output} and {}", args.output.with_extension("npz").display());
    if args.preprocess.is_some() {
        println!(
            "           its preprocessing is part of it: `hec compile {output}` takes raw inputs, without --preprocess"
        );
    }
}
