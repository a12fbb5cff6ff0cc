//! Prints whether a budget is kept on inputs that calibration never saw, and what it saves against one degree everywhere.
//!
//! `cargo bench -p hec-tests --bench budget -- [NETWORK] [--samples N] [--agreement SHARE]
//! [--caution N]`. For each network: the one that is
//! taken (marked by a star), those that the menus offered and that were built (-), and the cheapest polynomials of one degree that agree as often on the unseen inputs. Those that
//! pack quickly are compiled and simulated with the scheme's noise; of the others the polynomial network is run as it is, and
//! levels and work after rewriting are compared. The larger models are those of the folder `HEC_SHARED`, or of `shared`
//! beside the project.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec::{How, class, menus, pipeline};
use hec_import::Parts;
use hec_ir::samples::{InputFile, Samples, wanted_by_graph};
use hec_ir::tensor::{Graph, Tensor};
use hec_nonlinear::{Assignment, Calibration, Choice, Front, Replaced};
use hec_tests::{Model, polynomials};
use std::path::PathBuf;

/// Degrees that are tried everywhere, in order of cost.
const DEGREES: [usize; 9] = [2, 3, 4, 5, 7, 11, 15, 23, 31];

struct Bench {
    how: How,
    body: Graph,
    epilogue: Option<Graph>,
    calibration: Calibration,
    unseen: Vec<Vec<Tensor>>,
    /// The original network's classes of the unseen inputs.
    classes: Vec<usize>,
}

fn main() {
    let (mut samples, mut agreement, mut caution, mut names) = (500, 0.98, 0, Vec::new());
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--samples" => samples = arguments.next().and_then(|n| n.parse().ok()).expect("a number of inputs"),
            "--agreement" => agreement = arguments.next().and_then(|n| n.parse().ok()).expect("a share"),
            "--caution" => caution = arguments.next().and_then(|n| n.parse().ok()).expect("a number from 0 to 3"),
            _ => names.push(argument),
        }
    }
    let wanted = |m: &Model| names.is_empty() || names.iter().any(|n| n == m.name);
    for model in Model::larger().into_iter().filter(wanted) {
        println!("\n{}: {:.1} % of the classes asked for, {samples} calibration inputs", model.name, 100.0 * agreement);
        println!("   {:>10}{:>8}{:>8}{:>12}{:>9}", "validation", "unseen", "levels", "work", "seconds");
        Bench::new(&model, samples, agreement, caution).run(model.name != "ResNet-20");
    }
}

impl Bench {
    fn new(model: &Model, max_samples: usize, min_agreement: f64, caution: usize) -> Self {
        let how = How { max_samples, min_agreement, caution, ..model.how.clone() };
        let network = pipeline::import(&model.network, &how).unwrap();
        let Parts { body, epilogue, .. } = hec_import::split(&network).unwrap();
        let load = |path: &PathBuf| {
            let file = InputFile { name: None, path: path.clone() };
            Samples::read(&wanted_by_graph(&network), &[file]).unwrap().all(usize::MAX)
        };
        let (samples, unseen) = (load(&how.calibrate[0]), load(&model.unseen));
        let classes = unseen.iter().map(|x| class(&network.run(x).unwrap()[0])).collect();
        Bench { how, body, epilogue, calibration: Calibration { samples }, unseen, classes }
    }

    fn run(&self, packs: bool) {
        let options = pipeline::nonlinear_options(&self.how).unwrap();
        let Front { networks, chosen } = hec_nonlinear::front(&self.body, &self.calibration, &options).unwrap();
        let offered =
            menus::cheaper(&networks[chosen], self.how.min_agreement, &hec_optimize::Options::default()).unwrap();
        let build = |assignment: &Assignment| {
            let one = std::slice::from_ref(assignment);
            let built = hec_nonlinear::assigned(&self.body, &self.calibration, &options, one).unwrap().pop();
            built.iter().for_each(|b| self.line(b, packs).print("-"));
            Ok(built)
        };
        let sufficient = menus::search(&offered, self.how.min_agreement, build).unwrap();
        let found = std::iter::once(&networks[chosen]).chain(&sufficient);
        let lines: Vec<Line> = found.map(|network| self.line(network, packs)).collect();
        let taken = lines.iter().skip(1).find(|l| menus::is_worth_it(l.price(), lines[0].price())).unwrap_or(&lines[0]);
        lines.iter().for_each(|line| line.print(if std::ptr::eq(line, taken) { "*" } else { " " }));
        for degree in DEGREES {
            let uniform = Assignment::uniform(Choice::least_squares(degree));
            let known = networks.iter().find(|n| n.assignment == uniform);
            let new = match known {
                Some(_) => Vec::new(),
                None => hec_nonlinear::assigned(&self.body, &self.calibration, &options, &[uniform]).unwrap(),
            };
            let Some(network) = known.or(new.first()) else {
                println!("  degree {degree} diverges");
                continue;
            };
            let line = self.line(network, packs);
            line.print("=");
            if line.unseen >= taken.unseen {
                return println!("   one degree takes {:.2} times as much", line.price() / taken.price());
            }
        }
    }

    fn line(&self, network: &Replaced, packs: bool) -> Line {
        let rewritten = pipeline::rewrite(&network.graph, &self.how).unwrap();
        let front = hec_optimize::optimize_among(&network.graph, &[], &Default::default()).unwrap();
        let mut seconds = None;
        let mut same = self.same(|x| network.graph.run(x).unwrap());
        let mut levels = rewritten.depth_least.0;
        if packs {
            let options = pipeline::ring_options(&self.how).unwrap();
            let (optimized, back) = pipeline::cheapest(rewritten, &self.calibration.samples, &options, None).unwrap();
            (seconds, levels) = (Some(back.seconds()), optimized.depth_after.0);
            let program = &back.priced.program;
            same = self.same(|x| {
                let run = hec_ir::evaluate::noise::simulate_noise(program, x, Some(7)).unwrap();
                run.outputs.into_iter().map(|o| o.tensor).collect()
            });
        }
        Line {
            validation: network.agreement.and_then(|a| a.classes).unwrap_or(0.0),
            unseen: same as f64 / self.unseen.len() as f64,
            levels,
            work: front.candidates[0].work,
            seconds,
            polynomials: polynomials(&network.replacements),
        }
    }

    /// Unseen inputs that keep their class.
    fn same(&self, run: impl Fn(&[Tensor]) -> Vec<Tensor>) -> usize {
        let last = |outputs: Vec<Tensor>| match &self.epilogue {
            Some(epilogue) => epilogue.run(&outputs).unwrap(),
            None => outputs,
        };
        let is_same = |(x, &wanted): (&Vec<Tensor>, &usize)| class(&last(run(x))[0]) == wanted;
        self.unseen.iter().zip(&self.classes).filter(|&pair| is_same(pair)).count()
    }
}

/// A network's figures.
struct Line {
    validation: f64,
    unseen: f64,
    levels: u32,
    work: u64,
    seconds: Option<f64>,
    polynomials: String,
}

impl Line {
    /// Predicted seconds; where there are none, work for every level of the ciphertexts that it is done on.
    fn price(&self) -> f64 {
        self.seconds.unwrap_or(self.work as f64 * f64::from(self.levels))
    }

    fn print(&self, mark: &str) {
        let seconds = self.seconds.map_or(String::new(), |s| format!("{s:.3}"));
        let shares = format!("{:>8.1} %{:>6.1} %", 100.0 * self.validation, 100.0 * self.unseen);
        println!("{mark}  {shares}{:>8}{:>12}{seconds:>9}  {}", self.levels, self.work, self.polynomials);
    }
}
