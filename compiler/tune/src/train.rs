//! The training: steps on batches, validation, the best network.

use crate::TuneError;
use crate::augment::Augmenter;
use crate::checkpoint::Checkpoint;
use crate::loss::{Hint, Meaning, OutputLoss};
use crate::optimizer::{Adam, schedule};
use crate::options::Options;
use crate::pairs::pairs;
use crate::parameters::{Parameters, pull_back};
use crate::program::{Program, SlotId, Workspace};
use crate::random::Random;
use crate::score::Score;
use crate::{borders, statistics, write};
use hec_ir::tensor::{Graph, Output, Shape, Tensor};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;

/// A batch is split into this many pieces, one thread each at a time; their gradients are added in order, so that the
/// result is the same for any number of threads.
const PIECES: usize = 16;
/// One in this many samples is for validation.
const VALIDATION: usize = 10;
/// At most this many are.
const MOST_VALIDATION: usize = 1000;
/// The fewest samples that can be split.
const LEAST_SAMPLES: usize = 20;
/// How many samples tell the sizes of parameters.
const MEASURED: usize = 32;
/// How many samples tell the ranges of values, at most.
const RANGED: usize = 500;
/// Ranges are as wide as those of the original network, and this share of their width more on both sides.
const PADDING: f32 = 0.05;
/// The share of the steps after which numbers may leave their ranges as far as they ever may in training.
const WIDEST: f64 = 0.6;
/// The gradient of a piece is at most this many times as long as the median one.
const LONGEST: f64 = 2.0;

/// An input of the network: one list of elements for each, as they lie in buffers.
type Sample = Vec<Vec<f32>>;

#[derive(Debug)]
struct Network {
    program: Program,
    parameters: Parameters,
}

impl Network {
    fn new(graph: &Graph, borders: usize) -> Result<Self, TuneError> {
        let program = Program::with_borders(graph, borders)?;
        let parameters = Parameters::of_graph(&program, graph);
        Ok(Network { program, parameters })
    }

    fn run(&self, sample: &Sample, workspace: &mut Workspace) {
        self.program.forward(&self.parameters, sample.iter().map(Vec::as_slice), workspace);
    }
}

/// Some values of a program on every sample.
fn values(program: &Program, parameters: &Parameters, slots: &[SlotId], samples: &[Sample]) -> Vec<Vec<Vec<f32>>> {
    let run = |workspace: &mut Workspace, sample: &Sample| {
        program.forward(parameters, sample.iter().map(Vec::as_slice), workspace);
        slots.iter().map(|&s| program.value(workspace, s).to_vec()).collect()
    };
    samples.par_iter().map_init(|| program.workspace(), run).collect()
}

/// A part of a batch in the making.
#[derive(Debug)]
struct Piece {
    teacher: Workspace,
    student: Workspace,
    gradient: Vec<f32>,
    loss: f64,
}

/// Trains a polynomial network to give what the original one gives.
#[derive(Debug)]
pub struct Trainer {
    options: Options,
    graph: Graph,
    teacher: Network,
    student: Network,
    /// The polynomial network with the inputs of its polynomials kept within their ranges: what training runs, so that no
    /// sample overflows and drowns the others. The loss draws what is beyond a range back to it.
    guarded: Program,
    outputs: Vec<OutputLoss>,
    hints: Vec<Hint>,
    augmenter: Augmenter,
    training: Vec<Sample>,
    validation: Vec<Sample>,
    /// The original network's outputs on the validation samples.
    truths: Vec<Vec<Vec<f32>>>,
    units: Vec<f32>,
    adam: Adam,
    pieces: Vec<Piece>,
    losses: (f64, u64),
    best: (Score, Vec<f32>),
    fingerprint: [u8; 32],
}

impl Trainer {
    /// From the original network, its polynomial form, and samples: one list of input tensors each. One in ten is kept
    /// for validation.
    ///
    /// # Errors
    /// When the networks do not fit each other or the samples, hold what cannot be trained, or the start overflows.
    pub fn new(
        original: &Graph,
        polynomial: &Graph,
        samples: &[Vec<Tensor>],
        options: Options,
    ) -> Result<Self, TuneError> {
        if samples.len() < LEAST_SAMPLES {
            return Err(TuneError::Samples { count: samples.len(), least: LEAST_SAMPLES });
        }
        let shapes = |g: &Graph| g.inputs().map(|(id, _)| g.shape(id).clone()).collect::<Vec<Shape>>();
        let results = |g: &Graph| g.outputs.iter().map(|o| g.shape(o.value).clone()).collect::<Vec<Shape>>();
        if shapes(original) != shapes(polynomial)
            || results(original) != results(polynomial)
            || original.outputs.is_empty()
        {
            return Err(TuneError::Different);
        }
        let polynomial = &if options.borders > 0 { borders::by_position(polynomial) } else { polynomial.clone() };
        let (teacher, mut student) = (Network::new(original, 0)?, Network::new(polynomial, options.borders)?);
        let loaded = samples.iter().map(|s| teacher.program.load(s)).collect::<Result<Vec<Sample>, _>>()?;
        let fingerprint = fingerprint(&student.parameters.trained, &loaded, &options);
        let (training, validation) = split(loaded);
        let measured = || training.iter().step_by(training.len().div_ceil(MEASURED).max(1));
        let outputs = outputs(original, polynomial, (&teacher, &student), measured);
        let hints = hints(original, polynomial, (&teacher, &student), &training);
        let guards: Vec<_> = hints.iter().map(Hint::guard).collect();
        let mut guarded = student.program.guarded(&guards);
        guarded.guard = options.guard[0];
        statistics::condition(&guarded, &mut student.program, &mut student.parameters, measured());
        let units = statistics::units(&guarded, &student.parameters, measured());
        let slots: Vec<SlotId> = outputs.iter().map(|o| o.teacher).collect();
        let truths = values(&teacher.program, &teacher.parameters, &slots, &validation);
        let augmenter = Augmenter::new(&shapes(original), options.augment);
        let pieces = (0..PIECES).map(|_| Piece {
            teacher: teacher.program.workspace(),
            student: guarded.workspace(),
            gradient: vec![0.0; student.program.sizes.gradient],
            loss: 0.0,
        });
        let pieces: Vec<Piece> = pieces.collect();
        let score = Score { agreement: None, divergence: f64::INFINITY, overshoot: f64::INFINITY, samples: 0 };
        let mut trainer = Trainer {
            options,
            graph: polynomial.clone(),
            guarded,
            outputs,
            hints,
            augmenter,
            training,
            validation,
            truths,
            units,
            adam: Adam::new(student.parameters.trained.len()),
            pieces,
            losses: (0.0, 0),
            best: (score, student.parameters.trained.clone()),
            fingerprint,
            teacher,
            student,
        };
        trainer.best.0 = trainer.score();
        Ok(trainer)
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.options.epochs * self.steps_of_epoch()
    }

    /// Steps in which each training sample is seen once.
    pub fn steps_of_epoch(&self) -> usize {
        (self.training.len() / self.batch()).max(1)
    }

    /// Steps made.
    pub fn done(&self) -> usize {
        self.adam.steps
    }

    /// Samples for training and for validation.
    pub fn samples(&self) -> (usize, usize) {
        (self.training.len(), self.validation.len())
    }

    /// How many values besides the outputs are compared.
    pub fn hints(&self) -> usize {
        self.hints.len()
    }

    fn batch(&self) -> usize {
        self.options.batch.clamp(1, self.training.len())
    }

    /// The samples of a step.
    fn chosen(&self, step: usize) -> Vec<usize> {
        let (epoch, within) = (step / self.steps_of_epoch(), step % self.steps_of_epoch());
        let order = Random::new(self.options.seed, [1, epoch as u64]).order(self.training.len());
        order[within * self.batch()..][..self.batch()].to_vec()
    }

    /// One step; returns the mean loss of its samples.
    ///
    /// # Errors
    /// When the loss is not finite.
    pub fn step(&mut self) -> Result<f64, TuneError> {
        let step = self.adam.steps;
        self.guarded.guard = self.guard();
        let chosen = self.chosen(step);
        let share = 1.0 / chosen.len() as f32;
        let length = chosen.len().div_ceil(PIECES);
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.par_iter_mut().zip(chosen.par_chunks(length)).enumerate().for_each(|(number, (piece, chosen))| {
            piece.gradient.fill(0.0);
            piece.loss = 0.0;
            for (i, &sample) in chosen.iter().enumerate() {
                let purpose = [2, (step * self.batch() + number * length + i) as u64];
                let inputs = self.augmenter.apply(&self.training[sample], &mut Random::new(self.options.seed, purpose));
                self.learn(&inputs, share, piece);
            }
        });
        let used = chosen.chunks(length).count();
        let gradient = self.together(&pieces[..used]);
        let loss = pieces[..used].iter().map(|p| p.loss).sum::<f64>() * f64::from(share);
        self.pieces = pieces;
        if !loss.is_finite() {
            return Err(TuneError::Diverged { step });
        }
        let rate = self.options.rate * schedule(step, self.steps());
        self.adam.step(&mut self.student.parameters.trained, &gradient, &self.units, rate);
        self.student.parameters.derive(&self.student.program);
        self.losses = (self.losses.0 + loss, self.losses.1 + 1);
        Ok(loss)
    }

    /// The sum of the pieces' gradients, none of which drowns the others.
    fn together(&self, pieces: &[Piece]) -> Vec<f32> {
        let (program, units) = (&self.student.program, &self.units);
        let pulled: Vec<(Vec<f32>, f64)> = pieces.par_iter().map(|p| measured(program, units, &p.gradient)).collect();
        let lengths: Vec<f64> = pulled.iter().map(|p| p.1).collect();
        let mut sum = vec![0.0; program.sizes.trained];
        for ((gradient, _), share) in pulled.iter().zip(shares(&lengths)).filter(|(_, share)| *share > 0.0) {
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += share * g);
        }
        sum
    }

    /// Add the gradient by one sample to a piece.
    fn learn(&self, inputs: &Sample, share: f32, piece: &mut Piece) {
        let (teacher, student) = (&self.teacher, &self.student);
        teacher.run(inputs, &mut piece.teacher);
        self.guarded.forward(&student.parameters, inputs.iter().map(Vec::as_slice), &mut piece.student);
        self.guarded.clear_gradients(&mut piece.student);
        let shares = &self.options.shares;
        let Workspace { values, gradients, .. } = &mut piece.student;
        for output in &self.outputs {
            let wanted = teacher.program.value(&piece.teacher, output.teacher);
            let (found, gradient) = (&values[output.student], &mut gradients[output.student]);
            let n = wanted.len();
            piece.loss += output.apply(shares, &found[..n], wanted, share, &mut gradient[..n]);
        }
        for hint in &self.hints {
            let wanted = teacher.program.value(&piece.teacher, hint.teacher);
            let (found, gradient) = (&values[hint.student], &mut gradients[hint.student]);
            let n = wanted.len();
            piece.loss += hint.apply(shares, &found[..n], wanted, share, &mut gradient[..n]);
        }
        self.guarded.backward(&student.parameters, &mut piece.student, &mut piece.gradient);
    }

    /// How far numbers may leave their ranges in the next step.
    fn guard(&self) -> f32 {
        let [first, last] = self.options.guard;
        let done = self.adam.steps as f64 / (WIDEST * self.steps() as f64).max(1.0);
        first + (last - first) * done.min(1.0) as f32
    }

    /// Measure the network on the validation samples and keep it if it is the best; returns its score and the mean loss
    /// since the last validation.
    pub fn validate(&mut self) -> (Score, f64) {
        let score = self.score();
        if score.compare(&self.best.0) == Ordering::Greater {
            self.best = (score, self.student.parameters.trained.clone());
        }
        let loss = self.losses.0 / self.losses.1.max(1) as f64;
        self.losses = (0.0, 0);
        (score, loss)
    }

    /// How the network so far does on the validation samples.
    fn score(&self) -> Score {
        let slots: Vec<SlotId> = self.outputs.iter().map(|o| o.student).collect();
        let meanings: Vec<Meaning> = self.outputs.iter().map(|o| o.meaning).collect();
        let found = values(&self.student.program, &self.student.parameters, &slots, &self.validation);
        Score::measure(&meanings, &found, &self.truths)
    }

    /// The best score so far.
    pub fn best(&self) -> Score {
        self.best.0
    }

    /// The network with the best score.
    pub fn graph(&self) -> Graph {
        let mut parameters = self.student.parameters.clone();
        parameters.trained.clone_from(&self.best.1);
        write::graph(&self.graph, &self.student.program, &parameters)
    }

    /// All that is needed to go on later.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            fingerprint: self.fingerprint,
            parameters: self.student.parameters.trained.clone(),
            adam: self.adam.clone(),
            best: self.best.clone(),
            losses: self.losses,
        }
    }

    /// Go on from a checkpoint.
    ///
    /// # Errors
    /// When it is of another network, other samples or other options.
    pub fn resume(&mut self, checkpoint: Checkpoint) -> Result<(), TuneError> {
        let count = self.student.parameters.trained.len();
        if checkpoint.fingerprint != self.fingerprint || checkpoint.parameters.len() != count {
            let reason = "it is of another network, of other calibration inputs or options";
            return Err(TuneError::Checkpoint(reason.to_owned()));
        }
        self.student.parameters.trained = checkpoint.parameters;
        self.student.parameters.derive(&self.student.program);
        self.adam = checkpoint.adam;
        self.best = checkpoint.best;
        self.losses = checkpoint.losses;
        Ok(())
    }
}

/// A piece's gradient by the trained numbers, and its length in their units.
fn measured(program: &Program, units: &[f32], gradient: &[f32]) -> (Vec<f32>, f64) {
    let gradient = pull_back(program, gradient);
    let square: f64 = gradient.iter().zip(units).map(|(g, u)| f64::from(g * u) * f64::from(g * u)).sum();
    (gradient, libm::sqrt(square))
}

/// The share of each gradient that keeps it from being far longer than the median one: such a one holds a sample that has
/// gone astray. What is not finite has none.
fn shares(lengths: &[f64]) -> Vec<f32> {
    let mut sorted: Vec<f64> = lengths.iter().map(|l| if l.is_nan() { f64::INFINITY } else { *l }).collect();
    sorted.sort_by(f64::total_cmp);
    let longest = LONGEST * sorted[sorted.len() / 2];
    let share = |length: &f64| match *length {
        length if !length.is_finite() => 0.0,
        length if length > longest => (longest / length) as f32,
        _ => 1.0,
    };
    lengths.iter().map(share).collect()
}

/// Every so many samples one for validation.
fn split(samples: Vec<Sample>) -> (Vec<Sample>, Vec<Sample>) {
    let every = VALIDATION.max(samples.len() / MOST_VALIDATION);
    let (validation, training): (Vec<_>, Vec<_>) = samples.into_iter().enumerate().partition(|(i, _)| i % every == 0);
    let values = |list: Vec<(usize, Sample)>| list.into_iter().map(|(_, s)| s).collect();
    (values(training), values(validation))
}

fn fingerprint(parameters: &[f32], samples: &[Sample], options: &Options) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(format!("{options:?} {}", parameters.len()));
    for list in std::iter::once(parameters).chain(samples.iter().flatten().map(Vec::as_slice)) {
        list.iter().for_each(|x| hasher.update(x.to_le_bytes()));
    }
    hasher.finalize().into()
}

fn outputs<'a, I: Iterator<Item = &'a Sample>>(
    original: &Graph,
    polynomial: &Graph,
    (teacher, student): (&Network, &Network),
    measured: impl Fn() -> I,
) -> Vec<OutputLoss> {
    let mut workspace = teacher.program.workspace();
    let mut variance = |slot: SlotId| {
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for sample in measured() {
            teacher.run(sample, &mut workspace);
            for x in teacher.program.value(&workspace, slot).iter().map(|&x| f64::from(x)) {
                (count, sum, squares) = (count + 1.0, sum + x, squares + x * x);
            }
        }
        let mean = sum / f64::max(count, 1.0);
        (squares / f64::max(count, 1.0) - mean * mean).max(1e-12)
    };
    let mut loss = |(wanted, found): (&Output, &Output)| {
        let (slot, shape) = (teacher.program.values[wanted.value], original.shape(wanted.value));
        OutputLoss {
            student: student.program.values[found.value],
            teacher: slot,
            meaning: Meaning::of(wanted, shape),
            scale: (1.0 / (variance(slot) * shape.elements().max(1) as f64)) as f32,
        }
    };
    original.outputs.iter().zip(&polynomial.outputs).map(&mut loss).collect()
}

fn hints(
    original: &Graph,
    polynomial: &Graph,
    (teacher, student): (&Network, &Network),
    training: &[Sample],
) -> Vec<Hint> {
    let pairs: Vec<_> = pairs(original, polynomial)
        .into_iter()
        .map(|(o, p)| (teacher.program.values[o], student.program.values[p], original.shape(o).clone()))
        .filter(|(_, p, _)| student.program.trained[*p])
        .collect();
    let wanted: Vec<(SlotId, Shape)> = pairs.iter().map(|(slot, _, shape)| (*slot, shape.clone())).collect();
    let some = training.iter().step_by(training.len().div_ceil(RANGED).max(1));
    let Some(spreads) = statistics::spreads((&teacher.program, &teacher.parameters), some, &wanted) else {
        return Vec::new();
    };
    let hint = |(pair, spread): (&(SlotId, SlotId, Shape), &statistics::Spread)| {
        let wider = |&(lo, hi): &(f32, f32)| (lo - PADDING * (hi - lo), hi + PADDING * (hi - lo));
        let ranges: Vec<(f32, f32)> = spread.ranges.iter().map(wider).collect();
        Hint::new((pair.1, pair.0), &pair.2, spread.variance, &ranges)
    };
    pairs.iter().zip(&spreads).filter_map(hint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gradient_is_far_longer_than_the_median_one() {
        assert_eq!(shares(&[1.0, 2.0, 0.5, 1.0]), [1.0; 4]);
        assert_eq!(shares(&[1.0, 1.0, 8.0, 1.0, f64::NAN]), [1.0, 1.0, 0.25, 1.0, 0.0]);
        assert_eq!(shares(&[f64::NAN, f64::INFINITY, 1.0]), [0.0, 0.0, 1.0]);
        assert_eq!(shares(&[0.0, 0.0]), [1.0; 2]);
    }
}
