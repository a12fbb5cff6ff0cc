//! The report as text.

use super::{LayerReport, Report, path, products, rotations};
use hec_ir::evaluate::noise::DEVIATIONS;
use hec_nonlinear::Method;
use std::fmt::Write;

/// The report for people.
pub fn print(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, r: &Report) -> std::fmt::Result {
    writeln!(out, "{}", r.network)?;
    writeln!(out, "security   {}", r.security)?;
    if let Some(b) = &r.bootstraps {
        writeln!(out, "           {}", b.encapsulation)?;
    }
    let p = &r.parameters;
    writeln!(
        out,
        "parameters {} slots{}, {} levels, scale 2^{:.1}, base 2^{:.1}, {} special primes, digits of {}",
        p.slots,
        if p.batch.is_one() { String::new() } else { format!(" for {} inputs at once", p.batch.0) },
        p.levels,
        p.log2_scale,
        p.log2_base,
        p.special,
        p.digit_size
    )?;
    writeln!(
        out,
        "depth      {} before rewriting, {} after{}, {} packed",
        r.depth.before,
        r.depth.after,
        r.depth.least.map_or(String::new(), |least| format!(" ({least} would be slower)")),
        r.depth.packed
    )?;
    if let Some(b) = &r.bootstraps {
        writeln!(
            out,
            "bootstraps {} of {} slots, level {} → {}, error 2^{:.1}, one fails with probability at most 2^{:.0}",
            b.count, b.slots, b.from, b.to, b.log2_error, b.log2_failure
        )?;
    }
    if let Some(c) = &r.client {
        for (when, operations) in [("before encryption", &c.before), ("after decryption", &c.after)] {
            if !operations.is_empty() {
                writeln!(out, "client     {when}: {}", operations.join(", "))?;
            }
        }
        writeln!(out, "           the client gets {} numbers of weights", c.weights)?;
    }
    write_alternatives(out, r)?;
    write_front(out, r)?;
    if let Some(a) = &r.agreement {
        let surely = a.surely.filter(|&s| Some(s) != a.classes);
        let surely = surely.map_or(String::new(), |s| format!("{:.1} % surely, ", 100.0 * s));
        let classes = a.classes.map_or(String::new(), |c| format!("{:.1} % of the classes kept, {surely}", 100.0 * c));
        writeln!(
            out,
            "agreement  {classes}outputs within {:.1} % (rms) of the original, on {} validation inputs",
            100.0 * a.relative_error,
            a.samples
        )?;
    }
    if let Some(e) = &r.errors {
        writeln!(
            out,
            "errors     outputs within {:.1} % (rms) predicted for new inputs, by layer below",
            100.0 * e.outputs
        )?;
    }
    writeln!(out)?;
    write_layers(out, r)?;
    writeln!(out)?;
    if r.bootstraps.is_some() {
        path::draw(out, &r.levels)?;
        writeln!(out)?;
    }
    write_replacements(out, r)?;
    if !r.rules.is_empty() {
        writeln!(out, "rules that found something new, and the levels that the network would take more without each:")?;
        for (rule, times) in &r.rules {
            let saved =
                r.saved_by(rule).filter(|&levels| levels > 0).map_or(String::new(), |levels| levels.to_string());
            writeln!(out, "  {times:>5} × {saved:>3}  {rule}")?;
        }
    }
    let s = &r.sizes;
    writeln!(
        out,
        "keys       {} keys, {} in a file, {} in memory; request {}",
        s.key_count,
        bytes(s.stored_keys),
        bytes(s.keys),
        bytes(s.request)
    )?;
    writeln!(
        out,
        "memory     {} predicted, with keys, ciphertexts of at most {} and constants of {}",
        bytes(s.peak),
        bytes(s.ciphertexts),
        bytes(s.constants)
    )?;
    let (most, range) = (r.log2_noise + libm::log2(DEVIATIONS), r.output_range);
    writeln!(
        out,
        "noise      standard deviation 2^{:.1} of the outputs' range ({range:.3}), at most 2^{most:.1}",
        r.log2_noise
    )?;
    writeln!(out, "time       {:.3} s predicted on one thread, {:.3} s on all", r.seconds.0, r.seconds.1)?;
    if !p.batch.is_one() {
        let each = |seconds: f64| 1e3 * seconds / p.batch.0 as f64;
        writeln!(out, "           {:.2} and {:.2} ms an input", each(r.seconds.0), each(r.seconds.1))?;
    }
    for warning in &r.warnings {
        writeln!(out, "warning    {warning}")?;
    }
    Ok(())
}

/// What was tried, and why the program is the one it is.
fn write_alternatives(out: &mut String, r: &Report) -> std::fmt::Result {
    for (i, a) in r.alternatives.iter().enumerate() {
        let with = match a.bootstraps {
            Some(1) => "one bootstrap".to_owned(),
            Some(count) => format!("{count} bootstraps"),
            None if a.bootstrapped => "bootstraps".to_owned(),
            None => "no bootstrap".to_owned(),
        };
        let outcome = match (&a.refused, a.seconds) {
            (Some(reason), _) => reason.clone(),
            (None, Some(seconds)) if a.taken => format!("{seconds:.3} s predicted, the least: taken"),
            (None, seconds) => format!("{:.3} s predicted", seconds.unwrap_or_default()),
        };
        let title = if i == 0 { "choice" } else { "" };
        let ring = format!("N = 2^{}", a.log_n);
        let reason = outcome.strip_prefix(&format!("{ring}: ")).unwrap_or(&outcome);
        writeln!(out, "{title:<10} {ring}, {with}: {reason}")?;
    }
    Ok(())
}

fn write_front(out: &mut String, r: &Report) -> std::fmt::Result {
    for (i, point) in r.front.iter().enumerate() {
        let title = if i == 0 { "networks" } else { "" };
        let mut facts = vec![point.choices.clone()];
        facts.extend(point.depth.map(|depth| format!("{depth} levels")));
        facts.extend(point.seconds.map(|seconds| format!("{seconds:.3} s predicted")));
        facts.extend(point.memory.map(|bytes| format!("{:.0} MiB", bytes as f64 / 1024.0 / 1024.0)));
        facts.extend(point.classes.map(|share| format!("{:.1} % of the classes kept", 100.0 * share)));
        facts.extend(point.relative_error.map(|error| format!("outputs within {:.1} %", 100.0 * error)));
        facts.extend(point.refused.clone());
        let taken = if point.taken { ": taken" } else { "" };
        writeln!(out, "{title:<10} {}. {}{taken}", i + 1, facts.join(", "))?;
    }
    Ok(())
}

const HEADINGS: [&str; 9] =
    ["layer", "levels", "diagonals", "rotations", "products", "key switches", "noise", "seconds", "note"];

fn write_layers(out: &mut String, r: &Report) -> std::fmt::Result {
    let mut rows: Vec<[String; 9]> = vec![HEADINGS.map(str::to_owned)];
    rows.extend(r.layers.iter().map(cells));
    let t = &r.total;
    rows.push([
        "total".to_owned(),
        format!("{} → 0", r.parameters.levels),
        t.diagonals.to_string(),
        rotations(t).to_string(),
        products(t).to_string(),
        t.key_switches.to_string(),
        String::new(),
        format!("{:.3}", t.seconds),
        String::new(),
    ]);
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    for row in &rows {
        let mut line = format!("{:<w$}", row[0], w = widths[0]);
        for i in 1..HEADINGS.len() - 1 {
            write!(line, "  {:>w$}", row[i], w = widths[i])?;
        }
        writeln!(out, "{}", format!("{line}  {}", row[HEADINGS.len() - 1]).trim_end())?;
    }
    Ok(())
}

fn cells(layer: &LayerReport) -> [String; 9] {
    let c = &layer.counts;
    let lifted = layer.bootstrapped_to.map_or(String::new(), |level| format!(" ↑ {level}"));
    [
        layer.layer.clone(),
        format!("{} → {}{}", layer.level_in, layer.level_out, lifted),
        c.diagonals.to_string(),
        rotations(c).to_string(),
        products(c).to_string(),
        c.key_switches.to_string(),
        layer.log2_noise.map_or(String::new(), |n| format!("2^{n:.1}")),
        format!("{:.3}", c.seconds),
        layer.note.clone(),
    ]
}

fn write_replacements(out: &mut String, r: &Report) -> std::fmt::Result {
    for x in &r.replacements {
        let outside = x.outside.map_or(String::new(), |p| format!(", P(outside) {p:.1e}"));
        writeln!(
            out,
            "{:<10} {} by {}: depth {}, {} products, {} channels, range {:.2}..{:.2}, rms {:.4}, max {:.4}, {:.2e} a \
             quarter outside{outside}",
            x.layer,
            x.function,
            x.choice,
            x.depth.0,
            x.products,
            x.channels,
            x.range.0,
            x.range.1,
            x.rms,
            x.max,
            x.growth
        )?;
        if let Some(e) = r.errors.iter().flat_map(|e| &e.layers).find(|e| e.layer == x.layer) {
            let (input, adds) = (100.0 * e.input, 100.0 * e.adds);
            writeln!(
                out,
                "           predicted: its input within {input:.2} %, adds {adds:.2} % to the outputs' error"
            )?;
        }
        if let Some(advice) = &x.advice {
            writeln!(out, "           {advice}")?;
        }
    }
    for x in &r.corrections {
        let (before, after) = (100.0 * x.before, 100.0 * x.after);
        match x.method {
            Method::None => writeln!(out, "{:<10} as it was: no re-fit brings its error below {before:.2} %", x.layer)?,
            Method::Bias => writeln!(out, "{:<10} new bias: error {before:.2} % to {after:.2} %", x.layer)?,
            Method::Ridge(ridge) => {
                writeln!(out, "{:<10} re-fitted (ridge {ridge}): error {before:.2} % to {after:.2} %", x.layer)?;
            }
        }
    }
    Ok(())
}

/// A size for people.
pub fn bytes(size: usize) -> String {
    let mut value = size as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{size} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.2} GiB")
}
