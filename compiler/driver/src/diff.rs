//! `hec diff A.hec B.hec`: what changed from one compiled program to another.
//!
//! Exit codes are those of `diff`: 0 where nothing differs, 1 where something does, 2 where a file cannot be read.

use crate::report::{LayerReport, Report, bytes, products, rotations};
use crate::{DiffArgs, Failure};
use hec_ir::artifact::Artifact;
use hec_nonlinear::{Correction, Method, Replacement};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// Exit code where a file cannot be read.
const TROUBLE: u8 = 2;

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The layer, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// What differs.
    pub what: &'static str,
    /// In the first program; `None` where it has no such thing.
    pub before: Option<String>,
    /// In the second program.
    pub after: Option<String>,
}

/// Print what differs.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn diff(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let (before, after) = (load(&args.before)?, load(&args.after)?);
    let changes = changes(&before.1, &after.1);
    let is_same_program = before.0.manifest().program_id == after.0.manifest().program_id;
    if args.json {
        let json = serde_json::json!({ "same_program": is_same_program, "changes": changes });
        println!("{json:#}");
    } else {
        print!("{}", Table(&changes));
        if is_same_program {
            println!("The programs are the same, instruction by instruction and number by number.");
        } else if changes.is_empty() {
            println!("Constants or instructions differ; nothing that is reported of the programs does.");
        }
    }
    Ok(if is_same_program && changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(path: &Path) -> Result<(Artifact, Report), Failure> {
    let artifact = Artifact::read(path).map_err(|e| Failure::file(path, e).exit(TROUBLE))?;
    let report = Report::of_artifact(&artifact).map_err(|e| Failure::file(path, e).exit(TROUBLE))?;
    Ok((artifact, report))
}

/// What differs between two reports: the whole first, then layer by layer in the order of the programs.
pub fn changes(a: &Report, b: &Report) -> Vec<Change> {
    let (wholes_a, wholes_b) = (whole(a), whole(b));
    let mut changes = compare(None, wholes_a, wholes_b);
    for name in layers(a, b) {
        changes.extend(compare(Some(name), of_layer(a, name), of_layer(b, name)));
    }
    changes
}

/// What is told of a program or a layer: titles and values.
type Told = Vec<(&'static str, String)>;

/// Titles of both, in order, where the values differ.
fn compare(layer: Option<&str>, a: Told, b: Told) -> Vec<Change> {
    let find = |told: &Told, what| told.iter().find(|(title, _)| *title == what).map(|(_, value)| value.clone());
    let mut titles: Vec<&'static str> = a.iter().map(|(title, _)| *title).collect();
    titles.extend(b.iter().map(|(title, _)| *title).filter(|t| find(&a, *t).is_none()));
    let change = |what| {
        let (before, after) = (find(&a, what), find(&b, what));
        (before != after).then(|| Change { layer: layer.map(str::to_owned), what, before, after })
    };
    titles.into_iter().filter_map(change).collect()
}

fn whole(r: &Report) -> Told {
    let p = &r.parameters;
    let mut told = vec![
        ("network", r.network.clone()),
        ("security", r.security.to_string()),
        ("ring", format!("N = 2^{}", p.log_n)),
        ("levels", p.levels.to_string()),
        ("scale", format!("2^{:.1}", p.log2_scale)),
        ("base", format!("2^{:.1}", p.log2_base)),
        ("special primes", p.special.to_string()),
        ("digits", format!("of {} primes", p.digit_size)),
        ("depth before rewriting", r.depth.before.to_string()),
        ("depth after rewriting", r.depth.after.to_string()),
        ("depth packed", r.depth.packed.to_string()),
        ("bootstraps", r.bootstraps.as_ref().map_or(0, |b| b.count).to_string()),
        ("diagonals", r.total.diagonals.to_string()),
        ("rotations", rotations(&r.total).to_string()),
        ("products", products(&r.total).to_string()),
        ("key switches", r.total.key_switches.to_string()),
        ("keys", format!("{}, {}", r.sizes.key_count, bytes(r.sizes.keys))),
        ("request", bytes(r.sizes.request)),
        ("ciphertexts", bytes(r.sizes.ciphertexts)),
        ("constants", bytes(r.sizes.constants)),
        ("memory", bytes(r.sizes.peak)),
        ("time on one thread", time(r.seconds.0)),
        ("time on all threads", time(r.seconds.1)),
        ("noise of the outputs", format!("2^{:.1}", r.log2_noise)),
        ("outputs' range", format!("{:.3}", r.output_range)),
    ];
    let optional = [
        ("preprocessing", r.preprocess.clone()),
        ("same class", r.agreement.as_ref().and_then(|a| a.classes).map(|c| format!("{:.1} %", 100.0 * c))),
        ("measured error", r.agreement.as_ref().map(|a| format!("{:.2} %", 100.0 * a.relative_error))),
        ("predicted error", r.errors.as_ref().map(|e| format!("{:.2} %", 100.0 * e.outputs))),
    ];
    told.extend(optional.into_iter().filter_map(|(title, value)| Some((title, value?))));
    told
}

fn time(seconds: f64) -> String {
    format!("{seconds:.4} s")
}

/// Layers of both programs: those of the first in its order, then what only the second has.
fn layers<'a>(a: &'a Report, b: &'a Report) -> Vec<&'a str> {
    let names = |r: &'a Report| {
        let own = r.layers.iter().map(|l| l.layer.as_str());
        own.chain(r.replacements.iter().map(|x| x.layer.as_str())).chain(r.corrections.iter().map(|c| c.layer.as_str()))
    };
    let mut seen = BTreeSet::new();
    names(a).chain(names(b)).filter(|name| seen.insert(*name)).collect()
}

fn of_layer(r: &Report, name: &str) -> Told {
    let mut told = Told::new();
    told.extend(r.replacements.iter().filter(|x| x.layer == name).flat_map(of_replacement));
    told.extend(r.corrections.iter().filter(|c| c.layer == name).map(of_correction));
    told.extend(r.layers.iter().filter(|l| l.layer == name).flat_map(of_row));
    told
}

fn of_replacement(x: &Replacement) -> Told {
    vec![
        ("polynomial", format!("{} by {}", x.function, x.choice)),
        ("its levels", x.depth.to_string()),
        ("its range", format!("{:.2}..{:.2}", x.range.0, x.range.1)),
        ("its error", format!("{:.4}", x.rms)),
    ]
}

fn of_correction(c: &Correction) -> (&'static str, String) {
    let how = match c.method {
        Method::None => "none".to_owned(),
        Method::Bias => "new bias".to_owned(),
        Method::Ridge(penalty) => format!("ridge {penalty}"),
    };
    ("re-fit", how)
}

fn of_row(l: &LayerReport) -> Told {
    let lifted = l.bootstrapped_to.map_or(String::new(), |to| format!(" ↑ {to}"));
    vec![
        ("levels", format!("{} → {}{lifted}", l.level_in, l.level_out)),
        ("rotations", rotations(&l.counts).to_string()),
        ("time", time(l.counts.seconds)),
    ]
}

/// Changes, one a line.
struct Table<'a>(&'a [Change]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = |c: &Change| c.layer.as_ref().map_or(c.what.to_owned(), |layer| format!("{layer}: {}", c.what));
        let width = self.0.iter().map(|c| title(c).chars().count()).max().unwrap_or(0);
        for c in self.0 {
            let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
            writeln!(f, "{:<width$}  {}  ⇒  {}", title(c), side(&c.before), side(&c.after))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_has_is_told_too() {
        let told = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(t, v)| (*t, (*v).to_owned())).collect::<Told>();
        let found = compare(Some("x"), told(&[("a", "1"), ("b", "2")]), told(&[("b", "2"), ("c", "3")]));
        assert_eq!(Table(&found).to_string(), "x: a  1  ⇒  (none)\nx: c  (none)  ⇒  3\n");
    }
}
