//! No kernel calls an instruction: a check of the symbols of the very program that runs it.
//!
//! An intrinsic that was not inlined is a function in the program, called for every vector; results stay right and nothing
//! but the speed, by a factor of five, tells.

use std::path::Path;

fn u64_at(file: &[u8], at: usize) -> usize {
    u64::from_le_bytes(*file[at..].first_chunk().expect("within the file")) as usize
}

fn u32_at(file: &[u8], at: usize) -> usize {
    u32::from_le_bytes(*file[at..].first_chunk().expect("within the file")) as usize
}

/// The names in the symbol table of a 64-bit little-endian ELF file (System V ABI, chapter 4).
fn symbols(path: &Path) -> Vec<String> {
    const SYMBOL_TABLE: usize = 2;
    let file = std::fs::read(path).expect("a readable program");
    let sections = u64_at(&file, 40);
    let section = |i: usize| sections + 64 * i;
    let count = u32_at(&file, 60) & 0xffff;
    let table = (0..count).map(section).find(|&s| u32_at(&file, s + 4) == SYMBOL_TABLE).expect("symbols, not stripped");
    let (start, len) = (u64_at(&file, table + 24), u64_at(&file, table + 32));
    let names = u64_at(&file, section(u32_at(&file, table + 40)) + 24);
    let name = |symbol: usize| {
        let bytes = &file[names + u32_at(&file, symbol)..];
        String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
    };
    (start..start + len).step_by(24).map(name).collect()
}

#[test]
fn no_kernel_calls_an_instruction() {
    let symbols = symbols(&std::env::current_exe().unwrap());
    assert!(symbols.iter().any(|s| s.contains("ntt_forward")), "the kernels are in the table");
    let calls: Vec<&String> = symbols.iter().filter(|s| s.contains("_mm512_") || s.contains("_mm256_")).collect();
    assert!(calls.is_empty(), "left as functions: {calls:#?}");
}
