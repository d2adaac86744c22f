//! `pairs`: a JSON object on each line in, two texts as ids out: `source[source_time]` with `source_mask`, and
//! `tokens[time]` (the target, one place later) with `next[time]` and `mask[time]`. The source ends with the end token;
//! the target begins with the begin token as it is read, and ends with the end token as it is to be told.

use super::order::{Order, Selection};
use super::split::{Assignment, divide};
use super::text::{Encoding, Vocabulary};
use super::{DataError, Dataset, Row, Source, file, json::Unambiguous, stated};
use crate::ir::experiment::{DataSettings, Longer, Pairs as Settings, Schema, SchemaTensor};
use crate::ir::graph::Element;

use serde_json::json;
use std::path::Path;

/// Ids that stand around texts.
#[derive(Clone, Copy)]
struct Marks {
    begin: u32,
    end: u32,
    padding: u32,
}

struct Pairs {
    /// Sources and targets in turn, one behind the other.
    ids: Vec<u32>,
    /// Where each text ends.
    ends: Vec<usize>,
    window: usize,
    marks: Marks,
    vocabulary: Vocabulary,
}

/// The texts of a line.
struct Line {
    number: usize,
    texts: [String; 2],
}

pub(super) fn open(settings: &DataSettings, base: &Path, asked: &Settings) -> Result<Dataset, DataError> {
    let at = file::resolve(&asked.path, base);
    let (bytes, fingerprint) = file::read_unpacked(&asked.path, &at)?;
    if let Some(asked) = settings.split.stratified_at() {
        return Err(DataError::new(asked, "pairs have no classes to stratify by"));
    }
    let lines = lines(&bytes, asked, &at)?;
    let whole: String = lines.iter().flat_map(|l| &l.texts).map(String::as_str).collect();
    let mut encoding = Encoding::open(&asked.tokens, base, || Ok(&whole))?;
    let marks = marks(&mut encoding, asked)?;
    let mut source = Pairs {
        ids: vec![],
        ends: vec![],
        window: asked.window,
        marks,
        vocabulary: encoding.vocabulary.clone(),
    };
    for line in &lines {
        source.add(line, &encoding, asked, &at)?;
    }
    let n = source.ends.len() / 2;
    let assignment = Assignment {
        random: settings.shuffle,
        classes: None,
    };
    let parts = divide(n, &settings.split, assignment, &format!("pairs of {}", at.display()))?.parts;
    let bound = stated::bound(asked.vocab, encoding.bound, "vocab", &at)?;
    let schema = schema(bound, asked.window, parts[0].len());
    let [training, validation, test] = parts.map(Selection::List);
    let mut fingerprints = vec![fingerprint];
    fingerprints.extend(encoding.fingerprint);
    Ok(Dataset {
        source: Box::new(source),
        schema,
        training: training.clone(),
        evaluation: [training, validation, test],
        order: match settings.shuffle {
            true => Order::Permuted,
            false => Order::InOrder,
        },
        fingerprints,
        settings: settings.clone(),
    })
}

/// Characters and bytes get two marks behind their ids; a tokenizer must have its own.
fn marks(encoding: &mut Encoding, asked: &Settings) -> Result<Marks, DataError> {
    if !encoding.has_pieces() {
        let first = encoding.bound as u32;
        encoding.bound += 2;
        return Ok(Marks {
            begin: first,
            end: first + 1,
            padding: first + 1,
        });
    }
    let Some(end) = encoding.piece(&["</s>", "[SEP]", "<|endoftext|>", "<eos>", "<|end_of_text|>"]) else {
        let message = "the tokenizer has no token that ends a text: `</s>`, `[SEP]`, `<|endoftext|>` or `<eos>`";
        return Err(DataError::new(asked.path.span, message).help("add one of them to the tokenizer"));
    };
    let padding = encoding.piece(&["<pad>", "[PAD]"]).unwrap_or(end);
    let begin = encoding.piece(&["<s>", "[CLS]", "<bos>", "<|begin_of_text|>"]);
    Ok(Marks {
        begin: begin.unwrap_or(padding),
        end,
        padding,
    })
}

/// Why a line is refused; its number in the file stands in front, so serde's is left out.
fn not_json(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let what = if error.is_data() { "" } else { "not a JSON object: " };
    format!("{what}{said}, column {}", error.column())
}

fn lines(bytes: &[u8], asked: &Settings, at: &Path) -> Result<Vec<Line>, DataError> {
    let fail = |number: usize, what: String| {
        DataError::new(asked.path.span, format!("{}, line {number}: {what}", at.display()))
    };
    let mut lines = vec![];
    // The mark that some editors put in front of UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (text, number) in bytes.split(|&b| b == b'\n').zip(1..) {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Unambiguous(value) = serde_json::from_slice(text).map_err(|e| fail(number, not_json(&e)))?;
        let field = |name: &str| match value.get(name) {
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(fail(number, format!("`{name}` is {other}, expected a text"))),
            None => {
                let known: Vec<&str> = value
                    .as_object()
                    .map_or(vec![], |o| o.keys().map(String::as_str).collect());
                let help = match known.is_empty() {
                    true => "each line is an object, as {\"de\": \"ja\", \"en\": \"yes\"}".to_string(),
                    false => format!("it has {}", known.join(", ")),
                };
                Err(fail(number, format!("there is no field `{name}`")).help(help))
            }
        };
        lines.push(Line {
            number,
            texts: [field(&asked.source)?, field(&asked.target)?],
        });
    }
    match lines.is_empty() {
        true => Err(DataError::new(
            asked.path.span,
            format!("{} has no pairs", at.display()),
        )),
        false => Ok(lines),
    }
}

/// What a sample has.
pub(super) fn schema(bound: usize, window: usize, epoch_samples: usize) -> Schema {
    let tensor = |name: &str, axis: &str, ids: bool| SchemaTensor {
        name: name.into(),
        axes: vec![(axis.into(), window)],
        element: if ids { Element::Id { bound } } else { Element::Condition },
        bound_name: ids.then(|| "vocab".into()),
        category: false,
    };
    Schema {
        tensors: vec![
            tensor("source", "source_time", true),
            tensor("source_mask", "source_time", false),
            tensor("tokens", "time", true),
            tensor("next", "time", true),
            tensor("mask", "time", false),
        ],
        sizes: vec![
            ("vocab".into(), bound),
            ("source_time".into(), window),
            ("time".into(), window),
        ],
        epoch_samples: Some(epoch_samples),
        ..Schema::default()
    }
}

impl Pairs {
    /// Encodes a line. One more id than a text has must fit: the mark that ends it.
    fn add(&mut self, line: &Line, encoding: &Encoding, asked: &Settings, at: &Path) -> Result<(), DataError> {
        let refused = |e| {
            let place = format!("{}, line {}", at.display(), line.number);
            DataError::new(asked.path.span, format!("{place}: the tokenizer refuses it: {e}"))
        };
        let [source, target] = line.texts.each_ref().map(|text| encoding.encode(text).map_err(refused));
        let mut ids = [source?, target?];
        let fields = [&asked.source, &asked.target];
        if let Some(long) = (0..2).find(|&i| ids[i].len() >= self.window) {
            match asked.longer {
                Longer::Drop => return Ok(()),
                Longer::Cut => ids.iter_mut().for_each(|ids| ids.truncate(self.window - 1)),
                Longer::Refuse => {
                    let message = format!(
                        "{}, line {}: `{}` has {} tokens and the one that ends it, more than the window of {}",
                        at.display(),
                        line.number,
                        fields[long],
                        ids[long].len(),
                        self.window
                    );
                    let help = "make `window` greater, or write `longer cut` or `longer drop`";
                    return Err(DataError::new(asked.path.span, message).help(help));
                }
            }
        }
        for text in ids {
            self.ids.extend(text);
            self.ends.push(self.ids.len());
        }
        Ok(())
    }

    fn text(&self, number: usize) -> &[u32] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.ids[start..self.ends[number]]
    }
}

impl Source for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn read(&self, tensor: usize, record: usize, row: Row) -> Result<(), DataError> {
        let text = self.text(2 * record + usize::from(tensor >= 2));
        let Marks { begin, end, padding } = self.marks;
        let places = 0..self.window;
        // Ids come from the vocabulary that made them, so their bound holds by construction.
        let ended = |at: usize| match text.get(at) {
            Some(&id) => id,
            None if at == text.len() => end,
            None => padding,
        };
        match tensor {
            0 | 3 => row.set_ids(places.map(|at| ended(at) as i32)),
            2 => row.set_ids(places.map(|at| match at {
                0 => begin as i32,
                _ => text.get(at - 1).copied().unwrap_or(padding) as i32,
            })),
            _ => row.set_reals(places.map(|at| if at <= text.len() { 1.0 } else { 0.0 })),
        }
        Ok(())
    }

    fn fitted(&self) -> serde_json::Value {
        json!({ "pieces": self.vocabulary })
    }
}
