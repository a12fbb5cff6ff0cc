//! The choice of the ring: pack, plan and schedule for each that fits, and take the cheapest.
//!
//! A larger ring holds more levels and more slots but costs more an operation; a larger key-switching digit needs fewer
//! products with keys but more special primes, which take room from the levels; bootstraps make a smaller ring do. None
//! of it can be decided alone, so every combination worth trying is scheduled and priced by the cost model, and the noise
//! model says whether it is precise enough.

mod candidate;
mod inputs;

use crate::{Bootstrapping, Failure};
use candidate::{Candidate, Refusal};
use hec_ir::circuit::{Circuit, ValueId};
use hec_ir::cost::CostTable;
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::clear::{simulate_circuit, simulate_clear};
use hec_ir::evaluate::cost::CostReport;
use hec_ir::evaluate::noise::LayerNoise;
use hec_ir::leveled;
use hec_ir::program::Program;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_ir::{Batch, Depth, LogN, Slots};
use hec_pack::PackOptions;
use inputs::Inputs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The smallest ring that is tried.
const SMALLEST: LogN = hec_params::MIN_LOG_N;
/// The largest ring that is tried.
const LARGEST: LogN = hec_params::MAX_LOG_N;
/// Where a leveled program of at most this ring is possible, bootstraps are not tried: one takes longer than all of it.
const LARGEST_WITHOUT: LogN = LogN(15);
/// Rings whose bootstraps are tried; the largest ring's only if no other program is possible.
const BOOTSTRAPPED: std::ops::RangeInclusive<u32> = 15..=16;

/// From this ring on a larger one is not tried if every value has a ciphertext of its own.
const ROOMY: LogN = LogN(16);

/// Fewer slots gain nothing.
const LEAST_SLOTS: Slots = Slots(16);

/// What the choice follows.
#[derive(Clone, Debug, PartialEq)]
pub struct RingOptions {
    /// Costs of the machine.
    pub costs: CostTable,
    /// The ring, if the user chose it.
    pub ring: Option<LogN>,
    /// Inputs that share a ciphertext.
    pub batch: Batch,
    /// log2 of the scale, if the user chose it.
    pub scale_bits: Option<f64>,
    /// Whether programs may bootstrap.
    pub bootstrap: Bootstrapping,
    /// The largest predicted error of an output, as a share of the outputs' range.
    pub max_error: f64,
    /// Bytes that keys, ciphertexts and constants may take together, if they are limited.
    pub max_memory: Option<usize>,
    /// Bytes of evaluation keys in a file, at most.
    pub max_key_bytes: Option<usize>,
    /// Accept less than 128-bit security.
    pub insecure_toy: bool,
}

/// A program and what is predicted of it.
pub struct Priced {
    /// The program.
    pub program: Program,
    /// Its predicted costs.
    pub costs: CostReport,
    /// The noise in each layer's result.
    pub noise: Vec<LayerNoise>,
    /// Largest standard deviation of the noise in an output.
    pub output_noise: f64,
    /// Largest absolute value of an output on the samples.
    pub output_range: f64,
}

/// The results of the last three stages.
pub struct Scheduled {
    /// On slots.
    pub circuit: Circuit,
    /// With levels.
    pub leveled: leveled::Circuit,
    /// The program.
    pub priced: Priced,
    /// What was tried, this one included.
    pub alternatives: Vec<Alternative>,
}

/// A ring that was tried, with or without bootstraps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Whether it was planned with bootstraps.
    pub bootstrapped: bool,
    /// Predicted seconds of one thread, if there is a program that is precise enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Ciphertexts that it bootstraps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstraps: Option<usize>,
    /// Why there is no such program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether it was taken: it has the least predicted time.
    pub taken: bool,
}

impl Alternative {
    fn of(log_n: LogN, bootstrapped: bool, found: &Result<Scheduled, Refusal>) -> Self {
        let total = found.as_ref().ok().map(|s| &s.priced.costs.total);
        Alternative {
            log_n: log_n.0,
            bootstrapped,
            seconds: total.map(|t| t.seconds),
            bootstraps: total.filter(|_| bootstrapped).map(|t| t.bootstraps),
            refused: found.as_ref().err().map(|r| r.failure.first_sentence()),
            taken: false,
        }
    }
}

impl Scheduled {
    /// Predicted seconds of one thread.
    pub fn seconds(&self) -> f64 {
        self.priced.costs.total.seconds
    }
}

/// The cheapest program that is precise enough.
///
/// # Errors
/// When no ring holds the network, the error of the largest ring, which names the layers that cost the depth; when the
/// noise is too large in every ring, an error that says how large it is; with what stands against bootstraps.
pub fn choose(graph: &Graph, samples: &[Vec<Tensor>], options: &RingOptions) -> Result<Scheduled, Failure> {
    let run = |x: &[Tensor]| graph.run(x).map_err(inputs::unfit);
    let inputs = Inputs::new(|| input_shapes(graph), samples, run)?;
    let pack = |log_n: LogN, slots: Slots| {
        let ring = hec_pack::assumed_ring(log_n.slots());
        let (batch, costs) = (options.batch, options.costs.clone());
        let packed = hec_pack::pack(graph, &PackOptions { slots, batch, costs, ring })?;
        Ok(hec_optimize::rewrite_slots(&packed)?.circuit)
    };
    let largest = graph.nodes.keys().map(|id| graph.shape(id).elements()).max().unwrap_or(1);
    let least = Slots(largest.next_power_of_two().max(LEAST_SLOTS.0));
    let needs = Needs { slots: least, depth: hec_pack::least_depth(graph) };
    Choice::new(options, &inputs, &pack, needs, options.batch).make(options.ring)
}

/// Plan and schedule a circuit given as text, in the ring that its slots say.
///
/// # Errors
/// As [`choose`].
pub fn from_circuit(circuit: &Circuit, samples: &[Vec<Tensor>], options: &RingOptions) -> Result<Scheduled, Failure> {
    let run = |x: &[Tensor]| simulate_circuit(circuit, x).map_err(inputs::unfit);
    let inputs = Inputs::new(|| circuit.inputs.iter().map(|i| &i.layout.shape), samples, run)?;
    let log_n = LogN(circuit.ciphertext_slots().0.ilog2() + 1);
    let rewritten = hec_optimize::rewrite_slots(circuit)?.circuit;
    let needs = Needs { slots: circuit.slots, depth: Depth(0) };
    Choice::new(options, &inputs, &|_, _| Ok(rewritten.clone()), needs, circuit.batch).make(Some(log_n))
}

/// Schedule a leveled circuit given as text.
///
/// # Errors
/// When it cannot be scheduled.
pub fn from_leveled(circuit: &leveled::Circuit, options: &RingOptions) -> Result<Priced, Failure> {
    from_program(hec_schedule::schedule(circuit, &options.costs)?, options)
}

/// Price a program given as text.
///
/// # Errors
/// When it cannot be simulated.
pub fn from_program(program: Program, options: &RingOptions) -> Result<Priced, Failure> {
    let sample = inputs::seeded(program.inputs.iter().map(|i| &i.layout.shape), 0);
    let range = inputs::largest(&simulate_clear(&program, &sample).map_err(inputs::unfit)?);
    let costs = candidate::costs(&program, options)?;
    candidate::price(program, costs, &Inputs { samples: vec![sample], range }, f64::INFINITY)
}

/// A circuit for a ring and a number of slots.
type Pack<'a> = &'a dyn Fn(LogN, Slots) -> Result<Circuit, Failure>;

/// What is known of a network before it is packed.
#[derive(Clone, Copy)]
struct Needs {
    /// As many slots as the largest value has elements.
    slots: Slots,
    /// At least as many levels.
    depth: Depth,
}

/// A circuit, and what was found out about it.
struct Packed {
    circuit: Circuit,
    /// The largest magnitude of a slot of every value, if it was asked for.
    magnitudes: Option<EntityVec<ValueId, f64>>,
}

/// Programs for one ring after the other, and the best of them.
struct Choice<'a> {
    options: &'a RingOptions,
    inputs: &'a Inputs,
    pack: Pack<'a>,
    needs: Needs,
    /// Inputs that share a ciphertext.
    batch: Batch,
    /// Circuits by their slots: a ring may be tried twice, and a larger one with as many slots as a smaller one has.
    packed: BTreeMap<Slots, Packed>,
    alternatives: Vec<Alternative>,
    best: Option<Scheduled>,
    /// The precision of bootstraps that outputs were found to need.
    needed_bits: f64,
    /// The last refusal without bootstraps, and with them.
    refused: [Option<Refusal>; 2],
}

impl<'a> Choice<'a> {
    fn new(options: &'a RingOptions, inputs: &'a Inputs, pack: Pack<'a>, needs: Needs, batch: Batch) -> Self {
        let (packed, alternatives) = (BTreeMap::new(), Vec::new());
        let (best, needed_bits, refused) = (None, 0.0, [None, None]);
        Choice { options, inputs, pack, needs, batch, packed, alternatives, best, needed_bits, refused }
    }

    /// The best program of one ring, or of all.
    fn make(mut self, ring: Option<LogN>) -> Result<Scheduled, Failure> {
        let mode = self.options.bootstrap;
        if mode != Bootstrapping::Always {
            self.leveled(ring.map_or(SMALLEST.0..=LARGEST.0, |r| r.0..=r.0));
        }
        let is_small = self.best.as_ref().is_some_and(|b| b.priced.program.parameters.log_n <= LARGEST_WITHOUT);
        let is_hopeless = self.best.is_none() && self.refused[0].as_ref().is_some_and(|r| !r.is_for_room);
        if mode != Bootstrapping::Never && !is_small && !is_hopeless {
            ring.map_or(BOOTSTRAPPED, |r| r.0..=r.0).for_each(|log_n| self.attempt(LogN(log_n), true));
            if ring.is_none() && self.best.is_none() {
                self.attempt(LARGEST, true);
            }
        }
        match self.best {
            Some(best) => Ok(Scheduled { alternatives: taken(self.alternatives, &best), ..best }),
            None => Err(match self.refused.map(|r| r.map(|r| r.failure)) {
                [Some(leveled), Some(bootstrapped)] => leveled.and("With bootstraps", &bootstrapped),
                [one, other] => one.or(other).unwrap_or_else(no_ring),
            }),
        }
    }

    fn leveled(&mut self, rings: std::ops::RangeInclusive<u32>) {
        let last = LogN(*rings.end());
        for log_n in rings.map(LogN) {
            let found_smaller = self.best.is_some();
            // The last refusal is what the user reads, so the last ring is packed to say which layers cost the depth.
            match self.room(log_n) {
                Err(refused) if log_n < last => self.refuse(log_n, refused),
                _ => self.attempt(log_n, false),
            }
            // Twice the ring costs more than twice as much; one step further covers a tensor that then fits one
            // ciphertext.
            let is_roomy = log_n >= ROOMY && self.needs.slots <= self.slots(log_n);
            // A larger ring has larger keys.
            let has_large_keys = self.refused[0].as_ref().is_some_and(|r| r.is_for_keys);
            if has_large_keys || self.best.is_some() && (found_smaller || is_roomy) {
                break;
            }
        }
    }

    /// The slots of one input.
    fn slots(&self, log_n: LogN) -> Slots {
        log_n.slots().shared_by(self.batch)
    }

    /// Whether a ring has room for the batch.
    fn check_batch(&self, log_n: LogN) -> Result<(), Refusal> {
        match self.slots(log_n) {
            slots if slots < LEAST_SLOTS && !self.batch.is_one() => Err(Refusal::for_batch(self.batch, log_n)),
            _ => Ok(()),
        }
    }

    /// Whether a ring has room for the batch and the depth, which packing need not tell.
    fn room(&self, log_n: LogN) -> Result<(), Refusal> {
        self.check_batch(log_n)?;
        let circuit = &Circuit::new("", log_n.slots());
        let seconds = f64::INFINITY;
        let candidate = Candidate { circuit, log_n, inputs: self.inputs, options: self.options, seconds };
        candidate.room(self.needs.depth)
    }

    fn refuse(&mut self, log_n: LogN, refused: Refusal) {
        self.alternatives.push(Alternative::of(log_n, false, &Err(refused)));
    }

    fn attempt(&mut self, log_n: LogN, bootstrapped: bool) {
        let found =
            if bootstrapped { self.bootstrapped(log_n) } else { self.candidate(log_n).and_then(|c| c.leveled()) };
        self.alternatives.push(Alternative::of(log_n, bootstrapped, &found));
        match found {
            Ok(found) if self.best.as_ref().is_none_or(|b| found.seconds() < b.seconds()) => self.best = Some(found),
            Ok(_) => {}
            Err(error) => self.refused[usize::from(bootstrapped)] = Some(error),
        }
    }

    /// With all slots of the ring, or with as few as the values need: a bootstrap of fewer costs less, but packing has
    /// less room.
    fn bootstrapped(&mut self, log_n: LogN) -> Result<Scheduled, Refusal> {
        self.check_batch(log_n)?;
        let all = self.slots(log_n);
        let fewest = self.needs.slots;
        let few = if fewest < all { self.bootstrapped_of(log_n, fewest, self.seconds()).ok() } else { None };
        let seconds = few.as_ref().map_or(self.seconds(), Scheduled::seconds);
        // Only what is faster is given.
        self.bootstrapped_of(log_n, all, seconds).or_else(|refusal| few.ok_or(refusal))
    }

    /// With so many slots, in less than so many seconds.
    fn bootstrapped_of(&mut self, log_n: LogN, slots: Slots, seconds: f64) -> Result<Scheduled, Refusal> {
        let mut needed_bits = self.needed_bits;
        let (inputs, options) = (self.inputs, self.options);
        let Packed { circuit, magnitudes } = self.packed(log_n, slots)?;
        let magnitudes = match magnitudes {
            Some(known) => known,
            None => magnitudes.insert(inputs.magnitudes(circuit)?),
        };
        let candidate = Candidate { circuit, log_n, inputs, options, seconds };
        let found = candidate.bootstrapped(magnitudes, &mut needed_bits);
        self.needed_bits = needed_bits;
        found
    }

    /// Of the fastest program so far.
    fn seconds(&self) -> f64 {
        self.best.as_ref().map_or(f64::INFINITY, Scheduled::seconds)
    }

    /// With all slots of the ring.
    fn candidate(&mut self, log_n: LogN) -> Result<Candidate<'_>, Refusal> {
        self.check_batch(log_n)?;
        let (inputs, options, seconds) = (self.inputs, self.options, self.seconds());
        let circuit = &self.packed(log_n, self.slots(log_n))?.circuit;
        Ok(Candidate { circuit, log_n, inputs, options, seconds })
    }

    /// With so many slots. Packing for a smaller ring has the same operations to choose among at nearly the same ratios
    /// of their prices, so that the first one does for all.
    fn packed(&mut self, log_n: LogN, slots: Slots) -> Result<&mut Packed, Failure> {
        match self.packed.entry(slots) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let circuit = (self.pack)(log_n, slots)?;
                Ok(new.insert(Packed { circuit, magnitudes: None }))
            }
        }
    }
}

/// With the mark at the one that was taken.
fn taken(mut alternatives: Vec<Alternative>, best: &Scheduled) -> Vec<Alternative> {
    let log_n = best.priced.program.parameters.log_n.0;
    let is_best = |a: &&mut Alternative| a.log_n == log_n && a.bootstrapped == best.leveled.bootstrap.is_some();
    alternatives.iter_mut().filter(is_best).for_each(|a| a.taken = true);
    alternatives
}

fn no_ring() -> Failure {
    Failure::new("HEC-L003", "no ring is allowed")
}

fn input_shapes(graph: &Graph) -> impl Iterator<Item = &Shape> {
    graph.inputs().map(|(id, _)| graph.shape(id))
}
