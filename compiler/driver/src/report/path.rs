//! The levels of a program's values, one after the other, and a drawing of them.

use hec_ir::program::{Op, Program};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Columns of a drawing; longer programs take several.
const COLUMNS: usize = 100;

/// Values in a row that have one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Their level.
    pub level: u32,
    /// Whether the first of them comes out of a bootstrap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootstrapped: bool,
}

/// The levels of all values in the order of the program, each run of equal ones once.
pub(super) fn path(program: &Program) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for i in &program.instructions {
        if matches!(i.op, Op::Decompose | Op::Forget | Op::Free) {
            continue;
        }
        let step = Step { level: i.ty.level.0, bootstrapped: matches!(i.op, Op::Bootstrap(_)) };
        if step.bootstrapped || steps.last().is_none_or(|last| last.level != step.level) {
            steps.push(step);
        }
    }
    steps
}

/// One row a level, the highest first, and one column a step.
pub(super) fn draw(out: &mut String, steps: &[Step]) -> std::fmt::Result {
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
        let step = |level, bootstrapped| Step { level, bootstrapped };
        let steps = [step(2, false), step(1, false), step(0, false), step(2, true), step(1, false)];
        let mut drawn = String::new();
        draw(&mut drawn, &steps).unwrap();
        assert_eq!(drawn, "levels       2 │·  ↑\n             1 │ ·  ·\n             0 │  ·\n");
        drawn.clear();
        draw(&mut drawn, &[step(0, false); COLUMNS + 1]).unwrap();
        assert_eq!(drawn.lines().count(), 3, "what is too long goes on below");
    }
}
