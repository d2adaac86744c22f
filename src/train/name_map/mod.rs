//! Name maps: other programs' parameters to ours and back. A map is a text file of rules, one a line:
//!
//! ```text
//! # theirs                    ours                          what is done to the tensor, from theirs to ours
//! tok_emb.weight           -> gpt.wte.table
//! blocks.*.mlp.fc.weight   -> gpt.*.linear.w                transpose
//! blocks.*.attn.qkv.weight -> gpt.*.attention.{q,k,v}.w     split 0 transpose
//! lstm.{i,f}.weight        -> lstm.gates.w                  join 0
//! drop blocks.*.attn.mask
//! ```
//!
//! `*` stands for one part of a name, the same on both sides. Names in braces are paired one by one, or are the
//! parts that `split AXIS [SIZES]` makes (equal ones without sizes) and `join AXIS [SIZES]` takes.
//! `transpose` turns a matrix (any tensor: all axes), `permute 2 3 1 0` puts their axis 2 first,
//! `unfold AXIS N` makes N × rest of one axis, `fold AXIS N` one axis of two (the first has size N).
//! Every tensor of theirs needs a rule or a `drop`, and every one of ours must come out: nothing is silent.
//! Export reads the same rules backwards.

mod operation;
mod rule;

use super::TrainError;
use super::weights::{WeightTensor, Weights};
use crate::text::suggest::did_you_mean;
use rule::Rule;
use std::collections::BTreeMap;
use std::path::Path;

/// Rules between their names and ours.
#[derive(Clone, PartialEq, Debug)]
pub struct NameMap {
    /// How errors call it.
    origin: String,
    rules: Vec<Rule>,
    dropped: Vec<rule::Pattern>,
}

/// What is missing where names differ and there is no map.
const A_MAP: &str = "where names differ, `--name-map FILE` says which is which";

/// A tensor that weights must have: its name and shape.
pub type Wanted<'a> = (&'a str, &'a [usize]);

impl NameMap {
    /// The map that leaves every name as it is.
    pub fn identity() -> NameMap {
        NameMap {
            origin: "no name map".into(),
            rules: vec![Rule::identity()],
            dropped: vec![],
        }
    }

    /// Reads a map from a file.
    pub fn read(path: &Path) -> Result<NameMap, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|e| TrainError::file("read", path, &e))?;
        NameMap::parse(&text, &path.display().to_string())
    }

    /// Reads a map from text; errors name `origin` and the line.
    pub fn parse(text: &str, origin: &str) -> Result<NameMap, TrainError> {
        let mut map = NameMap {
            origin: origin.into(),
            rules: vec![],
            dropped: vec![],
        };
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |message: String| TrainError::does_not_fit(format!("{origin}, line {number}: {message}"));
            match line.strip_prefix("drop ") {
                Some(pattern) => map.dropped.push(rule::Pattern::parse(pattern.trim()).map_err(wrong)?),
                None => map.rules.push(Rule::parse(line, number).map_err(wrong)?),
            }
        }
        Ok(map)
    }

    /// Turns their tensors into ours: exactly the ones wanted.
    pub fn import(&self, theirs: &Weights, wanted: &[Wanted]) -> Result<Weights, TrainError> {
        let mut ours = Weights::new();
        for name in theirs.keys() {
            let Some((rule, captures)) = self.rules.iter().find_map(|r| Some((r, r.match_theirs(name)?))) else {
                if self.dropped.iter().any(|p| p.captures(name).is_some()) {
                    continue;
                }
                return Err(
                    TrainError::does_not_fit(format!("{}: no rule for their `{name}`", self.origin))
                        .help(format!("add a rule for it, or `drop {name}`")),
                );
            };
            let sources = rule.theirs_names(&captures);
            // A rule with several sources runs when its first one comes.
            if sources[0] != *name {
                continue;
            }
            let names = rule.ours_names(&captures);
            for (name, tensor) in self.apply(rule, false, &sources, &names, theirs)? {
                if let Some(w) = wanted.iter().find(|w| w.0 == name) {
                    if w.1 != tensor.shape && self.is_identity() {
                        let message = format!(
                            "the weights' `{name}` is {:?}, but the spec has {:?}",
                            tensor.shape, w.1
                        );
                        return Err(TrainError::does_not_fit(message));
                    }
                    if w.1 != tensor.shape {
                        let message = format!(
                            "{}: `{name}` would be {:?} (from `{}`), but the spec has {:?}",
                            self.origin,
                            tensor.shape,
                            sources.join("`, `"),
                            w.1
                        );
                        return Err(TrainError::does_not_fit(message));
                    }
                } else if self.is_identity() {
                    let message = format!("the weights have `{name}`, which the spec does not have");
                    return Err(TrainError::does_not_fit(message).help(A_MAP));
                } else {
                    let message = format!(
                        "{}: `{}` gives `{name}`, which the spec does not have",
                        self.origin, sources[0]
                    );
                    let error = TrainError::does_not_fit(message);
                    return Err(match did_you_mean(&name, wanted.iter().map(|w| w.0)) {
                        Some(help) => error.help(help),
                        None => error,
                    });
                }
                ours.insert(name, tensor);
            }
        }
        match wanted.iter().find(|w| !ours.contains_key(w.0)) {
            Some((name, shape)) if self.is_identity() => {
                let message = format!("the weights lack `{name}` {shape:?}, which the spec has");
                Err(TrainError::does_not_fit(message).help(A_MAP))
            }
            Some((name, shape)) => Err(TrainError::does_not_fit(format!(
                "{}: nothing gives `{name}` {shape:?}",
                self.origin
            ))
            .help("every parameter of the spec must come out of the map; `mspec compile --emit params` lists them")),
            None => Ok(ours),
        }
    }

    fn is_identity(&self) -> bool {
        *self == NameMap::identity()
    }

    /// Turns our tensors into theirs.
    pub fn export(&self, ours: &Weights) -> Result<Weights, TrainError> {
        let mut theirs = Weights::new();
        for name in ours.keys() {
            let (rule, captures) = self.rule_of_ours(name)?;
            let sources = rule.ours_names(&captures);
            if sources[0] != *name {
                continue;
            }
            let names = rule.theirs_names(&captures);
            theirs.extend(self.apply(rule, true, &sources, &names, ours)?);
        }
        Ok(theirs)
    }

    /// L2 norms of our tensors in, those of theirs out; a tensor of ours that joins several of theirs gives none.
    pub fn export_norms(&self, ours: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>, TrainError> {
        let mut squares: BTreeMap<String, f64> = BTreeMap::new();
        for (name, norm) in ours {
            let (rule, captures) = self.rule_of_ours(name)?;
            if let [theirs] = rule.theirs_names(&captures).as_slice() {
                *squares.entry(theirs.clone()).or_default() += norm * norm;
            }
        }
        Ok(squares
            .into_iter()
            .map(|(name, square)| (name, square.sqrt()))
            .collect())
    }

    fn rule_of_ours(&self, name: &str) -> Result<(&Rule, Vec<String>), TrainError> {
        let found = self.rules.iter().find_map(|r| Some((r, r.match_ours(name)?)));
        found.ok_or_else(|| {
            TrainError::does_not_fit(format!("{}: no rule for our `{name}`", self.origin))
                .help("each parameter needs a rule whose right side is its name")
        })
    }

    fn apply(
        &self,
        rule: &Rule,
        backwards: bool,
        sources: &[String],
        names: &[String],
        from: &Weights,
    ) -> Result<Vec<(String, WeightTensor)>, TrainError> {
        let place =
            |message: String| TrainError::does_not_fit(format!("{}, line {}: {message}", self.origin, rule.line));
        let tensors = sources
            .iter()
            .map(|s| from.get(s).cloned().ok_or_else(|| place(format!("there is no `{s}`"))))
            .collect::<Result<Vec<_>, _>>()?;
        let result = rule.operate(tensors, names.len(), backwards);
        let result = result.map_err(|m| place(format!("`{}`: {m}", sources.join("`, `"))))?;
        Ok(names.iter().cloned().zip(result).collect())
    }
}

#[cfg(test)]
mod tests;
