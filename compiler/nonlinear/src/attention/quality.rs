//! How accurate the replacement of a row function must be.

use crate::Choice;

/// What a recipe is chosen by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quality {
    /// The least depth whose error on the validation samples, relative to the function's values, is at most this.
    Within(f64),
    /// The polynomial (of e^x in a softmax, of 1/√x in a normalisation) has at most this degree.
    Degree(usize),
}

impl Quality {
    /// That of a network whose activations get polynomials of the choice's degree: rows are to be as good as those, so that
    /// the search for the cheapest network climbs both at once.
    pub fn beside(choice: Choice) -> Self {
        Quality::Within(match choice.degree {
            0..=2 => 0.1,
            3 => 0.06,
            4..=5 => 0.03,
            6..=7 => 0.015,
            8..=11 => 0.008,
            12..=15 => 0.004,
            16..=23 => 0.002,
            _ => 0.001,
        })
    }
}
