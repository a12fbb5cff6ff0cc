//! Networks to choose from: what each of them takes as a program, and which one is taken.

use crate::report::FrontPoint;
use crate::rings::Scheduled;
use crate::{Failure, How, menus};
use hec_nonlinear::Replaced;
use hec_optimize::Optimized;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A polynomial network.
pub struct Network {
    /// With polynomials in the place of other functions.
    pub replaced: Replaced,
    /// Where it comes from.
    pub source: Source,
}

/// Where a network comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The search for polynomials chose it.
    Chosen,
    /// The menus offered it for less.
    Offered,
    /// The search came across it.
    Tried,
}

/// A polynomial network with its program.
pub struct Candidate {
    /// The network.
    pub network: Network,
    /// After rewriting, and packed, planned and scheduled for the cheapest ring; why there is no program otherwise.
    pub program: Result<(Optimized, Scheduled), Failure>,
}

impl Candidate {
    /// Levels of the packed circuit.
    fn depth(&self) -> Option<u32> {
        self.program.as_ref().ok().map(|(_, back)| hec_plan::depth(&back.circuit).0)
    }

    /// Predicted seconds of the program; infinite if there is none.
    fn seconds(&self) -> f64 {
        self.program.as_ref().map_or(f64::INFINITY, |(_, back)| back.seconds())
    }

    fn point(&self, taken: bool) -> Result<FrontPoint, Failure> {
        let replaced = &self.network.replaced;
        let agreement = replaced.agreement.as_ref();
        let (seconds, memory) = match &self.program {
            Ok((_, back)) => (Some(back.seconds()), Some(hec_schedule::memory(&back.priced.program)?.peak())),
            Err(_) => (None, None),
        };
        Ok(FrontPoint {
            choices: choices(replaced),
            depth: self.depth(),
            seconds,
            memory,
            classes: agreement.and_then(|a| a.classes),
            relative_error: agreement.map(|a| a.relative_error),
            refused: self.program.as_ref().err().map(Failure::first_sentence),
            taken,
        })
    }
}

/// The candidate that the user asks for: by its number, else the one chosen by the search unless the menus offer a faster
/// one, or within the depth allowed the most precise one.
///
/// # Errors
/// When there is none, with what there is.
pub fn pick(candidates: &[Candidate], how: &How) -> Result<usize, Failure> {
    if let Some(number) = how.choose {
        let count = candidates.len();
        let index = number.checked_sub(1).filter(|&i| i < count);
        return index.ok_or_else(|| {
            Failure::new("HEC-C011", format!("there is no network {number}: the search found {count}"))
                .advise("--pareto prints them with their numbers")
        });
    }
    let from = |source| candidates.iter().position(|c| c.network.source == source);
    let searched = from(Source::Chosen).unwrap_or_default();
    let is_worth_it = |&i: &usize| menus::is_worth_it(candidates[i].seconds(), candidates[searched].seconds());
    let chosen = from(Source::Offered).filter(is_worth_it).unwrap_or(searched);
    let Some(most) = how.max_depth else { return Ok(chosen) };
    let fits = |i: &usize| candidates[*i].depth().is_some_and(|depth| depth <= most);
    let agreement = |i: usize| candidates[i].network.replaced.agreement;
    let compare = |a: usize, b: usize| match (agreement(a), agreement(b)) {
        (Some(a), Some(b)) => a.compare(&b),
        _ => Ordering::Equal,
    };
    let precise = (0..candidates.len()).filter(fits).max_by(|&a, &b| compare(a, b));
    Some(chosen).filter(fits).or(precise).ok_or_else(|| {
        let least = candidates.iter().filter_map(Candidate::depth).min();
        let least = least.map_or_else(|| "none has a program".to_owned(), |d| format!("the shallowest takes {d}"));
        Failure::new("HEC-C012", format!("no network that was tried takes {most} levels or fewer: {least}"))
            .advise("allow more levels, ask for less with --min-agreement, or pin lower degrees with --activation")
    })
}

/// What is told of all candidates.
///
/// # Errors
/// When a program is not well-formed.
pub fn points(candidates: &[Candidate], taken: usize) -> Result<Vec<FrontPoint>, Failure> {
    candidates.iter().enumerate().map(|(i, c)| c.point(i == taken)).collect()
}

/// How often each replacement is used: `2 lsq:2, 1 lsq:5`.
fn choices(replaced: &Replaced) -> String {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    replaced.replacements.iter().for_each(|r| *counts.entry(r.choice).or_default() += 1);
    let each: Vec<String> = counts.iter().map(|(choice, count)| format!("{count} {choice}")).collect();
    each.join(", ")
}
