//! Convolution and pooling: windows that slide over one or two spatial axes.

use crate::call::{Call, Value, natural};
use crate::error::Fault;
use crate::lower::Lowering;
use hec_ir::tensor::{ConvAttributes, LinearStep, Op, Shape, Tensor, ValueId, Window};
use std::sync::Arc;

/// The attributes that convolution and pooling share, with padding resolved. One-dimensional ones have height 1.
struct Sliding {
    kernel: [usize; 2],
    strides: [usize; 2],
    /// Top, left, bottom, right.
    pads: [usize; 4],
    dilations: [usize; 2],
    /// Rows and columns after the padding that only complete the last window (`ceil_mode`).
    completion: [usize; 2],
}

/// An input with its spatial axes as height and width.
struct Planar {
    x: ValueId,
    /// N, C, H, W.
    extents: [usize; 4],
    /// Whether a height of 1 was added.
    lifted: bool,
}

impl Planar {
    fn of(lowering: &Lowering, x: ValueId) -> Result<Planar, Fault> {
        let (extents, lifted) = match lowering.graph.shape(x).dims() {
            &[n, c, w] => ([n, c, 1, w], true),
            &[n, c, h, w] => ([n, c, h, w], false),
            &[_, _, _, _, _] => {
                return Err(Fault::form(
                    "it slides over three axes, and only one or two are supported",
                    "Fold one spatial axis into the channels or the batch before exporting",
                ));
            }
            dims => return Err(Fault::shape(format!("the input has shape {dims:?}, not N×C×H×W or N×C×W"))),
        };
        Ok(Planar { x, extents, lifted })
    }

    fn spatial(&self) -> usize {
        if self.lifted { 1 } else { 2 }
    }

    /// The steps between raising to height 1 and dropping it again.
    fn steps(&self, inner: Vec<LinearStep>, height: usize, width: usize, channels: usize) -> Vec<LinearStep> {
        if !self.lifted || inner.is_empty() {
            return inner;
        }
        debug_assert_eq!(height, 1, "a window on one axis keeps the added height");
        let raise = LinearStep::Reshape { shape: Shape::new(self.extents) };
        let drop = LinearStep::Reshape { shape: Shape::new([self.extents[0], channels, width]) };
        std::iter::once(raise).chain(inner).chain([drop]).collect()
    }
}

impl Sliding {
    fn of(call: &Call, x: &Planar, kernel: [usize; 2]) -> Result<Sliding, Fault> {
        let spatial = x.spatial();
        let strides = pair(call, "strides", spatial, 1)?;
        let dilations = pair(call, "dilations", spatial, 1)?;
        if kernel.iter().chain(&strides).chain(&dilations).any(|&n| n == 0) {
            return Err(Fault::malformed("a kernel extent, stride or dilation is zero"));
        }
        let mut sliding = Sliding { kernel, strides, pads: [0; 4], dilations, completion: [0; 2] };
        sliding.pads = match call.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => pads(call, spatial)?,
            "VALID" => [0; 4],
            side @ ("SAME_UPPER" | "SAME_LOWER") => sliding.same(x, side == "SAME_UPPER"),
            other => return Err(Fault::malformed(format!("auto_pad is {other:?}"))),
        };
        Ok(sliding)
    }

    /// Distance from the first to behind the last element of a window.
    fn span(&self, axis: usize) -> usize {
        self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Padding such that there is a result for every stride; the odd one goes after or before.
    fn same(&self, x: &Planar, upper: bool) -> [usize; 4] {
        let mut pads = [0; 4];
        for axis in 0..2 {
            let size = x.extents[2 + axis];
            let last = (size.div_ceil(self.strides[axis]) - 1) * self.strides[axis];
            let total = (last + self.span(axis)).saturating_sub(size);
            let (less, more) = (total / 2, total - total / 2);
            (pads[axis], pads[axis + 2]) = if upper { (less, more) } else { (more, less) };
        }
        pads
    }

    /// Padding that completes the last window, which must not start in the padding after the input.
    fn complete(&mut self, x: &Planar) -> Result<(), Fault> {
        for axis in 0..2 {
            let (size, stride) = (x.extents[2 + axis], self.strides[axis]);
            let padded = size + self.pads[axis] + self.pads[axis + 2];
            let room = padded.checked_sub(self.span(axis)).ok_or_else(|| Fault::shape("the window does not fit"))?;
            let last = room.div_ceil(stride) * stride;
            if last < size + self.pads[axis] {
                self.completion[axis] = last.saturating_sub(room);
            }
        }
        Ok(())
    }

    /// The result's height and width.
    fn extents(&self, x: &Planar) -> Result<[usize; 2], Fault> {
        let extent = |axis: usize| -> Result<usize, Fault> {
            let padded = x.extents[2 + axis] + self.pads[axis] + self.pads[axis + 2] + self.completion[axis];
            let room = padded.checked_sub(self.span(axis)).ok_or_else(|| Fault::shape("the window does not fit"))?;
            Ok(room / self.strides[axis] + 1)
        };
        Ok([extent(0)?, extent(1)?])
    }

    fn padded_pads(&self) -> [usize; 4] {
        let [top, left, bottom, right] = self.pads;
        [top, left, bottom + self.completion[0], right + self.completion[1]]
    }

    fn window(&self, count_include_pad: bool) -> Window {
        Window { kernel: self.kernel, strides: self.strides, pads: self.padded_pads(), count_include_pad }
    }

    fn convolution(&self, groups: usize) -> ConvAttributes {
        ConvAttributes { strides: self.strides, pads: self.padded_pads(), dilations: self.dilations, groups }
    }
}

/// An attribute with a number for each spatial axis.
fn pair(call: &Call, name: &str, spatial: usize, default: usize) -> Result<[usize; 2], Fault> {
    match call.ints(name)? {
        None => Ok([default; 2]),
        Some(list) => match (list.as_slice(), spatial) {
            (&[x], 1) => Ok([1, natural(x, name)?]),
            (&[y, x], 2) => Ok([natural(y, name)?, natural(x, name)?]),
            _ => Err(Fault::malformed(format!("{name} is {list:?}, and there are {spatial} spatial axes"))),
        },
    }
}

fn pads(call: &Call, spatial: usize) -> Result<[usize; 4], Fault> {
    let list = call.ints("pads")?.unwrap_or_else(|| vec![0; 2 * spatial]);
    let list = list.iter().map(|&p| natural(p, "pads")).collect::<Result<Vec<_>, _>>()?;
    match (list.as_slice(), spatial) {
        (&[left, right], 1) => Ok([0, left, 0, right]),
        (&[top, left, bottom, right], 2) => Ok([top, left, bottom, right]),
        _ => Err(Fault::malformed(format!("pads is {list:?}, and there are {spatial} spatial axes"))),
    }
}

pub(crate) fn conv(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = Planar::of(lowering, call.encrypted(0)?)?;
    let weight = call.constant(1)?;
    let bias = call.optional(2)?;
    let [out, inner, kh, kw] = match (weight.tensor.shape.dims(), x.lifted) {
        (&[o, i, w], true) => [o, i, 1, w],
        (&[o, i, h, w], false) => [o, i, h, w],
        (dims, _) => return Err(Fault::shape(format!("the weight's shape {dims:?} does not fit the input"))),
    };
    if call.ints("kernel_shape")?.is_some() && pair(call, "kernel_shape", x.spatial(), 1)? != [kh, kw] {
        return Err(Fault::shape(format!("kernel_shape differs from the weight's {kh}×{kw}")));
    }
    let sliding = Sliding::of(call, &x, [kh, kw])?;
    let groups = natural(call.int("group", 1)?, "group")?;
    let tensor = match x.lifted {
        false => weight.tensor.clone(),
        true => {
            lowering.charge(weight.tensor.data.len())?;
            Arc::new(Tensor { shape: Shape::new([out, inner, kh, kw]), data: weight.tensor.data.clone() })
        }
    };
    let weight = lowering.constant(&weight.name, tensor)?;
    let [height, width] = sliding.extents(&x)?;
    let convolution = LinearStep::Conv { weight, attributes: sliding.convolution(groups) };
    let y = lowering.linear(x.x, x.steps(vec![convolution], height, width, out))?;
    let Some(bias) = bias else {
        return Ok(vec![Value::Encrypted(y)]);
    };
    if bias.tensor.shape.dims() != [out] {
        return Err(Fault::shape(format!("the bias has shape {:?}, not [{out}]", bias.tensor.shape.dims())));
    }
    let channel = if x.lifted { Shape::new([1, out, 1]) } else { Shape::new([1, out, 1, 1]) };
    let tensor = Tensor { shape: channel, data: bias.tensor.data.clone() };
    Ok(vec![Value::Encrypted(lowering.add_constant(y, &bias.name, Arc::new(tensor))?)])
}

pub(crate) fn max_pool(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let (x, sliding) = pooling(lowering, call)?;
    if sliding.dilations != [1, 1] {
        return Err(Fault::form(
            "a maximum over a dilated window",
            "Use a window without dilation, or average pooling",
        ));
    }
    if call.int("storage_order", 0)? != 0 {
        return Err(Fault::form("column-major indices", "Use storage_order 0"));
    }
    let [height, width] = sliding.extents(&x)?;
    let mut y = x.x;
    if x.lifted {
        y = lowering.linear(y, vec![LinearStep::Reshape { shape: Shape::new(x.extents) }])?;
    }
    y = lowering.push(Op::MaxPool(sliding.window(false)), [y])?;
    if x.lifted {
        debug_assert_eq!(height, 1, "a window on one axis keeps the added height");
        let shape = Shape::new([x.extents[0], x.extents[1], width]);
        y = lowering.linear(y, vec![LinearStep::Reshape { shape }])?;
    }
    Ok(vec![Value::Encrypted(y)])
}

pub(crate) fn average_pool(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let (x, sliding) = pooling(lowering, call)?;
    let include = call.int("count_include_pad", 0)? != 0;
    let [height, width] = sliding.extents(&x)?;
    let narrow = (0..4).all(|side| sliding.padded_pads()[side] < sliding.kernel[side % 2]);
    let plain = sliding.dilations == [1, 1] && narrow && (!include || sliding.completion == [0, 0]);
    let steps = match plain {
        true => vec![LinearStep::AveragePool(sliding.window(include))],
        false => general_average(lowering, &x, &sliding, include)?,
    };
    let steps = x.steps(steps, height, width, x.extents[1]);
    Ok(vec![Value::Encrypted(lowering.linear(x.x, steps)?)])
}

fn pooling(lowering: &Lowering, call: &Call) -> Result<(Planar, Sliding), Fault> {
    let x = Planar::of(lowering, call.encrypted(0)?)?;
    if call.ints("kernel_shape")?.is_none() {
        return Err(Fault::malformed("kernel_shape is missing"));
    }
    let kernel = pair(call, "kernel_shape", x.spatial(), 1)?;
    let mut sliding = Sliding::of(call, &x, kernel)?;
    if call.int("ceil_mode", 0)? != 0 && call.text("auto_pad", "NOTSET")? == "NOTSET" {
        sliding.complete(&x)?;
    }
    Ok((x, sliding))
}

/// Averages over windows with dilation, or that reach beyond the padding: sums, divided by what each window counts.
fn general_average(
    lowering: &mut Lowering,
    x: &Planar,
    sliding: &Sliding,
    include: bool,
) -> Result<Vec<LinearStep>, Fault> {
    let channels = x.extents[1];
    let [height, width] = sliding.extents(x)?;
    let [kh, kw] = sliding.kernel;
    let taps = channels.saturating_mul(kh).saturating_mul(kw);
    lowering.charge(taps.saturating_add(height.saturating_mul(width)))?;
    // How many taps of the window at `at` count along an axis.
    let count = |axis: usize, at: usize| {
        let before = sliding.pads[axis];
        let size = x.extents[2 + axis];
        let counted = if include { 0..before + size + sliding.pads[axis + 2] } else { before..before + size };
        let start = at * sliding.strides[axis];
        (0..sliding.kernel[axis]).filter(|k| counted.contains(&(start + k * sliding.dilations[axis]))).count()
    };
    let rows: Vec<f64> = (0..height).map(|at| count(0, at) as f64).collect();
    let columns: Vec<f64> = (0..width).map(|at| count(1, at) as f64).collect();
    if rows.iter().chain(&columns).any(|&n| n == 0.0) {
        return Err(Fault::shape("a window lies in the padding only, and has no average"));
    }
    let shares = rows.iter().flat_map(|r| columns.iter().map(move |c| 1.0 / (r * c))).collect();
    let shares = Tensor { shape: Shape::new([1, 1, height, width]), data: shares };
    let weight = lowering.made("sum", Tensor::filled(Shape::new([channels, 1, kh, kw]), 1.0))?;
    let factor = lowering.made("share", shares)?;
    let attributes = sliding.convolution(channels);
    Ok(vec![LinearStep::Conv { weight, attributes }, LinearStep::Scale { factor }])
}

/// Mean over all spatial axes.
pub(crate) fn global_average_pool(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let x = call.encrypted(0)?;
    let axes: Vec<usize> = (2..lowering.graph.shape(x).rank()).collect();
    if axes.is_empty() {
        return Err(Fault::shape("the input has no spatial axes"));
    }
    Ok(vec![Value::Encrypted(lowering.linear(x, vec![LinearStep::Mean { axes }])?)])
}

/// Maximum over all spatial axes.
pub(crate) fn global_max_pool(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let id = call.encrypted(0)?;
    let x = Planar::of(lowering, id)?;
    let kernel = [x.extents[2], x.extents[3]];
    let window = Window { kernel, strides: [1, 1], pads: [0; 4], count_include_pad: false };
    let raised = lowering.linear(id, vec![LinearStep::Reshape { shape: Shape::new(x.extents) }])?;
    let y = lowering.push(Op::MaxPool(window), [raised])?;
    let extents = if x.lifted { vec![x.extents[0], x.extents[1], 1] } else { vec![x.extents[0], x.extents[1], 1, 1] };
    let y = lowering.linear(y, vec![LinearStep::Reshape { shape: Shape::new(extents) }])?;
    Ok(vec![Value::Encrypted(y)])
}
