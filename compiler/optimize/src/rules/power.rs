//! Powers at depth ⌈log2 k⌉ with shared factors.

use super::{Match, rule};
use crate::language::{Lang, Network};
use crate::tables::Exponent;
use egg::{Id, Rewrite};

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("x^2k = (x^k)^2", "(power ?k ?x)", |m| {
            let k = exponent(m)?;
            if !k.is_multiple_of(2) {
                return None;
            }
            let half = power(m, k / 2);
            Some(m.add(Lang::Square(half)))
        }),
        // The largest power of two below k keeps the depth at ⌈log2 k⌉.
        rule("x^k = x^m x^(k-m), m a power of two", "(power ?k ?x)", |m| {
            let k = exponent(m)?;
            let largest = (k / 2 + 1).next_power_of_two();
            if k < 3 || largest >= k {
                return None;
            }
            let (high, low) = (power(m, largest), power(m, k - largest));
            Some(m.add(Lang::Mul([high, low])))
        }),
    ]
}

fn exponent(m: &Match) -> Option<u32> {
    match m.leaf("?k")? {
        Lang::Exponent(Exponent(k)) => Some(k),
        _ => None,
    }
}

/// x^k, as x itself for k = 1.
fn power(m: &mut Match, k: u32) -> Id {
    let x = m.id("?x");
    if k == 1 {
        return x;
    }
    let exponent = m.add(Lang::Exponent(Exponent(k)));
    m.add(Lang::Power([exponent, x]))
}
