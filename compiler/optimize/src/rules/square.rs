//! Degree-2 polynomials as squares, and scales through squares.
//!
//! a x² + b x + c = ±(√|a| x + β)² + γ with β = ±b/(2√|a|), γ = c − b²/(4a): one level and one squaring, once the affine
//! parts are absorbed by the neighbouring linear maps.

use super::{Match, rule};
use crate::language::{Lang, Network};
use egg::{Id, Rewrite};
use hec_ir::tensor::{ConstId, Shape, Tensor};
use hec_poly::Basis;

/// Completing the square cancels b²/(4|a|) against itself; beyond this many times the size of the coefficients the noise
/// of the scheme would show, and the product form is taken instead.
const WORST_CANCELLATION: f64 = 4096.0;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        // The scale goes to the linear map before, the signs (if there are any) to the one after.
        rule("a x^2 + b x + c = s(sqrt|a| x + s b/(2 sqrt|a|))^2 + c - b^2/(4a)", "(polynomial ?p ?x)", |m| {
            let quadratic = Quadratic::of(m)?;
            if !quadratic.is_stable() {
                return None;
            }
            let root = quadratic.each(m, "scale", |q| q.a.abs().sqrt());
            let shift = quadratic
                .each(m, "shift", |q| if q.a == 0.0 { 0.0 } else { q.a.signum() * q.b / (2.0 * q.a.abs().sqrt()) });
            let x = m.id("?x");
            let scaled = m.scaled(root, x);
            let shifted = m.add_constant(shift, scaled);
            let square = m.add(Lang::Square(shifted));
            let signed = quadratic.signed(m, square);
            let rest = quadratic.rest(m);
            Some(m.add_constant(rest, signed))
        }),
        // The scale goes to the linear map after.
        rule("a x^2 + b x + c = a(x + b/(2a))^2 + c - b^2/(4a)", "(polynomial ?p ?x)", |m| {
            let quadratic = Quadratic::of(m)?;
            let far = |q: &Coefficients| q.a == 0.0 || (q.b / q.a).abs() > WORST_CANCELLATION;
            if !quadratic.is_stable() || quadratic.0.iter().any(far) {
                return None;
            }
            let shift = quadratic.each(m, "shift", |q| q.b / (2.0 * q.a));
            let scale = quadratic.each(m, "scale", |q| q.a);
            let x = m.id("?x");
            let shifted = m.add_constant(shift, x);
            let square = m.add(Lang::Square(shifted));
            let scaled = m.scaled(scale, square);
            let rest = quadratic.rest(m);
            Some(m.add_constant(rest, scaled))
        }),
        // One level too when the scale is absorbed, for one more linear map: where a square would cancel.
        rule("a x^2 + b x + c = x(a x + b) + c", "(polynomial ?p ?x)", |m| {
            if Coefficients::all(m)?.0.all(Coefficients::is_stable) {
                return None;
            }
            let quadratic = Quadratic::of(m)?;
            let (a, b) = (quadratic.each(m, "scale", |q| q.a), quadratic.each(m, "shift", |q| q.b));
            let c = quadratic.each(m, "bias", |q| q.c);
            let x = m.id("?x");
            let scaled = m.scaled(a, x);
            let shifted = m.add_constant(b, scaled);
            let product = m.add(Lang::Mul([x, shifted]));
            Some(m.add_constant(c, product))
        }),
        rule("(S x)^2 = S^2 x^2", "(square (linear ?s ?x))", |m| {
            let factor = m.scale("?s")?;
            let squared = m.egraph.analysis.tables.map(factor, "scale", |s| s * s);
            let x = m.id("?x");
            let square = m.add(Lang::Square(x));
            Some(m.scaled(squared, square))
        }),
        // The other way round: a scale behind a square reaches the layer before it. Not where a layer reads the square, which
        // would then be computed twice; there, see [`crate::scales`].
        rule("S x^2 = sign(S)(sqrt|S| x)^2", "(linear ?s (square ?x))", |m| {
            let factor = m.scale("?s")?;
            let x = m.id("?x");
            if m.feeds_a_layer(&Lang::Square(x)) {
                return None;
            }
            let root = m.egraph.analysis.tables.map(factor, "scale", |s| s.abs().sqrt());
            let scaled = m.scaled(root, x);
            let square = m.add(Lang::Square(scaled));
            Some(match signs_of(m, factor) {
                Signs::Positive => square,
                Signs::Negative => m.add(Lang::Negate(square)),
                Signs::Mixed(signs) => m.scaled(signs, square),
            })
        }),
        rule("(-x)^2 = x^2", "(square (negate ?x))", |m| {
            let x = m.id("?x");
            Some(m.add(Lang::Square(x)))
        }),
        rule("x x = x^2", "(mul ?x ?x)", |m| {
            let x = m.id("?x");
            Some(m.add(Lang::Square(x)))
        }),
    ]
}

/// The signs of a scale.
enum Signs {
    Positive,
    Negative,
    /// A constant of ±1.
    Mixed(ConstId),
}

fn signs_of(m: &mut Match, factor: ConstId) -> Signs {
    let tables = &mut m.egraph.analysis.tables;
    let tensor = tables.constants.tensor(factor);
    if tensor.data.iter().all(|&s| s >= 0.0) {
        Signs::Positive
    } else if tensor.data.iter().all(|&s| s <= 0.0) {
        Signs::Negative
    } else {
        Signs::Mixed(tables.map(factor, "sign", |s| if s < 0.0 { -1.0 } else { 1.0 }))
    }
}

/// Coefficients of one element: a x² + b x + c.
#[derive(Clone, Copy)]
struct Coefficients {
    a: f64,
    b: f64,
    c: f64,
}

impl Coefficients {
    /// Of the matched polynomial if it has degree 2, for every channel that has its own, and the shape of these channels.
    fn all<'a>(m: &'a Match) -> Option<(impl Iterator<Item = Coefficients> + 'a, &'a [usize])> {
        let Lang::Coefficients(id) = m.leaf("?p")? else { return None };
        let tables = &m.egraph.analysis.tables;
        let (basis, constant) = tables.polynomial(id);
        let all = tables.constants.tensor(constant);
        let (3, lead) = all.shape.dims().split_last()? else { return None };
        let element = move |&[c, b, a]: &[f64; 3]| match basis {
            Basis::Monomial => Coefficients { a, b, c },
            // T₂ = 2x² − 1.
            Basis::Chebyshev => Coefficients { a: 2.0 * a, b, c: c - a },
        };
        Some((all.data.as_chunks().0.iter().map(element), lead))
    }

    /// Whether no square is completed at the price of a large cancellation.
    fn is_stable(self) -> bool {
        let size = self.a.abs() + self.b.abs() + self.c.abs();
        (self.a == 0.0 && self.b == 0.0) || self.b * self.b <= 4.0 * self.a.abs() * size * WORST_CANCELLATION
    }
}

/// Coefficients of a degree-2 polynomial, for every channel that has its own.
struct Quadratic(Vec<Coefficients>, Shape);

impl Quadratic {
    /// Of the matched polynomial, if it has degree 2.
    fn of(m: &Match) -> Option<Self> {
        let (all, lead) = Coefficients::all(m)?;
        Some(Quadratic(all.collect(), Shape::new(lead)))
    }

    /// Whether no square is completed at the price of a large cancellation.
    fn is_stable(&self) -> bool {
        self.0.iter().copied().all(Coefficients::is_stable)
    }

    fn each(&self, m: &mut Match, name: &str, f: impl Fn(&Coefficients) -> f64) -> ConstId {
        let tensor = Tensor { shape: self.1.clone(), data: self.0.iter().map(f).collect() };
        m.egraph.analysis.tables.add_constant(name, &tensor)
    }

    /// What remains beside the square.
    fn rest(&self, m: &mut Match) -> ConstId {
        self.each(m, "bias", |q| if q.a == 0.0 { q.c } else { q.c - q.b * q.b / (4.0 * q.a) })
    }

    /// The square with the signs of a: nothing, a negation, or a scale by ±1.
    fn signed(&self, m: &mut Match, square: Id) -> Id {
        if self.0.iter().all(|q| q.a >= 0.0) {
            square
        } else if self.0.iter().all(|q| q.a <= 0.0) {
            m.add(Lang::Negate(square))
        } else {
            let signs = self.each(m, "sign", |q| if q.a < 0.0 { -1.0 } else { 1.0 });
            m.scaled(signs, square)
        }
    }
}
