//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Compile neural networks into programs that compute on CKKS-encrypted data.
#[derive(Debug, Parser)]
#[command(name = "hec", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a network (.onnx, or tensor text .hel) into model.hec and model.client.json
    Compile(Compile),
    /// Say of every operator of a model whether it is fine, approximated, left to the client, or what stops it
    Check(Check),
    /// Show what a compiled program does: depth, levels, rotations, keys, memory, predicted time
    Report(ReportArgs),
    /// Say in words what was chosen for a layer, what else there was, and what it would cost
    Explain(ExplainArgs),
    /// Say what changed between two compiled programs; exit code 0 if nothing did, 1 if something did, 2 on trouble
    Diff(DiffArgs),
    /// Run a compiled program in clear, with a model of the scheme's noise, and compare it with its ONNX model
    Simulate(Simulate),
    /// Train a network's polynomials and weights, without labels, to give what the original network gives
    Tune(Tune),
    /// Restart from the text of any stage
    Opt(Opt),
}

/// Stages whose result can be printed, in the order of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stage {
    /// Tensor graph as imported
    Import,
    /// With polynomials in the place of other functions
    Nonlinear,
    /// After rewriting
    Optimize,
    /// Slot circuit
    Pack,
    /// With levels and scales
    Plan,
    /// The program
    Schedule,
}

/// Whether programs may bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Bootstrapping {
    /// Where that is predicted to be faster than a larger ring, or nothing else is possible
    #[default]
    Auto,
    /// In any case
    Always,
    /// Leveled programs only
    Never,
}

/// Arguments of `hec compile`.
#[derive(Debug, Args)]
pub struct Compile {
    /// The network: .onnx, or .hel text of the tensor level
    pub model: PathBuf,
    /// Where the program goes; the client's file goes beside it with the extension .client.json
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the result of a stage instead of writing a program (to a file with its constants in an .npz if -o is given)
    #[arg(long, value_name = "STAGE")]
    pub emit: Option<Stage>,
    /// How to compile
    #[command(flatten)]
    pub how: How,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Choices that the stages follow.
#[derive(Clone, Debug, Args)]
pub struct How {
    /// Typical inputs: .npy, .npz or folders of .pb; activations are fitted to what they cause
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub calibrate: Vec<PathBuf>,
    /// What is done to raw inputs first, becoming part of the network: scale=1/255,mean=0.5/0.5/0.5,std=0.2/0.2/0.2
    #[arg(long, value_name = "SPEC")]
    pub preprocess: Option<String>,
    /// Choose the replacement of a function or of a layer: relu=kernel:2, relu=lsq:4, "layer name"=minimax:7. Polynomials of
    /// degree 1 to 31 are lsq, minimax, wminimax, chebyshev, jackson, hermite, ridge, kernel, epanechnikov, box, logistic;
    /// composite:BITS is for functions of straight pieces and max_pool, goldschmidt:STEPS for 1/x, newton:STEPS for roots
    #[arg(long, value_name = "PIN")]
    pub activation: Vec<String>,
    /// Range of a layer's input where there is no calibration data: layer=-4,6
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub range: Vec<String>,
    /// Leave the weights of linear layers as they are, instead of re-fitting them on the calibration inputs so that they
    /// make good what the polynomials change
    #[arg(long)]
    pub no_correct: bool,
    /// Leave the network as it is, instead of rewriting it to fewer levels
    #[arg(long)]
    pub no_rewrite: bool,
    /// How unlike the calibration inputs others may be, from 0 to 3: with more caution, polynomials stay in bounds further
    /// outside, and a class counts as kept only if it would be with larger errors. Inputs that the network was trained on
    /// call for 1 at least: it decides them more surely than others
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub caution: usize,
    /// At most so many calibration inputs are used, evenly spaced
    #[arg(long, value_name = "N", default_value_t = MAX_SAMPLES)]
    pub max_samples: usize,
    /// Share of calibration inputs whose class the polynomial network must keep
    #[arg(long, value_name = "SHARE", default_value_t = MIN_AGREEMENT)]
    pub min_agreement: f64,
    /// Compile all networks that the search comes across and that are not worse than a cheaper one, and tell what each
    /// takes; the report keeps it
    #[arg(long)]
    pub pareto: bool,
    /// Take this network of those that --pareto prints, from 1 on
    #[arg(long, value_name = "N")]
    pub choose: Option<usize>,
    /// Take the most precise network whose program has at most so many levels
    #[arg(long, value_name = "LEVELS")]
    pub max_depth: Option<u32>,
    /// The largest error of the outputs that the scheme's noise may cause, as a share of their range
    #[arg(long, value_name = "SHARE", default_value_t = MAX_ERROR)]
    pub max_error: f64,
    /// Most memory that the server's keys, ciphertexts and constants may take together, such as 512M or 12G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<usize>,
    /// Inputs that one request holds and one evaluation takes, rounded up to a power of two. They share ciphertexts, so that
    /// each takes a smaller part of the time the more there are
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = batch)]
    pub batch: usize,
    /// log2 of the ring degree; the cheapest that fits if not given
    #[arg(long, value_name = "LOG_N", value_parser = clap::value_parser!(u32).range(4..=17))]
    pub ring: Option<u32>,
    /// Whether to bootstrap: wherever it pays, in any case, or not at all
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub bootstrap: Bootstrapping,
    /// log2 of the scale; the largest that fits if not given
    #[arg(long, value_name = "BITS", value_parser = scale_bits)]
    pub scale: Option<f64>,
    /// Most that a client sends as evaluation keys, such as 512M or 1.5G; linear maps then share rotations
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_key_size: Option<usize>,
    /// Costs of this machine, as `hec-run calibrate` writes them
    #[arg(long, value_name = "FILE")]
    pub costs: Option<PathBuf>,
    /// Accept parameters below 128-bit security, for tests; everything made so says INSECURE
    #[arg(long)]
    pub insecure_toy: bool,
}

const MAX_SAMPLES: usize = 2000;
const MIN_AGREEMENT: f64 = 0.99;
const MAX_ERROR: f64 = 1.0 / 1024.0;

impl How {
    /// Whether all networks of the front are compiled, and not only the one that the search chooses.
    pub fn compares(&self) -> bool {
        self.pareto || self.choose.is_some() || self.max_depth.is_some()
    }
}

/// As the command line without options.
impl Default for How {
    fn default() -> Self {
        How {
            calibrate: Vec::new(),
            preprocess: None,
            activation: Vec::new(),
            range: Vec::new(),
            no_correct: false,
            no_rewrite: false,
            caution: 0,
            max_samples: MAX_SAMPLES,
            min_agreement: MIN_AGREEMENT,
            pareto: false,
            choose: None,
            max_depth: None,
            max_error: MAX_ERROR,
            max_memory: None,
            batch: 1,
            ring: None,
            bootstrap: Bootstrapping::Auto,
            scale: None,
            max_key_size: None,
            costs: None,
            insecure_toy: false,
        }
    }
}

/// Inputs of a request, as many as ciphertexts are shared by.
fn batch(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(inputs) if (1..=1 << 16).contains(&inputs) => Ok(inputs.next_power_of_two()),
        _ => Err("a number of inputs from 1 to 65536".to_owned()),
    }
}

fn scale_bits(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(bits) if (16.0..=90.0).contains(&bits) => Ok(bits),
        _ => Err("a number of bits from 16 to 90".to_owned()),
    }
}

/// Bytes as people write them, in powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[number.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("a size such as 512M or 1.5G".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(count) if count > 0.0 && count < 1e6 => Ok((count * (1u64 << unit) as f64) as usize),
        _ => Err("a size such as 512M or 1.5G".to_owned()),
    }
}

/// Arguments of `hec check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The ONNX model
    pub model: PathBuf,
    /// Size of a dynamic batch axis
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hec report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The compiled program
    pub program: PathBuf,
    /// Print JSON
    #[arg(long, conflicts_with = "html")]
    pub json: bool,
    /// Write a page to look at in a browser: one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Arguments of `hec explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The layer, by its name in the model
    pub layer: String,
    /// The compiled program; the only one of the current folder if not given
    pub program: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hec diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A compiled program
    pub before: PathBuf,
    /// Another one
    pub after: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hec simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The compiled program
    pub program: PathBuf,
    /// Inputs: .npy, .npz or folders of .pb
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Compare with this ONNX model (or tensor text)
    #[arg(long, value_name = "MODEL")]
    pub against: Option<PathBuf>,
    /// Classes of the inputs, to count correct answers
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// At most this many inputs
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Without the noise of the scheme
    #[arg(long)]
    pub no_noise: bool,
    /// Seed of the simulated noise
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Write the simulated outputs (of a network with one output) as .npy
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the original model's outputs as .npy
    #[arg(long, value_name = "FILE", requires = "against")]
    pub model_output: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hec tune`.
#[derive(Debug, Args)]
pub struct Tune {
    /// The original network: .onnx, or .hel text of the tensor level
    pub model: PathBuf,
    /// Inputs to train on, without labels: .npy, .npz or folders of .pb; one in ten is kept for validation
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub calibrate: Vec<PathBuf>,
    /// What is done to raw inputs first, becoming part of the tuned network: scale=1/255,mean=0.5/0.5/0.5,std=0.2/0.2/0.2
    #[arg(long, value_name = "SPEC")]
    pub preprocess: Option<String>,
    /// Choose the polynomial of a function or of a layer, as in `hec compile`: relu=lsq:2
    #[arg(long, value_name = "PIN")]
    pub activation: Vec<String>,
    /// Size of a dynamic batch axis
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// Where the tuned network goes, as tensor text for `hec compile`; its constants go beside it with the extension .npz,
    /// the state of the training with .checkpoint
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// How often each input is seen
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub epochs: u32,
    /// Stop after this time, to go on later with --resume
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,
    /// Go on from the checkpoint of an earlier call with the same arguments, as if it had not been interrupted
    #[arg(long)]
    pub resume: bool,
    /// Seed of the order of the inputs and of their changes
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// The largest step of a parameter, relative to its size
    #[arg(long, value_name = "RATE", default_value_t = RATE, value_parser = rate)]
    pub rate: f64,
    /// How inputs are changed so that there are more of them
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub augment: Augmentation,
    /// Number of threads; one for each core if not given. The result is the same
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

/// How inputs are changed so that there are more of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Augmentation {
    /// Images of 16 pixels and more are mirrored and shifted by up to 4 pixels
    #[default]
    Auto,
    /// Not at all
    None,
}

const RATE: f64 = 0.002;

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("a number above 0, at most 1".to_owned()),
    }
}

/// Arguments of `hec opt`.
#[derive(Debug, Args)]
pub struct Opt {
    /// Text of any level (.hel), with its large constants in an .npz of the same name beside it
    pub program: PathBuf,
    /// The last stage to run
    #[arg(long, value_name = "STAGE", default_value = "schedule")]
    pub to: Stage,
    /// Where the result goes: text, or a program if the name ends in .hec; standard output if not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How to compile
    #[command(flatten)]
    pub how: How,
}
