//! How long an evaluation will still take.

use hec_ir::cost::CostTable;
use hec_ir::evaluate::cost::seconds_by_instruction;
use hec_ir::program::Program;
use std::time::Duration;

/// Below this share of the predicted time what was measured says too little.
const TELLING: f64 = 0.02;

/// The predicted time of the instructions, of which only the proportions count.
#[derive(Debug, Default)]
pub(crate) struct Pace(Vec<f64>);

impl Pace {
    /// Of a verified program.
    pub fn of(program: &Program) -> Self {
        Pace(seconds_by_instruction(program, &CostTable::default()).unwrap_or_default())
    }

    /// What is left when the instructions before `at` took `spent` seconds, and a part of `at` is done too: what is
    /// predicted of the rest, as much slower or faster as the instructions so far were.
    pub fn left(&self, at: usize, part: f64, spent: f64) -> Option<Duration> {
        let (before, after) = self.0.split_at_checked(at)?;
        let whole: f64 = self.0.iter().sum();
        let own = after.first().map_or(0.0, |s| s * part);
        let done = before.iter().sum::<f64>() + own;
        let is_telling = done > TELLING * whole && spent > 0.0;
        Duration::try_from_secs_f64(spent * (whole - done) / done).ok().filter(|_| is_telling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_much_longer_as_the_beginning_did() {
        let pace = Pace(vec![1.0, 3.0, 4.0]);
        assert_eq!(pace.left(0, 0.0, 0.0), None);
        assert_eq!(pace.left(1, 0.0, 2.0), Some(Duration::from_secs(14)));
        assert_eq!(pace.left(2, 0.5, 3.0), Some(Duration::from_secs(1)));
        assert_eq!(pace.left(3, 0.0, 3.0), Some(Duration::ZERO));
        assert_eq!(Pace::default().left(1, 0.0, 1.0), None);
    }
}
