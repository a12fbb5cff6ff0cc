//! Commands and their options.

mod bar;
mod bootstraps;
mod infer;
mod inspect;
mod measure;
mod output;
mod party;

use clap::{Args, Parser, Subcommand};
use hec_ir::samples::{SamplesError, Wanted};
use hec_ir::tensor::Tensor;
use hec_run::{InputFile, RunError, Samples, TextInput, Tokenized, parse_size};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Run compiled networks on encrypted data.
#[derive(Parser, Debug)]
#[command(name = "hec-run", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Client: make a secret key and the evaluation keys that the server needs
    Keygen(Keygen),
    /// Client: encrypt an input into a request
    Encrypt(Encrypt),
    /// Server: evaluate a request into a response
    Eval(Eval),
    /// Client: decrypt a response
    ///
    /// What is decrypted contains noise that depends on the secret key. Give it to nobody who made or evaluated the
    /// ciphertexts: from enough of it the key can be computed (IND-CPA-D). Where it must be shared, use --flood-bits.
    Decrypt(Decrypt),
    /// All parties in one process, on one or many samples
    Infer(Box<Infer>),
    /// Say what a file is
    Inspect(Inspect),
    /// Time primitives at several ring sizes
    Bench(Bench),
    /// Measure this machine: the cost table that the compiler reads
    Calibrate(Calibrate),
}

#[derive(Args, Debug)]
struct Keygen {
    /// The client's part of the compiled model (model.client.json)
    client: PathBuf,
    /// Folder to write secret.key and eval.keys to
    #[arg(long)]
    out: PathBuf,
    /// Replace keys that are there; what was encrypted with them can then no longer be decrypted
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
struct Encrypt {
    /// The client's part of the compiled model (model.client.json)
    client: PathBuf,
    /// The secret key
    #[arg(long)]
    secret: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Which sample, where the input holds several; the first with --count
    #[arg(long)]
    index: Option<usize>,
    /// How many samples, for a program that evaluates a batch at once (default: all, if a request holds them)
    #[arg(long)]
    count: Option<usize>,
    /// Where the request goes
    #[arg(short, long)]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct Eval {
    /// The compiled model (model.hec)
    model: PathBuf,
    /// The client's evaluation keys
    #[arg(long)]
    keys: PathBuf,
    /// The request
    #[arg(long)]
    input: PathBuf,
    /// Where the response goes
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// Print the time by layer
    #[arg(long)]
    trace: bool,
    /// Keep the evaluation in FILE from time to time, and go on from there if FILE is there: the response is the same.
    /// The file goes when the response is written
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Where stderr is no terminal, write a line with the remaining time to it every ten seconds
    #[arg(long)]
    progress: bool,
}

/// What evaluation may use.
#[derive(Args, Debug)]
struct Machine {
    #[command(flatten)]
    threads: Threads,
    /// Most memory for keys, ciphertexts and constants together, such as 512M or 2G
    #[arg(long, value_parser = parse_size)]
    max_memory: Option<usize>,
}

#[derive(Args, Debug)]
struct Threads {
    /// Threads (default: all processors)
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Args, Debug)]
struct Decrypt {
    /// The client's part of the compiled model (model.client.json)
    client: PathBuf,
    /// The secret key
    #[arg(long)]
    secret: PathBuf,
    /// The response
    #[arg(long)]
    input: PathBuf,
    /// How many samples the request holds, if it is not full
    #[arg(long)]
    count: Option<usize>,
    /// Where the outputs go: .npy for one output, .npz for several (default: print them)
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// What is encrypted: numbers, or sentences.
#[derive(Args, Debug)]
struct Source {
    #[command(flatten)]
    given: Given,
    /// The model's tokenizer for sentences [default: tokenizer.json beside the model]
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    tokenizer: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Given {
    /// An input, .npy, .npz or .pb, of one or several samples; for several inputs NAME=FILE for each
    #[arg(long)]
    input: Vec<InputFile>,
    /// A sentence, for models that take token ids; several for several samples
    #[arg(long, value_name = "SENTENCE")]
    text: Vec<String>,
    /// A file with a sentence on each line
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
}

/// How results are decrypted.
#[derive(Args, Debug)]
struct How {
    /// Leave out what the client does after decryption, such as softmax
    #[arg(long)]
    raw: bool,
    /// Add noise of standard deviation 2^-BITS to every slot, for results that will be shared
    #[arg(long, value_name = "BITS", allow_negative_numbers = true)]
    flood_bits: Option<f64>,
}

#[derive(Args, Debug)]
struct Infer {
    /// The compiled model (model.hec)
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Only this sample
    #[arg(long, conflicts_with = "count")]
    index: Option<usize>,
    /// Only the first COUNT samples
    #[arg(long)]
    count: Option<usize>,
    /// Class of each sample, to compare with
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Outputs of another evaluation of all samples, to compare with
    #[arg(long)]
    against: Option<PathBuf>,
    /// Where the first output of all samples goes, as .npy
    #[arg(long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    machine: Machine,
    /// Print the time by layer of the first sample
    #[arg(long)]
    trace: bool,
    /// Where stderr is no terminal, write a line with the remaining time to it every ten seconds
    #[arg(long)]
    progress: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Inspect {
    /// model.hec, model.client.json, keys, a request or a response
    file: PathBuf,
    /// Check keys and ciphertexts completely against this model.client.json
    #[arg(long)]
    client: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Bench {
    /// log2 of the ring degree, 13 to 16; several separated by commas (default: all)
    #[arg(long, value_delimiter = ',')]
    ring: Vec<u32>,
    #[command(flatten)]
    threads: Threads,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Calibrate {
    /// Where the cost table goes
    #[arg(short, long)]
    output: PathBuf,
}

impl Cli {
    /// Run the command; what it prints.
    pub fn run(self) -> Result<String, RunError> {
        match self.command {
            Command::Keygen(args) => party::keygen(&args),
            Command::Encrypt(args) => party::encrypt(&args),
            Command::Eval(args) => party::eval(&args),
            Command::Decrypt(args) => party::decrypt(&args),
            Command::Infer(args) => infer::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Bench(args) => measure::bench(&args),
            Command::Calibrate(args) => measure::calibrate(&args),
        }
    }
}

impl How {
    fn decryption(&self) -> Result<hec_run::Decryption, RunError> {
        match self.flood_bits {
            Some(bits) if !(-64.0..=64.0).contains(&bits) => {
                Err(RunError::Usage(format!("--flood-bits {bits} is not between -64 and 64")))
            }
            flood_bits => Ok(hec_run::Decryption { raw: self.raw, flood_bits }),
        }
    }
}

impl Source {
    /// The samples for a model whose file is `beside` its tokenizer.
    fn samples(&self, wanted: &Wanted, beside: &Path) -> Result<Vec<Vec<Tensor>>, RunError> {
        let sentences = match &self.given.text_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(RunError::io(path))?;
                text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
            }
            None => self.given.text.clone(),
        };
        if sentences.is_empty() && self.given.text_file.is_none() {
            return Ok(Samples::read(wanted, &self.given.input)?.all(usize::MAX));
        }
        let tokenizer = self.tokenizer.clone().unwrap_or_else(|| beside.with_file_name("tokenizer.json"));
        if self.tokenizer.is_none() && !tokenizer.exists() {
            return Err(RunError::Usage(format!(
                "sentences need the model's tokenizer: name its file with --tokenizer, or put it at {}",
                tokenizer.display()
            )));
        }
        let Tokenized { samples, notes } = TextInput::new(&tokenizer, wanted)?.tokenize(&sentences)?;
        notes.iter().for_each(|note| complain(&format!("note: {note}")));
        Ok(samples)
    }
}

/// One of the samples.
fn sample(samples: &[Vec<Tensor>], index: usize) -> Result<&[Tensor], RunError> {
    let missing = SamplesError::Index { index, count: samples.len() };
    samples.get(index).map(Vec::as_slice).ok_or(RunError::Samples(missing))
}

impl Threads {
    fn apply(&self) -> Result<(), RunError> {
        let Some(threads) = self.threads else { return Ok(()) };
        if !(1..=1024).contains(&threads) {
            return Err(RunError::Usage(format!("--threads {threads} is not between 1 and 1024")));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|e| RunError::Usage(format!("--threads {threads}: {e}")))
    }
}

/// Say something on stderr, which may be closed.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
