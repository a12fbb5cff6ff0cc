//! `hec explain LAYER`: in words, what was chosen for a layer, what else there was, and what that would cost.

use crate::page::number;
use crate::report::{DepthReport, LayerReport, Report, rotations};
use crate::{ExplainArgs, Failure};
use hec_ir::artifact::Artifact;
use hec_nonlinear::{Candidate, Choice, Correction, LayerError, Menu, Method, Replacement};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// Names that an error lists, at most.
const MOST_NAMES: usize = 12;
/// Names further away than this share of their letters are not what was meant.
const CLOSE: f64 = 0.5;

/// All that is known of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation<'a> {
    /// Its name.
    pub layer: &'a str,
    /// What the program does for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<&'a LayerReport>,
    /// What stands in the place of its function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<&'a Replacement>,
    /// What that does to the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a LayerError>,
    /// What else there was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub menu: Option<&'a Menu>,
    /// How its weights were re-fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<&'a Correction>,
    /// Levels of the whole network.
    pub depth: &'a DepthReport,
    /// Levels that it would take more without a rule of the optimizer, for the rules that save some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub saved: Vec<&'a (String, u32)>,
}

/// Print what is known of a layer.
///
/// # Errors
/// When there is no such program or no such layer; the names that are close are told.
pub(crate) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let path = match &args.program {
        Some(path) => path.clone(),
        None => only_program(Path::new("."))?,
    };
    let artifact = Artifact::read(&path).map_err(|e| Failure::file(&path, e))?;
    let report = Report::of_artifact(&artifact).map_err(|e| Failure::file(&path, e))?;
    let explanation = Explanation::of(&report, &args.layer)?;
    if args.json {
        println!("{:#}", serde_json::to_value(&explanation).map_err(|e| Failure::new("HEC-C006", e))?);
    } else {
        print!("{explanation}");
    }
    Ok(())
}

/// The compiled program of a folder that holds one.
fn only_program(folder: &Path) -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| Failure::file(folder, e))?;
    let files = entries.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())));
    let programs: BTreeSet<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "hec")).collect();
    match programs.len() {
        1 => Ok(programs.into_iter().next().unwrap_or_default()),
        count => {
            let found: Vec<String> = programs.iter().map(|p| p.display().to_string()).collect();
            let found = if count == 0 { "there is none".to_owned() } else { format!("there are {}", found.join(", ")) };
            Err(Failure::new("HEC-C010", format!("which program? In this folder {found}"))
                .advise("name it: hec explain LAYER model.hec"))
        }
    }
}

impl<'a> Explanation<'a> {
    /// Of the layer of that name.
    ///
    /// # Errors
    /// When there is none; the names that are close are told.
    pub fn of(report: &'a Report, name: &str) -> Result<Self, Failure> {
        let names = names(report);
        let Some(&layer) = names.iter().find(|n| **n == name) else { return Err(unknown(name, &names)) };
        Ok(Explanation {
            layer,
            program: report.layers.iter().find(|l| l.layer == name),
            replacement: report.replacements.iter().find(|r| r.layer == name),
            error: report.errors.iter().flat_map(|e| &e.layers).find(|e| e.layer == name),
            menu: report.menus.iter().find(|m| m.layer == name),
            correction: report.corrections.iter().find(|c| c.layer == name),
            depth: &report.depth,
            saved: report.saved.iter().filter(|(_, levels)| *levels > 0).collect(),
        })
    }

    fn chosen(&self, f: &mut fmt::Formatter<'_>, r: &Replacement) -> fmt::Result {
        writeln!(f, "{} is {} in the network. It became {}:", self.layer, with_article(&r.function), label(r.choice))?;
        writeln!(f, "  it takes {} and {}", many(r.depth.0 as usize, "level"), many(r.products, "product"))?;
        let channels = match r.channels {
            0 | 1 => String::new(),
            channels => format!(", with numbers of their own for {channels} groups of values (as a rule channels)"),
        };
        writeln!(f, "  it is made for inputs from {:.3} to {:.3}{channels}", r.range.0, r.range.1)?;
        let relative =
            self.taken().map_or(String::new(), |c| format!(", {:.2} % of the function's values", percent(c)));
        writeln!(
            f,
            "  its error is {:.4} (rms) on the calibration data{relative}; {:.4} at most in its range",
            r.rms, r.max
        )?;
        writeln!(f, "  a quarter of the range outside, its error is {}", number(r.growth))?;
        if let Some(outside) = r.outside {
            writeln!(f, "  a value leaves its range with probability {outside:.1e}")?;
        }
        if let Some(e) = self.error {
            let (input, adds) = (100.0 * e.input, 100.0 * e.adds);
            writeln!(f, "  on new inputs, what it gets is predicted to be {input:.2} % off already")?;
            writeln!(f, "  it adds {adds:.2} % to the error of the outputs")?;
        }
        if let Some(advice) = &r.advice {
            writeln!(f, "  {advice}")?;
        }
        Ok(())
    }

    fn taken(&self) -> Option<&'a Candidate> {
        self.menu?.candidates.iter().find(|c| c.taken)
    }

    /// What else there was, as a table.
    fn others(&self, f: &mut fmt::Formatter<'_>, menu: &Menu) -> fmt::Result {
        let Some(taken) = self.taken() else { return Ok(()) };
        let of = self.replacement.filter(|r| r.function != menu.function);
        let of = of.map_or(String::new(), |_| format!(", for each {} that it is made of", menu.function));
        writeln!(f, "\nWhat else there was, fitted to the same values with the same care{of}:")?;
        let adds = self.error.map(|e| e.adds).filter(|_| taken.relative > 0.0);
        let head = if adds.is_some() { "  adds about" } else { "" };
        writeln!(f, "    {:<24} {:>9} {:>9} {:>9} {:>9}{head}", "", "levels", "products", "error", "at most")?;
        for c in &menu.candidates {
            let mark = if c.taken { "→" } else { " " };
            let levels = match i64::from(c.depth.0) - i64::from(taken.depth.0) {
                0 => c.depth.0.to_string(),
                more => format!("{} ({more:+})", c.depth.0),
            };
            let row = format!("{:<24} {levels:>9} {:>9} {:>7.2} %", label(c.choice), c.products, percent(c));
            write!(f, "  {mark} {row} {:>9.3}", c.max)?;
            if let Some(adds) = adds {
                write!(f, "  {:>8.2} %", 100.0 * adds * c.relative / taken.relative)?;
            }
            writeln!(f)?;
        }
        if adds.is_some() {
            writeln!(
                f,
                "What a choice adds to the error of the outputs follows from its own error: by a third more or less."
            )?;
        }
        let other = menu.candidates.iter().find(|c| !c.taken && c.relative < taken.relative);
        if let Some(c) = other.or_else(|| menu.candidates.iter().find(|c| !c.taken)) {
            writeln!(f, "To take another: hec compile ... --activation \"{}={}\"", self.layer, c.choice)?;
        }
        Ok(())
    }

    fn re_fitted(&self, f: &mut fmt::Formatter<'_>, c: &Correction) -> fmt::Result {
        let (before, after) = (100.0 * c.before, 100.0 * c.after);
        match c.method {
            Method::None => writeln!(
                f,
                "{}: its weights are the network's. Re-fitting them does not bring its error below {before:.2} %.",
                self.layer
            ),
            Method::Bias => writeln!(
                f,
                "{}: its bias was re-fitted to make good what the polynomials before it change. That brings its error from \
                 {before:.2} % to {after:.2} %. Otherwise it would stay as it was: --no-correct.",
                self.layer
            ),
            Method::Ridge(penalty) => writeln!(
                f,
                "{}: its weights and bias were re-fitted by ridge regression (penalty {penalty}) to make good what the \
                 polynomials before it change. That brings its error from {before:.2} % to {after:.2} %. It costs nothing; \
                 --no-correct leaves the weights as they are.",
                self.layer
            ),
        }
    }

    fn program(&self, f: &mut fmt::Formatter<'_>, l: &LayerReport) -> fmt::Result {
        let c = &l.counts;
        let lifted = l.bootstrapped_to.map_or(String::new(), |to| format!(", with a bootstrap to level {to}"));
        writeln!(f, "\nIn the program it goes from level {} to level {}{lifted}:", l.level_in, l.level_out)?;
        if !l.note.is_empty() {
            writeln!(f, "  {}", l.note)?;
        }
        let mut work = Vec::new();
        for (count, what) in [
            (c.bootstraps, "bootstrap"),
            (c.diagonals, "diagonal"),
            (rotations(c), "rotation"),
            (c.ciphertext_products, "product of ciphertexts"),
            (c.plaintext_products, "product with a plaintext"),
            (c.key_switches, "key switch"),
        ] {
            if count > 0 {
                work.push(many(count, what));
            }
        }
        let work = if work.is_empty() { "sums only".to_owned() } else { work.join(", ") };
        writeln!(f, "  {work}; {:.4} s predicted on one thread", c.seconds)?;
        match (l.log2_noise, l.range) {
            (Some(noise), Some(range)) => {
                writeln!(f, "  noise of the scheme 2^{:.1} of its largest value, {range:.3}", noise - libm::log2(range))
            }
            _ => Ok(()),
        }
    }
}

impl Explanation<'_> {
    /// What rewriting did for the network as a whole, since levels are saved along a path and not in one layer.
    fn rewritten(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.saved.is_empty() {
            return Ok(());
        }
        let (before, after) = (self.depth.before, many(self.depth.after as usize, "level"));
        writeln!(f, "\nThe whole network was rewritten from {before} to {after}. Without one of these equations:")?;
        for (rule, levels) in &self.saved {
            writeln!(f, "  {levels} more without {rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.replacement, self.correction) {
            (Some(r), _) => self.chosen(f, r)?,
            (None, Some(c)) => self.re_fitted(f, c)?,
            (None, None) => {
                writeln!(f, "{}: nothing was replaced or re-fitted; it computes what it says.", self.layer)?
            }
        }
        if let Some(menu) = self.menu {
            self.others(f, menu)?;
        }
        match self.program {
            Some(l) => self.program(f, l)?,
            None => writeln!(f, "\nIn the program it is part of other layers: it takes no operation of its own.")?,
        }
        self.rewritten(f)
    }
}

/// Names of layers, in the order of the program, each once.
fn names(report: &Report) -> Vec<&str> {
    let all = report.layers.iter().map(|l| l.layer.as_str());
    let all = all.chain(report.replacements.iter().map(|r| r.layer.as_str()));
    let all = all.chain(report.corrections.iter().map(|c| c.layer.as_str()));
    let mut seen = BTreeSet::new();
    all.filter(|name| seen.insert(*name)).collect()
}

fn unknown(name: &str, names: &[&str]) -> Failure {
    let lower = name.to_lowercase();
    let score = |other: &&&str| {
        let other = other.to_lowercase();
        let letters = name.chars().count().max(other.chars().count()).max(1);
        if other.contains(&lower) { 0.0 } else { distance(&lower, &other) as f64 / letters as f64 }
    };
    let mut close: Vec<&&str> = names.iter().filter(|n| score(n) <= CLOSE).collect();
    close.sort_by(|a, b| score(a).total_cmp(&score(b)));
    let (what, listed) =
        if close.is_empty() { ("Its layers are", names.iter().collect()) } else { ("Close to it are", close) };
    let mut text = String::new();
    for (i, name) in listed.iter().take(MOST_NAMES).enumerate() {
        let _ = write!(text, "{}{name}", if i == 0 { "" } else { ", " });
    }
    if listed.len() > MOST_NAMES {
        let _ = write!(text, " and {} more", listed.len() - MOST_NAMES);
    }
    Failure::new("HEC-C011", format!("no layer is called `{name}`. {what}: {text}"))
        .advise("`hec report model.hec` lists all layers")
}

/// Letters to insert, remove or change to make one text the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// `least squares of degree 3`
fn label(choice: Choice) -> String {
    let what = choice.family.counts().trim_start_matches("number of ");
    match what {
        "degree" => format!("{} degree {}", choice.family.label(), choice.degree),
        _ => format!("{}, {} {what}", choice.family.label(), choice.degree),
    }
}

fn with_article(function: &str) -> String {
    let vowel = function.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {function}", if vowel { "an" } else { "a" })
}

/// `1 level`, `3 levels`, `2 products of ciphertexts`, `2 key switches`
fn many(count: usize, what: &str) -> String {
    if count == 1 {
        return format!("1 {what}");
    }
    match what.split_once(' ') {
        Some(("product", rest)) => format!("{count} products {rest}"),
        _ if what.ends_with("ch") => format!("{count} {what}es"),
        _ => format!("{count} {what}s"),
    }
}

fn percent(c: &Candidate) -> f64 {
    100.0 * c.relative
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_answered_with_close_ones() {
        let names = ["conv1", "relu1", "conv2", "relu2", "layer1/relu"];
        let told = |name| unknown(name, &names).to_string();
        assert_eq!(told("rleu1"), "no layer is called `rleu1`. Close to it are: relu1");
        assert_eq!(told("RELU"), "no layer is called `RELU`. Close to it are: relu1, relu2, layer1/relu");
        assert!(told("xyzzy").ends_with("Its layers are: conv1, relu1, conv2, relu2, layer1/relu"));
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!([distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")], [3, 3, 0]);
    }

    #[test]
    fn counts_read_like_words() {
        assert_eq!([many(1, "level"), many(2, "key switch")], ["1 level", "2 key switches"]);
        assert_eq!(many(3, "product of ciphertexts"), "3 products of ciphertexts");
    }
}
