//! Polynomials of degree 2, 4 and 8 by completing squares: log2(degree) levels, where other forms take one more.
//!
//! A polynomial of degree 2m with leading coefficient 1 is q² + r with q of degree m and r of degree below m. With
//! t = scale·x + shift, where the scale makes the leading coefficient 1 and goes into the linear map before:
//!
//! * degree 1: t + o
//! * degree 2: (t + h)² + o
//! * degree 4: ((t + h)² + i)² + l·t + o
//! * degree 8: q² + (c·t + e)·(t + h)² + m·t + n, with q as for degree 4
//!
//! The price is cancellation where the leading coefficient is small; [`Squares::loss`] tells how much.

use super::emitter::Emitter;
use hec_ir::tensor::{Shape, ShapeError, Tensor, ValueId};

/// One polynomial as squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Squares {
    /// t = scale·x + shift
    pub scale: f64,
    /// The other number of t.
    pub shift: f64,
    half: f64,
    inner: f64,
    /// l and o of degree 4.
    line: [f64; 2],
    /// c, e, m and n of degree 8.
    rest: [f64; 4],
}

impl Squares {
    /// The polynomial with these coefficients in (x − mid)/half, constant term first: 2, 3, 5 or 9 of them. Where there are
    /// more than 2 the last one is positive.
    pub fn new(coefficients: &[f64], (mid, half): (f64, f64)) -> Self {
        let degree = coefficients.len() - 1;
        let lead = coefficients[degree];
        if degree == 1 {
            return Squares {
                scale: lead / half,
                shift: -lead * mid / half,
                line: [0.0, coefficients[0]],
                ..Squares::default()
            };
        }
        let scale = libm::pow(lead, 1.0 / degree as f64);
        // Coefficients in t.
        let mut power = 1.0;
        let monic: Vec<f64> = coefficients
            .iter()
            .map(|c| {
                let value = c * power;
                power /= scale;
                value
            })
            .collect();
        let mut squares = Squares { scale: scale / half, shift: -scale * mid / half, ..Squares::default() };
        match *monic.as_slice() {
            [o, l, _] => (squares.half, squares.line) = (0.5 * l, [0.0, o - 0.25 * l * l]),
            [o, l, c, p, _] => squares.quartic([o, l, c, p]),
            [c0, c1, c2, c3, c4, c5, c6, c7, _] => {
                // q = t⁴ + q3·t³ + q2·t² + q1·t + q0 with q² = p in the four highest coefficients.
                let q3 = 0.5 * c7;
                let q2 = 0.5 * (c6 - q3 * q3);
                let q1 = 0.5 * c5 - q3 * q2;
                let q0 = 0.5 * (c4 - q2 * q2) - q3 * q1;
                squares.quartic([q0, q1, q2, q3]);
                let r3 = c3 - 2.0 * (q3 * q0 + q2 * q1);
                let r2 = c2 - 2.0 * q2 * q0 - q1 * q1;
                let (r1, r0) = (c1 - 2.0 * q1 * q0, c0 - q0 * q0);
                let h = squares.half;
                let e = r2 - 2.0 * h * r3;
                squares.rest = [r3, e, r1 - h * h * r3 - 2.0 * h * e, r0 - h * h * e];
            }
            _ => {}
        }
        squares
    }

    /// t⁴ + p·t³ + c·t² + l·t + o = ((t + p/2)² + i)² + …
    fn quartic(&mut self, [o, l, c, p]: [f64; 4]) {
        let h = 0.25 * p;
        // (t + h)² = t² + 2h·t + h²; its square with i added has 4h·t³, (6h² + 2i)·t², (4h³ + 4h·i)·t and (h² + i)².
        let i = 0.5 * (c - 6.0 * h * h);
        let constant = h * h + i;
        self.half = h;
        self.inner = i;
        self.line = [l - 4.0 * h * constant, o - constant * constant];
    }

    /// The value at x, and the largest number that is added up on the way.
    fn walk(&self, degree: usize, x: f64) -> (f64, f64) {
        let t = self.scale * x + self.shift;
        let [l, o] = self.line;
        let square = (t + self.half) * (t + self.half);
        let (value, largest) = match degree {
            1 => (t + o, 0.0),
            2 => (square + o, square),
            4 => {
                let fourth = (square + self.inner) * (square + self.inner);
                (fourth + l * t + o, fourth.max((l * t).abs()))
            }
            _ => {
                let fourth = (square + self.inner) * (square + self.inner);
                let q = fourth + l * t + o;
                let [c, e, m, n] = self.rest;
                let cubic = (c * t + e) * square;
                // What is lost in q counts twice its size in the square.
                let inside = fourth.max((l * t).abs()) * 2.0 * q.abs();
                (q * q + cubic + m * t + n, inside.max(q * q).max(cubic.abs()).max((m * t).abs()))
            }
        };
        (value, largest)
    }

    /// The value at x of a polynomial of that degree.
    pub fn eval(&self, degree: usize, x: f64) -> f64 {
        self.walk(degree, x).0
    }

    /// By which factor the largest intermediate number exceeds the largest value on a range.
    pub fn loss(&self, degree: usize, (lo, hi): (f64, f64)) -> f64 {
        let at = |k: i32| self.walk(degree, lo + (hi - lo) * f64::from(k) / 32.0);
        let (value, largest) = (0..=32).map(at).fold((0.0f64, 0.0f64), |(v, m), (y, n)| (v.max(y.abs()), m.max(n)));
        largest / value.max(f64::MIN_POSITIVE)
    }

    /// Append a polynomial of that degree of x, one for each element of `lead`, which broadcasts to the shape of x.
    ///
    /// # Errors
    /// When it does not.
    pub fn emit(
        emitter: &mut Emitter<'_>,
        x: ValueId,
        (degree, lead, each): (usize, &Shape, &[Squares]),
    ) -> Result<ValueId, ShapeError> {
        let number = |f: fn(&Squares) -> f64| Tensor { shape: lead.clone(), data: each.iter().map(f).collect() };
        let scaled = emitter.scale(x, "scale", number(|s| s.scale))?;
        let t = emitter.shift(scaled, "shift", number(|s| s.shift))?;
        Self::emit_scaled(emitter, t, (degree, lead, each))
    }

    /// The same, given t.
    ///
    /// # Errors
    /// When `lead` does not broadcast to the shape of t.
    pub fn emit_scaled(
        emitter: &mut Emitter<'_>,
        t: ValueId,
        (degree, lead, each): (usize, &Shape, &[Squares]),
    ) -> Result<ValueId, ShapeError> {
        let number = |f: fn(&Squares) -> f64| Tensor { shape: lead.clone(), data: each.iter().map(f).collect() };
        let line = |emitter: &mut Emitter<'_>, y: ValueId| -> Result<ValueId, ShapeError> {
            let slope = emitter.scale(t, "slope", number(|s| s.line[0]))?;
            emitter.add(y, slope)
        };
        let offset = |s: &Squares| s.line[1];
        if degree == 1 {
            return emitter.shift(t, "offset", number(offset));
        }
        let shifted = emitter.shift(t, "half", number(|s| s.half))?;
        let square = emitter.square(shifted)?;
        let mut value = square;
        if degree >= 4 {
            let inner = emitter.shift(square, "inner", number(|s| s.inner))?;
            let fourth = emitter.square(inner)?;
            value = line(emitter, fourth)?;
        }
        value = emitter.shift(value, "offset", number(offset))?;
        if degree == 8 {
            let square_of_q = emitter.square(value)?;
            let factor = emitter.scale(t, "cubic", number(|s| s.rest[0]))?;
            let factor = emitter.shift(factor, "square", number(|s| s.rest[1]))?;
            let cubic = emitter.mul(factor, square)?;
            let slope = emitter.scale(t, "slope", number(|s| s.rest[2]))?;
            let low = emitter.add(cubic, slope)?;
            let low = emitter.shift(low, "offset", number(|s| s.rest[3]))?;
            value = emitter.add(square_of_q, low)?;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::Origin;
    use hec_ir::tensor::{Graph, Output};

    fn horner(coefficients: &[f64], x: f64) -> f64 {
        coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
    }

    const POLYNOMIALS: [&[f64]; 7] = [
        &[0.5, -2.0],
        &[1.0, 2.0, 0.5],
        &[1.0, 2.0, 3.0],
        &[1.0, 0.9, 0.5, 0.2, 0.05],
        &[-1.0, 2.0, 0.5, 1.0, 0.3],
        &[1.0, 1.0, 0.5, 0.17, 0.042, 0.0083, 0.0014, 0.0002, 0.00002],
        &[0.1, -0.4, 0.3, 0.2, 1.0, -0.5, 0.3, 0.6, 0.9],
    ];

    #[test]
    fn squares_are_the_polynomial() {
        for coefficients in POLYNOMIALS {
            let squares = Squares::new(coefficients, (0.5, 2.0));
            for k in -8..=8 {
                let x = 0.5 + 0.25 * f64::from(k);
                let (found, wanted) = (squares.eval(coefficients.len() - 1, x), horner(coefficients, (x - 0.5) / 2.0));
                assert!((found - wanted).abs() < 1e-9, "{coefficients:?} at {x}: {found}, not {wanted}");
            }
        }
    }

    #[test]
    fn the_nodes_compute_the_same_for_every_element() {
        for degree in [1, 2, 4, 8] {
            let each: Vec<Squares> = POLYNOMIALS
                .iter()
                .filter(|p| p.len() == degree + 1)
                .map(|p| Squares::new(p, (0.0, 1.0)))
                .cycle()
                .take(2)
                .collect();
            let shape = Shape::new([1, 2, 3]);
            let mut graph = Graph::new("net");
            let x = graph.input("x", shape.clone());
            let origin = Origin::node("f");
            let mut emitter = Emitter { graph: &mut graph, origin: &origin };
            let value = Squares::emit(&mut emitter, x, (degree, &Shape::new([1, 2, 1]), &each)).unwrap();
            graph.outputs.push(Output { name: "y".to_owned(), value, client: Vec::new() });
            graph.verify().unwrap();
            let input = Tensor { shape, data: vec![-1.0, -0.3, 0.1, 0.2, 0.7, 1.0] };
            let found = graph.run(std::slice::from_ref(&input)).unwrap().remove(0);
            for (i, (x, y)) in input.data.iter().zip(found.data).enumerate() {
                assert!((each[i / 3].eval(degree, *x) - y).abs() < 1e-12, "degree {degree}");
            }
        }
    }

    #[test]
    fn a_small_leading_coefficient_loses_bits() {
        let loss = |lead: f64| Squares::new(&[1.0, 1.0, 1.0, 1.0, lead], (0.0, 1.0)).loss(4, (-1.0, 1.0));
        assert!(loss(1.0) < 8.0 && loss(1e-3) > 1e3, "{} {}", loss(1.0), loss(1e-3));
    }
}
