//! The choice of the ring: pack, plan and schedule for each that fits, and take the cheapest.
//!
//! A larger ring holds more levels and more slots but costs more an operation; a larger key-switching digit needs fewer
//! products with keys but more special primes, which take room from the levels. Neither can be decided alone, so every
//! combination worth trying is scheduled and priced by the cost model, and the noise model says whether it is precise
//! enough.

use crate::Failure;
use hec_ir::LogN;
use hec_ir::circuit::Circuit;
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{simulate_circuit, simulate_clear};
use hec_ir::evaluate::cost::CostReport;
use hec_ir::evaluate::noise::simulate_noise;
use hec_ir::leveled;
use hec_ir::program::Program;
use hec_ir::tensor::{Graph, Shape, Tensor};
use hec_pack::PackOptions;
use hec_plan::PlanOptions;

/// The smallest ring that is tried.
const SMALLEST: LogN = hec_params::MIN_LOG_N;
/// The largest ring that is tried.
const LARGEST: LogN = LogN(16);
/// Key-switching digits of up to this many primes are tried.
const LARGEST_DIGIT: usize = 4;
/// At most this many samples decide how large outputs get.
const MAGNITUDE_SAMPLES: usize = 64;
/// Outputs on other inputs may be this much larger than on the samples, and partial sums larger than outputs.
const MAGNITUDE_MARGIN: f64 = 16.0;

/// What the choice follows.
#[derive(Clone, Debug, PartialEq)]
pub struct RingOptions {
    /// Costs of the machine.
    pub costs: CostTable,
    /// The ring, if the user chose it.
    pub ring: Option<LogN>,
    /// log2 of the scale, if the user chose it.
    pub scale_bits: Option<f64>,
    /// The largest predicted error of an output, as a share of the outputs' range.
    pub max_error: f64,
    /// Accept less than 128-bit security.
    pub insecure_toy: bool,
}

/// A program and what is predicted of it.
pub struct Priced {
    /// The program.
    pub program: Program,
    /// Its predicted costs.
    pub costs: CostReport,
    /// Largest standard deviation of the noise in a slot of each layer's result.
    pub noise: Vec<(String, f64)>,
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
}

impl Scheduled {
    fn seconds(&self) -> f64 {
        self.priced.costs.total.seconds
    }
}

/// The cheapest program that is precise enough.
///
/// # Errors
/// When no ring holds the network, the error of the largest ring, which names the layers that cost the depth; when the
/// noise is too large in every ring, an error that says how large it is.
pub fn choose(graph: &Graph, samples: &[Vec<Tensor>], options: &RingOptions) -> Result<Scheduled, Failure> {
    let run = |x: &[Tensor]| graph.run(x).map_err(|e| Failure::new("HEC-C004", e));
    let output_range = output_range(|| input_shapes(graph), samples, run)?;
    let rings = match options.ring {
        Some(ring) => ring.0..=ring.0,
        None => SMALLEST.0..=LARGEST.0,
    };
    let sample = samples.first().cloned().unwrap_or_else(|| seeded_inputs(input_shapes(graph), 0));
    let mut best: Option<Scheduled> = None;
    let mut refused: Option<Failure> = None;
    for log_n in rings.map(LogN) {
        let found_smaller = best.is_some();
        let pack = PackOptions { costs: options.costs.clone(), ..PackOptions::new(log_n.slots()) };
        let packed = hec_pack::pack(graph, &pack).map_err(Failure::from);
        match packed.and_then(|circuit| cheapest_digit(&circuit, log_n, &sample, output_range, options)) {
            Ok(scheduled) if best.as_ref().is_none_or(|b| scheduled.seconds() < b.seconds()) => best = Some(scheduled),
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
        // Twice the ring costs more than twice as much; one step further covers a tensor that then fits one ciphertext.
        if found_smaller {
            break;
        }
    }
    best.ok_or_else(|| refused.unwrap_or_else(no_ring))
}

/// The cheapest program of a circuit over the sizes of a key-switching digit; the first refusal if none is possible.
fn cheapest_digit(
    circuit: &Circuit,
    log_n: LogN,
    sample: &[Tensor],
    output_range: f64,
    options: &RingOptions,
) -> Result<Scheduled, Failure> {
    let programs = (1..=LARGEST_DIGIT).map(|digit_size| {
        let plan = PlanOptions {
            log_n,
            scale_bits: options.scale_bits,
            magnitude: output_range * MAGNITUDE_MARGIN,
            digit_size,
            insecure_toy: options.insecure_toy,
        };
        candidate(circuit, &plan, sample, output_range, options)
    });
    let cheaper = programs.reduce(|best, next| match (best, next) {
        (Ok(best), Ok(next)) => Ok(if next.seconds() < best.seconds() { next } else { best }),
        (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(only),
        // The smallest digit leaves the most room, so its refusal says the most.
        (Err(first), Err(_)) => Err(first),
    });
    cheaper.unwrap_or_else(|| Err(no_ring()))
}

fn no_ring() -> Failure {
    Failure::new("HEC-L003", "no ring is allowed")
}

fn candidate(
    circuit: &Circuit,
    plan: &PlanOptions,
    sample: &[Tensor],
    output_range: f64,
    options: &RingOptions,
) -> Result<Scheduled, Failure> {
    let leveled = hec_plan::plan(circuit, plan)?;
    let program = hec_schedule::schedule(&leveled, &options.costs)?;
    let priced = price(program, sample, output_range, options)?;
    // Six standard deviations: one output in 10^9 is further off.
    let error = 6.0 * priced.output_noise / output_range.max(f64::MIN_POSITIVE);
    if error > options.max_error {
        let message = format!(
            "N = 2^{}: the scheme's noise is predicted to be 2^{:.1} of the outputs' range, more than 2^{:.1}",
            plan.log_n.0,
            libm::log2(error),
            libm::log2(options.max_error)
        );
        return Err(Failure::new("HEC-L004", message).advise("use a larger ring or scale, or raise --max-error"));
    }
    Ok(Scheduled { circuit: circuit.clone(), leveled, priced })
}

/// What is predicted of a program.
fn price(program: Program, sample: &[Tensor], output_range: f64, options: &RingOptions) -> Result<Priced, Failure> {
    let simulation = |e| Failure::new("HEC-L005", e);
    let costs = CostReport::of_program(&program, &options.costs).map_err(simulation)?;
    let run = simulate_noise(&program, sample, None).map_err(simulation)?;
    let output_noise = run.outputs.iter().flat_map(|o| &o.std_dev.data).copied().fold(0.0, f64::max);
    Ok(Priced { program, costs, noise: run.layers, output_noise, output_range })
}

/// Plan and schedule a circuit given as text, in the ring that its slots say.
///
/// # Errors
/// As [`choose`].
pub fn from_circuit(circuit: &Circuit, samples: &[Vec<Tensor>], options: &RingOptions) -> Result<Scheduled, Failure> {
    let log_n = LogN(circuit.slots.0.ilog2() + 1);
    let run = |x: &[Tensor]| simulate_circuit(circuit, x).map_err(|e| Failure::new("HEC-C004", e));
    let shapes = || circuit.inputs.iter().map(|i| &i.layout.shape);
    let output_range = output_range(shapes, samples, run)?;
    let sample = samples.first().cloned().unwrap_or_else(|| seeded_inputs(shapes(), 0));
    cheapest_digit(circuit, log_n, &sample, output_range, options)
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
    let sample = seeded_inputs(program.inputs.iter().map(|i| &i.layout.shape), 0);
    let range = largest(&simulate_clear(&program, &sample).map_err(|e| Failure::new("HEC-C004", e))?);
    price(program, &sample, range, options)
}

/// Largest absolute output on the samples, or on seeded inputs in [−1, 1] if there are none.
fn output_range<'a, S: Iterator<Item = &'a Shape>>(
    shapes: impl Fn() -> S,
    samples: &[Vec<Tensor>],
    run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, Failure>,
) -> Result<f64, Failure> {
    let seeded: Vec<Vec<Tensor>>;
    let inputs = if samples.is_empty() {
        seeded = (0..8).map(|seed| seeded_inputs(shapes(), seed)).collect();
        &seeded
    } else {
        &samples[..samples.len().min(MAGNITUDE_SAMPLES)]
    };
    let mut range = 0.0f64;
    for sample in inputs {
        range = range.max(largest(&run(sample)?));
    }
    if range == 0.0 {
        return Err(Failure::new(
            "HEC-N003",
            "every output is zero on the calibration data, so errors have no measure",
        )
        .advise("give inputs as the network will see them, and check its weights"));
    }
    if range.is_infinite() {
        return Err(Failure::new("HEC-N002", "the polynomial network overflows on the calibration data")
            .advise("give more calibration data, or pin higher degrees"));
    }
    Ok(range)
}

/// Largest absolute element; infinite if one is not a number.
fn largest(outputs: &[Tensor]) -> f64 {
    let size = |v: &f64| if v.is_nan() { f64::INFINITY } else { v.abs() };
    outputs.iter().flat_map(|t| &t.data).map(size).fold(0.0, f64::max)
}

fn input_shapes(graph: &Graph) -> impl Iterator<Item = &Shape> {
    graph.inputs().map(|(id, _)| graph.shape(id))
}

/// Reproducible inputs in [−1, 1].
fn seeded_inputs<'a>(shapes: impl Iterator<Item = &'a Shape>, seed: u64) -> Vec<Tensor> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    shapes.map(|shape| Tensor { shape: shape.clone(), data: (0..shape.elements()).map(|_| next()).collect() }).collect()
}
