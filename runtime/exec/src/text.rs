//! Sentences as the token ids that a model takes, by its `tokenizer.json`.
//!
//! A model has one fixed number of tokens: shorter sentences are padded, longer ones cut, and the client is told. An input
//! of the usual names gets the attention mask or the token types, the remaining one the ids.

use crate::RunError;
use hec_ir::samples::Wanted;
use hec_ir::tensor::{Shape, Tensor};
use std::path::{Path, PathBuf};
use tokenizers::{Encoding, PaddingParams, PaddingStrategy, PostProcessor, Tokenizer, TruncationParams};

/// Tokens that fill up a sentence, by the names that they usually have.
const PADDING: [&str; 4] = ["[PAD]", "<pad>", "<|padding|>", "<|endoftext|>"];

/// What an input of a model is given.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Ids,
    Mask,
    Types,
}

impl Role {
    fn of(input: &str) -> Self {
        match input {
            "attention_mask" | "input_mask" => Role::Mask,
            "token_type_ids" | "segment_ids" => Role::Types,
            _ => Role::Ids,
        }
    }
}

/// A tokenizer for the inputs of one model.
pub struct TextInput {
    path: PathBuf,
    tokenizer: Tokenizer,
    padding: Option<PaddingParams>,
    inputs: Vec<(Role, Shape)>,
    length: usize,
}

/// Sentences as inputs, and what was done to sentences of another length than the model's.
pub struct Tokenized {
    /// The input tensors of each sentence.
    pub samples: Vec<Vec<Tensor>>,
    /// For people.
    pub notes: Vec<String>,
}

impl TextInput {
    /// For the inputs of a model: ids of shape [1,T] or [T], and a mask and types of the same number of tokens if it takes
    /// them.
    ///
    /// # Errors
    /// When the file is no tokenizer, or the model takes anything but tokens.
    pub fn new(path: &Path, wanted: &Wanted) -> Result<Self, RunError> {
        let inputs: Vec<_> = wanted.iter().map(|(name, shape)| (Role::of(name), shape.clone())).collect();
        let length = inputs.first().map_or(0, |(_, shape)| shape.elements());
        let is_row = |shape: &Shape| shape.dims().last() == Some(&length) && shape.elements() == length;
        let ids = inputs.iter().filter(|(role, _)| *role == Role::Ids).count();
        if length == 0 || ids != 1 || !inputs.iter().all(|(_, shape)| is_row(shape)) {
            let found: Vec<_> = wanted.iter().map(|(name, shape)| format!("{name} {:?}", shape.dims())).collect();
            return Err(RunError::Input(format!(
                "the model takes {}, no token ids of shape [1, T]: give it arrays with --input, or compile the model with \
                 its embeddings",
                found.join(", ")
            )));
        }
        let tokenizer = std::fs::read(path).map_err(RunError::io(path))?;
        let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(|e| unusable(path, &e))?;
        let added = tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false));
        if added >= length {
            let reason = format!("it puts {added} tokens around a sentence, and the model takes {length} in all");
            return Err(unusable(path, &reason));
        }
        let padding = Self::padding_of(&tokenizer, length);
        let cut = TruncationParams { max_length: length, ..Default::default() };
        // What is padded at once does not tell how long it was.
        tokenizer.with_padding(None).with_truncation(Some(cut)).map_err(|e| unusable(path, &e))?;
        Ok(TextInput { path: path.to_owned(), tokenizer, padding, inputs, length })
    }

    /// How a tokenizer fills sentences up, or how it usually would; `None` if it has no token for that.
    fn padding_of(tokenizer: &Tokenizer, length: usize) -> Option<PaddingParams> {
        let strategy = PaddingStrategy::Fixed(length);
        if let Some(own) = tokenizer.get_padding() {
            return Some(PaddingParams { strategy, pad_to_multiple_of: None, ..own.clone() });
        }
        let (token, pad_id) = PADDING.iter().find_map(|token| Some((token, tokenizer.token_to_id(token)?)))?;
        Some(PaddingParams { strategy, pad_id, pad_token: (*token).to_owned(), ..Default::default() })
    }

    fn no_padding(&self) -> RunError {
        RunError::Input(format!(
            "{}: the model takes {} tokens, but the tokenizer has no token to fill up a shorter sentence",
            self.path.display(),
            self.length
        ))
    }

    /// The tokens of each sentence.
    ///
    /// # Errors
    /// A sentence without a token; a shorter one than the model's if the tokenizer has no token to fill it up.
    pub fn tokenize(&self, sentences: &[String]) -> Result<Tokenized, RunError> {
        let (mut samples, mut notes) = (Vec::with_capacity(sentences.len()), Vec::new());
        for (index, sentence) in sentences.iter().enumerate() {
            if sentence.trim().is_empty() {
                return Err(RunError::Input(format!("sentence {index} is empty")));
            }
            let mut tokens =
                self.tokenizer.encode_fast(sentence.as_str(), true).map_err(|e| unusable(&self.path, &e))?;
            notes.extend(self.note(index, &tokens));
            if tokens.len() < self.length {
                let p = self.padding.as_ref().ok_or_else(|| self.no_padding())?;
                tokens.pad(self.length, p.pad_id, p.pad_type_id, &p.pad_token, p.direction);
            }
            samples.push(self.inputs.iter().map(|(role, shape)| role.tensor(&tokens, shape)).collect());
        }
        Ok(Tokenized { samples, notes })
    }

    /// What is to be said of a sentence's length.
    fn note(&self, index: usize, tokens: &Encoding) -> Option<String> {
        let (own, has_mask) = (tokens.len(), self.inputs.iter().any(|(role, _)| *role == Role::Mask));
        if !tokens.get_overflowing().is_empty() {
            return Some(format!(
                "sentence {index} is longer than the model's {} tokens; its end is cut off",
                self.length
            ));
        }
        (own < self.length && !has_mask).then(|| {
            let filled = self.length - own;
            format!(
                "sentence {index} has {own} tokens and is filled up with {filled}; the model has no mask, so that these take \
                 part like any other"
            )
        })
    }
}

impl Role {
    fn tensor(self, tokens: &Encoding, shape: &Shape) -> Tensor {
        let numbers = match self {
            Role::Ids => tokens.get_ids(),
            Role::Mask => tokens.get_attention_mask(),
            Role::Types => tokens.get_type_ids(),
        };
        Tensor { shape: shape.clone(), data: numbers.iter().map(|&n| f64::from(n)).collect() }
    }
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> RunError {
    RunError::Input(format!("{}: this tokenizer cannot be used: {reason}", path.display()))
}
