//! From numbers to places in a drawing.

/// A straight map of numbers to coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The numbers at both ends.
    pub ends: (f64, f64),
    /// Their coordinates.
    pub places: (f64, f64),
}

impl Axis {
    /// With ends that are apart, even if they are not.
    pub fn new(ends: (f64, f64), places: (f64, f64)) -> Self {
        let (low, high) = ends;
        let ends = if high > low { ends } else { (low - 0.5, low + 0.5) };
        Axis { ends, places }
    }

    /// The coordinate of a number.
    pub fn at(&self, x: f64) -> f64 {
        let share = (x - self.ends.0) / (self.ends.1 - self.ends.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Round numbers between the ends, about as many as wanted.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        let width = self.ends.1 - self.ends.0;
        let rough = width / wanted.max(1) as f64;
        let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(10.0 * power);
        let (first, last) = (libm::ceil(self.ends.0 / step - 1e-9), libm::floor(self.ends.1 / step + 1e-9));
        // Zero has no sign.
        (0..=(last - first).max(0.0) as usize).map(|i| (first + i as f64) * step + 0.0).collect()
    }
}

/// A coordinate with a digit after the point: a tenth of a pixel is enough.
pub(super) fn place(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The points of a line, as the attribute `d` of a path has them.
pub(super) fn line(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let step =
        |(i, (x, y)): (usize, (f64, f64))| format!("{}{} {}", if i == 0 { "M" } else { "L" }, place(x), place(y));
    points.into_iter().enumerate().map(step).collect()
}

/// A number for people: three significant digits.
pub(crate) fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let size = libm::floor(libm::log10(x.abs())) as i32;
    if !(-4..6).contains(&size) {
        return format!("{x:.1e}");
    }
    let text = format!("{x:.*}", (2 - size).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::new((-3.3, 4.1), (0.0, 100.0));
        assert_eq!(axis.ticks(4), [-2.0, 0.0, 2.0, 4.0]);
        assert_eq!(axis.at(4.1), 100.0);
        assert_eq!(Axis::new((0.0, 0.3), (0.0, 1.0)).ticks(3).len(), 4);
        assert!(Axis::new((2.0, 2.0), (0.0, 1.0)).at(2.0).is_finite());
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [12345.6, 0.5, 0.012_34, 1e-9, -2.0, 0.0].map(number),
            ["12346", "0.5", "0.0123", "1.0e-9", "-2", "0"]
        );
        assert_eq!([place(3.04), place(-0.25)], ["3", "-0.2"]);
    }
}
