//! One array: `.npy`.

use super::{Array, ArrayError, ElementType, header};
use crate::tensor::{Constants, LinearStep, Shape, Tensor};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The data of a written file begins at a multiple of this.
const ALIGNMENT: usize = 64;

/// The array in the bytes of a `.npy` file.
///
/// # Errors
/// When the bytes are ill-formed, or hold integers that `f64` cannot.
pub fn read_npy(bytes: &[u8]) -> Result<Array, ArrayError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(ArrayError::Signature)?;
    let (&[major, minor], rest) = split(rest)?;
    let (length, rest) = match major {
        1 => split(rest).map(|(b, rest)| (u16::from_le_bytes(*b) as usize, rest))?,
        2 => split(rest).map(|(b, rest)| (u32::from_le_bytes(*b) as usize, rest))?,
        _ => return Err(ArrayError::Version(major, minor)),
    };
    if rest.len() < length {
        return Err(ArrayError::Truncated { needed: length, found: rest.len() });
    }
    let (text, data) = rest.split_at(length);
    let header = header::parse(text)?;
    let missing = ArrayError::Header("descr, fortran_order or shape is missing");
    let (Some(descriptor), Some(fortran_order), Some(dims)) = (header.descriptor, header.fortran_order, header.shape)
    else {
        return Err(missing);
    };
    let element = ElementType::from_descriptor(&descriptor)?;
    let needed = byte_count(&dims, element)?;
    if data.len() < needed {
        return Err(ArrayError::Truncated { needed, found: data.len() });
    }
    if data.len() > needed {
        return Err(ArrayError::Trailing(data.len() - needed));
    }
    Ok(Array { tensor: arrange(dims, decode(data, element)?, fortran_order), element })
}

/// The first `N` bytes and the rest.
fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), ArrayError> {
    bytes.split_first_chunk().ok_or(ArrayError::Truncated { needed: N, found: bytes.len() })
}

/// Bytes of the elements. Empty axes do not excuse the others from being addressable.
fn byte_count(dims: &[usize], element: ElementType) -> Result<usize, ArrayError> {
    let all = dims.iter().try_fold(element.size(), |n, &d| n.checked_mul(d.max(1)));
    match all.filter(|&n| n <= isize::MAX as usize) {
        Some(_) if dims.contains(&0) => Ok(0),
        Some(count) => Ok(count),
        None => Err(ArrayError::TooLarge(dims.to_vec())),
    }
}

fn decode(data: &[u8], element: ElementType) -> Result<Vec<f64>, ArrayError> {
    fn each<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>().0.iter().map(|&b| value(b)).collect()
    }
    Ok(match element {
        ElementType::F64 => each(data, f64::from_le_bytes),
        ElementType::F32 => each(data, |b| f64::from(f32::from_le_bytes(b))),
        ElementType::I32 => each(data, |b| f64::from(i32::from_le_bytes(b))),
        ElementType::U8 => each(data, |[b]| f64::from(b)),
        ElementType::Bool => each(data, |[b]| f64::from(u8::from(b != 0))),
        ElementType::I64 => {
            let integers = data.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b));
            let exact = |(index, value): (usize, i64)| match value as f64 {
                x if x as i128 == i128::from(value) => Ok(x),
                _ => Err(ArrayError::Inexact { index, value: value.to_string(), element: ElementType::F64 }),
            };
            integers.enumerate().map(exact).collect::<Result<_, _>>()?
        }
    })
}

/// Elements in Fortran order are those of the transposed tensor in row-major order.
fn arrange(dims: Vec<usize>, data: Vec<f64>, fortran_order: bool) -> Tensor {
    if !fortran_order || dims.len() < 2 {
        return Tensor { shape: Shape::new(dims), data };
    }
    let permutation = (0..dims.len()).rev().collect();
    let reversed: Vec<usize> = dims.into_iter().rev().collect();
    let transposed = Tensor { shape: Shape::new(reversed), data };
    let step = LinearStep::Transpose { permutation };
    step.apply(&transposed, &Constants::default()).expect("the axes in reverse are a permutation")
}

/// The bytes of a `.npy` file, version 1, in C order, data aligned to 64 bytes.
///
/// # Errors
/// When an element cannot be held exactly as `element` (`F32` rounds to nearest), or there are more than 64 axes.
pub fn write_npy(tensor: &Tensor, element: ElementType) -> Result<Vec<u8>, ArrayError> {
    if tensor.shape.rank() > header::MAX_RANK {
        return Err(ArrayError::Header("more than 64 axes"));
    }
    let extents: String = tensor.shape.dims().iter().map(|d| format!("{d}, ")).collect();
    // Python writes (), (3,) and (3, 4).
    let extents = if tensor.shape.rank() == 1 { extents.trim_end() } else { extents.trim_end_matches(", ") };
    let descriptor = element.descriptor();
    let dictionary = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': ({extents}), }}");
    let preamble = MAGIC.len() + 4;
    let length = (preamble + dictionary.len() + 1).next_multiple_of(ALIGNMENT) - preamble;
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    // At most 64 extents of 20 digits: far below 2^16.
    out.extend((length as u16).to_le_bytes());
    out.extend(dictionary.as_bytes());
    out.extend(std::iter::repeat_n(b' ', length - dictionary.len() - 1));
    out.push(b'\n');
    out.reserve(tensor.data.len() * element.size());
    for (index, &value) in tensor.data.iter().enumerate() {
        let inexact = || ArrayError::Inexact { index, value: value.to_string(), element };
        encode(value, element, &mut out).ok_or_else(inexact)?;
    }
    Ok(out)
}

/// Append one element, if the type holds it.
fn encode(value: f64, element: ElementType, out: &mut Vec<u8>) -> Option<()> {
    // 2^63 is a double and the first that i64 does not hold.
    let whole = |min: f64, end: f64| (value.fract() == 0.0 && value >= min && value < end).then_some(value);
    match element {
        ElementType::F64 => out.extend(value.to_le_bytes()),
        ElementType::F32 => out.extend((value as f32).to_le_bytes()),
        ElementType::I64 => out.extend((whole(i64::MIN as f64, -(i64::MIN as f64))? as i64).to_le_bytes()),
        ElementType::I32 => out.extend((whole(f64::from(i32::MIN), -f64::from(i32::MIN))? as i32).to_le_bytes()),
        ElementType::U8 => out.push(whole(0.0, 256.0)? as u8),
        ElementType::Bool => out.push(whole(0.0, 2.0)? as u8),
    }
    Some(())
}
