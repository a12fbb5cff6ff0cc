//! What this machine does in how much time.

use super::bar::Bar;
use super::output::write_file;
use super::{Bench, Calibrate};
use hec_ir::cost::CostTable;
use hec_run::RunError;
use std::fmt::Write;

/// Measurements are finite numbers and plain strings, which JSON always holds.
pub fn json(value: &impl serde::Serialize) -> Result<String, RunError> {
    let text = serde_json::to_string_pretty(value);
    text.map(|t| t + "\n").map_err(|e| RunError::Usage(format!("the result cannot be written as JSON: {e}")))
}

pub fn bench(args: &Bench) -> Result<String, RunError> {
    let all = hec_run::bench(&Bar::new("measuring"))?;
    if args.json {
        return json(&all);
    }
    let mut text = String::new();
    let mut log_n = 0;
    for m in &all {
        if m.log_n != log_n {
            log_n = m.log_n;
            let _ = writeln!(text, "N = 2^{log_n}, medians on all threads");
        }
        let primes = if m.primes == 1 { "1 prime".to_owned() } else { format!("{} primes", m.primes) };
        let _ = writeln!(text, "  {:<32} {primes:>10} {:>12.1} us", m.operation, m.seconds * 1e6);
    }
    Ok(text)
}

pub fn calibrate(args: &Calibrate) -> Result<String, RunError> {
    let calibration = hec_run::calibrate(&Bar::new("measuring"))?;
    write_file(&args.output, json(&calibration.table)?.as_bytes())?;
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
