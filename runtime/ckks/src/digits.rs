//! The digits of a polynomial in QP: kept, or made when they are needed.

use std::borrow::Cow;
use std::ops::Range;

use hec_params::Level;

use crate::Context;
use crate::basis::{DigitLimbs, Lift};
use crate::poly::Poly;

/// All digits of a polynomial, for several uses.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    /// By prime of QP.
    limbs: Vec<DigitLimbs>,
}

impl Digits {
    /// mod_up of a polynomial of `level` in evaluation order.
    pub fn of(context: &Context, poly: &Poly, level: Level) -> Self {
        Digits { limbs: Lift::new(context, poly, context.lift_tables(level)).all(context) }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.limbs.iter().flatten().flatten().map(|limb| size_of_val(&limb[..])).sum()
    }
}

/// A polynomial and its digits.
#[derive(Debug)]
pub(crate) struct DigitSource<'a> {
    pub level: Level,
    poly: &'a Poly,
    groups: &'a [Range<usize>],
    form: Form<'a>,
}

#[derive(Debug)]
enum Form<'a> {
    Kept(&'a Digits),
    Made(Lift<'a>),
}

impl<'a> DigitSource<'a> {
    /// Digits that are kept.
    pub fn kept(context: &'a Context, poly: &'a Poly, level: Level, digits: &'a Digits) -> Self {
        DigitSource { level, poly, groups: context.groups(level), form: Form::Kept(digits) }
    }

    /// Digits made group by group, each time anew.
    pub fn made(context: &'a Context, poly: &'a Poly, level: Level) -> Self {
        let lift = Lift::new(context, poly, context.lift_tables(level));
        DigitSource { level, poly, groups: context.groups(level), form: Form::Made(lift) }
    }

    /// The digits modulo the primes of one group.
    pub fn group(&self, context: &Context, g: usize) -> GroupDigits<'_> {
        let range = self.groups[g].clone();
        let limbs = match &self.form {
            Form::Kept(digits) => Cow::Borrowed(&digits.limbs[range.clone()]),
            Form::Made(lift) => Cow::Owned(lift.group(context, g)),
        };
        GroupDigits { poly: self.poly, range, limbs }
    }
}

/// The digits modulo a few primes.
pub(crate) struct GroupDigits<'a> {
    poly: &'a Poly,
    range: Range<usize>,
    limbs: Cow<'a, [DigitLimbs]>,
}

impl GroupDigits<'_> {
    /// The limbs that the group has.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Limb `k` of every digit.
    pub fn limb(&self, k: usize) -> Vec<&[f64]> {
        let digits = &self.limbs[k - self.range.start];
        digits.iter().map(|limb| limb.as_ref().map_or_else(|| self.poly.limb(k), |limb| &limb[..])).collect()
    }
}
