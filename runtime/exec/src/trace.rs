//! Where the time of an evaluation went.

use hec_ir::program::{Op, Program};
use std::collections::BTreeMap;
use std::fmt;

/// The time of one instruction.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Step {
    /// Its position in the program.
    pub index: usize,
    /// Its name in text.
    pub op: &'static str,
    /// The layer that it comes from.
    pub layer: String,
    /// Level of its result.
    pub level: u32,
    /// Seconds.
    pub seconds: f64,
}

/// The time of all instructions of a layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerTime {
    /// The layer.
    pub layer: String,
    /// Level of its first result.
    pub level: u32,
    /// Instructions that compute.
    pub instructions: usize,
    /// Seconds in linear maps and rotations.
    pub linear_seconds: f64,
    /// Seconds in bootstraps.
    pub bootstrap_seconds: f64,
    /// Seconds in all instructions.
    pub seconds: f64,
}

/// The time of every instruction of one evaluation, in order.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Trace {
    /// The instructions.
    pub steps: Vec<Step>,
}

impl Trace {
    pub(crate) fn new(program: &Program, seconds: &[f64]) -> Self {
        let step = |(index, (instruction, &seconds)): (usize, (&hec_ir::program::Instruction, &f64))| Step {
            index,
            op: instruction.op.name(),
            layer: instruction.origin.layer().to_owned(),
            level: instruction.ty.level.0,
            seconds,
        };
        Trace { steps: program.instructions.iter().zip(seconds).enumerate().map(step).collect() }
    }

    /// Seconds by layer, in the order in which layers begin.
    pub fn layers(&self) -> Vec<LayerTime> {
        let mut position: BTreeMap<&str, usize> = BTreeMap::new();
        let mut layers: Vec<LayerTime> = Vec::new();
        for step in &self.steps {
            let at = *position.entry(&step.layer).or_insert_with(|| {
                layers.push(LayerTime {
                    layer: step.layer.clone(),
                    level: step.level,
                    instructions: 0,
                    linear_seconds: 0.0,
                    bootstrap_seconds: 0.0,
                    seconds: 0.0,
                });
                layers.len() - 1
            });
            let layer = &mut layers[at];
            layer.instructions += usize::from(!is_housekeeping(step.op));
            layer.seconds += step.seconds;
            match step.op {
                "linear" | "rotate" | "decompose" => layer.linear_seconds += step.seconds,
                "bootstrap" => layer.bootstrap_seconds += step.seconds,
                _ => {}
            }
        }
        layers
    }
}

fn is_housekeeping(op: &str) -> bool {
    [Op::Load(0), Op::Forget, Op::Free].iter().any(|o| o.name() == op)
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layers();
        let width = layers.iter().map(|l| l.layer.chars().count()).max().unwrap_or(0).max(5);
        // A column that only some programs need.
        let bootstraps = layers.iter().any(|l| l.bootstrap_seconds > 0.0);
        let optional = |text: String| if bootstraps { text } else { String::new() };
        let heading = optional(format!("  {:>11}", "bootstrap s"));
        writeln!(f, "{:<width$}  level  instructions  linear s{heading}   total s", "layer")?;
        for LayerTime { layer, level, instructions, linear_seconds, bootstrap_seconds, seconds } in &layers {
            let bootstrap = optional(format!("  {bootstrap_seconds:>11.3}"));
            writeln!(
                f,
                "{layer:<width$}  {level:>5}  {instructions:>12}  {linear_seconds:>8.3}{bootstrap}  {seconds:>8.3}"
            )?;
        }
        let total: f64 = self.steps.iter().map(|s| s.seconds).sum();
        let empty = optional(format!("  {:>11}", ""));
        write!(f, "{:<width$}  {:>5}  {:>12}  {:>8}{empty}  {total:>8.3}", "total", "", "", "")
    }
}
