//! Diagonals of a linear transform: encoded ahead or when they are needed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use hec_params::{Level, Slots};
use rayon::prelude::*;

use crate::periodic::PeriodicEncoder;
use crate::{CkksError, Complex, Encoder, ExtendedPlaintext, Integers};

/// One diagonal, in the form in which its source holds it.
#[derive(Clone, Debug)]
pub enum Diagonal<'a> {
    /// Slot values: encoded when needed.
    Values(Cow<'a, [f64]>),
    /// Encoded at the canonical scale of the level, without residues: 8 N bytes.
    Integers(Cow<'a, Integers>),
    /// Encoded with all residues: 8 N bytes a prime of QP; the fastest.
    Residues(&'a ExtendedPlaintext),
}

/// Where diagonals come from. Asked from several threads, and for one diagonal perhaps more than once.
pub trait Diagonals: Sync {
    /// The diagonal at `index`, already rotated by minus its giant step.
    ///
    /// # Errors
    /// [`CkksError::PlanOutOfRange`] when there is no such diagonal, or whatever reading it gives.
    fn diagonal(&self, index: usize) -> Result<Diagonal<'_>, CkksError>;
}

/// Slot values from a function: nothing is kept, each use encodes again.
#[derive(Clone, Copy, Debug)]
pub struct DiagonalValues<'a, F> {
    count: usize,
    values: F,
    borrowed: PhantomData<&'a [f64]>,
}

impl<'a, F: Fn(usize) -> Cow<'a, [f64]> + Sync> DiagonalValues<'a, F> {
    /// `count` diagonals with the slot values that `values` gives.
    pub fn new(count: usize, values: F) -> Self {
        DiagonalValues { count, values, borrowed: PhantomData }
    }
}

impl<'a, F: Fn(usize) -> Cow<'a, [f64]> + Sync> Diagonals for DiagonalValues<'a, F> {
    fn diagonal(&self, index: usize) -> Result<Diagonal<'_>, CkksError> {
        check_index(index, self.count)?;
        Ok(Diagonal::Values((self.values)(index)))
    }
}

/// Diagonals encoded ahead for one level.
#[derive(Clone, Debug)]
pub struct EncodedDiagonals {
    level: Level,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Integers(Vec<Integers>),
    Residues(Vec<ExtendedPlaintext>),
}

impl EncodedDiagonals {
    /// Keep the integer coefficients: 8 N bytes a diagonal.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn integers<'a>(
        encoder: &Encoder,
        level: Level,
        count: usize,
        values: impl Fn(usize) -> Cow<'a, [f64]> + Sync,
    ) -> Result<Self, CkksError> {
        let scale = encoder.context().scale(level)?;
        let encode = |i| encoder.encode_integers(&values(i), level, scale);
        let all = (0..count).into_par_iter().map(encode).collect::<Result<_, _>>()?;
        Ok(EncodedDiagonals { level, form: Form::Integers(all) })
    }

    /// Keep all residues in QP: 8 N bytes a prime and diagonal; what repeats is kept once.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn residues<'a>(
        encoder: &Encoder,
        level: Level,
        count: usize,
        values: impl Fn(usize) -> Cow<'a, [f64]> + Sync,
    ) -> Result<Self, CkksError> {
        let periods: BTreeSet<usize> = (0..count).into_par_iter().map(|i| period(&values(i))).collect();
        let mut short = BTreeMap::new();
        for period in periods {
            if let Some(periodic) = PeriodicEncoder::new(encoder.context(), level, Slots(period))? {
                short.insert(period, periodic);
            }
        }
        let encode = |i| {
            let values = values(i);
            match short.get(&period(&values)) {
                Some(periodic) => periodic.encode(|slot| Complex { re: values[slot % values.len()], im: 0.0 }),
                None => encoder.encode_extended(&values, level),
            }
        };
        let all = (0..count).into_par_iter().map(encode).collect::<Result<_, _>>()?;
        Ok(EncodedDiagonals { level, form: Form::Residues(all) })
    }

    /// Some that are encoded already, without residues.
    pub(crate) fn of_integers(level: Level, all: Vec<Integers>) -> Self {
        EncodedDiagonals { level, form: Form::Integers(all) }
    }

    /// Some that are encoded already, with residues.
    pub(crate) fn of_residues(level: Level, all: Vec<ExtendedPlaintext>) -> Self {
        EncodedDiagonals { level, form: Form::Residues(all) }
    }

    /// The level that they are encoded for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::Integers(all) => all.iter().map(|d| size_of_val(&d.coefficients[..])).sum(),
            Form::Residues(all) => all.iter().map(|d| d.poly.bytes()).sum(),
        }
    }
}

impl Diagonals for EncodedDiagonals {
    fn diagonal(&self, index: usize) -> Result<Diagonal<'_>, CkksError> {
        match &self.form {
            Form::Integers(all) => {
                check_index(index, all.len())?;
                Ok(Diagonal::Integers(Cow::Borrowed(&all[index])))
            }
            Form::Residues(all) => {
                check_index(index, all.len())?;
                Ok(Diagonal::Residues(&all[index]))
            }
        }
    }
}

/// The least power of two after which slots repeat.
fn period(values: &[f64]) -> usize {
    let mut period = values.len();
    while period > 1 && values[..period / 2] == values[period / 2..period] {
        period /= 2;
    }
    period
}

fn check_index(index: usize, count: usize) -> Result<(), CkksError> {
    if index < count { Ok(()) } else { Err(CkksError::PlanOutOfRange { what: "diagonal", index, count }) }
}
