//! The levels of a program's values, one after the other, and a drawing of them.

use super::LayerReport;
use hec_ir::program::{Op, Program};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Columns of a drawing; longer programs take several.
const COLUMNS: usize = 100;

/// Values in a row that have one level and one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Their level.
    pub level: u32,
    /// Their layer, by its place among the rows of the report; `None` for what is of no layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Whether the first of them comes out of a bootstrap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootstrapped: bool,
}

/// The levels of all values in the order of the program, each run of equal ones once.
pub(super) fn path(program: &Program, layers: &[LayerReport]) -> Vec<Step> {
    let places: BTreeMap<&str, usize> = layers.iter().enumerate().map(|(i, l)| (l.layer.as_str(), i)).collect();
    let mut steps: Vec<Step> = Vec::new();
    for i in &program.instructions {
        if matches!(i.op, Op::Decompose | Op::Forget | Op::Free) {
            continue;
        }
        let layer = places.get(i.origin.layer()).copied();
        let step = Step { level: i.ty.level.0, layer, bootstrapped: matches!(i.op, Op::Bootstrap(_)) };
        if step.bootstrapped || steps.last().is_none_or(|last| (last.level, last.layer) != (step.level, step.layer)) {
            steps.push(step);
        }
    }
    steps
}

/// One row a level, the highest first, and one column for each run of values of one level.
pub(super) fn draw(out: &mut String, steps: &[Step]) -> std::fmt::Result {
    let mut steps = steps.to_vec();
    steps.dedup_by(|step, before| !step.bootstrapped && step.level == before.level);
    let top = steps.iter().map(|s| s.level).max().unwrap_or(0);
    for (i, part) in steps.chunks(COLUMNS).enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        for level in (0..=top).rev() {
            let mark = |s: &Step| if s.level != level { ' ' } else { [MARK, BOOTSTRAP][usize::from(s.bootstrapped)] };
            let row: String = part.iter().map(mark).collect();
            let title = if level == top && i == 0 { "levels" } else { "" };
            writeln!(out, "{}", format!("{title:<10} {level:>3} │{row}").trim_end())?;
        }
    }
    Ok(())
}

const MARK: char = '·';
const BOOTSTRAP: char = '↑';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_one_column_a_step() {
        let step = |level, bootstrapped| Step { level, layer: None, bootstrapped };
        let steps = [step(2, false), step(1, false), step(0, false), step(2, true), step(1, false)];
        let mut drawn = String::new();
        draw(&mut drawn, &steps).unwrap();
        assert_eq!(drawn, "levels       2 │·  ↑\n             1 │ ·  ·\n             0 │  ·\n");
        drawn.clear();
        let long: Vec<Step> = (0..=COLUMNS).map(|i| step(i as u32 % 2, false)).collect();
        draw(&mut drawn, &long).unwrap();
        assert_eq!(drawn.lines().count(), 5, "what is too long goes on below");
    }
}
