//! Hugging Face's `tokenizer.json`, through their crate, where the program is built with it (feature `tokenizers`).

use crate::ir::experiment::TokenizerKind;
use serde::{Deserialize, Serialize};

#[cfg(feature = "tokenizers")]
use tokenizers::Tokenizer as Loaded;
/// Without the crate there is no tokenizer.
#[cfg(not(feature = "tokenizers"))]
#[derive(Clone)]
enum Loaded {}

/// A tokenizer with the file that it was read from, so that a run can keep it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tokenizer {
    json: String,
    loaded: Loaded,
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Tokenizer) -> bool {
        self.json == other.json
    }
}

impl Eq for Tokenizer {}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} bytes)", self.json.len())
    }
}

impl From<Tokenizer> for String {
    fn from(tokenizer: Tokenizer) -> String {
        tokenizer.json
    }
}

impl TryFrom<String> for Tokenizer {
    type Error = String;

    fn try_from(json: String) -> Result<Tokenizer, String> {
        let loaded = load(&json).map_err(|e| e.0)?;
        Ok(Tokenizer { json, loaded })
    }
}

/// What is wrong, and what to do about it.
pub(super) type Problem = (String, String);

impl Tokenizer {
    /// Reads a file that the spec says to be of a kind.
    pub(super) fn parse(bytes: Vec<u8>, kind: TokenizerKind) -> Result<Tokenizer, Problem> {
        let json = String::from_utf8(bytes).map_err(|_| not_a_tokenizer("it is not UTF-8"))?;
        let loaded = load(&json)?;
        let tokenizer = Tokenizer { json, loaded };
        let model = tokenizer.model();
        let fits = match kind {
            TokenizerKind::Bpe => model == "bpe",
            TokenizerKind::WordPiece => model == "wordpiece",
        };
        match fits {
            true => Ok(tokenizer),
            false => Err((
                format!("this is a tokenizer of the kind `{model}`"),
                match model {
                    "bpe" | "wordpiece" => format!("write `tokens {model}(…)`"),
                    _ => "the kinds that are read are `bpe` and `wordpiece`".into(),
                },
            )),
        }
    }
}

fn not_a_tokenizer(why: &str) -> Problem {
    let help = "expected a tokenizer.json in the format of Hugging Face's tokenizers";
    (format!("can't read it as a tokenizer: {why}"), help.into())
}

#[cfg(feature = "tokenizers")]
fn load(json: &str) -> Result<Loaded, Problem> {
    let mut loaded = Loaded::from_bytes(json).map_err(|e| not_a_tokenizer(&e.to_string()))?;
    // Samples are cut and padded by the source, which says so.
    loaded
        .with_truncation(None)
        .map_err(|e| not_a_tokenizer(&e.to_string()))?;
    loaded.with_padding(None);
    Ok(loaded)
}

#[cfg(not(feature = "tokenizers"))]
fn load(_: &str) -> Result<Loaded, Problem> {
    Err((
        "this program was built without tokenizers".into(),
        "build it with `--features tokenizers`, or write `tokens char` or `tokens byte`".into(),
    ))
}

#[cfg(feature = "tokenizers")]
impl Tokenizer {
    fn model(&self) -> &'static str {
        use tokenizers::models::ModelWrapper;
        match self.loaded.get_model() {
            ModelWrapper::BPE(_) => "bpe",
            ModelWrapper::WordPiece(_) => "wordpiece",
            ModelWrapper::WordLevel(_) => "wordlevel",
            ModelWrapper::Unigram(_) => "unigram",
        }
    }

    /// One beyond the greatest id.
    pub(super) fn bound(&self) -> usize {
        let ids = self.loaded.get_vocab(true);
        ids.values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The id of a piece.
    pub(super) fn id(&self, piece: &str) -> Option<u32> {
        self.loaded.token_to_id(piece)
    }

    /// Ids of special pieces.
    pub(super) fn special(&self) -> impl Iterator<Item = u32> {
        let added = self.loaded.get_added_tokens_decoder();
        added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id)
    }

    /// The ids of a text, without special pieces around it; or why the tokenizer's own rules refuse it.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = self.loaded.encode_fast(text, false);
        encoding.map(|e| e.get_ids().to_vec()).map_err(|e| e.to_string())
    }

    /// The bytes of a piece, as they continue a text.
    pub(super) fn decode(&self, id: u32) -> Vec<u8> {
        use tokenizers::decoders::DecoderWrapper;
        let Some(piece) = self.loaded.id_to_token(id) else {
            return vec![];
        };
        match self.loaded.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => piece.chars().flat_map(byte_level).collect(),
            Some(DecoderWrapper::WordPiece(wordpiece)) => match piece.strip_prefix(&wordpiece.prefix) {
                Some(rest) => rest.into(),
                None => format!(" {piece}").into_bytes(),
            },
            _ => piece.replace('▁', " ").into_bytes(),
        }
    }
}

/// The byte that a character of GPT-2's alphabet stands for; another character is itself. Bytes that print are their
/// own characters, the others follow from 256 on.
#[cfg(feature = "tokenizers")]
fn byte_level(character: char) -> Vec<u8> {
    let prints = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let code = character as u32;
    let byte = match code {
        0..256 => Some(code),
        _ => (0..256).filter(|&b| !prints(b)).nth(code as usize - 256),
    };
    byte.map_or_else(|| character.to_string().into_bytes(), |b| vec![b as u8])
}

#[cfg(not(feature = "tokenizers"))]
impl Tokenizer {
    fn model(&self) -> &'static str {
        match self.loaded {}
    }

    pub(super) fn bound(&self) -> usize {
        match self.loaded {}
    }

    pub(super) fn id(&self, _: &str) -> Option<u32> {
        match self.loaded {}
    }

    pub(super) fn special(&self) -> std::iter::Empty<u32> {
        match self.loaded {}
    }

    pub(super) fn encode(&self, _: &str) -> Result<Vec<u32>, String> {
        match self.loaded {}
    }

    pub(super) fn decode(&self, _: u32) -> Vec<u8> {
        match self.loaded {}
    }
}
