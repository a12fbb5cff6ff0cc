//! One ring, leveled or with bootstraps: the cheapest program that is precise enough.

use super::inputs::Inputs;
use super::{Priced, RingOptions, Scheduled};
use crate::Failure;
use hec_ir::circuit::{Circuit, ValueId};
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::cost::{Constants, CostReport};
use hec_ir::evaluate::noise::{DEVIATIONS, forecast};
use hec_ir::program::Program;
use hec_ir::{Batch, Depth, LogN, ParametersError, leveled};
use hec_plan::{BootstrapOptions, PlanError, PlanOptions};
use hec_schedule::ScheduleError;
use rayon::prelude::*;

/// Primes of a key-switching digit that are tried. Few digits of many primes pay for deep networks only.
const DIGIT_SIZES: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
/// Digits of up to this many primes are tried at any depth; larger ones where there are at least three.
const ANY_DEPTH: usize = 4;
/// Outputs on other inputs may be this much larger than on the samples, and partial sums larger than outputs.
const MAGNITUDE_MARGIN: f64 = 16.0;
/// Bits by which the bootstraps that are tried first are more precise than the outputs must be.
const FIRST_RESERVE_BITS: f64 = 1.0;

/// A circuit with what a plan of it follows.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub circuit: &'a Circuit,
    pub log_n: LogN,
    pub inputs: &'a Inputs,
    pub options: &'a RingOptions,
    /// Programs that are predicted to take as many seconds of one thread are given up: there is a faster one.
    pub seconds: f64,
}

/// A program with its costs, of which it is not known yet whether it is precise enough.
struct Draft {
    leveled: leveled::Circuit,
    program: Program,
    costs: CostReport,
}

/// Why there is no program.
pub(super) struct Refusal {
    pub failure: Failure,
    /// Whether it is for want of levels or precision, which bootstraps may give.
    pub is_for_room: bool,
    /// Whether it is because its keys are too large, which other digits may change.
    pub is_for_keys: bool,
}

impl<E: Into<Failure>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal { failure: error.into(), is_for_room: false, is_for_keys: false }
    }
}

impl Refusal {
    pub fn for_batch(batch: Batch, log_n: LogN) -> Self {
        let message = format!("N = 2^{}: {} inputs share {} slots, too few", log_n.0, batch.0, log_n.slots());
        Refusal::for_room(Failure::new("HEC-L009", message).advise("use a smaller --batch or a larger ring"))
    }

    fn for_room(failure: Failure) -> Self {
        Refusal { failure, is_for_room: true, is_for_keys: false }
    }
}

impl Candidate<'_> {
    /// Whether the ring has room for so many levels.
    pub fn room(&self, depth: Depth) -> Result<(), Refusal> {
        hec_plan::check_room(depth, &self.plan(DIGIT_SIZES[0])).map_err(|e| Refusal::for_room(e.into()))
    }

    /// The cheapest program without bootstraps over the sizes of a key-switching digit; the first refusal if none is
    /// possible.
    pub fn leveled(&self) -> Result<Scheduled, Refusal> {
        let primes = hec_plan::depth(self.circuit).0 as usize + 1;
        let (mut refused, mut too_large): (Option<Failure>, Option<Failure>) = (None, None);
        let mut drafts = Vec::new();
        let mut has_large_keys = false;
        let sizes = DIGIT_SIZES.into_iter().filter(|&d| d <= ANY_DEPTH || primes.div_ceil(d) >= 3);
        let draft = |size| hec_plan::plan(self.circuit, &self.plan(size)).map(|leveled| self.draft(leveled));
        for drafted in sizes.collect::<Vec<_>>().into_par_iter().map(draft).collect::<Vec<_>>() {
            match drafted {
                Ok(Ok(draft)) => drafts.push(draft),
                Ok(Err(refusal)) if refusal.is_for_keys => {
                    has_large_keys = true;
                    refused = refused.or(Some(refusal.failure));
                }
                Ok(Err(refusal)) => return Err(refusal),
                // The smallest digit leaves the most room, so its refusal says the most.
                Err(error @ PlanError::TooDeep { .. }) => refused = refused.or_else(|| Some(error.into())),
                Err(error) => return Err(error.into()),
            }
        }
        let is_for_keys = has_large_keys && drafts.is_empty();
        drafts.sort_by(|a, b| a.costs.total.seconds.total_cmp(&b.costs.total.seconds));
        for draft in drafts {
            self.check_seconds(&draft)?;
            if let Some(failure) = self.too_much_memory(&draft.program)? {
                too_large = Some(failure);
                continue;
            }
            let scheduled = self.price(draft)?;
            match self.excess(&scheduled.priced) {
                None => return Ok(scheduled),
                Some(error) => refused = Some(self.too_noisy(error).advise(QUIETER)),
            }
        }
        // Bootstraps take more memory, not less.
        match too_large {
            Some(failure) => Err(failure.into()),
            None => Err(Refusal { is_for_keys, ..Refusal::for_room(refused.unwrap_or_else(super::no_ring)) }),
        }
    }

    /// The cheapest program with bootstraps. They are asked to be as precise as the outputs must be, and more precise as
    /// long as the outputs are not; and to give fewer levels, with smaller keys, as long as keys are too large.
    ///
    /// `magnitudes` has the largest slot of every value. `needed_bits` is the precision that outputs were found to need,
    /// also in other rings: what is tried first.
    pub fn bootstrapped(
        &self,
        magnitudes: &EntityVec<ValueId, f64>,
        needed_bits: &mut f64,
    ) -> Result<Scheduled, Refusal> {
        let least_bits = libm::ceil(libm::log2(DEVIATIONS / self.options.max_error) + FIRST_RESERVE_BITS).max(1.0);
        let mut options = BootstrapOptions {
            precision_bits: needed_bits.max(least_bits),
            levels: None,
            magnitudes: Some(magnitudes.clone()),
            costs: self.options.costs.clone(),
        };
        let mut refused: Option<Refusal> = None;
        // The last precision that was too noisy, and the least one that no bootstrap has.
        let (mut noisy, mut impossible) = (None, f64::INFINITY);
        loop {
            let bits = options.precision_bits;
            let leveled = match (hec_plan::plan_with_bootstraps(self.circuit, &self.plan(1), &options), refused.take())
            {
                (Ok(leveled), _) => leveled,
                (Err(_), None) if bits > least_bits => {
                    options.precision_bits = least_bits;
                    continue;
                }
                (Err(error), None) => return Err(self.impossible(error, bits)),
                (Err(_), Some(refusal)) => {
                    impossible = bits;
                    let between = |noisy: f64| libm::floor(noisy.midpoint(impossible));
                    match noisy.filter(|&noisy| between(noisy) > noisy) {
                        Some(noisy) => options.precision_bits = between(noisy),
                        None => return Err(refusal),
                    }
                    refused = Some(refusal);
                    continue;
                }
            };
            let levels = leveled.bootstrap.as_ref().map_or(0, |b| b.levels.0);
            let draft = match self.draft(leveled) {
                Err(refusal) if refusal.is_for_keys && levels > 1 => {
                    options.levels = Some(Depth(levels - 1));
                    refused = Some(refusal);
                    continue;
                }
                draft => draft?,
            };
            self.check_seconds(&draft)?;
            if let Some(failure) = self.too_much_memory(&draft.program)? {
                return Err(failure.into());
            }
            let scheduled = self.price(draft)?;
            let Some(error) = self.excess(&scheduled.priced) else { return Ok(scheduled) };
            let advice = format!("no bootstrap is more precise than 2^-{bits:.0}: {QUIETER}");
            let refusal = Refusal::for_room(self.too_noisy(error).advise(advice));
            let raised = bits + libm::ceil(libm::log2(error / self.options.max_error)).clamp(1.0, MOST_RAISED);
            options.precision_bits = raised.min(libm::floor(bits.midpoint(impossible)));
            if options.precision_bits <= bits {
                return Err(refusal);
            }
            *needed_bits = needed_bits.max(options.precision_bits);
            (noisy, refused) = (Some(bits), Some(refusal));
        }
    }

    fn plan(&self, digit_size: usize) -> PlanOptions {
        PlanOptions {
            log_n: self.log_n,
            scale_bits: self.options.scale_bits,
            magnitude: self.inputs.range * MAGNITUDE_MARGIN,
            digit_size,
            insecure_toy: self.options.insecure_toy,
        }
    }

    /// A program that takes longer than another one needs no forecast of its errors: more precision takes longer yet.
    fn check_seconds(&self, draft: &Draft) -> Result<(), Refusal> {
        let seconds = draft.costs.total.seconds;
        if seconds < self.seconds {
            return Ok(());
        }
        let message = format!("N = 2^{}: {seconds:.3} s predicted at least", self.log_n.0);
        Err(Failure::new("HEC-L010", message).advise("there is a faster program").into())
    }

    fn draft(&self, leveled: leveled::Circuit) -> Result<Draft, Refusal> {
        let program = match self.options.max_key_bytes {
            None => hec_schedule::schedule(&leveled, &self.options.costs),
            Some(limit) => hec_schedule::schedule_within(&leveled, &self.options.costs, limit),
        };
        let program = program.map_err(|error| {
            let is_for_keys = matches!(error, ScheduleError::Keys { .. });
            Refusal { is_for_keys, ..Refusal::for_room(error.into()) }
        })?;
        let costs = costs(&program, self.options)?;
        Ok(Draft { leveled, program, costs })
    }

    fn price(&self, draft: Draft) -> Result<Scheduled, Failure> {
        let Draft { leveled, program, costs } = draft;
        let priced = price(program, costs, self.inputs, self.options.max_error)?;
        Ok(Scheduled { circuit: self.circuit.clone(), leveled, priced, alternatives: Vec::new() })
    }

    /// The predicted error of an output as a share of the range, if it is too large.
    fn excess(&self, priced: &Priced) -> Option<f64> {
        let error = DEVIATIONS * priced.output_noise / self.inputs.range.max(f64::MIN_POSITIVE);
        (error > self.options.max_error).then_some(error)
    }

    /// Why a program is refused, if it takes more memory than is allowed.
    fn too_much_memory(&self, program: &Program) -> Result<Option<Failure>, Failure> {
        let Some(most) = self.options.max_memory else { return Ok(None) };
        let memory = hec_schedule::memory(program)?;
        let needed = memory.keys + memory.ciphertexts + memory.constants;
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        let message =
            format!("N = 2^{}: the program takes {:.1} GiB, more than {:.1}", self.log_n.0, gib(needed), gib(most));
        Ok((needed > most).then(|| {
            Failure::new("HEC-L008", message).advise("allow more with --max-memory, or use a smaller layer or ring")
        }))
    }

    fn too_noisy(&self, error: f64) -> Failure {
        let message = format!(
            "N = 2^{}: the scheme's noise is predicted to be 2^{:.1} of the outputs' range, more than 2^{:.1}",
            self.log_n.0,
            libm::log2(error),
            libm::log2(self.options.max_error)
        );
        Failure::new("HEC-L004", message)
    }

    /// Why there is no plan with bootstraps.
    fn impossible(&self, error: PlanError, bits: f64) -> Refusal {
        let ring = self.log_n.0;
        Refusal::for_room(match error {
            PlanError::Parameters(ParametersError::NoBootstrap) => {
                let secure = if self.options.insecure_toy { "" } else { " of 128-bit security" };
                let message = format!("N = 2^{ring}: no bootstrap{secure} is as precise as 2^-{bits:.0}");
                Failure::new("HEC-L006", message).advise("use a larger ring, or raise --max-error")
            }
            PlanError::NoPlacement { .. } => Failure::new("HEC-L007", format!("N = 2^{ring}: {error}")).advise(
                "calibrate with inputs as the network will see them, or scale the weights so that values stay small",
            ),
            other => return other.into(),
        })
    }
}

const QUIETER: &str = "use a larger ring or scale, or raise --max-error";
/// Bits by which the precision of bootstraps is raised at once, at most.
const MOST_RAISED: f64 = 8.0;

/// What a program is predicted to cost.
pub(super) fn costs(program: &Program, options: &RingOptions) -> Result<CostReport, Failure> {
    let ahead = hec_schedule::memory(program)?.encodes_ahead;
    let constants = if ahead { Constants::Encoded } else { Constants::AsStored };
    CostReport::with_constants(program, &options.costs, constants).map_err(|e| Failure::new("HEC-L005", e))
}

/// A program with its costs and its noise on some of the samples, for an error that is wanted.
pub(super) fn price(program: Program, costs: CostReport, inputs: &Inputs, max_error: f64) -> Result<Priced, Failure> {
    let most = max_error * inputs.range / DEVIATIONS;
    let noise = forecast(&program, &inputs.samples, most).map_err(|e| Failure::new("HEC-L005", e))?;
    let (output_noise, output_range) = (noise.output_std_dev, inputs.range);
    Ok(Priced { program, costs, noise: noise.layers, output_noise, output_range })
}
