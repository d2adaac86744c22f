//! One line of a name map: patterns on both sides and the operations between them.

use super::super::weights::WeightTensor;
use super::operation::Operation;

/// A name in which each `*` stands for one part (no dot).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    /// The texts between the stars.
    pieces: Vec<String>,
    /// `**`: any whole name, for the identity.
    any: bool,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(format!("expected a name, found `{text}`"));
        }
        Ok(Pattern {
            pieces: text.split('*').map(str::to_string).collect(),
            any: false,
        })
    }

    fn stars(&self) -> usize {
        if self.any { 1 } else { self.pieces.len() - 1 }
    }

    /// What the stars stand for, if the name matches.
    pub(super) fn captures(&self, name: &str) -> Option<Vec<String>> {
        if self.any {
            return Some(vec![name.to_string()]);
        }
        let mut rest = name.strip_prefix(self.pieces[0].as_str())?;
        let mut captures = vec![];
        for (i, piece) in self.pieces.iter().enumerate().skip(1) {
            let last = i + 1 == self.pieces.len();
            let end = match (last, piece.is_empty()) {
                (true, _) => rest.len().checked_sub(piece.len())?,
                (false, true) => return None,
                (false, false) => rest.find(piece.as_str())?,
            };
            let (star, tail) = (rest.get(..end)?, rest.get(end..)?);
            if star.is_empty() || star.contains('.') {
                return None;
            }
            captures.push(star.to_string());
            rest = tail.strip_prefix(piece.as_str())?;
        }
        rest.is_empty().then_some(captures)
    }

    fn fill(&self, captures: &[String]) -> String {
        if self.any {
            return captures[0].clone();
        }
        let mut name = self.pieces[0].clone();
        for (capture, piece) in captures.iter().zip(&self.pieces[1..]) {
            name += capture;
            name += piece;
        }
        name
    }
}

/// A rule, with the braces of both sides spelled out.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rule {
    theirs: Vec<Pattern>,
    ours: Vec<Pattern>,
    operations: Vec<Operation>,
    pub(super) line: usize,
}

impl Rule {
    /// Any name is itself.
    pub(super) fn identity() -> Rule {
        let any = Pattern {
            pieces: vec![],
            any: true,
        };
        Rule {
            theirs: vec![any.clone()],
            ours: vec![any],
            operations: vec![],
            line: 0,
        }
    }

    pub(super) fn parse(line: &str, number: usize) -> Result<Rule, String> {
        let Some((left, right)) = line.split_once("->") else {
            return Err("expected `THEIRS -> OURS` or `drop THEIRS`".into());
        };
        let mut words = right.split_whitespace().peekable();
        let ours = spell_out(words.next().ok_or("expected our name behind `->`")?)?;
        let theirs = spell_out(left.trim())?;
        let operations = Operation::parse_all(&mut words)?;
        let stars = theirs[0].stars();
        if theirs.iter().chain(&ours).any(|p| p.stars() != stars) {
            return Err("both sides need the same number of `*`".into());
        }
        let splits = operations.iter().filter(|o| o.is_split()).count();
        let joins = operations.iter().filter(|o| o.is_join()).count();
        let fits = match (theirs.len(), ours.len()) {
            (1, 1) => splits == 0 && joins == 0,
            (1, _) => splits == 1 && joins == 0,
            (_, 1) => splits == 0 && joins == 1,
            (a, b) => a == b && splits == 0 && joins == 0,
        };
        if !fits {
            return Err(format!(
                "{} of theirs and {} of ours: one to many needs `split AXIS`, many to one `join AXIS`, equal numbers neither",
                theirs.len(),
                ours.len()
            ));
        }
        Ok(Rule {
            theirs,
            ours,
            operations,
            line: number,
        })
    }

    /// Names in braces on both sides are as many rules; here the one that a name belongs to.
    fn paired(&self) -> bool {
        self.theirs.len() > 1 && self.ours.len() > 1
    }

    /// What stars stand for in their name; for paired names the pair's number stands behind it.
    pub(super) fn match_theirs(&self, name: &str) -> Option<Vec<String>> {
        self.captures(&self.theirs, name)
    }

    pub(super) fn match_ours(&self, name: &str) -> Option<Vec<String>> {
        self.captures(&self.ours, name)
    }

    fn captures(&self, patterns: &[Pattern], name: &str) -> Option<Vec<String>> {
        let (pair, mut captures) = patterns
            .iter()
            .enumerate()
            .find_map(|(i, p)| Some((i, p.captures(name)?)))?;
        captures.push(pair.to_string());
        Some(captures)
    }

    pub(super) fn theirs_names(&self, captures: &[String]) -> Vec<String> {
        self.names(&self.theirs, captures)
    }

    pub(super) fn ours_names(&self, captures: &[String]) -> Vec<String> {
        self.names(&self.ours, captures)
    }

    fn names(&self, patterns: &[Pattern], captures: &[String]) -> Vec<String> {
        let (pair, captures) = captures.split_last().expect("the pair's number is last");
        let pair: usize = pair.parse().expect("a number");
        let chosen = if self.paired() {
            &patterns[pair..=pair]
        } else {
            patterns
        };
        chosen.iter().map(|p| p.fill(captures)).collect()
    }

    /// Applies the operations from theirs to ours, or their inverses the other way.
    pub(super) fn operate(
        &self,
        mut tensors: Vec<WeightTensor>,
        results: usize,
        backwards: bool,
    ) -> Result<Vec<WeightTensor>, String> {
        if backwards {
            for operation in self.operations.iter().rev() {
                tensors = operation.inverse().apply(tensors, results)?;
            }
        } else {
            for operation in &self.operations {
                tensors = operation.apply(tensors, results)?;
            }
        }
        Ok(tensors)
    }
}

/// `a.{q,k}.w` is `a.q.w` and `a.k.w`.
fn spell_out(text: &str) -> Result<Vec<Pattern>, String> {
    let Some((before, rest)) = text.split_once('{') else {
        return Ok(vec![Pattern::parse(text)?]);
    };
    let (list, after) = rest
        .split_once('}')
        .ok_or_else(|| format!("`{text}` has no closing brace"))?;
    if after.contains('{') {
        return Err(format!("`{text}` has more than one pair of braces"));
    }
    list.split(',')
        .map(|name| Pattern::parse(&format!("{before}{}{after}", name.trim())))
        .collect()
}
