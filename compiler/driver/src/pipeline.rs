//! The whole compilation, as one readable function.

use crate::front::{self, Candidate, Network, Source};
use crate::preprocess::Preprocess;
use crate::progress::Progress;
use crate::report::Report;
use crate::rings::{self, RingOptions};
use crate::{Failure, How, menus, samples};
use hec_import::Parts;
use hec_ir::Batch;
use hec_ir::artifact::{Artifact, ClientFile, ClientPrograms};
use hec_ir::cost::CostTable;
use hec_ir::tensor::{Graph, Tensor};
use hec_nonlinear::{Calibration, Front, Pin, Replaced};
use hec_optimize::Optimized;
use std::path::Path;

const UNCALIBRATED: &str = "without calibration data the outputs' range and error are those of inputs in [-1, 1]; larger \
                            inputs may overflow: give typical ones with --calibrate";

/// A compiled network: every stage's result.
pub struct Compiled {
    /// With polynomials in the place of other functions.
    pub replaced: Replaced,
    /// After rewriting.
    pub optimized: Optimized,
    /// Packed, planned and scheduled for the chosen ring.
    pub back: rings::Scheduled,
    /// What the client computes by itself.
    pub client: ClientPrograms,
    /// What is told of it.
    pub report: Report,
}

impl Compiled {
    /// The stored program, with its report.
    ///
    /// # Errors
    /// When the program is not valid.
    pub fn artifact(&self) -> Result<Artifact, Failure> {
        self.report.attach(&self.back.priced.program)
    }

    /// The client's part of the stored program.
    pub fn client_file(&self, artifact: &Artifact) -> ClientFile {
        ClientFile::of(artifact).with_programs(self.client.clone())
    }
}

/// Compile an imported network.
///
/// # Errors
/// The first stage's that fails.
pub fn compile(imported: &Graph, how: &How, progress: &mut Progress) -> Result<Compiled, Failure> {
    if imported.outputs.is_empty() {
        return Err(Failure::new("HEC-C009", format!("the network {} has no output", imported.name))
            .advise("name at least one value in the outputs of the model's graph"));
    }
    let Parts { prologue, body, epilogue } = hec_import::split(imported)?;
    let client = ClientPrograms { prologue, epilogue };
    let samples = samples::encrypted(&how.calibrate, imported, client.prologue.as_ref())?;

    progress.stage("nonlinear: polynomials for activations");
    let networks = networks(&body, &samples, how)?;

    progress.stage("optimize: equality saturation");
    let rewritten = networks.iter().map(|n| rewrite(&n.replaced.graph, how)).collect::<Result<Vec<_>, _>>()?;

    progress.stage("pack, plan, schedule: choosing a ring");
    let options = ring_options(how)?;
    let program = |optimized| cheapest(optimized, &samples, &options, how.max_depth);
    let candidate = |(network, optimized): (Network, Optimized)| Candidate { network, program: program(optimized) };
    let mut candidates: Vec<Candidate> = networks.into_iter().zip(rewritten).map(candidate).collect();
    let taken = front::pick(&candidates, how)?;
    let points = if how.compares() { front::points(&candidates, taken)? } else { Vec::new() };
    let Candidate { network: Network { replaced, .. }, program } = candidates.swap_remove(taken);
    let (optimized, back) = program?;

    progress.stage("report");
    let mut report = Report::new(&client, &replaced, &optimized, &back, &options, how)?;
    report.front = points;
    report.saved = hec_optimize::levels_by_rule(&replaced.graph, &optimized, &optimizer_options(how))?;
    if samples.is_empty() {
        report.warnings.push(UNCALIBRATED.to_owned());
    }
    Ok(Compiled { replaced, optimized, back, client, report })
}

/// Read a network: ONNX, or text of the tensor level; with its preprocessing in front.
///
/// # Errors
/// When it cannot be read, with all that is known about why.
pub fn import(model: &Path, how: &How) -> Result<Graph, Failure> {
    let graph = read_network(model, 1)?;
    match &how.preprocess {
        Some(text) => Preprocess::parse(text)?.prepend(&graph),
        None => Ok(graph),
    }
}

/// Read a network as it stands; a dynamic batch axis has this size.
///
/// # Errors
/// When it cannot be read.
pub fn read_network(model: &Path, batch: usize) -> Result<Graph, Failure> {
    if model.extension().is_some_and(|e| e == "hel") {
        return crate::text::load_tensor(model);
    }
    Ok(hec_import::import(model, &hec_import::ImportOptions { batch })?)
}

/// The networks to choose from, from the cheapest polynomials on: the one that the search chooses, and what the menus offer
/// besides; all that it found if the user compares them.
fn networks(graph: &Graph, samples: &[Vec<Tensor>], how: &How) -> Result<Vec<Network>, Failure> {
    let (calibration, options) = (Calibration { samples: samples.to_vec() }, nonlinear_options(how)?);
    let Front { networks, chosen } = match how.compares() {
        true => hec_nonlinear::front(graph, &calibration, &options)?,
        false => Front { networks: vec![hec_nonlinear::replace(graph, &calibration, &options)?], chosen: 0 },
    };
    let cheaper = match how.no_rewrite {
        true => Vec::new(),
        false => menus::cheaper(&networks[chosen], how.min_agreement, &optimizer_options(how))?,
    };
    let source = |i| if i == chosen { Source::Chosen } else { Source::Tried };
    let found = networks.into_iter().enumerate().map(|(i, replaced)| Network { replaced, source: source(i) });
    let mut networks: Vec<Network> = found.collect();
    let offered = menus::search(&cheaper, how.min_agreement, |assignment| {
        let one = std::slice::from_ref(assignment);
        Ok(hec_nonlinear::assigned(graph, &calibration, &options, one)?.pop())
    })?;
    networks.extend(offered.map(|replaced| Network { replaced, source: Source::Offered }));
    networks.sort_by_key(|n| n.replaced.cost());
    Ok(networks)
}

/// Replace what is not polynomial.
///
/// # Errors
/// When the stage fails or an option cannot be read.
pub fn nonlinear(graph: &Graph, samples: &[Vec<Tensor>], how: &How) -> Result<Replaced, Failure> {
    Ok(hec_nonlinear::replace(graph, &Calibration { samples: samples.to_vec() }, &nonlinear_options(how)?)?)
}

/// What replacing follows.
///
/// # Errors
/// When an option cannot be read.
pub fn nonlinear_options(how: &How) -> Result<hec_nonlinear::Options, Failure> {
    let pins = how.activation.iter().map(|p| Pin::parse(p)).collect::<Result<_, _>>()?;
    let ranges = how.range.iter().map(|r| hec_nonlinear::parse_range(r)).collect::<Result<_, _>>()?;
    let How { min_agreement, caution, max_samples, .. } = *how;
    let default = hec_nonlinear::Options::default();
    Ok(hec_nonlinear::Options {
        pins,
        ranges,
        min_agreement,
        correct: !how.no_correct,
        caution,
        max_samples,
        ..default
    })
}

/// Rewrite a polynomial network, unless that is turned off.
///
/// # Errors
/// When it is not well-formed.
pub fn rewrite(graph: &Graph, how: &How) -> Result<Optimized, Failure> {
    Ok(hec_optimize::optimize(graph, &optimizer_options(how))?)
}

/// What rewriting follows.
fn optimizer_options(how: &How) -> hec_optimize::Options {
    let default = hec_optimize::Options::default();
    let iteration_limit = if how.no_rewrite { 0 } else { default.iteration_limit };
    hec_optimize::Options { iteration_limit, ..default }
}

/// Of the rewritten networks the one whose program is predicted to be the fastest of those with at most so many levels, or
/// of the shallowest ones.
///
/// # Errors
/// The shallowest network's failure if there is no program of any.
pub fn cheapest(
    optimized: Optimized,
    samples: &[Vec<Tensor>],
    options: &RingOptions,
    most: Option<u32>,
) -> Result<(Optimized, rings::Scheduled), Failure> {
    let excess = |back: &rings::Scheduled| most.map_or(0, |most| hec_plan::depth(&back.circuit).0.saturating_sub(most));
    let mut best = rings::choose(&optimized.graph, samples, options);
    let mut taken = None;
    for (i, other) in optimized.others.iter().enumerate() {
        let next = rings::choose(&other.graph, samples, options);
        let is_better = match (&best, &next) {
            (Ok(best), Ok(next)) => (excess(next), next.seconds()) < (excess(best), best.seconds()),
            (Err(_), Ok(_)) => true,
            _ => false,
        };
        if is_better {
            (best, taken) = (next, Some(i));
        }
    }
    let optimized = match taken {
        Some(i) => optimized.taking(i),
        None => optimized,
    };
    Ok((optimized, best?))
}

/// What the choice of the ring follows.
///
/// # Errors
/// When the cost table cannot be read.
pub fn ring_options(how: &How) -> Result<RingOptions, Failure> {
    let costs = match &how.costs {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, e))?;
            serde_json::from_str(&text).map_err(|e| Failure::file(path, e))?
        }
        None => CostTable::default(),
    };
    Ok(RingOptions {
        costs,
        ring: how.ring.map(hec_ir::LogN),
        batch: Batch(how.batch),
        scale_bits: how.scale,
        bootstrap: how.bootstrap,
        max_error: how.max_error,
        max_memory: how.max_memory,
        max_key_bytes: how.max_key_size,
        insecure_toy: how.insecure_toy,
    })
}
