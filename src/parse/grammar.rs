//! The parser that pest makes of `grammar/mspec.pest`, and a view of its result without punctuation.

use pest::Parser;
use pest::iterators::Pair as PestPair;

pub use generated::{Grammar, Rule};

#[allow(missing_docs, reason = "generated from the grammar, which is documented")]
mod generated {
    /// The generated parser.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/mspec.pest"]
    pub struct Grammar;
}

/// A rule that matched, with its place.
pub type Pair<'a> = PestPair<'a, Rule>;

/// Where and why a text does not match: the offset of the furthest failure and what was tried there.
pub struct Mismatch {
    /// Offset in the text given to [`parse_item`].
    pub at: usize,
    /// Rules that could have gone on there.
    pub expected: Vec<Rule>,
}

/// Matches one item of the top level.
pub fn parse_item(text: &str) -> Result<Pair<'_>, Mismatch> {
    match Grammar::parse(Rule::top_level, text) {
        Ok(mut pairs) => Ok(pairs.next().expect("an item comes before the end")),
        Err(error) => {
            let at = match error.location {
                pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
            };
            let expected = match error.variant {
                pest::error::ErrorVariant::ParsingError { positives, .. } => positives,
                pest::error::ErrorVariant::CustomError { .. } => vec![],
            };
            Err(Mismatch { at, expected })
        }
    }
}

/// The parts of a matched rule that mean something: punctuation and fixed words are left out.
pub fn parts<'a>(pair: &Pair<'a>) -> impl Iterator<Item = Pair<'a>> + use<'a> {
    pair.clone().into_inner().filter(|part| !is_punctuation(part.as_rule()))
}

/// The first part of a rule, `None` if it is another rule.
pub fn part<'a>(pair: &Pair<'a>, rule: Rule) -> Option<Pair<'a>> {
    pair.clone().into_inner().find(|part| part.as_rule() == rule)
}

fn is_punctuation(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::comma
            | Rule::colon
            | Rule::bar
            | Rule::tilde
            | Rule::round_open
            | Rule::round_close
            | Rule::square_close
            | Rule::brace_open
            | Rule::brace_close
            | Rule::if_word
            | Rule::else_word
            | Rule::repeat_word
            | Rule::scan_word
            | Rule::each_word
            | Rule::as_word
            | Rule::where_word
            | Rule::on_word
            | Rule::state_word
            | Rule::carry_word
            | Rule::require_word
            | Rule::penalty_word
            | Rule::yield_word
            | Rule::param_word
            | Rule::import_word
            | Rule::model_word
            | Rule::EOI
    )
}
