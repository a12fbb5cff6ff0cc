//! What this machine does in how much time.

use super::bar::Bar;
use super::output::write_file;
use super::{Bench, Calibrate};
use hec_ir::cost::CostTable;
use hec_run::{Measurement, RunError, bench_rings};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Measurements are finite numbers and plain strings, which JSON always holds.
pub fn json(value: &impl serde::Serialize) -> Result<String, RunError> {
    let text = serde_json::to_string_pretty(value);
    text.map(|t| t + "\n").map_err(|e| RunError::Usage(format!("the result cannot be written as JSON: {e}")))
}

pub fn bench(args: &Bench) -> Result<String, RunError> {
    args.threads.apply()?;
    let asked: BTreeSet<u32> = args.ring.iter().copied().collect();
    let rings = if asked.is_empty() { bench_rings() } else { asked.into_iter().collect() };
    let all = hec_run::bench(&rings, &Bar::new("measuring"))?;
    if args.json { json(&all) } else { Ok(table(&rings, &all)) }
}

/// A row for each operation, a column for each ring.
fn table(rings: &[u32], all: &[Measurement]) -> String {
    const WIDTH: usize = 32;
    let of = |ring: u32| all.iter().filter(move |m| m.log_n == ring);
    let mut text = format!("{:<WIDTH$}", "milliseconds (median)");
    let head = |ring: &u32| format!("{:>12}", format!("N = 2^{ring}"));
    let primes = |ring: &u32| format!("{:>12}", of(*ring).next().map_or(0, |m| m.primes));
    text += &rings.iter().map(head).collect::<String>();
    let _ = write!(text, "\n{:<WIDTH$}{}", "primes of a ciphertext", rings.iter().map(primes).collect::<String>());
    for row in rings.first().into_iter().flat_map(|&ring| of(ring)) {
        let _ = write!(text, "\n{:<WIDTH$}", row.operation);
        for m in all.iter().filter(|m| m.operation == row.operation) {
            let _ = write!(text, "{:>12.3}", m.seconds * 1e3);
        }
    }
    text + "\n"
}

pub fn calibrate(args: &Calibrate) -> Result<String, RunError> {
    let calibration = hec_run::calibrate(&Bar::new("measuring"))?;
    write_file(&args.output, json(&calibration.table)?.as_bytes())?;
    if calibration.is_disturbed() {
        super::complain(&format!(
            "warning: repeats took up to {:.1} times the least time in the median, so something else keeps the processors \
             busy: {} is not to be relied on; measure again when nothing else runs",
            calibration.disturbance,
            args.output.display()
        ));
    }
    let CostTable { butterfly, multiply_add, add, fft_butterfly, parallel_speedup } = calibration.table;
    let mut text = format!(
        "NTT butterfly {butterfly:.3} ns, multiply-add {multiply_add:.3} ns, add {add:.3} ns, \
         FFT butterfly {fft_butterfly:.3} ns, all threads {parallel_speedup:.2} times one\n"
    );
    for p in &calibration.predictions {
        let (predicted, measured) = (p.predicted * 1e6, p.measured * 1e6);
        let _ = writeln!(text, "  {:<12} predicted {predicted:>10.1} us, measured {measured:>10.1} us", p.operation);
    }
    let _ = writeln!(text, "cost table: {}", args.output.display());
    Ok(text)
}
