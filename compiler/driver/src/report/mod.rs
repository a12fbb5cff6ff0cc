//! What is told of a compiled program. It is stored in the artifact and shown by `hec report`.

mod path;
mod table;
mod text;

use crate::rings::{Alternative, Priced, RingOptions, Scheduled};
use crate::{Failure, How};
use hec_ir::artifact::{Artifact, ClientPrograms};
use hec_ir::cost::RingSize;
use hec_ir::evaluate::cost::Counts;
use hec_ir::leveled::Scheme;
use hec_ir::program::Program;
use hec_ir::tensor::Graph;
use hec_ir::{Batch, BootstrapParameters, Level, Parameters};
use hec_nonlinear::{Correction, Menu, PredictedErrors, Replaced, Replacement};
use hec_optimize::Optimized;
use hec_params::{EncapsulationReport, SecurityReport};
use serde::{Deserialize, Serialize};

/// Below all that matters; its logarithm is finite, as JSON wants it.
const SMALLEST: f64 = 1e-100;
const INSECURE: &str = "INSECURE: toy parameters, below 128-bit security, for tests only";

/// The report of a compiled program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name of the network.
    pub network: String,
    /// `--preprocess`, if given.
    pub preprocess: Option<String>,
    /// Levels at each point of the pipeline.
    pub depth: DepthReport,
    /// What was put in the place of each function.
    pub replacements: Vec<Replacement>,
    /// What was done to linear layers to make good what the polynomials change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// Share of validation samples whose class the polynomial network keeps, and its relative error.
    pub agreement: Option<AgreementReport>,
    /// How far replaced layers' inputs and the outputs are off on new inputs, predicted from each layer's own error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<PredictedErrors>,
    /// What there was for each function, with a picture of what was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub menus: Vec<Menu>,
    /// Rules of the optimizer that found something new, with how often.
    pub rules: Vec<(String, usize)>,
    /// Levels that the network would take more without a rule, for those rules for which it is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saved: Vec<(String, u32)>,
    /// Networks of which none is better in depth, work and error at once, if there was a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontPoint>,
    /// The levels along the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Step>,
    /// One row a layer.
    pub layers: Vec<LayerReport>,
    /// What the client computes by itself, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientReport>,
    /// Sums over the layers.
    pub total: Counts,
    /// Ring, primes, scale.
    pub parameters: ParametersReport,
    /// Rings that were tried, with and without bootstraps, and what their programs are predicted to take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// The security line's figures.
    pub security: SecurityReport,
    /// What its bootstraps are, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstraps: Option<BootstrapReport>,
    /// Sizes.
    pub sizes: Sizes,
    /// Predicted seconds of one thread, and of all threads of the machine of the cost table.
    pub seconds: (f64, f64),
    /// Largest output on the calibration data.
    pub output_range: f64,
    /// log2 of the standard deviation that the scheme's noise gives an output, relative to the range.
    pub log2_noise: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Levels at each point of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthReport {
    /// As imported and made polynomial, every node by itself.
    pub before: u32,
    /// After rewriting.
    pub after: u32,
    /// Of the shallowest network that the search found, where a deeper one is predicted to be faster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<u32>,
    /// Of the packed circuit: what the parameters hold, if it is not bootstrapped.
    pub packed: u32,
}

/// How well the polynomial network follows the original one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementReport {
    /// Validation samples.
    pub samples: usize,
    /// Share of them with the same class; `None` for networks with one output.
    pub classes: Option<f64>,
    /// Share of those that would have it with errors as much larger as the caution says.
    #[serde(default)]
    pub surely: Option<f64>,
    /// rms error of the outputs relative to their rms.
    pub relative_error: f64,
}

/// A layer's row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerReport {
    /// The ONNX node.
    pub layer: String,
    /// What was done to it.
    pub note: String,
    /// The level at which it starts.
    pub level_in: u32,
    /// The level at which it ends.
    pub level_out: u32,
    /// The highest level to which one of its values is bootstrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrapped_to: Option<u32>,
    /// Operations and predicted seconds.
    pub counts: Counts,
    /// log2 of the standard deviation of the scheme's noise in its result, in units of the values.
    pub log2_noise: Option<f64>,
    /// The largest value of its result on a calibration input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<f64>,
}

/// A network among which the choice was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontPoint {
    /// Its replacements, with how often each is used.
    pub choices: String,
    /// Levels of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// Predicted seconds of one thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Bytes of its keys, its ciphertexts and its constants in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<usize>,
    /// Share of validation samples that keep their class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<f64>,
    /// rms error of the outputs relative to their rms, on the validation samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
    /// Why it has no program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether it was taken.
    pub taken: bool,
}

/// What the client computes in clear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientReport {
    /// Operations before encryption, in order.
    pub before: Vec<String>,
    /// Operations after decryption, in order.
    pub after: Vec<String>,
    /// Numbers of weights that the client gets.
    pub weights: usize,
}

impl ClientReport {
    fn of(programs: &ClientPrograms) -> Option<Self> {
        let operations = |graph: &Option<Graph>| {
            let graph = graph.iter();
            graph.flat_map(|g| g.nodes.values().skip(g.inputs().count()).map(|n| n.op.name().to_owned())).collect()
        };
        let (before, after) = (operations(&programs.prologue), operations(&programs.epilogue));
        (!programs.is_empty()).then(|| ClientReport { before, after, weights: programs.numbers() })
    }
}

/// The bootstraps of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapReport {
    /// Ciphertexts that are bootstrapped.
    pub count: usize,
    /// Slots that each holds.
    pub slots: usize,
    /// The level at which each starts.
    pub from: u32,
    /// The level at which each ends.
    pub to: u32,
    /// log2 of the predicted mean error of one, for slots in [−1, 1].
    pub log2_error: f64,
    /// log2 of the probability that any of them fails, at most.
    pub log2_failure: f64,
    /// What the security of the sparse secret at the raise rests on, which the security line does not cover.
    pub encapsulation: EncapsulationReport,
}

/// Ring, primes, scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParametersReport {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Slots of a ciphertext.
    pub slots: usize,
    /// Inputs that share a ciphertext.
    #[serde(default, skip_serializing_if = "Batch::is_one")]
    pub batch: Batch,
    /// Levels above level 0, those of a bootstrap left out.
    pub levels: u32,
    /// log2 of the scale at the top.
    pub log2_scale: f64,
    /// log2 of the modulus of level 0.
    pub log2_base: f64,
    /// Special primes.
    pub special: usize,
    /// Primes a key-switching digit.
    pub digit_size: usize,
}

/// Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Evaluation keys.
    pub key_count: usize,
    /// Evaluation keys in memory, both halves.
    pub keys: usize,
    /// A request, as uploaded: one half of each ciphertext, the other is a seed.
    pub request: usize,
    /// Ciphertexts and decompositions live at once, at most.
    pub ciphertexts: usize,
    /// Constants of the program.
    pub constants: usize,
    /// Evaluation keys in a file, as uploaded once: one half of each, the other is a seed.
    #[serde(default)]
    pub stored_keys: usize,
    /// Everything that evaluation holds at once: keys, ciphertexts, constants, and what it works with.
    #[serde(default)]
    pub peak: usize,
}

impl Report {
    /// Of a compiled network.
    ///
    /// # Errors
    /// When the program's parameters are not valid.
    pub fn new(
        client: &ClientPrograms,
        replaced: &Replaced,
        optimized: &Optimized,
        back: &Scheduled,
        options: &RingOptions,
        how: &How,
    ) -> Result<Self, Failure> {
        let agreement = replaced.agreement.as_ref().map(|a| AgreementReport {
            samples: a.samples,
            classes: a.classes,
            surely: a.surely,
            relative_error: a.relative_error,
        });
        let mut report = Report::of_program(&back.priced, options)?;
        report.network = replaced.graph.name.clone();
        report.client = ClientReport::of(client);
        report.preprocess = how.preprocess.clone();
        report.depth.before = optimized.depth_before.0;
        report.depth.after = optimized.depth_after.0;
        report.depth.least = Some(optimized.depth_least.0).filter(|&least| least < report.depth.after);
        report.depth.packed = hec_plan::depth(&back.circuit).0;
        report.replacements = replaced.replacements.clone();
        report.corrections = replaced.corrections.clone();
        report.agreement = agreement;
        report.errors = replaced.errors.clone();
        report.menus = replaced.menus();
        report.rules = optimized.fired.clone();
        report.alternatives = back.alternatives.clone();
        report.warnings.extend(replaced.warnings.iter().cloned());
        if let Some(limit) = optimized.limit {
            report.warnings.push(format!("the search for equal networks ended by its budget, with {limit}"));
        }
        Ok(report)
    }

    /// Of a program alone.
    ///
    /// # Errors
    /// When its parameters are not valid.
    pub fn of_program(back: &Priced, options: &RingOptions) -> Result<Self, Failure> {
        let scheme = back.program.scheme()?;
        let parameters = scheme.parameters();
        let memory = hec_schedule::memory(&back.program)?;
        let packed = scheme.input_level().0;
        let keys = &back.program.keys;
        let inputs: usize = back.program.inputs.iter().map(|i| i.layout.ciphertexts()).sum();
        let seconds = back.costs.total.seconds;
        let insecure = !parameters.security().is_secure();
        let log2_noise = libm::log2((back.output_noise / back.output_range.max(SMALLEST)).max(SMALLEST));
        let layers = table::rows(back);
        Ok(Report {
            network: back.program.name.clone(),
            preprocess: None,
            depth: DepthReport { before: packed, after: packed, least: None, packed },
            replacements: Vec::new(),
            corrections: Vec::new(),
            agreement: None,
            errors: None,
            menus: Vec::new(),
            rules: Vec::new(),
            saved: Vec::new(),
            front: Vec::new(),
            levels: path::path(&back.program, &layers),
            layers,
            client: None,
            total: back.costs.total.clone(),
            parameters: ParametersReport::of(&scheme),
            alternatives: Vec::new(),
            security: parameters.security(),
            bootstraps: scheme.bootstrap().and_then(|b| BootstrapReport::of(b, back.costs.total.bootstraps)),
            sizes: Sizes {
                key_count: keys.rotations.len() + usize::from(keys.relinearize.is_some()),
                keys: memory.keys,
                request: inputs * limb_bytes(parameters, scheme.input_level()),
                ciphertexts: memory.ciphertexts,
                constants: memory.constants,
                stored_keys: hec_schedule::stored_keys(&back.program)?,
                peak: memory.peak(),
            },
            seconds: (seconds, seconds / options.costs.parallel_speedup),
            output_range: back.output_range,
            log2_noise,
            warnings: insecure.then(|| INSECURE.to_owned()).into_iter().collect(),
        })
    }
}

impl Report {
    /// Levels that the network would take more without a rule, if that is known.
    pub fn saved_by(&self, rule: &str) -> Option<u32> {
        self.saved.iter().find(|(name, _)| name == rule).map(|(_, levels)| *levels)
    }

    /// As it is stored with a program.
    ///
    /// # Errors
    /// When it is of another version.
    pub fn of_artifact(artifact: &Artifact) -> Result<Self, String> {
        serde_json::from_value(artifact.report().clone()).map_err(|e| format!("its report cannot be read: {e}"))
    }

    /// The stored program: a program and this report of it.
    ///
    /// # Errors
    /// When the program is not valid.
    pub fn attach(&self, program: &Program) -> Result<Artifact, Failure> {
        let report = serde_json::to_value(self).map_err(|e| Failure::new("HEC-C006", e))?;
        Artifact::new(program.clone(), report).map_err(|e| Failure::new("HEC-T003", e))
    }
}

/// Rotations of all kinds.
pub(crate) fn rotations(c: &Counts) -> usize {
    c.baby_steps + c.giant_steps + c.rotations
}

/// Products outside linear maps.
pub(crate) fn products(c: &Counts) -> usize {
    c.ciphertext_products + c.plaintext_products
}

/// Bytes of one polynomial at a level.
fn limb_bytes(parameters: &Parameters, level: Level) -> usize {
    let ring = RingSize::at(parameters, level);
    ring.primes * parameters.log_n().degree() * 8
}

impl BootstrapReport {
    /// Of the `count` bootstraps of a program; `None` if there are none.
    fn of(b: &BootstrapParameters, count: usize) -> Option<Self> {
        (count > 0).then(|| BootstrapReport {
            count,
            slots: b.choice().slots.0,
            from: b.input_level().0,
            to: b.output_level().0,
            log2_error: -b.error().bits(),
            log2_failure: b.log2_failure() + libm::log2(count as f64),
            encapsulation: b.encapsulation_report(),
        })
    }
}

impl ParametersReport {
    fn of(scheme: &Scheme) -> Self {
        let (p, top) = (scheme.parameters(), scheme.input_level());
        ParametersReport {
            log_n: p.log_n().0,
            slots: p.slots().0,
            batch: scheme.batch(),
            levels: top.0,
            log2_scale: p.scale(top).log2(),
            log2_base: p.log_q(Level(0)),
            special: p.special().len(),
            digit_size: p.digit_size(),
        }
    }
}

pub use path::Step;
pub use text::{bytes, print};
