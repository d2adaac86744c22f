//! Files as people have them: empty, from other programs, with numbers that are none.

use super::*;
use crate::ir::experiment::{Pairs, Series};
use safetensors::Dtype::{F32, F64};

/// A table of twenty rows, and one that follows.
fn table(last: &str) -> String {
    let row = |i: usize| format!("{i},{},{}\n", i * i % 7, ["x", "y"][i % 2]);
    format!("a,b,kind\n{}{last}\n", (0..20).map(row).collect::<String>())
}

fn plain(target: &str, regression: bool) -> DataSettings {
    let source = Settings::Csv {
        path: path("t.csv"),
        target: column(target, target),
        regression,
        categories: vec![],
        ignored: vec![],
        missing: Missing::Refuse,
        stated: vec![],
    };
    settings(source, 1.0, 0.0)
}

fn of_table(bytes: &[u8]) -> String {
    error(&plain("kind", false), &folder(&[("t.csv", bytes)]))
}

#[test]
fn a_table_without_rows_is_told_from_an_empty_file() {
    insta::assert_snapshot!(of_table(b""), @"t.csv is empty");
    insta::assert_snapshot!(of_table(b"\r\n\n"), @"t.csv is empty");
    insta::assert_snapshot!(of_table(b"a,b,kind\n"), @"t.csv has a head line and no rows");
}

#[test]
fn marks_and_line_ends_of_other_programs_change_nothing() {
    let read = |bytes: &[u8]| {
        let data = open(&plain("kind", false), folder(&[("t.csv", bytes)]).path()).unwrap();
        let batch = evaluate(&data, Part::Train);
        (reals(&batch, "features"), ids(&batch, "kind"))
    };
    let text = table("20,1,x");
    let expected = read(text.as_bytes());
    assert_eq!(expected.0.len(), 42);
    assert_eq!(read(text.replace('\n', "\r\n").as_bytes()), expected);
    assert_eq!(read(format!("\u{feff}{text}").as_bytes()), expected);
    assert_eq!(read(text.replace(",x", ", \"x\"").as_bytes()), expected);
    assert_eq!(read(text.trim_end().as_bytes()), expected);
    let tabs = folder(&[("t.tsv", text.replace(',', "\t").as_bytes())]);
    let mut by_tabs = plain("kind", false);
    if let Settings::Csv { path: file, .. } = &mut by_tabs.source {
        *file = path("t.tsv");
    }
    let batch = evaluate(&open(&by_tabs, tabs.path()).unwrap(), Part::Train);
    assert_eq!((reals(&batch, "features"), ids(&batch, "kind")), expected);
}

#[test]
fn cells_that_are_no_numbers_are_told() {
    insta::assert_snapshot!(of_table(table("20,1e39,x").as_bytes()), @r"
    t.csv, line 22: `b` is `1e39`, more than is computed with: float32 goes to about 3.4e38
    help: mend the cell, leave it empty, or give the column another unit
    ");
    insta::assert_snapshot!(of_table(table("20,inf,x").as_bytes()), @r#"
    t.csv, line 22: `b` is `inf`, expected a number
    help: mend the cell, or write `category "b"` if the column holds kinds of things
    "#);
    insta::assert_snapshot!(of_table(table("\"20,5\",1,x").as_bytes()), @r"
    t.csv, line 22: `a` is `20,5`, expected a number
    help: a decimal point is a point: `20.5`
    ");
    insta::assert_snapshot!(of_table(table("20,nan,x").as_bytes()), @r"
    t.csv, line 22: `b` is missing
    help: write `missing fill` or `missing drop` in `data`, or leave the column out
    ");
    let open_quote = table("").replace("3,2,y", "3,\"2,y");
    insta::assert_snapshot!(of_table(open_quote.as_bytes()), @r"
    t.csv, line 5: 2 cells, expected 3 as in the head line
    help: a quote is opened in this line that is not closed in it
    ");
}

#[test]
fn heads_that_name_nothing_or_too_little_are_told() {
    insta::assert_snapshot!(of_table(table("20,1,x").replace("a,b", ",b").as_bytes()), @r#"
    column 1 of t.csv has no name
    help: give it one in the head line, or write `ignore ""` to leave it out
    "#);
    insta::assert_snapshot!(of_table(table("20,1,x").replace("a,b", "b,b").as_bytes()), @r"
    t.csv has two columns `b`
    ");
    insta::assert_snapshot!(of_table(table("20,1,x").replace(',', ";").as_bytes()), @r"
    t.csv has no column `kind`
    help: its cells seem to be separated by `;`; they are by commas, or by tabs in a file whose name ends in `.tsv`
    ");
    let mut ignored = plain("kind", false);
    if let Settings::Csv { ignored, .. } = &mut ignored.source {
        ignored.push(column("", ""));
    }
    let nameless = folder(&[("t.csv", table("20,1,x").replace("a,b", ",b").as_bytes())]);
    let data = open(&ignored, nameless.path()).unwrap();
    assert_eq!(data.schema().sizes[0], ("columns".into(), 1));
}

#[test]
fn a_number_as_class_may_be_meant_as_a_number() {
    let mut parts = plain("a", false);
    (parts.split.train, parts.split.validation) = (0.5, 0.5);
    parts.shuffle = false;
    insta::assert_snapshot!(error(&parts, &folder(&[("t.csv", table("20,1,x").as_bytes())])), @r"
    t.csv, line 12: class `10` of `a` does not occur in the training part
    help: write `stratified` behind `split`, so that each part has every class
    help: if `a` is a number to predict, write `target a real`
    ");
}

#[test]
fn a_mark_in_front_of_a_text_is_no_character_and_nothing_is_no_text() {
    let marked = folder(&[("a.txt", "\u{feff}abcdefgh".as_bytes())]);
    let empty = folder(&[("a.txt", b"")]);
    let said = error(&settings(text(2, Tokens::Characters), 1.0, 0.0), &empty);
    assert_eq!(said, "a.txt is empty");
    let data = open(&settings(text(2, Tokens::Characters), 1.0, 0.0), marked.path()).unwrap();
    assert_eq!(data.schema().sizes[0], ("vocab".into(), 8));
    let pairs = Settings::Pairs(Pairs {
        path: path("p.jsonl"),
        source: "de".into(),
        target: "en".into(),
        tokens: Tokens::Characters,
        vocab: None,
        window: 4,
        longer: crate::ir::experiment::Longer::Refuse,
    });
    let marked = folder(&[("p.jsonl", "\u{feff}{\"de\": \"a\", \"en\": \"b\"}\n".as_bytes())]);
    assert!(open(&settings(pairs, 1.0, 0.0), marked.path()).is_ok());
}

#[test]
fn a_column_of_a_series_has_values_to_learn_from() {
    let row = |i: usize| format!("{},{i}\n", if i < 9 { String::new() } else { i.to_string() });
    let rows: String = (0..20).map(row).collect();
    let source = Settings::Series(Series {
        path: path("s.csv"),
        time: None,
        targets: vec![column("y", "y")],
        ignored: vec![],
        missing: Missing::Interpolate,
        past: 2,
        future: 1,
        stated: vec![],
    });
    let folder = folder(&[("s.csv", format!("x,y\n{rows}").as_bytes())]);
    insta::assert_snapshot!(error(&settings(source, 0.4, 0.6), &folder), @r#"
    s.csv: `x` has no values in the training part
    help: write `ignore "x"`, or let more rows be trained on
    "#);
}

#[test]
fn tensors_hold_elements_that_are_numbers() {
    let of = |tensor: (&str, safetensors::Dtype, &[usize], Vec<u8>)| {
        let folder = folder(&[("t.safetensors", &safetensors(&[tensor]))]);
        error(&tensors(&[], None, 1.0, 0.0), &folder)
    };
    let reals = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    insta::assert_snapshot!(of(("x", F32, &[2, 2], reals(&[1.0, 2.0, 3.0, f32::NAN]))), @r"
    t.safetensors: `x`, sample 1, element 1 is not a number (NaN)
    help: store a number, and a condition that tells where there is none
    ");
    insta::assert_snapshot!(of(("x", F64, &[1, 1], 1e300f64.to_le_bytes().to_vec())), @r"
    t.safetensors: `x` has 1e300, more than is computed with: float32 goes to about 3.4e38
    ");
    insta::assert_snapshot!(of(("x", F32, &[0, 2], vec![])), @"t.safetensors: `x` has no samples");
    insta::assert_snapshot!(of(("x", F32, &[2, 0], vec![])), @r"
    t.safetensors: a sample of `x` is [0], which has no elements
    ");
    // A tensor that is called as the size of another one is the tensor.
    let both = safetensors(&[
        ("x", F32, &[1, 1], reals(&[1.0])),
        ("x_1", F32, &[1, 2], reals(&[f32::INFINITY, 2.0])),
    ]);
    let data = open(
        &tensors(&[], None, 1.0, 0.0),
        folder(&[("t.safetensors", &both)]).path(),
    )
    .unwrap();
    assert_eq!(data.schema().sizes, [("x_1_1".to_string(), 2)]);
}
