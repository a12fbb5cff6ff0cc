//! The header of a `.npy` file: a Python dictionary literal with the keys `descr`, `fortran_order` and `shape`.

use super::ArrayError;

/// What a header says, unchecked against the rest of the file.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) descriptor: Option<String>,
    pub(super) fortran_order: Option<bool>,
    pub(super) shape: Option<Vec<usize>>,
}

/// No array has more axes (NumPy's own limit).
pub(super) const MAX_RANK: usize = 64;

/// Read the dictionary.
pub(super) fn parse(text: &[u8]) -> Result<Header, ArrayError> {
    let mut cursor = Cursor { rest: text };
    let mut header = Header::default();
    cursor.expect(b'{', "a dictionary must begin it")?;
    while !cursor.accept(b'}') {
        let key = cursor.string()?;
        cursor.expect(b':', "a colon must follow a key")?;
        let repeated = match key {
            "descr" if cursor.peek() == Some(b'[') => {
                return Err(ArrayError::ElementType("with fields (a structured array)".to_owned()));
            }
            "descr" => header.descriptor.replace(cursor.string()?.to_owned()).is_some(),
            "fortran_order" => header.fortran_order.replace(cursor.boolean()?).is_some(),
            "shape" => header.shape.replace(cursor.tuple()?).is_some(),
            _ => return Err(ArrayError::Header("a key other than descr, fortran_order and shape")),
        };
        if repeated {
            return Err(ArrayError::Header("a key appears twice"));
        }
        if !cursor.accept(b',') {
            cursor.expect(b'}', "a comma or the end must follow a value")?;
            break;
        }
    }
    match cursor.peek() {
        None => Ok(header),
        Some(_) => Err(ArrayError::Header("text follows the dictionary")),
    }
}

/// What is left of the text.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), ArrayError> {
        if self.accept(byte) { Ok(()) } else { Err(ArrayError::Header(reason)) }
    }

    /// The longest run of bytes that satisfy `part`.
    fn run(&mut self, part: impl Fn(&u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| !part(b)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    fn string(&mut self) -> Result<&'a str, ArrayError> {
        let malformed = ArrayError::Header("a quoted string is missing or has no end");
        let Some(quote @ (b'\'' | b'"')) = self.peek() else {
            return Err(malformed);
        };
        self.rest = &self.rest[1..];
        let content = self.run(|&b| b != quote);
        match std::str::from_utf8(content) {
            Ok(text) if self.accept(quote) => Ok(text),
            _ => Err(malformed),
        }
    }

    fn boolean(&mut self) -> Result<bool, ArrayError> {
        self.peek();
        match self.run(u8::is_ascii_alphabetic) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(ArrayError::Header("fortran_order must be True or False")),
        }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, ArrayError> {
        let malformed = || ArrayError::Header("shape must be a tuple of whole numbers");
        self.expect(b'(', "shape must be a tuple of whole numbers")?;
        let mut extents = Vec::new();
        while !self.accept(b')') {
            self.peek();
            let digits = std::str::from_utf8(self.run(u8::is_ascii_digit)).map_err(|_| malformed())?;
            extents.push(digits.parse().map_err(|_| malformed())?);
            if extents.len() > MAX_RANK {
                return Err(ArrayError::Header("more than 64 axes"));
            }
            if !self.accept(b',') {
                self.expect(b')', "shape must be a tuple of whole numbers")?;
                break;
            }
        }
        Ok(extents)
    }
}
