//! ONNX `TensorProto` files (`.pb`), as ONNX's own test data uses for inputs and outputs.
//!
//! Only what such files hold is read: dims (1), data_type (2), float_data (4), int32_data (5), int64_data (7),
//! raw_data (9), double_data (10). Source: onnx.proto3 of ONNX 1.16, and the protocol buffers encoding guide.

use crate::tensor::{Shape, Tensor};

/// Largest number of elements.
const MAX_ELEMENTS: usize = 1 << 28;

/// The fields of a message that are read, as far as they go.
#[derive(Default)]
struct Fields<'a> {
    dims: Vec<u64>,
    data_type: u64,
    floats: Vec<f64>,
    integers: Vec<i64>,
    raw: Option<&'a [u8]>,
}

/// A field's value.
enum Wire<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// The tensor in the bytes of a `.pb` file.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn parse(bytes: &[u8]) -> Result<Tensor, String> {
    let fields = Fields::parse(bytes)?;
    let dims: Vec<usize> = fields.dims.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
    let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_ELEMENTS);
    let count = count.ok_or_else(|| format!("shape {dims:?} has too many elements"))?;
    let data = fields.elements()?;
    if data.len() != count {
        return Err(format!("shape {dims:?} has {count} elements, but {} are there", data.len()));
    }
    Ok(Tensor { shape: Shape::new(dims), data })
}

impl<'a> Fields<'a> {
    fn parse(mut bytes: &'a [u8]) -> Result<Self, String> {
        let mut fields = Fields::default();
        while !bytes.is_empty() {
            let (field, value) = next_field(&mut bytes).ok_or("not an ONNX TensorProto: a field is cut off")?;
            fields.take(field, value).ok_or_else(|| format!("not an ONNX TensorProto: field {field} is ill-formed"))?;
        }
        Ok(fields)
    }

    fn take(&mut self, field: u64, value: Wire<'a>) -> Option<()> {
        match (field, value) {
            (1, value) => varints(value, |x| self.dims.push(x))?,
            (2, Wire::Varint(x)) => self.data_type = x,
            (4, Wire::Fixed32(b)) => self.floats.push(f32::from_le_bytes(b).into()),
            (4, Wire::Bytes(b)) => each(b, |b| self.floats.push(f32::from_le_bytes(b).into()))?,
            (5 | 7, value) => varints(value, |x| self.integers.push(x as i64))?,
            (9, Wire::Bytes(b)) => self.raw = Some(b),
            (10, Wire::Fixed64(b)) => self.floats.push(f64::from_le_bytes(b)),
            (10, Wire::Bytes(b)) => each(b, |b| self.floats.push(f64::from_le_bytes(b)))?,
            (2 | 4 | 9 | 10, _) => return None,
            _ => {}
        }
        Some(())
    }

    /// All elements by data type: the numbers are those of `TensorProto.DataType`.
    fn elements(&self) -> Result<Vec<f64>, String> {
        if let Some(raw) = self.raw {
            return self.raw_elements(raw);
        }
        Ok(match self.data_type {
            1 | 11 => self.floats.clone(),
            2..=7 | 9 => self.integers.iter().map(|&x| x as f64).collect(),
            other => return Err(unsupported(other)),
        })
    }

    fn raw_elements(&self, raw: &[u8]) -> Result<Vec<f64>, String> {
        let mut data = Vec::with_capacity(raw.len() / 2);
        let whole = match self.data_type {
            1 => each(raw, |b| data.push(f32::from_le_bytes(b).into())),
            2 | 9 => each(raw, |[b]| data.push(b.into())),
            3 => each(raw, |b| data.push(i8::from_le_bytes(b).into())),
            4 => each(raw, |b| data.push(u16::from_le_bytes(b).into())),
            5 => each(raw, |b| data.push(i16::from_le_bytes(b).into())),
            6 => each(raw, |b| data.push(i32::from_le_bytes(b).into())),
            7 => each(raw, |b| data.push(i64::from_le_bytes(b) as f64)),
            11 => each(raw, |b| data.push(f64::from_le_bytes(b))),
            other => return Err(unsupported(other)),
        };
        whole.map(|()| data).ok_or_else(|| "raw_data ends within an element".to_owned())
    }
}

fn unsupported(data_type: u64) -> String {
    format!("data type {data_type} is not supported: use float, double or an integer type")
}

/// One field off the front; groups, which are obsolete, are not read.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let key = varint(bytes)?;
    let value = match key & 7 {
        0 => Wire::Varint(varint(bytes)?),
        1 => Wire::Fixed64(take(bytes, 8)?.try_into().ok()?),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Wire::Bytes(take(bytes, length)?)
        }
        5 => Wire::Fixed32(take(bytes, 4)?.try_into().ok()?),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A repeated integer field, packed or not.
fn varints(value: Wire<'_>, mut f: impl FnMut(u64)) -> Option<()> {
    match value {
        Wire::Varint(x) => f(x),
        Wire::Bytes(mut packed) => {
            while !packed.is_empty() {
                f(varint(&mut packed)?);
            }
        }
        Wire::Fixed32(_) | Wire::Fixed64(_) => return None,
    }
    Some(())
}

/// Every element of `N` bytes; `None` if they do not come out even.
fn each<const N: usize>(bytes: &[u8], f: impl FnMut([u8; N])) -> Option<()> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    chunks.iter().copied().for_each(f);
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_raw_say_the_same() {
        // dims 1 and 3 unpacked, float, the name "x", float_data 1, 2, -0.5.
        let mut packed = vec![0x08, 1, 0x08, 3, 0x10, 1, 0x42, 1, b'x', 0x22, 12];
        let mut raw = vec![0x0a, 2, 1, 3, 0x10, 1, 0x4a, 12];
        for x in [1.0f32, 2.0, -0.5] {
            packed.extend(x.to_le_bytes());
            raw.extend(x.to_le_bytes());
        }
        let expected = Tensor { shape: Shape::new([1, 3]), data: vec![1.0, 2.0, -0.5] };
        assert_eq!(parse(&packed), Ok(expected.clone()));
        assert_eq!(parse(&raw), Ok(expected));
        for cut in 0..raw.len() {
            assert!(cut == 0 || parse(&raw[..cut]).is_err(), "cut at {cut}");
            let mut flipped = raw.clone();
            flipped[cut] ^= 0x80;
            // Any answer but a panic; data bytes may change into other numbers.
            let _ = parse(&flipped);
        }
    }

    #[test]
    fn integers_of_every_width() {
        let raw = |data_type: u8, bytes: &[u8]| [&[0x08, 1, 0x10, data_type, 0x4a, bytes.len() as u8], bytes].concat();
        assert_eq!(parse(&raw(2, &[255])).unwrap().data, [255.0]);
        assert_eq!(parse(&raw(3, &[255])).unwrap().data, [-1.0]);
        assert_eq!(parse(&raw(7, &(-5i64).to_le_bytes())).unwrap().data, [-5.0]);
        assert_eq!(parse(&[0x08, 2, 0x10, 7, 0x3a, 2, 3, 4]).unwrap().data, [3.0, 4.0]);
        assert!(parse(&raw(8, &[1])).unwrap_err().contains("data type 8"));
    }
}
