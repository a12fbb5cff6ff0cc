//! Layouts worth considering for a tensor.

use hec_ir::tensor::{LinearStep, Shape};
use hec_ir::{Digit, Layout, Slots};

/// Layouts that depend on the shape alone: row-major and column-major, dense and with padded strides. Not all are
/// sound.
pub(crate) fn of_shape(shape: &Shape, slots: Slots) -> Vec<Layout> {
    let rank = shape.rank();
    let rows: Vec<usize> = (0..rank).rev().collect();
    let columns: Vec<usize> = (0..rank).collect();
    let dense = |_: usize, span: usize| span;
    let padded = |_: usize, span: usize| span.next_power_of_two();
    let planes = |axis: usize, span: usize| if axis + 2 >= rank { span } else { span.next_power_of_two() };
    vec![
        strided(shape, slots, &rows, &padded),
        strided(shape, slots, &rows, &planes),
        strided(shape, slots, &rows, &dense),
        strided(shape, slots, &columns, &padded),
    ]
}

/// Axes in `order`, innermost first; `pad(axis, span)` is the stride that follows an axis with that span.
fn strided(shape: &Shape, slots: Slots, order: &[usize], pad: &dyn Fn(usize, usize) -> usize) -> Layout {
    let mut digits = Vec::new();
    let mut stride = 1usize;
    for &axis in order {
        let extent = shape.dims()[axis];
        if extent > 1 {
            digits.push(digit(axis, 1, extent, stride));
            stride = pad(axis, stride.saturating_mul(extent));
        }
    }
    digits.reverse();
    Layout { shape: shape.clone(), slots, digits, period: None }
}

fn digit(axis: usize, divisor: usize, extent: usize, stride: usize) -> Digit {
    let small = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
    Digit { axis: axis as u32, divisor: small(divisor), extent: small(extent), stride: small(stride) }
}

/// Keep the first of each kind, and only those that are sound.
pub(crate) fn retain_distinct(all: &mut Vec<Layout>) {
    let mut kept: Vec<Layout> = Vec::new();
    for layout in all.drain(..) {
        if !kept.contains(&layout) && layout.verify().is_ok() {
            kept.push(layout);
        }
    }
    *all = kept;
}

/// The steps in y and x from one element of a chain's N×C×H×W result to the next, in elements of its input.
pub(crate) fn strides_of(steps: &[LinearStep]) -> Option<[usize; 2]> {
    let mut total = [1usize; 2];
    for step in steps {
        let stride = match step {
            LinearStep::Conv { attributes, .. } => attributes.strides,
            LinearStep::AveragePool(window) => window.strides,
            LinearStep::Slice { steps, .. } if steps.len() == 4 => {
                [steps[2].unsigned_abs() as usize, steps[3].unsigned_abs() as usize]
            }
            LinearStep::Scale { .. } | LinearStep::Pad { .. } | LinearStep::Mean { .. } => [1, 1],
            _ => return None,
        };
        total = [total[0].checked_mul(stride[0])?, total[1].checked_mul(stride[1])?];
    }
    Some(total)
}

/// Layouts of a N×C×H×W result that leave every element where the chain finds it on the input's grid: a stride
/// opens gaps between neighbours, and channels go into the gaps and into blocks (multiplexed packing, Lee et al.
/// 2022), in several orders. Not all of them are sound.
pub(crate) fn on_grid_of(input: &Layout, steps: [usize; 2], shape: &Shape) -> Vec<Layout> {
    let (&[images, channels, height, width], &[_, _, input_height, _]) = (shape.dims(), input.shape.dims()) else {
        return Vec::new();
    };
    let stride_of = |axis: u32| input.digits.iter().filter(|d| d.axis == axis).map(|d| d.stride as usize).max();
    let single = |axis: u32| input.digits.iter().filter(|d| d.axis == axis).count() <= 1;
    if !single(2) || !single(3) {
        return Vec::new();
    }
    let x = stride_of(3).unwrap_or(1) * steps[1];
    let row = width * x;
    let y = stride_of(2).map_or(row, |stride| stride * steps[0]);
    if y < row && height > 1 {
        return Vec::new();
    }
    // Rows of the original grid between two rows of the result.
    let gap_y = (1..=(y / row.max(1)).max(1)).rev().find(|k| y.is_multiple_of(*k)).unwrap_or(1);
    let zone = (height * y).max(stride_of(2).unwrap_or(1) * input_height);
    let block = stride_of(1).filter(|&s| s >= zone).unwrap_or(zone.next_power_of_two());
    let gaps = [(x, 1), (gap_y, y / gap_y)];
    let blocks = |room: usize| channels.div_ceil(room.max(1));
    let here = (input.slots.0 / block).max(1);
    let orders: [Vec<(usize, usize)>; 4] = [
        vec![gaps[0], gaps[1], (channels, block)],
        vec![(blocks(x * gap_y).next_power_of_two(), block), gaps[0], gaps[1]],
        vec![(here, block), gaps[0], gaps[1], (channels, block * here)],
        vec![(channels, block)],
    ];
    let mut all: Vec<Layout> = Vec::new();
    for order in orders {
        let mut digits = Vec::new();
        let mut divisor = 1;
        for (room, stride) in order {
            let extent = room.min(channels.div_ceil(divisor));
            if extent > 1 {
                digits.push(digit(1, divisor, extent, stride));
                divisor *= extent;
            }
        }
        digits.extend((height > 1).then(|| digit(2, 1, height, y)));
        digits.extend((width > 1).then(|| digit(3, 1, width, x)));
        let mut layout = Layout { shape: shape.clone(), slots: input.slots, digits, period: None };
        if images > 1 {
            let stride = layout.span().next_power_of_two();
            layout.digits.insert(0, digit(0, 1, images, stride));
        }
        all.push(layout);
    }
    all
}
