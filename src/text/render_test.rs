//! Rendered diagnostics, as a terminal shows them.

use super::{json, text};
use crate::text::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};

const SPEC: &str = "model m {\n    width = 64\n    x -> linear(widht)\n}\n";

fn at(file: u32, start: usize, end: usize) -> Span {
    Span {
        file: FileId(file),
        start: start as u32,
        end: end as u32,
    }
}

/// The place of a word in a text.
fn word(file: u32, text: &str, word: &str) -> Span {
    let start = text.find(word).expect("the word is in the text");
    at(file, start, start + word.len())
}

fn sources(texts: &[(&str, &str, bool)]) -> Sources {
    let mut sources = Sources::default();
    for (name, text, library) in texts {
        sources.add(*name, *text, *library);
    }
    sources
}

fn render(list: impl IntoIterator<Item = Diagnostic>, texts: &[(&str, &str, bool)]) -> String {
    let mut diagnostics = Diagnostics::default();
    list.into_iter().for_each(|d| diagnostics.push(d));
    text(&diagnostics, &sources(texts), false)
}

#[test]
fn an_error_shows_its_lines_help_and_fix() {
    let error = Diagnostic::new(Code::UnknownName, word(0, SPEC, "widht"), "`widht` is not defined")
        .label("not known here")
        .note(word(0, SPEC, "width"), "a close name")
        .help("names are looked up in the block first")
        .fix(word(0, SPEC, "widht"), "width");
    let warning = Diagnostic::new(Code::Unused, word(0, SPEC, "width"), "`width` is never used");
    insta::assert_snapshot!(render([error, warning], &[("m.ms", SPEC, false)]), @"
    warning[W0901]: `width` is never used
     --> m.ms:2:5
      |
    2 |     width = 64
      |     ^^^^^

    error[E0201]: `widht` is not defined
     --> m.ms:3:17
      |
    2 |     width = 64
      |     ----- a close name
    3 |     x -> linear(widht)
      |                 ^^^^^ not known here
      |
      = help: names are looked up in the block first
      = help: write `width` instead of `widht`

    1 error, 1 warning
    ");
}

#[test]
fn a_mistake_in_the_library_is_shown_at_the_users_line() {
    let library = "def linear(x[.., i < in], out) {\n    y[.., o] = sum[i] x[.., i] * w[i, o]\n}\n";
    let error = Diagnostic::new(
        Code::ShapeMismatch,
        word(1, library, "x[.., i] * w"),
        "sizes 4 and 5 differ",
    )
    .label("the index `i` goes over both")
    .note(word(0, SPEC, "linear(widht)"), "in this call")
    .note(Span::NOWHERE, "this 5 comes from the data")
    .help("make them equal");
    let texts = [("m.ms", SPEC, false), ("std/layers.ms", library, true)];
    insta::assert_snapshot!(render([error], &texts), @"
    error[E0301]: sizes 4 and 5 differ
     --> m.ms:3:10
      |
    3 |     x -> linear(widht)
      |          ^^^^^^^^^^^^^ in this call
      |
      = note: this 5 comes from the data
    note: the index `i` goes over both
     --> std/layers.ms:2:23
      |
    2 |     y[.., o] = sum[i] x[.., i] * w[i, o]
      |                       ^^^^^^^^^^^^
    help: make them equal

    1 error
    ");
}

#[test]
fn a_place_that_no_text_stands_behind_is_left_out() {
    let error = Diagnostic::new(Code::CannotRead, Span::NOWHERE, "can't read x.ms: no such file")
        .label("asked for on the command line");
    insta::assert_snapshot!(render([error], &[]), @"
    error[E0103]: can't read x.ms: no such file
     |
     = note: asked for on the command line

    1 error
    ");
}

#[test]
fn a_given_value_is_shown_without_a_line() {
    let given = "train {\n    steps ten\n}\n";
    let error =
        Diagnostic::new(Code::WrongSetting, word(0, given, "ten"), "`steps` is a whole number").label("not a number");
    insta::assert_snapshot!(render([error], &[("--set train.steps=ten", given, false)]), @"
    error[E0503]: `steps` is a whole number
    --> --set train.steps=ten
     |
     |     steps ten
     |           ^^^ not a number

    1 error
    ");
}

#[test]
fn long_lines_long_spans_and_ends_stay_readable() {
    let long = format!("data {{ {} x }}\n", "1, ".repeat(5000));
    let here = long.find('x').expect("the text has an x");
    let error = Diagnostic::new(Code::Syntax, at(0, here, here + 1), "unexpected `x`").label("this");
    insta::assert_snapshot!(render([error], &[("long.ms", &long, false)]), @"
    error[E0102]: unexpected `x`
     --> long.ms:1:15009
      |
    1 | , 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  x }
      |                                                             ^ this

    1 error
    ");
    let block = format!("model m {{\n{}}}\n", "    relu\n".repeat(40));
    let error = Diagnostic::new(Code::EmptyBody, at(0, 0, block.len()), "no value flows");
    insta::assert_snapshot!(render([error], &[("block.ms", &block, false)]), @"
    error[E0407]: no value flows
     --> block.ms:1:1
      |
    1 | model m {
      | ^^^^^^^^^

    1 error
    ");
    let lines = "model m {\n    a ->\n    b\n}";
    let error = Diagnostic::new(Code::EmptyBody, at(0, 14, 24), "two lines").label("these");
    let end = Diagnostic::new(Code::Syntax, at(0, 26, 26), "expected more").label("here");
    insta::assert_snapshot!(render([error, end], &[("lines.ms", lines, false)]), @"
    error[E0407]: two lines
     --> lines.ms:2:5
      |
    2 | /     a ->
    3 | |     b
      | |_____^ these

    error[E0102]: expected more
     --> lines.ms:4:2
      |
    4 | }
      |  ^ here

    2 errors
    ");
}

#[test]
fn no_span_and_no_text_breaks_the_rendering() {
    let texts = ["", "\n", "é", "a\tb\n\u{1b}[31mx\r\n", "\u{feff}x", "😀\n\n😀"];
    for text in texts {
        for start in 0..text.len() + 3 {
            for end in start..text.len() + 3 {
                let error = Diagnostic::new(Code::Syntax, at(0, start, end), "m\u{1b}[31m").label("l\u{7}");
                let note = error.note(at(0, end, start), "reversed").fix(at(0, start, end), "x");
                let shown = render([note], &[("t.ms", text, false)]);
                assert!(
                    shown.starts_with("error[E0102]") && !shown.contains('\u{1b}'),
                    "{shown}"
                );
            }
        }
    }
}

#[test]
fn colours_are_the_callers_choice() {
    let mut diagnostics = Diagnostics::default();
    diagnostics.push(Diagnostic::new(Code::Syntax, at(0, 0, 1), "m"));
    let sources = sources(&[("m.ms", SPEC, false)]);
    assert!(text(&diagnostics, &sources, true).contains("\u{1b}["));
    assert_eq!(text(&Diagnostics::default(), &sources, true), "");
}

#[test]
fn json_has_every_place() {
    let mut diagnostics = Diagnostics::default();
    let error = Diagnostic::new(Code::UnknownName, word(0, SPEC, "widht"), "`widht` is not defined")
        .note(Span::NOWHERE, "from the data")
        .fix(word(0, SPEC, "widht"), "width");
    diagnostics.push(error);
    let value = json(&diagnostics, &sources(&[("m.ms", SPEC, false)]));
    insta::assert_snapshot!(serde_json::to_string(&value).expect("plain data"), @r#"[{"code":"E0201","severity":"error","message":"`widht` is not defined","file":"m.ms","line":3,"column":17,"end_line":3,"end_column":22,"labels":[{"text":"","primary":true,"file":"m.ms","line":3,"column":17,"end_line":3,"end_column":22},{"text":"from the data","primary":false,"file":null,"line":null,"column":null,"end_line":null,"end_column":null}],"help":[],"fix":{"replacement":"width","file":"m.ms","line":3,"column":17,"end_line":3,"end_column":22}}]"#);
}
