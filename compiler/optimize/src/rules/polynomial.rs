//! Polynomials: squares completed where the degree is a power of two, parity, and what stands around them taken in.
//!
//! A polynomial of degree 2^k evaluated as it stands takes k + 1 levels; as p = ±q² + r with deg q = deg r + 1 = 2^(k−1), and
//! q likewise, it takes k, because scales and shifts are absorbed by the neighbouring linear maps.

use super::{Match, rule};
use crate::language::{Lang, Network};
use egg::{Id, Rewrite};
use hec_ir::tensor::{ConstId, Shape, Tensor};
use hec_poly::Basis;

/// What completing a square may cancel, as a multiple of the coefficients' size; see [`super::square`].
const WORST_CANCELLATION: f64 = 4096.0;
/// A quartic's linear part whose coefficient is not within this factor of 1 keeps it: the argument would be stretched too far.
const LARGEST_SLOPE: f64 = 8.0;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    [completions(), parities(), surroundings()].concat()
}

fn completions() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("p = sign(a)(q^2 + r), deg p = 2^k, deg q = 2^(k-1)", "(polynomial ?p ?x)", |m| {
            let p = Rows::of_degree(m, |degree| degree.is_power_of_two() && degree >= 8)?;
            let (q, r) = p.split()?;
            let x = m.id("?x");
            let (inner, rest) = (q.applied(m, x), r.applied(m, x));
            let square = m.add(Lang::Square(inner));
            let sum = m.add(Lang::Add([square, rest]));
            Some(p.signed(m, sum))
        }),
        rule("a x^4 + ... = sign(a)((u^2 + c)^2 + d u + e), u = |a|^(1/4) x + b", "(polynomial ?p ?x)", |m| {
            let p = Rows::of_degree(m, |degree| degree == 4)?;
            let quartic = Quartic::of(&p)?;
            let x = m.id("?x");
            let scaled = p.scaled(m, quartic.scale, x);
            let u = p.shifted(m, quartic.shift, scaled);
            let square = m.add(Lang::Square(u));
            let inner = p.shifted(m, quartic.inner, square);
            let fourth = m.add(Lang::Square(inner));
            let linear = p.scaled(m, quartic.slope, u);
            let sum = m.add(Lang::Add([fourth, linear]));
            let rest = p.shifted(m, quartic.rest, sum);
            Some(p.signed(m, rest))
        }),
        // With t = S^(-1/3) both terms have the same factor, which the next layer takes: no product with S.
        rule(
            "(x^2 + c)^2 + S x = S^(4/3)(((t x)^2 + t^2 c)^2 + t x), t = S^(-1/3)",
            "(add (square (add_constant ?c (square ?x))) (linear ?s ?x))",
            |m| {
                let (factor, c) = (m.scale("?s")?, m.constant("?c")?);
                let tables = &mut m.egraph.analysis.tables;
                let near_one = |s: &f64| s.abs() > 1.0 / LARGEST_SLOPE && s.abs() < LARGEST_SLOPE;
                if !tables.constants.tensor(factor).data.iter().all(near_one) || is_one(tables.constants.tensor(factor))
                {
                    return None;
                }
                let stretch = tables.map(factor, "scale", |s| 1.0 / libm::cbrt(s));
                let inner = tables.combine(stretch, c, "shift", |t, c| t * t * c)?;
                let outer = tables.map(factor, "scale", |s| s * libm::cbrt(s));
                let x = m.id("?x");
                let v = m.scaled(stretch, x);
                let square = m.add(Lang::Square(v));
                let shifted = m.add_constant(inner, square);
                let fourth = m.add(Lang::Square(shifted));
                let sum = m.add(Lang::Add([fourth, v]));
                Some(m.scaled(outer, sum))
            },
        ),
        rule("p = a x + b, deg p = 1", "(polynomial ?p ?x)", |m| {
            let p = Rows::of_degree(m, |degree| degree == 1)?;
            let column = |k: usize| p.rows.iter().map(|row| row[k]).collect();
            let x = m.id("?x");
            let scaled = p.scaled(m, column(1), x);
            Some(p.shifted(m, column(0), scaled))
        }),
    ]
}

fn parities() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("p(x) = e(x^2), p even", "(polynomial ?p ?x)", |m| {
            let p = Rows::of_degree(m, |degree| degree >= 4).filter(|p| p.lacks(1))?;
            let x = m.id("?x");
            let argument = match p.basis {
                Basis::Monomial => m.add(Lang::Square(x)),
                // T_2k(x) = T_k(2x² − 1).
                Basis::Chebyshev => {
                    let scaled = p.scaled(m, vec![std::f64::consts::SQRT_2; p.rows.len()], x);
                    let square = m.add(Lang::Square(scaled));
                    p.shifted(m, vec![-1.0; p.rows.len()], square)
                }
            };
            Some(p.every_second(0).applied(m, argument))
        }),
        rule("p(x) = x o(x^2), p odd", "(polynomial ?p ?x)", |m| {
            let p = Rows::of_degree(m, |degree| degree >= 3)?;
            if p.basis == Basis::Chebyshev || !p.lacks(0) {
                return None;
            }
            let x = m.id("?x");
            let square = m.add(Lang::Square(x));
            let factor = p.every_second(1).applied(m, square);
            Some(m.add(Lang::Mul([x, factor])))
        }),
    ]
}

fn surroundings() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("S p(x) = (S p)(x)", "(linear ?s (polynomial ?p ?x))", |m| {
            let factor = m.scale("?s")?;
            let p = Rows::of(m)?.combine(m, factor, |row, s| row.iter_mut().for_each(|c| *c *= s))?;
            let x = m.id("?x");
            Some(p.applied(m, x))
        }),
        rule("-p(x) = (-p)(x)", "(negate (polynomial ?p ?x))", |m| {
            let mut p = Rows::of(m)?;
            p.rows.iter_mut().flatten().for_each(|c| *c = -*c);
            let x = m.id("?x");
            Some(p.applied(m, x))
        }),
        rule("p(x) + c = (p + c)(x)", "(add_constant ?c (polynomial ?p ?x))", |m| {
            let c = m.constant("?c")?;
            let p = Rows::of(m)?.combine(m, c, |row, c| row[0] += c)?;
            let x = m.id("?x");
            Some(p.applied(m, x))
        }),
        rule("p(x) + q(x) = (p + q)(x)", "(add (polynomial ?p ?x) (polynomial ?q ?x))", |m| {
            let sum = Rows::of(m)?.plus(&Rows::named(m, "?q")?)?;
            let x = m.id("?x");
            Some(sum.applied(m, x))
        }),
        rule("p(S x) = p'(x), p' of coefficients S^k p_k", "(polynomial ?p (linear ?s ?x))", |m| {
            let factor = m.scale("?s")?;
            let p = Rows::of(m)?;
            if p.basis == Basis::Chebyshev {
                return None;
            }
            let p = p.combine(m, factor, |row, s| {
                let mut power = 1.0;
                for c in row {
                    *c *= power;
                    power *= s;
                }
            })?;
            let x = m.id("?x");
            Some(p.applied(m, x))
        }),
    ]
}

fn is_one(tensor: &Tensor) -> bool {
    tensor.data.iter().all(|&s| s == 1.0)
}

/// The coefficients of a polynomial, a row for every channel that has its own.
struct Rows {
    basis: Basis,
    /// Extents that broadcast to the argument's shape.
    lead: Shape,
    rows: Vec<Vec<f64>>,
}

impl Rows {
    /// Of the matched polynomial `?p`.
    fn of(m: &Match) -> Option<Self> {
        Self::named(m, "?p")
    }

    /// The same if its degree is one of those: most rules are for some degrees, and there may be a row for every element.
    fn of_degree(m: &Match, fits: impl Fn(usize) -> bool) -> Option<Self> {
        let Lang::Coefficients(id) = m.leaf("?p")? else { return None };
        let tables = &m.egraph.analysis.tables;
        let count = *tables.constants.tensor(tables.polynomial(id).1).shape.dims().last()?;
        if fits(count.saturating_sub(1)) { Self::of(m) } else { None }
    }

    fn named(m: &Match, name: &str) -> Option<Self> {
        let Lang::Coefficients(id) = m.leaf(name)? else { return None };
        let (basis, constant) = m.egraph.analysis.tables.polynomial(id);
        let all = m.egraph.analysis.tables.constants.tensor(constant);
        let (&count, lead) = all.shape.dims().split_last()?;
        let rows = all.data.chunks_exact(count.max(1)).map(<[f64]>::to_vec).collect();
        Some(Rows { basis, lead: Shape::new(lead), rows })
    }

    fn degree(&self) -> usize {
        self.rows.first().map_or(0, |row| row.len() - 1)
    }

    /// Whether the coefficients of that parity are all zero.
    fn lacks(&self, parity: usize) -> bool {
        self.rows.iter().all(|row| row.iter().skip(parity).step_by(2).all(|&c| c == 0.0))
    }

    fn every_second(&self, parity: usize) -> Rows {
        let half = |row: &Vec<f64>| row.iter().skip(parity).step_by(2).copied().collect();
        Rows { basis: self.basis, lead: self.lead.clone(), rows: self.rows.iter().map(half).collect() }
    }

    /// The value of the polynomial at x.
    fn applied(&self, m: &mut Match, x: Id) -> Id {
        let shape = Shape::new([self.lead.dims(), &[self.degree() + 1]].concat());
        let tables = &mut m.egraph.analysis.tables;
        let coefficients = tables.intern("polynomial", Tensor { shape, data: self.rows.concat() });
        let polynomial = Lang::Coefficients(tables.add_polynomial(self.basis, coefficients));
        let polynomial = m.add(polynomial);
        m.add(Lang::Polynomial([polynomial, x]))
    }

    /// With a constant worked into every row, repeated where the constant has more channels.
    fn combine(&self, m: &Match, constant: ConstId, f: impl Fn(&mut Vec<f64>, f64)) -> Option<Rows> {
        let constant = m.egraph.analysis.tables.constants.tensor(constant);
        let lead = self.lead.broadcast(&constant.shape)?;
        if lead.rank() != self.lead.rank() {
            return None;
        }
        let mut rows = self.repeated(&lead)?;
        for (row, &c) in rows.iter_mut().zip(&constant.broadcast_to(&lead)?.data) {
            f(row, c);
        }
        Some(Rows { basis: self.basis, lead, rows })
    }

    fn repeated(&self, lead: &Shape) -> Option<Vec<Vec<f64>>> {
        let numbers = (0..self.rows.len()).map(|i| i as f64).collect();
        let numbers = Tensor { shape: self.lead.clone(), data: numbers }.broadcast_to(lead)?;
        Some(numbers.data.iter().map(|&i| self.rows[i as usize].clone()).collect())
    }

    fn plus(&self, other: &Rows) -> Option<Rows> {
        let lead = self.lead.broadcast(&other.lead)?;
        if self.basis != other.basis || self.lead.rank() != other.lead.rank() {
            return None;
        }
        let (mut a, mut b) = (self.repeated(&lead)?, other.repeated(&lead)?);
        for (a, b) in a.iter_mut().zip(&mut b) {
            if a.len() < b.len() {
                std::mem::swap(a, b);
            }
            a.iter_mut().zip(b.iter()).for_each(|(a, b)| *a += b);
        }
        Some(Rows { basis: self.basis, lead, rows: a })
    }

    /// q and r with p = sign(a)(q² + r) and deg q = deg p / 2 > deg r.
    fn split(&self) -> Option<(Rows, Rows)> {
        let pairs = self.rows.iter().map(|row| split(self.basis, row)).collect::<Option<Vec<_>>>()?;
        let (q, r) = pairs.into_iter().unzip();
        let rows = |rows| Rows { basis: self.basis, lead: self.lead.clone(), rows };
        Some((rows(q), rows(r)))
    }

    /// x with the signs of the leading coefficients.
    fn signed(&self, m: &mut Match, x: Id) -> Id {
        let negative = |row: &Vec<f64>| row.last().is_some_and(|&a| a < 0.0);
        if self.rows.iter().all(negative) {
            return m.add(Lang::Negate(x));
        }
        if !self.rows.iter().any(negative) {
            return x;
        }
        self.scaled(m, self.rows.iter().map(|row| if negative(row) { -1.0 } else { 1.0 }).collect(), x)
    }

    fn constant(&self, m: &mut Match, name: &str, data: Vec<f64>) -> ConstId {
        m.egraph.analysis.tables.add_constant(name, &Tensor { shape: self.lead.clone(), data })
    }

    /// x times a number for each row.
    fn scaled(&self, m: &mut Match, factors: Vec<f64>, x: Id) -> Id {
        let factor = self.constant(m, "scale", factors);
        m.scaled(factor, x)
    }

    /// x plus a number for each row.
    fn shifted(&self, m: &mut Match, shifts: Vec<f64>, x: Id) -> Id {
        let shift = self.constant(m, "shift", shifts);
        m.add_constant(shift, x)
    }
}

/// q and r of one row; `None` where the square would be much larger than the polynomial.
fn split(basis: Basis, row: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let degree = row.len() - 1;
    let half = degree / 2;
    let sign = if row[degree] < 0.0 { -1.0 } else { 1.0 };
    let target: Vec<f64> = row.iter().map(|c| sign * c).collect();
    // What the leading coefficient of q², squared, contributes: T_m² = T_2m/2 + 1/2.
    let lead = match basis {
        Basis::Monomial => target[degree].sqrt(),
        Basis::Chebyshev => (2.0 * target[degree]).sqrt(),
    };
    let mut q = vec![0.0; half + 1];
    q[half] = lead;
    for k in (half..degree).rev() {
        // 2·q_m·q_(k−m) of the monomials; of T_m·T_(k−m) half is T_k, unless k = m.
        let weight = if basis == Basis::Monomial || k == half { 2.0 } else { 1.0 };
        q[k - half] = (target[k] - square(basis, &q)[k]) / (weight * lead);
    }
    let squared = square(basis, &q);
    let rest: Vec<f64> = target.iter().zip(&squared).take(half).map(|(p, s)| p - s).collect();
    let size = |c: &[f64]| c.iter().map(|c| c.abs()).sum::<f64>();
    let stable = lead > 0.0 && size(&q) * size(&q) <= WORST_CANCELLATION * size(row);
    // The rest carries the sign of the whole.
    stable.then_some((q, rest))
}

/// Coefficients of the square.
fn square(basis: Basis, q: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; 2 * q.len() - 1];
    for (i, a) in q.iter().enumerate() {
        for (j, b) in q.iter().enumerate() {
            match basis {
                Basis::Monomial => out[i + j] += a * b,
                Basis::Chebyshev => {
                    out[i + j] += 0.5 * a * b;
                    out[i.abs_diff(j)] += 0.5 * a * b;
                }
            }
        }
    }
    out
}

/// The parts of sign(a)((u² + inner)² + slope·u + rest) with u = scale·x + shift, by row.
#[derive(Default)]
struct Quartic {
    scale: Vec<f64>,
    shift: Vec<f64>,
    inner: Vec<f64>,
    slope: Vec<f64>,
    rest: Vec<f64>,
}

impl Quartic {
    fn of(p: &Rows) -> Option<Self> {
        let (q, r) = p.split()?;
        let mut parts = Quartic::default();
        for (q, r) in q.rows.iter().zip(&r.rows) {
            // Of degree 2 and 1 in powers of x: T₂ = 2x² − 1.
            let [c, b, a] = match p.basis {
                Basis::Monomial => [q[0], q[1], q[2]],
                Basis::Chebyshev => [q[0] - q[2], q[1], 2.0 * q[2]],
            };
            let scale = a.sqrt();
            let shift = b / (2.0 * scale);
            if shift * shift > WORST_CANCELLATION * (a.abs() + b.abs() + c.abs()) {
                return None;
            }
            let slope = r[1] / scale;
            parts.scale.push(scale);
            parts.shift.push(shift);
            parts.inner.push(c - shift * shift);
            parts.slope.push(slope);
            parts.rest.push(r[0] - slope * shift);
        }
        Some(parts)
    }
}
