//! Polynomials of their own for the borders of images.
//!
//! Convolutions see zeros beyond the border, so that values there have another density. Coefficients that differ by slot
//! cost nothing encrypted.

use hec_ir::tensor::{Graph, Op, Shape, Tensor};

/// The class of each position of an image: as many rows and columns at each border as `depth` says, or as leave some in
/// the middle, are told apart, all others are alike.
fn classes([height, width]: [usize; 2], depth: usize) -> Vec<usize> {
    let within = |extent: usize| depth.min(extent.saturating_sub(1) / 2);
    let class = |i: usize, extent: usize| match within(extent) {
        depth if i < depth => i + 1,
        depth if i + depth >= extent => i + 2 * depth + 1 - extent,
        _ => 0,
    };
    let columns = 2 * within(width) + 1;
    (0..height * width).map(|i| class(i / width, height) * columns + class(i % width, width)).collect()
}

/// The same network, whose polynomials on images have coefficients for each position.
pub fn by_position(graph: &Graph) -> Graph {
    let mut out = graph.clone();
    for (id, node) in graph.nodes.iter() {
        let (Op::Polynomial { basis, coefficients }, &[_, _, height, width]) = (&node.op, node.shape.dims()) else {
            continue;
        };
        let constant = graph.constants.tensor(*coefficients);
        let &[1, channels, 1, 1, size] = constant.shape.dims() else { continue };
        let rows = constant.data.chunks_exact(size).flat_map(|row| row.repeat(height * width));
        let spread = Tensor { shape: Shape::new([1, channels, height, width, size]), data: rows.collect() };
        let coefficients = out.constants.add(graph.constants.name(*coefficients), spread);
        out.nodes[id].op = Op::Polynomial { basis: *basis, coefficients };
    }
    out
}

/// Which polynomial each row of a constant is, numbered from 0 on: rows that are equal, of one channel, and of one class
/// of positions are one polynomial.
pub fn tied(coefficients: &Tensor, depth: usize) -> Vec<u32> {
    let each = |count: usize| (0..count as u32).collect();
    let Some((&size, lead)) = coefficients.shape.dims().split_last() else { return vec![0] };
    let &[_, _, height, width] = lead else { return each(lead.iter().product()) };
    let classes = classes([height, width], depth);
    let many = classes.iter().max().map_or(1, |most| most + 1);
    let mut rows = Vec::with_capacity(lead.iter().product());
    let mut count = 0;
    for plane in coefficients.data.chunks_exact((height * width * size).max(1)) {
        let mut seen: Vec<Vec<(&[f64], u32)>> = vec![Vec::new(); many];
        for (row, &class) in plane.chunks_exact(size).zip(&classes) {
            let known = seen[class].iter().find(|(other, _)| depth > 0 && *other == row).map(|s| s.1);
            rows.push(known.unwrap_or(count));
            if known.is_none() {
                seen[class].push((row, count));
                count += 1;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_of_images_are_told_apart() {
        let corners = [[4, 3, 3, 3, 5], [1, 0, 0, 0, 2], [1, 0, 0, 0, 2], [7, 6, 6, 6, 8]];
        assert_eq!(classes([4, 5], 1), corners.concat());
        // Not more than leave a row and a column in the middle.
        assert_eq!(classes([4, 5], 9)[..10], [6, 7, 5, 8, 9, 1, 2, 0, 3, 4]);
        assert_eq!(classes([2, 3], 1), [1, 0, 2, 1, 0, 2]);
        assert_eq!(classes([4, 5], 0), [0; 20]);
    }

    #[test]
    fn equal_rows_of_a_class_are_one_polynomial() {
        let mut coefficients = Tensor::filled(Shape::new([1, 2, 3, 3, 2]), 1.0);
        let nine: Vec<u32> = (0..18).collect();
        assert_eq!(tied(&coefficients, 1), nine);
        assert_eq!(tied(&coefficients, 0), nine);
        let wide = Tensor::filled(Shape::new([1, 1, 3, 4, 2]), 1.0);
        assert_eq!(tied(&wide, 1), [0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8]);
        coefficients.shape = Shape::new([1, 18, 1, 1, 2]);
        assert_eq!(tied(&coefficients, 1), nine);
        let mut wide = wide;
        wide.data[2] = 2.0;
        assert_eq!(tied(&wide, 1), [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9]);
    }
}
