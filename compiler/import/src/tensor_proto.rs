//! ONNX tensors to numbers: every storage form, and weights kept in other files.

use crate::error::{Code, Fault};
use hec_ir::tensor::{Shape, Tensor};
use onnx_protobuf::TensorProto;
use onnx_protobuf::tensor_proto::{DataLocation, DataType};
use protobuf::Enum;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Largest number of elements of one tensor.
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;

/// What the elements of a constant are. All are held as `f64`; integers beyond 2^53 only occur as "until the end" in
/// slices, where rounding does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Integer,
    Bool,
}

/// The kind of an ONNX element type; `None` if it is not supported.
pub(crate) fn kind_of(data_type: i32) -> Option<Kind> {
    use DataType::*;
    match DataType::from_i32(data_type)? {
        FLOAT | DOUBLE | FLOAT16 | BFLOAT16 => Some(Kind::Float),
        INT8 | INT16 | INT32 | INT64 | UINT8 | UINT16 | UINT32 | UINT64 => Some(Kind::Integer),
        BOOL => Some(Kind::Bool),
        _ => None,
    }
}

/// The name of an ONNX element type.
pub(crate) fn type_name(data_type: i32) -> String {
    DataType::from_i32(data_type).map_or_else(|| format!("type {data_type}"), |t| format!("{t:?}").to_lowercase())
}

/// Extents as a shape, if they are in range.
pub(crate) fn shape_from(dims: &[i64]) -> Result<Shape, Fault> {
    let too_large = || {
        Fault::new(
            Code::TooLarge,
            format!("a tensor of shape {dims:?} has more than {MAX_ELEMENTS} elements"),
            "Use a smaller model or batch",
        )
    };
    let mut extents = Vec::with_capacity(dims.len());
    let mut product = 1usize;
    for &dim in dims {
        let extent =
            usize::try_from(dim).map_err(|_| Fault::malformed(format!("shape {dims:?} has a negative extent")))?;
        product = product.checked_mul(extent.max(1)).filter(|&p| p <= MAX_ELEMENTS).ok_or_else(too_large)?;
        extents.push(extent);
    }
    Ok(Shape::new(extents))
}

/// Where a model's other files are, and how much of them may still be read.
#[derive(Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
    /// Bytes of external files that tensors may still take: a few times what the files hold.
    budget: std::cell::Cell<u64>,
    seen: std::cell::RefCell<std::collections::BTreeSet<PathBuf>>,
}

/// How often a byte of an external file may be read by different tensors.
const EXTERNAL_REUSE: u64 = 4;

impl Storage {
    pub fn new(model: &Path) -> Self {
        let folder = match model.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Storage { folder, budget: Default::default(), seen: Default::default() }
    }

    /// Decode a tensor.
    pub fn decode(&self, proto: &TensorProto) -> Result<(Tensor, Kind), Fault> {
        let shape = shape_from(&proto.dims)?;
        let kind = kind_of(proto.data_type).ok_or_else(|| {
            Fault::new(
                Code::ElementType,
                format!("tensor \"{}\" has elements of {}", proto.name, type_name(proto.data_type)),
                "Convert it to float32 before exporting",
            )
        })?;
        let count = shape.elements();
        let external = proto.data_location.enum_value() == Ok(DataLocation::EXTERNAL);
        let data = if external {
            numbers(proto.data_type, &self.external(proto, count)?)
        } else if !proto.raw_data.is_empty() {
            numbers(proto.data_type, &proto.raw_data)
        } else {
            typed(proto)
        };
        let found = data.len();
        let tensor = Tensor::new(shape, data).ok_or_else(|| {
            Fault::malformed(format!(
                "tensor \"{}\" holds {found} elements, but its shape {:?} needs {count}",
                proto.name, proto.dims
            ))
        })?;
        Ok((tensor, kind))
    }

    fn external(&self, proto: &TensorProto, count: usize) -> Result<Vec<u8>, Fault> {
        let bad = |reason: String| {
            let reason = format!("external data of tensor \"{}\": {reason}", proto.name);
            Fault::new(Code::ExternalData, reason, "Keep the weight files beside the model, in its folder")
        };
        let entry = |key: &str| proto.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| match entry(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(n)) => Ok(Some(n)),
            Some(Err(_)) => Err(bad(format!("{key} is not a number"))),
        };
        let location = entry("location").ok_or_else(|| bad("no location is given".into()))?;
        let path = self.inside(location).map_err(bad)?;
        let needed = (count * width(proto.data_type)) as u64;
        if number("length")?.is_some_and(|length| length != needed) {
            return Err(bad(format!("the length differs from the {needed} bytes that the shape needs")));
        }
        let offset = number("offset")?.unwrap_or(0);
        let mut file = File::open(&path).map_err(|e| bad(format!("{location}: {e}")))?;
        let size = file.metadata().map_err(|e| bad(format!("{location}: {e}")))?.len();
        if offset.checked_add(needed).is_none_or(|end| end > size) {
            return Err(bad(format!("{location} has {size} bytes; {needed} at {offset} are needed")));
        }
        self.charge(&path, size, needed).map_err(bad)?;
        let mut bytes = vec![0; needed as usize];
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|e| bad(format!("{location}: {e}")))?;
        Ok(bytes)
    }

    /// The path of an external file, which must be in the model's folder even after links are followed.
    fn inside(&self, location: &str) -> Result<PathBuf, String> {
        let relative = Path::new(location);
        if !relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("{location:?} leaves the model's folder"));
        }
        let resolve = |path: &Path| path.canonicalize().map_err(|e| format!("{location}: {e}"));
        let path = resolve(&self.folder.join(relative))?;
        if path.starts_with(resolve(&self.folder)?) && path.is_file() {
            Ok(path)
        } else {
            Err(format!("{location:?} is not a file in the model's folder"))
        }
    }

    fn charge(&self, path: &Path, size: u64, needed: u64) -> Result<(), String> {
        if self.seen.borrow_mut().insert(path.to_owned()) {
            self.budget.set(self.budget.get().saturating_add(size.saturating_mul(EXTERNAL_REUSE)));
        }
        let left = self.budget.get().checked_sub(needed);
        self.budget.set(left.ok_or_else(|| "too many tensors share the same bytes".to_owned())?);
        Ok(())
    }
}

/// Bytes of an element.
fn width(data_type: i32) -> usize {
    use DataType::*;
    match DataType::from_i32(data_type) {
        Some(DOUBLE | INT64 | UINT64) => 8,
        Some(FLOAT | INT32 | UINT32) => 4,
        Some(FLOAT16 | BFLOAT16 | INT16 | UINT16) => 2,
        _ => 1,
    }
}

/// Little-endian elements. A last incomplete element is left out, which the caller sees by the count.
fn numbers(data_type: i32, bytes: &[u8]) -> Vec<f64> {
    use DataType::*;
    fn each<const W: usize>(bytes: &[u8], convert: impl Fn([u8; W]) -> f64) -> Vec<f64> {
        if !bytes.len().is_multiple_of(W) {
            return Vec::new();
        }
        let (elements, _) = bytes.as_chunks::<W>();
        elements.iter().map(|&b| convert(b)).collect()
    }
    match DataType::from_i32(data_type) {
        Some(FLOAT) => each(bytes, |b| f32::from_le_bytes(b).into()),
        Some(DOUBLE) => each(bytes, f64::from_le_bytes),
        Some(FLOAT16) => each(bytes, |b| half(u16::from_le_bytes(b))),
        Some(BFLOAT16) => each(bytes, |b| bfloat(u16::from_le_bytes(b))),
        Some(INT64) => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Some(UINT64) => each(bytes, |b| u64::from_le_bytes(b) as f64),
        Some(INT32) => each(bytes, |b| i32::from_le_bytes(b).into()),
        Some(UINT32) => each(bytes, |b| u32::from_le_bytes(b).into()),
        Some(INT16) => each(bytes, |b| i16::from_le_bytes(b).into()),
        Some(UINT16) => each(bytes, |b| u16::from_le_bytes(b).into()),
        Some(INT8) => each(bytes, |b| i8::from_le_bytes(b).into()),
        Some(UINT8) => each(bytes, |b: [u8; 1]| b[0].into()),
        Some(BOOL) => each(bytes, |b: [u8; 1]| f64::from(u8::from(b[0] != 0))),
        _ => Vec::new(),
    }
}

/// Elements in the typed fields of the message: small types share `int32_data`, by the ONNX specification.
fn typed(proto: &TensorProto) -> Vec<f64> {
    use DataType::*;
    let small = |convert: fn(i32) -> f64| proto.int32_data.iter().map(|&v| convert(v)).collect();
    match DataType::from_i32(proto.data_type) {
        Some(FLOAT) => proto.float_data.iter().map(|&v| v.into()).collect(),
        Some(DOUBLE) => proto.double_data.clone(),
        Some(INT64) => proto.int64_data.iter().map(|&v| v as f64).collect(),
        Some(UINT32 | UINT64) => proto.uint64_data.iter().map(|&v| v as f64).collect(),
        Some(FLOAT16) => small(|v| half(v as u16)),
        Some(BFLOAT16) => small(|v| bfloat(v as u16)),
        Some(BOOL) => small(|v| f64::from(u8::from(v != 0))),
        Some(INT32 | INT16 | INT8 | UINT16 | UINT8) => small(f64::from),
        _ => Vec::new(),
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    let power = |e: i32| libm::scalbn(1.0, e);
    sign * match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * power(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * power(exponent - 25),
    }
}

/// The upper half of an IEEE 754 binary32.
fn bfloat(bits: u16) -> f64 {
    f32::from_bits(u32::from(bits) << 16).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_covers_subnormals_and_infinities() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960464477539063e-8),
            (0x3555, 0.333251953125),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0xfc00), f64::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
        assert_eq!(bfloat(0x3f80), 1.0);
    }
}
