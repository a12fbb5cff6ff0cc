//! What equality saturation saves on a model: the same polynomials compiled as they stand, and rewritten.

use hec::report::Report;
use hec::{Failure, How, Progress, pipeline};
use hec_ir::tensor::Graph;
use hec_nonlinear::Replacement;
use std::collections::BTreeMap;
use std::fmt;

/// Figures of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Levels, those at which it could be leveled.
    pub depth: u32,
    /// Rotations of all kinds.
    pub rotations: usize,
    /// Products of two ciphertexts, and with plaintexts outside linear maps.
    pub products: usize,
    /// Ciphertexts that are bootstrapped.
    pub bootstraps: usize,
    /// Evaluation keys.
    pub keys: usize,
    /// Predicted seconds of one thread.
    pub seconds: f64,
}

/// A model before and after.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Its polynomials with rewriting.
    pub polynomials: String,
    /// Without rewriting.
    pub before: Figures,
    /// With it.
    pub after: Figures,
    /// Levels that the network would take more without a rule, for the rules that save some.
    pub rules: Vec<(String, u32)>,
}

impl Figures {
    fn of(report: &Report) -> Self {
        let total = &report.total;
        Figures {
            depth: report.depth.packed,
            rotations: total.baby_steps + total.giant_steps + total.rotations,
            products: total.ciphertext_products + total.plaintext_products,
            bootstraps: total.bootstraps,
            keys: report.sizes.key_count,
            seconds: report.seconds.0,
        }
    }
}

impl Saved {
    /// Compile a network twice.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn of(network: &Graph, how: &How) -> Result<Self, Failure> {
        let report = |no_rewrite| {
            let how = How { no_rewrite, ..how.clone() };
            pipeline::compile(network, &how, &mut Progress::new()).map(|compiled| compiled.report)
        };
        let (before, after) = (report(true)?, report(false)?);
        let rules = after.saved.iter().filter(|(_, levels)| *levels > 0).cloned().collect();
        let polynomials = polynomials(&after.replacements);
        Ok(Saved { polynomials, before: Figures::of(&before), after: Figures::of(&after), rules })
    }

    /// The titles of a line.
    pub fn heading() -> String {
        let titles = ["depth", "rotations", "products", "bootstraps", "keys", "seconds"];
        titles.iter().map(|title| format!("{title:>16}")).collect()
    }
}

/// How often each polynomial is used.
pub fn polynomials(replacements: &[Replacement]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    replacements.iter().for_each(|r| *counts.entry(format!("{} by {}", r.function, r.choice)).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(choice, count)| format!("{count} {choice}")).collect();
    if counts.is_empty() { "nothing replaced".to_owned() } else { counts.join(", ") }
}

/// Two numbers, and the rules below.
impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (b, a) = (&self.before, &self.after);
        let pairs = [
            (b.depth as usize, a.depth as usize),
            (b.rotations, a.rotations),
            (b.products, a.products),
            (b.bootstraps, a.bootstraps),
            (b.keys, a.keys),
        ];
        for (before, after) in pairs {
            write!(f, "{:>16}", format!("{before} → {after}"))?;
        }
        writeln!(f, "{:>16}", format!("{:.3} → {:.3}", b.seconds, a.seconds))?;
        writeln!(f, "    {}", self.polynomials)?;
        for (rule, levels) in &self.rules {
            writeln!(f, "    {levels:>2} levels more without {rule}")?;
        }
        Ok(())
    }
}
