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

/// Layouts of operands [k,b,i,j] that are summed along k: k outermost, the others in any order. Not all are sound.
pub(crate) fn of_operands(shape: &Shape, slots: Slots) -> Vec<Layout> {
    let padded = |_: usize, span: usize| span.next_power_of_two();
    orders(&(1..shape.rank()).collect::<Vec<_>>())
        .into_iter()
        .map(|order| strided(shape, slots, &[order, vec![0]].concat(), &padded))
        .collect()
}

/// Layouts of rows of features and of what is computed of them: axes in any order, and features cut into blocks as long
/// as there are rows, so that rows and features can change places within a block. Not all are sound.
pub(crate) fn of_rows(shape: &Shape, slots: Slots) -> Vec<Layout> {
    let axes: Vec<usize> = (0..shape.rank()).filter(|&axis| shape.dims()[axis] > 1).collect();
    let padded = |_: usize, span: usize| span.next_power_of_two();
    if axes.len() > 2 {
        let free = if axes.len() <= MOST_ORDERED { orders(&axes) } else { Vec::new() };
        return free.iter().map(|order| strided(shape, slots, order, &padded)).collect();
    }
    let &[rows, features] = &axes[..] else { return Vec::new() };
    let block = shape.dims()[rows].next_power_of_two();
    let blocks = shape.dims()[features].div_ceil(block);
    if blocks == 1 || !shape.dims()[features].is_multiple_of(block) {
        return Vec::new();
    }
    let layout = |row: usize, feature: usize| Layout {
        shape: shape.clone(),
        slots,
        digits: vec![
            digit(features, block, blocks, block * block),
            digit(rows, 1, shape.dims()[rows], row),
            digit(features, 1, block, feature),
        ],
        period: None,
    };
    vec![layout(block, 1), layout(1, block)]
}

/// Axes above which not all orders are tried.
const MOST_ORDERED: usize = 3;

/// All orders of some axes.
fn orders(axes: &[usize]) -> Vec<Vec<usize>> {
    let Some(&first) = axes.first() else { return vec![Vec::new()] };
    let rest = orders(&axes[1..]);
    let insert = |order: &Vec<usize>, at: usize| [&order[..at], &[first], &order[at..]].concat();
    rest.iter().flat_map(|order| (0..=order.len()).map(move |at| insert(order, at))).collect()
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

/// Layouts of N×C×H×W tensors whose rows and columns are split by their residues modulo `steps`: neighbours of the
/// same residue sit side by side, so that a map with these strides finds a grid without gaps.
pub(crate) fn split(shape: &Shape, slots: Slots, steps: [usize; 2]) -> Vec<Layout> {
    let &[images, channels, height, width] = shape.dims() else {
        return Vec::new();
    };
    let (rows, columns) = (height.div_ceil(steps[0]), width.div_ceil(steps[1]));
    let row = columns.next_power_of_two();
    let plane = (rows * row).next_power_of_two();
    let residues = (steps[0] * steps[1]).next_power_of_two();
    let layout = |residue: usize, channel: usize| {
        let mut digits = vec![
            digit(0, 1, images, plane * residues * channels.next_power_of_two()),
            digit(1, 1, channels, channel),
            digit(2, 1, steps[0].min(height), residue * steps[1]),
            digit(2, steps[0], rows, row),
            digit(3, 1, steps[1].min(width), residue),
            digit(3, steps[1], columns, 1),
        ];
        digits.retain(|d| d.extent > 1);
        Layout { shape: shape.clone(), slots, digits, period: None }
    };
    vec![layout(plane, plane * residues), layout(plane * channels.next_power_of_two(), plane)]
}

/// Whether rows or columns are split.
pub(crate) fn is_split(layout: &Layout) -> bool {
    [2, 3].into_iter().any(|axis| layout.digits.iter().filter(|d| d.axis == axis).count() > 1)
}

/// Places where channels may go: how many, and how far apart.
type Room = (usize, usize);

/// The digits of an axis that keep every `step`-th element where it is, and the room that the others leave.
fn thin(input: &Layout, axis: u32, step: usize, extent: usize) -> Option<(Vec<Digit>, Vec<Room>)> {
    let mut old: Vec<&Digit> = input.digits.iter().filter(|d| d.axis == axis).collect();
    old.sort_by_key(|d| d.divisor);
    let (mut digits, mut rooms) = (Vec::new(), Vec::new());
    let (mut step, mut covered) = (step, 1);
    for (i, d) in old.iter().enumerate() {
        let (size, stride) = (d.extent as usize, d.stride as usize);
        let top = i + 1 == old.len();
        if !top && step.is_multiple_of(size) {
            rooms.push((size, stride));
            step /= size;
            continue;
        }
        if !top && !size.is_multiple_of(step) {
            return None;
        }
        if step > 1 {
            rooms.push((step, stride));
        }
        let left = extent.div_ceil(covered);
        let kept = if top { left } else { left.min(size / step) };
        if kept > 1 {
            digits.push(digit(axis as usize, covered, kept, stride.checked_mul(step)?));
            covered *= kept;
        }
        step = 1;
    }
    Some((digits, rooms))
}

/// Layouts of a N×C×H×W result that leave every element where the chain finds it on the input's grid: a stride
/// opens gaps between neighbours, and channels go into the gaps and into blocks (multiplexed packing, Lee et al.
/// 2022), in several orders. Not all of them are sound.
pub(crate) fn on_grid_of(input: &Layout, steps: [usize; 2], shape: &Shape) -> Vec<Layout> {
    let (&[images, channels, height, width], 4) = (shape.dims(), input.shape.rank()) else {
        return Vec::new();
    };
    let (Some((rows, mut gaps)), Some((columns, more))) =
        (thin(input, 2, steps[0], height), thin(input, 3, steps[1], width))
    else {
        return Vec::new();
    };
    gaps.extend(more);
    gaps.sort_by_key(|g| g.1);
    let mut closed: Vec<Room> =
        input.digits.iter().filter(|d| d.axis == 1).map(|d| (d.extent as usize, d.stride as usize)).collect();
    closed.sort_by_key(|c| c.1);
    // The outermost blocks may be more than before.
    let grid = input.digits.iter().filter(|d| d.axis > 1).map(|d| d.extent as usize * d.stride as usize).max();
    let block = match closed.last() {
        Some(&(_, stride)) if stride >= grid.unwrap_or(1) => closed.pop().map_or(stride, |c| c.1),
        _ => input.span().next_power_of_two(),
    };
    let open = (channels, block);
    let room = gaps.iter().chain(&closed).fold(1usize, |room, r| room.saturating_mul(r.0));
    let fewest = (channels.div_ceil(room.max(1)).next_power_of_two(), block);
    let here = ((input.slots.0 / block).max(1), block);
    let beyond = (channels, block.saturating_mul(here.0));
    let orders: [Vec<Room>; 5] = [
        [&gaps[..], &closed, &[open]].concat(),
        [&closed[..], &gaps, &[open]].concat(),
        [&[fewest], &closed[..], &gaps].concat(),
        [&closed[..], &[here], &gaps, &[beyond]].concat(),
        [&closed[..], &[open]].concat(),
    ];
    let fill = |order: Vec<Room>| {
        let mut digits: Vec<Digit> = Vec::new();
        let mut divisor = 1;
        for (room, stride) in order {
            let extent = room.min(channels.div_ceil(divisor));
            if extent > 1 {
                digits.push(digit(1, divisor, extent, stride));
                divisor *= extent;
            }
        }
        digits.extend(rows.iter().chain(&columns));
        let mut layout = Layout { shape: shape.clone(), slots: input.slots, digits, period: None };
        if images > 1 {
            let stride = layout.span().next_power_of_two();
            layout.digits.insert(0, digit(0, 1, images, stride));
        }
        layout
    };
    orders.into_iter().map(fill).collect()
}
