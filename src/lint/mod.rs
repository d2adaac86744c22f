//! A spec that compiles → what experts would say on reading it, as warnings. A catalog of rules, one file each in
//! `rules`; a rule looks at structure, ranges of values and the numbers of the run, never at a definition's name.
//! It changes nothing and stops nothing: what is not certain is not said.

pub mod range;
mod rules;
mod structure;
pub mod subject;
mod update;

pub use subject::{Run, Subject};

use crate::text::{Code, Diagnostic, Diagnostics};

/// One thing that experts would say.
pub struct Rule {
    /// Of its warnings.
    pub code: Code,
    /// Says it, where it holds.
    pub check: fn(&Subject<'_>, &mut Diagnostics),
}

/// All rules, in the order of their codes.
pub const CATALOG: &[Rule] = &[
    rules::idle_rate::RULE,
    rules::normalised_twice::RULE,
    rules::cancelled_bias::RULE,
    rules::no_gradient::RULE,
    rules::unreachable_target::RULE,
    rules::misplaced_dropout::RULE,
    rules::random_evaluation::RULE,
    rules::batch_statistics::RULE,
    rules::decayed_scale::RULE,
    rules::not_evaluated::RULE,
    rules::never_acts::RULE,
    rules::unclipped_recurrence::RULE,
    rules::learning_rate::RULE,
    rules::one_class::RULE,
    rules::linear_twice::RULE,
    rules::unscaled_input::RULE,
    rules::unread_column::RULE,
    rules::inert_dropout::RULE,
    rules::fading_relu::RULE,
    rules::untied_head::RULE,
    rules::small_rotation::RULE,
    rules::uncounted_mask::RULE,
];

/// All that the rules have to say, once for each place: a `repeat` or a definition makes the same mistake many times.
pub fn lint(subject: &Subject<'_>) -> Diagnostics {
    let mut all = Diagnostics::default();
    for rule in CATALOG {
        (rule.check)(subject, &mut all);
    }
    let mut said: Vec<(Diagnostic, usize)> = vec![];
    for diagnostic in all.iter() {
        let same = |d: &Diagnostic| d.code == diagnostic.code && d.primary.span == diagnostic.primary.span;
        match said.iter_mut().find(|(d, _)| same(d)) {
            Some((_, more)) => *more += 1,
            None => said.push((diagnostic.clone(), 0)),
        }
    }
    let mut once = Diagnostics::default();
    for (diagnostic, more) in said {
        once.push(match more {
            0 => diagnostic,
            n => diagnostic.help(format!("it is so {} times at this place", n + 1)),
        });
    }
    once
}
