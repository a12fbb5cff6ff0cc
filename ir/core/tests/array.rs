//! `.npy` and `.npz` files: what NumPy writes is read, what is written is read back, and nothing malformed panics.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use hec_ir::array::{Array, ArrayError, ElementType, load, read_npy, read_npz, write_npy, write_npz};
use hec_ir::tensor::{Shape, Tensor};
use std::io::Write;
use std::path::Path;

fn tensor(dims: &[usize], data: &[f64]) -> Tensor {
    Tensor::new(Shape::new(dims), data.to_vec()).unwrap()
}

/// A version 1 file with that dictionary.
fn npy(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dictionary.len() as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn every_type_and_rank_is_read_back() {
    use ElementType::*;
    let shapes: [&[usize]; 6] = [&[], &[1], &[6], &[2, 3], &[1, 3, 2, 1], &[0, 4]];
    for dims in shapes {
        let count = Shape::new(dims).elements();
        for (element, values) in [
            (F64, [0.1, -1e300, f64::MIN_POSITIVE, 3.0, -0.0, 5.5]),
            (F32, [0.5, -1.5, 1.0, 2.0, f64::from(f32::MAX), 7.0]),
            (I64, [0.0, -(2f64.powi(63)), 2f64.powi(53), 1.0, -1.0, 9.0]),
            (I32, [2147483647.0, -2147483648.0, 0.0, 1.0, 2.0, 3.0]),
            (U8, [0.0, 255.0, 1.0, 2.0, 3.0, 4.0]),
            (Bool, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]),
        ] {
            let array = Array { tensor: tensor(dims, &values[..count]), element };
            let bytes = write_npy(&array.tensor, element).unwrap();
            assert_eq!((bytes.len() - count * element.size()) % 64, 0, "data must be aligned");
            assert_eq!(read_npy(&bytes).unwrap(), array);
        }
    }
}

#[test]
fn headers_as_numpy_writes_them() {
    let expected = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }";
    assert!(write_npy(&tensor(&[3], &[1.0, 2.0, 3.0]), ElementType::F64).unwrap().starts_with(expected));
    // Fortran order: columns first.
    let data: Vec<u8> = [1i32, 4, 2, 5, 3, 6].iter().flat_map(|v| v.to_le_bytes()).collect();
    let array = read_npy(&npy("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }   \n", &data)).unwrap();
    assert_eq!(array.tensor, tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    // Other orders of keys, double quotes, no spaces, no last comma, version 2.
    let dictionary = b"{\"shape\":(2,),\"descr\":\"|u1\",\"fortran_order\":False}\n";
    let mut second = b"\x93NUMPY\x02\x00".to_vec();
    second.extend((dictionary.len() as u32).to_le_bytes());
    second.extend(dictionary);
    second.extend([7, 200]);
    assert_eq!(read_npy(&second).unwrap(), Array { tensor: tensor(&[2], &[7.0, 200.0]), element: ElementType::U8 });
}

#[test]
fn as_many_axes_as_numpy_allows() {
    let dims = [1; 64];
    let bytes = write_npy(&tensor(&dims, &[2.5]), ElementType::F32).unwrap();
    assert_eq!(read_npy(&bytes).unwrap().tensor.shape.dims(), dims);
    assert!(matches!(write_npy(&tensor(&[1; 65], &[2.5]), ElementType::F32), Err(ArrayError::Header(_))));
}

#[test]
fn malformed_files_are_refused_with_their_reason() {
    let read = |dictionary: &str, data: &[u8]| read_npy(&npy(dictionary, data)).unwrap_err();
    let shape = |s: &str| format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {s}}}");
    assert!(matches!(read_npy(b"PNG"), Err(ArrayError::Signature)));
    assert!(matches!(read_npy(b"\x93NUMPY\x09\x00ab"), Err(ArrayError::Version(9, 0))));
    assert!(matches!(read(&shape("(2,)"), &[0; 15]), ArrayError::Truncated { needed: 16, found: 15 }));
    assert!(matches!(read(&shape("(2,)"), &[0; 17]), ArrayError::Trailing(1)));
    assert!(matches!(read(&shape("(4294967296, 4294967296)"), &[]), ArrayError::TooLarge(_)));
    assert!(matches!(read(&shape("(0, 9223372036854775807)"), &[]), ArrayError::TooLarge(_)));
    assert!(matches!(read(&shape("(1000000000000,)"), &[]), ArrayError::Truncated { .. }));
    for bad in ["(-1,)", "(2", "[2]", "(1.5,)", "(99999999999999999999999,)", "(,)", "2"] {
        assert!(matches!(read(&shape(bad), &[]), ArrayError::Header(_)), "{bad}");
    }
    for bad in ["", "{", "{'descr'}", "{'shape': (1,)}", "{'a': 1}", "{'descr': '<f8', 'descr': '<f8'}", "{} x"] {
        assert!(matches!(read(bad, &[]), ArrayError::Header(_)), "{bad}");
    }
    for unsupported in [">f8", "<f2", "<U4", "|O", "<c16"] {
        let dictionary = format!("{{'descr': '{unsupported}', 'fortran_order': False, 'shape': (1,)}}");
        assert!(matches!(read(&dictionary, &[0; 8]), ArrayError::ElementType(t) if t == unsupported));
    }
    let fields = "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}";
    assert!(matches!(read(fields, &[0; 8]), ArrayError::ElementType(_)));
    let odd = (1i64 << 53) + 1;
    let dictionary = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}";
    assert!(matches!(read(dictionary, &odd.to_le_bytes()), ArrayError::Inexact { index: 0, .. }));
}

#[test]
fn numbers_that_do_not_fit_their_type_are_not_written() {
    for (value, element) in [
        (0.5, ElementType::I64),
        (2f64.powi(63), ElementType::I64),
        (f64::NAN, ElementType::I32),
        (2147483648.0, ElementType::I32),
        (256.0, ElementType::U8),
        (-1.0, ElementType::U8),
        (2.0, ElementType::Bool),
    ] {
        let written = write_npy(&tensor(&[2], &[1.0, value]), element);
        assert!(matches!(written, Err(ArrayError::Inexact { index: 1, .. })), "{value} as {element:?}");
    }
}

#[test]
fn archives_are_read_back_and_deterministic() {
    let (a, b) = (tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), tensor(&[1], &[-1.5]));
    let arrays = [("input", &a, ElementType::U8), ("other/name", &b, ElementType::F32)];
    let bytes = write_npz(arrays).unwrap();
    assert_eq!(bytes, write_npz(arrays).unwrap());
    let read = read_npz(&bytes).unwrap();
    assert_eq!(read.iter().map(|(n, a)| (n.as_str(), &a.tensor, a.element)).collect::<Vec<_>>(), arrays);
    assert!(read_npz(&write_npz([]).unwrap()).unwrap().is_empty());
    assert!(write_npz([("same", &a, ElementType::U8), ("same", &a, ElementType::U8)]).is_err());
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("a.npy", options).unwrap();
    archive.write_all(content).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn compressed_archives_are_read_but_may_not_explode() {
    let a = tensor(&[1000], &[0.25; 1000]);
    let content = write_npy(&a, ElementType::F32).unwrap();
    let bytes = deflated(&content);
    assert!(bytes.len() < content.len());
    assert_eq!(read_npz(&bytes).unwrap()[0].1.tensor, a);
    let bomb = deflated(&vec![0; 70 << 20]);
    assert!(matches!(read_npz(&bomb), Err(ArrayError::Bomb { .. })));
}

#[test]
fn damaged_archives_are_refused() {
    let a = tensor(&[3, 5], &[0.5; 15]);
    let bytes = write_npz([("a", &a, ElementType::F64)]).unwrap();
    for length in 0..bytes.len() {
        assert!(read_npz(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut unnoticed = 0;
    for position in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0x10;
        // A flip in a time stamp or an attribute changes no array; any other is noticed.
        if let Ok(arrays) = read_npz(&flipped) {
            unnoticed += usize::from(arrays.first().is_some_and(|(name, array)| name == "a" && array.tensor != a));
        }
    }
    assert_eq!(unnoticed, 0);
}

#[test]
fn files_written_by_numpy() {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
    let (name, images) = load(&digits.join("test_images.npy")).unwrap().remove(0);
    assert_eq!(name, "test_images");
    assert_eq!(images.shape.dims()[1..], [1, 8, 8]);
    assert!(images.data.iter().all(|x| (0.0..=16.0).contains(x)));
    let missing = load(&digits.join("no_such_file.npy")).unwrap_err().to_string();
    assert!(missing.contains("no_such_file.npy"), "{missing}");
}
