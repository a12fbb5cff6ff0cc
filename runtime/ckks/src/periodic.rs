//! Plaintext factors whose slots repeat.
//!
//! Slots of period k are a polynomial in X^(N/2k): an element of the ring of degree 2k, whose transform gives all values
//! that the one of degree N has. In evaluation order each eight of them repeat, 8 or N/2k times, and once is enough.

use std::sync::Arc;

use hec_arith::{NttTable, evaluation_exponents};
use hec_params::{Level, LogN, Slots};

use crate::encode::embed_integers;
use crate::limb::Pool;
use crate::poly::Poly;
use crate::{CkksError, Complex, Context, Encoder, ExtendedPlaintext};

/// The evaluation order transposes blocks of 64 as 8×8 matrices: values that are eight times the same in a row become
/// eight equal octets.
const BLOCK: usize = 64;

/// The least degree that has a transform.
const LEAST_DEGREE: usize = 16;

/// How many octets a transform of degree N has when slots have this period, a power of two; none if they are as good as
/// all of it.
pub(crate) fn octets(n: usize, period: Slots) -> Option<usize> {
    let degree = degree(period);
    (8 * degree <= n).then(|| degree.min(n / BLOCK))
}

/// Of the ring of one period.
fn degree(period: Slots) -> usize {
    (2 * period.0).max(LEAST_DEGREE)
}

/// Encodes factors of one level and one period.
pub(crate) struct PeriodicEncoder {
    encoder: Encoder,
    level: Level,
    period: Slots,
    /// Of degree 2·period, by prime of QP.
    tables: Vec<NttTable>,
    /// Where the values of the octets stand in the evaluation order of that degree.
    places: Vec<usize>,
    pool: Arc<Pool>,
}

impl PeriodicEncoder {
    /// For slots with this period, a power of two; none if it is too long for that to save anything.
    pub fn new(context: &Arc<Context>, level: Level, period: Slots) -> Result<Option<Self>, CkksError> {
        let Some(octets) = octets(context.degree(), period) else { return Ok(None) };
        let degree = degree(period);
        let log_n = LogN(degree.trailing_zeros());
        let basis = context.extended_basis(level);
        let table = |k| NttTable::new(log_n, context.table(basis, k).modulus().value());
        let tables = (0..context.limb_count(basis)).map(table).collect::<Result<_, _>>()?;
        let mut place = vec![0; 2 * degree];
        evaluation_exponents(log_n).into_iter().enumerate().for_each(|(i, e)| place[e as usize] = i);
        let all = evaluation_exponents(context.parameters().log_n());
        let span = context.degree() / octets;
        let places: Vec<usize> =
            all.chunks(span).flat_map(|span| &span[..8]).map(|&e| place[e as usize % (2 * degree)]).collect();
        let (encoder, period, pool) = (Encoder::new(context), Slots(degree / 2), Pool::new(places.len()));
        Ok(Some(PeriodicEncoder { encoder, level, period, tables, places, pool }))
    }

    /// The factor with the value `slot(i)` in slot i, at the canonical scale of the level.
    pub fn encode(&self, slot: impl Fn(usize) -> Complex) -> Result<ExtendedPlaintext, CkksError> {
        let context = self.encoder.context();
        let values: Vec<Complex> = (0..self.period.0).map(slot).collect();
        let integers = self.encoder.encode_period(&values, self.level, context.scale(self.level)?)?;
        let mut values = integers.coefficients.clone();
        let limb = |table: &NttTable| {
            embed_integers(table.modulus(), &integers.coefficients, &mut values);
            table.forward(&mut values);
            let mut limb = self.pool.any();
            limb.iter_mut().zip(&self.places).for_each(|(x, &place)| *x = values[place]);
            limb
        };
        let basis = context.extended_basis(self.level);
        let poly = Poly::from_limbs(basis, self.tables.iter().map(limb).collect());
        Ok(ExtendedPlaintext { level: self.level, poly })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_encoding_of_all_slots() {
        let context = Context::toy(LogN(9));
        let (level, encoder) = (Level(1), Encoder::new(&context));
        let (scale, basis) = (context.scale(level).expect("exists"), context.extended_basis(level));
        for period in [1, 4, 8, 16, 32] {
            let slot = |i: usize| Complex { re: (i % period * 3) as f64 - 1.0, im: (i % period) as f64 / 7.0 };
            let periodic = PeriodicEncoder::new(&context, level, Slots(period)).expect("valid").expect("short");
            let few = periodic.encode(slot).expect("encodes");
            let all: Vec<Complex> = (0..context.parameters().slots().0).map(slot).collect();
            let integers = encoder.encode_complex_integers(&all, level, scale).expect("encodes");
            let full = encoder.residues(&integers, basis);
            for k in 0..context.limb_count(basis) {
                let m = context.table(basis, k).modulus();
                let repeats = context.degree() / few.poly.degree();
                let repeated = few.poly.limb(k).chunks(8).flat_map(|octet| octet.repeat(repeats));
                assert!(repeated.zip(full.limb(k)).all(|(a, &b)| m.to_u64(a) == m.to_u64(b)), "period {period}");
            }
        }
        assert!(PeriodicEncoder::new(&context, level, Slots(64)).expect("valid").is_none());
    }
}
