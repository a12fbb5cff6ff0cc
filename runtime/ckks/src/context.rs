//! All tables that depend on the parameters alone.

use std::ops::Range;
use std::sync::Arc;

use hec_arith::{Modulus, NttTable};
use hec_params::{Level, Parameters, Scale};
use sha2::{Digest, Sha256};

use crate::CkksError;
use crate::basis::{DigitUp, TailDivider, group_size, groups};
use crate::fft::SpecialFft;
use crate::limb::Pool;
use crate::poly::{Basis, Poly};

/// A parameter set with its transforms, base conversions and encoder tables; shared by everything else.
#[derive(Debug)]
pub struct Context {
    parameters: Parameters,
    fingerprint: [u8; 32],
    /// One table a prime: ciphertext primes, level 0 first, then special primes.
    tables: Vec<NttTable>,
    q_total: usize,
    levels: Vec<LevelTables>,
    /// P modulo each ciphertext prime.
    special_product: Vec<f64>,
    fft: SpecialFft,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct LevelTables {
    /// The limbs of QP in groups, none of which has both kept and dropped primes, or ciphertext and special ones.
    groups: Vec<Range<usize>>,
    digits: Vec<DigitUp>,
    mod_down: TailDivider,
    /// Rescale, and rescale merged with mod_down; level 0 has neither.
    below: Option<(TailDivider, TailDivider)>,
}

impl Context {
    /// Compute the tables of a parameter set.
    ///
    /// # Errors
    /// [`CkksError::Arithmetic`] when a prime has no transform; checked parameters always have.
    pub fn new(parameters: Parameters) -> Result<Arc<Context>, CkksError> {
        let log_n = parameters.log_n();
        let top = parameters.top_level();
        let q: Vec<u64> = parameters.primes_at(top).collect();
        let special = parameters.special().to_vec();
        let tables = q.iter().chain(&special).map(|&p| NttTable::new(log_n, p)).collect::<Result<Vec<_>, _>>()?;
        let special_product = q
            .iter()
            .map(|&p| {
                let m = Modulus::new(p);
                special.iter().fold(m.reduce_u64(1), |product, &s| m.mul(product, m.reduce_u64(s)))
            })
            .collect();
        let levels = (0..=top.0).map(|level| LevelTables::new(&parameters, Level(level))).collect::<Result<_, _>>()?;
        Ok(Arc::new(Context {
            fingerprint: fingerprint(&parameters),
            tables,
            q_total: q.len(),
            levels,
            special_product,
            fft: SpecialFft::new(log_n.slots()),
            pool: Pool::new(log_n.degree()),
            parameters,
        }))
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// SHA-256 of the parameters: files of other parameters are refused by it.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Ring degree N.
    pub fn degree(&self) -> usize {
        self.parameters.log_n().degree()
    }

    /// The canonical scale of a level.
    ///
    /// # Errors
    /// [`CkksError::NoSuchLevel`].
    pub fn scale(&self, level: Level) -> Result<Scale, CkksError> {
        self.check_level(level)?;
        Ok(self.parameters.scale(level))
    }

    pub(crate) fn check_level(&self, level: Level) -> Result<(), CkksError> {
        let top = self.parameters.top_level();
        if level > top { Err(CkksError::NoSuchLevel { level, top }) } else { Ok(()) }
    }

    /// The basis of a ciphertext at `level`.
    pub(crate) fn basis(&self, level: Level) -> Basis {
        Basis { q: self.parameters.prime_count(level), special: false }
    }

    /// The basis of a ciphertext at `level` together with the special primes.
    pub(crate) fn extended_basis(&self, level: Level) -> Basis {
        Basis { special: true, ..self.basis(level) }
    }

    pub(crate) fn limb_count(&self, basis: Basis) -> usize {
        basis.q + if basis.special { self.tables.len() - self.q_total } else { 0 }
    }

    /// The transform of limb `k` of a polynomial of this basis.
    pub(crate) fn table(&self, basis: Basis, k: usize) -> &NttTable {
        &self.tables[self.prime_index(basis, k)]
    }

    /// Position of limb `k` among all primes: the same prime has one index in every basis.
    pub(crate) fn prime_index(&self, basis: Basis, k: usize) -> usize {
        if k < basis.q { k } else { k - basis.q + self.q_total }
    }

    pub(crate) fn special_product(&self, k: usize) -> f64 {
        self.special_product[k]
    }

    /// Limb `k` in QP of P times a polynomial modulo ciphertext primes, as a limb and its factor; none where it is 0, modulo
    /// the special primes.
    pub(crate) fn times_special_product<'a>(&self, poly: &'a Poly, k: usize) -> Option<(&'a [f64], f64)> {
        (k < poly.basis().q).then(|| (poly.limb(k), self.special_product[k]))
    }

    /// The limbs of QP at a level in groups.
    pub(crate) fn groups(&self, level: Level) -> &[Range<usize>] {
        &self.levels[level.index()].groups
    }

    /// What mod_up needs.
    pub(crate) fn lift_tables(&self, level: Level) -> (&[Range<usize>], &[DigitUp]) {
        let tables = &self.levels[level.index()];
        (&tables.groups, &tables.digits)
    }

    pub(crate) fn mod_down(&self, level: Level) -> &TailDivider {
        &self.levels[level.index()].mod_down
    }

    pub(crate) fn rescale(&self, level: Level) -> Result<&TailDivider, CkksError> {
        self.levels[level.index()].below.as_ref().map(|(rescale, _)| rescale).ok_or(CkksError::NoLevelLeft)
    }

    pub(crate) fn mod_down_rescale(&self, level: Level) -> Result<&TailDivider, CkksError> {
        self.levels[level.index()].below.as_ref().map(|(_, merged)| merged).ok_or(CkksError::NoLevelLeft)
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) fn fft(&self) -> &SpecialFft {
        &self.fft
    }
}

impl LevelTables {
    fn new(parameters: &Parameters, level: Level) -> Result<Self, CkksError> {
        let q: Vec<u64> = parameters.primes_at(level).collect();
        let special = parameters.special();
        let size = parameters.digit_size();
        let primes: Vec<u64> = q.iter().chain(special).copied().collect();
        let keep = level.below().map_or(0, |below| parameters.prime_count(below));
        let groups = groups(&[0, keep, q.len(), primes.len()], group_size(size));
        let digits = (0..q.len())
            .step_by(size)
            .map(|start| DigitUp::new(&primes, start..(start + size).min(q.len())))
            .collect::<Result<_, _>>()?;
        let below = match level.below() {
            None => None,
            Some(_) => {
                let kept = &q[..keep];
                let rescale = TailDivider::new(kept, &q[keep..], &groups)?;
                Some((rescale, TailDivider::new(kept, &primes[keep..], &groups)?))
            }
        };
        let mod_down = TailDivider::new(&q, special, &groups)?;
        Ok(LevelTables { groups, digits, mod_down, below })
    }
}

/// SHA-256 over every field, each of a fixed width or preceded by its length.
fn fingerprint(parameters: &Parameters) -> [u8; 32] {
    let literal = parameters.literal();
    let mut hash = Sha256::new();
    let mut number = |x: u64| hash.update(x.to_le_bytes());
    number(u64::from(literal.log_n.0));
    number(literal.levels.len() as u64);
    for group in literal.levels.iter().chain([&literal.special]) {
        number(group.len() as u64);
        group.iter().for_each(|&p| number(p));
    }
    number(literal.digit_size as u64);
    number(literal.top_scale.0.to_bits());
    number(u64::from(literal.insecure_toy));
    hash.finalize().into()
}

#[cfg(test)]
impl Context {
    /// Two levels of a small ring, for tests.
    pub(crate) fn toy(log_n: hec_params::LogN) -> Arc<Context> {
        let request = hec_params::ChainRequest {
            log_n,
            depth: hec_params::Depth(1),
            scale_bits: 30.0,
            base_bits: 40.0,
            digit_size: 1,
            insecure_toy: true,
        };
        let literal = hec_params::ParametersLiteral::new(&request).expect("exists");
        Context::new(Parameters::check(literal).expect("valid")).expect("valid")
    }
}
