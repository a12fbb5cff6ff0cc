//! The steps of a softmax and what they cost.

use hec_params::Depth;

/// A softmax in polynomials: E = p(z)^(2^squarings) ≈ e^z, then E·y·r with y ≈ 1/ΣE from an earlier sum and
/// r ≈ 1/(y·ΣE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Degree of p: 2, 4 or 8.
    pub degree: usize,
    /// How often p is squared.
    pub squarings: u32,
    /// y: the degree of the polynomial, and after how many squarings the sum is taken that it is a polynomial of. None for
    /// y = 1.
    pub start: Option<(usize, u32)>,
    /// Degree of r.
    pub inverse: usize,
}

const fn recipe(degree: usize, squarings: u32, start: Option<(usize, u32)>, inverse: usize) -> Recipe {
    Recipe { degree, squarings, start, inverse }
}

/// What is tried, in the order of depth: from 4 levels to 12.
pub const RECIPES: [Recipe; 22] = [
    recipe(2, 1, None, 1),
    recipe(2, 1, None, 2),
    recipe(4, 1, None, 2),
    recipe(2, 2, None, 2),
    recipe(2, 1, Some((2, 0)), 2),
    recipe(4, 1, None, 4),
    recipe(4, 1, Some((2, 0)), 2),
    recipe(2, 2, Some((2, 1)), 2),
    recipe(8, 1, None, 4),
    recipe(4, 2, Some((2, 1)), 2),
    recipe(8, 1, Some((2, 0)), 2),
    recipe(4, 2, Some((4, 0)), 2),
    recipe(8, 1, Some((2, 0)), 4),
    recipe(4, 2, Some((2, 1)), 4),
    recipe(8, 2, Some((2, 1)), 2),
    recipe(8, 1, Some((2, 0)), 8),
    recipe(8, 1, Some((4, 0)), 4),
    recipe(8, 2, Some((2, 1)), 4),
    recipe(8, 2, Some((4, 0)), 4),
    recipe(8, 2, Some((4, 1)), 4),
    recipe(8, 2, Some((4, 1)), 8),
    recipe(8, 3, Some((4, 2)), 8),
];

/// Levels of a polynomial of degree 1, 2, 4 or 8 as squares.
pub fn levels(degree: usize) -> u32 {
    degree.max(1).ilog2()
}

/// Products of ciphertexts in it.
pub fn products(degree: usize) -> usize {
    match degree {
        0 | 1 => 0,
        2 => 1,
        4 => 2,
        _ => 4,
    }
}

impl Recipe {
    /// Levels from the scores to the normalised product with the values (or to the attention, where there is none).
    pub fn depth(&self) -> Depth {
        let p = levels(self.degree);
        let sum = p + self.squarings + 1;
        let quotient = match self.start {
            None => sum,
            Some((degree, after)) => sum.max(p + after + 1 + levels(degree)) + 1,
        };
        Depth(quotient + levels(self.inverse) + 1)
    }

    /// Products of ciphertexts for one ciphertext of scores.
    pub fn products(&self) -> usize {
        let start = self.start.map_or(0, |(degree, _)| products(degree) + 2);
        products(self.degree) + self.squarings as usize + start + products(self.inverse) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_in_the_order_of_depth() {
        let depths: Vec<u32> = RECIPES.iter().map(|r| r.depth().0).collect();
        assert_eq!(depths, [4, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9, 10, 10, 10, 10, 11, 12, 13]);
    }
}
