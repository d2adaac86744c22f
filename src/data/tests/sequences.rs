//! Masked texts, pairs, rows and series: tiny files in, batches or errors out.

use super::*;
use crate::ir::experiment::{Longer, Pairs, RowSettings, Series};

fn masked(share: f64) -> Settings {
    Settings::Text {
        path: path("a.txt"),
        tokens: Tokens::Bytes,
        vocab: None,
        window: 50,
        masked: Some(share),
    }
}

#[test]
fn masking_is_eighty_ten_ten_and_the_same_again() {
    let letters: Vec<u8> = (0..20_000u32).map(|i| b'a' + (i * i % 26) as u8).collect();
    let folder = folder(&[("a.txt", &letters)]);
    let data = open(&settings(masked(0.15), 0.9, 0.1), folder.path()).unwrap();
    assert_eq!(data.schema().sizes[0], ("vocab".into(), 257));
    let drawn = |seed, steps: &[u64]| {
        let mut sampler = data.sampler(seed, 200).unwrap();
        let mut batch = Batch::new(data.schema(), 200);
        steps.iter().for_each(|&s| sampler.fill(s, &mut batch).unwrap());
        batch
    };
    let batch = drawn(1, &[1, 2, 3]);
    assert_eq!(batch, drawn(1, &[3]));
    assert_ne!(batch, drawn(2, &[3]));
    let (tokens, original, chosen) = (ids(&batch, "tokens"), ids(&batch, "original"), reals(&batch, "chosen"));
    let places = || (0..tokens.len()).filter(|&i| chosen[i] == 1.0);
    assert!((0..tokens.len()).all(|i| chosen[i] == 1.0 || tokens[i] == original[i]));
    let count = |of: &dyn Fn(usize) -> bool| places().filter(|&i| of(i)).count() as f64;
    let n = places().count() as f64;
    // 10 000 tokens: each share within four standard deviations.
    assert!(
        (n - 1500.0).abs() < 4.0 * (10_000.0f64 * 0.15 * 0.85).sqrt(),
        "{n} chosen"
    );
    let near = |found: f64, share: f64| (found - share * n).abs() < 4.0 * (n * share * (1.0 - share)).sqrt();
    assert!(near(count(&|i| tokens[i] == 256), 0.8));
    assert!(near(count(&|i| tokens[i] != 256 && tokens[i] != original[i]), 0.1));
    let evaluated = evaluate(&data, Part::Validation);
    assert_eq!(evaluated, evaluate(&data, Part::Validation));
    assert!(reals(&evaluated, "chosen").contains(&1.0));
}

fn pairs(window: usize, longer: Longer) -> DataSettings {
    let source = Settings::Pairs(Pairs {
        path: path("p.jsonl"),
        source: "de".into(),
        target: "en".into(),
        tokens: Tokens::Characters,
        vocab: None,
        window,
        longer,
    });
    DataSettings {
        shuffle: false,
        ..settings(source, 0.5, 0.5)
    }
}

#[test]
fn pairs_are_shifted_ended_and_padded() {
    let folder = folder(&[(
        "p.jsonl",
        b"{\"de\": \"ab\", \"en\": \"ba\"}\n\n{\"de\": \"b\", \"en\": \"\"}\n",
    )]);
    let data = open(&pairs(4, Longer::Refuse), folder.path()).unwrap();
    // Ids: a, b, begin, end, which also pads.
    assert_eq!(data.schema().sizes[0], ("vocab".into(), 4));
    let batch = evaluate(&data, Part::Train);
    assert_eq!(ids(&batch, "source"), [0, 1, 3, 3]);
    assert_eq!(reals(&batch, "source_mask"), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(ids(&batch, "tokens"), [2, 1, 0, 3]);
    assert_eq!(ids(&batch, "next"), [1, 0, 3, 3]);
    assert_eq!(reals(&batch, "mask"), [1.0, 1.0, 1.0, 0.0]);
    let batch = evaluate(&data, Part::Validation);
    assert_eq!(ids(&batch, "tokens"), [2, 3, 3, 3]);
    assert_eq!(reals(&batch, "mask"), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn pairs_say_which_line_is_wrong() {
    let one = |line: &str| {
        folder(&[(
            "p.jsonl",
            format!("{{\"de\": \"a\", \"en\": \"a\"}}\n{line}\n").as_bytes(),
        )])
    };
    let said = |line: &str| error(&pairs(3, Longer::Refuse), &one(line));
    insta::assert_snapshot!(said("{\"de\": \"a\"}"), @r"
    p.jsonl, line 2: there is no field `en`
    help: it has de
    ");
    insta::assert_snapshot!(said("{\"de\": 7, \"en\": \"a\"}"), @"p.jsonl, line 2: `de` is 7, expected a text");
    insta::assert_snapshot!(said("{\"de\": \"a\", \"en\": \"a\", \"de\": \"b\"}"), @"p.jsonl, line 2: the key `de` stands twice in one object, column 27");
    insta::assert_snapshot!(said("{\"de\": \"a\", \"en\": \"a\", \"more\": [{\"x\": 1, \"x\": 1}]}"), @"p.jsonl, line 2: the key `x` stands twice in one object, column 44");
    insta::assert_snapshot!(said("{\"de\": \"a\", \"en\": \"a\""), @"p.jsonl, line 2: not a JSON object: EOF while parsing an object, column 21");
    insta::assert_snapshot!(said("{\"de\": \"a\", \"en\": \"aaa\"}"), @r"
    p.jsonl, line 2: `en` has 3 tokens and the one that ends it, more than the window of 3
    help: make `window` greater, or write `longer cut` or `longer drop`
    ");
    let cut = open(&pairs(3, Longer::Cut), one("{\"de\": \"a\", \"en\": \"aaa\"}").path());
    assert_eq!(ids(&evaluate(&cut.unwrap(), Part::Validation), "next"), [0, 0, 2]);
}

fn rows(file: &str, grouped: Option<&str>, head: &[&str]) -> RowSettings {
    RowSettings {
        path: path(file),
        grouped: grouped.map(|name| column(name, name)),
        head: head.iter().map(|name| name.to_string()).collect(),
        target: column("tag", "tag"),
        real: false,
        per_sequence: false,
        categories: vec![],
        ignored: vec![],
        missing: Missing::Refuse,
        window: None,
        longer: Longer::Refuse,
        minimum_count: 1,
        stated: vec![],
    }
}

fn in_order(source: Settings) -> DataSettings {
    DataSettings {
        shuffle: false,
        ..settings(source, 0.5, 0.5)
    }
}

const WORDS: &[u8] = b"\"\tP\nNA\tN\n?\tP\n\nNA\tN\n\n\nnew\tN\n?\tP\n\n\"\tP\n";

#[test]
fn blank_lines_end_sequences() {
    let folder = folder(&[("w.tsv", WORDS)]);
    let data = open(
        &in_order(Settings::Rows(rows("w.tsv", None, &["word", "tag"]))),
        folder.path(),
    )
    .unwrap();
    assert_eq!(Part::ALL.map(|p| data.samples(p)), [2, 2, 0]);
    let batch = evaluate(&data, Part::Train);
    // Words of the training sentences, sorted: `"`, `?`, `NA`; another one is 3. A missing cell is an empty one only.
    assert_eq!(ids(&batch, "word"), [0, 2, 1, 2, 0, 0]);
    assert_eq!(ids(&batch, "tag"), [1, 0, 1, 0, 0, 0]);
    assert_eq!(reals(&batch, "mask"), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(ids(&evaluate(&data, Part::Validation), "word"), [3, 1, 0, 0, 0, 0]);
    assert!(data.schema().sizes.contains(&("word_count".into(), 4)));
    // Two of N, two of P.
    assert_eq!(data.schema().balanced, [1.0, 1.0]);
    let rare = RowSettings {
        minimum_count: 2,
        ..rows("w.tsv", None, &["word", "tag"])
    };
    let data = open(&in_order(Settings::Rows(rare)), folder.path()).unwrap();
    assert_eq!(ids(&evaluate(&data, Part::Train), "word"), [1, 0, 1, 0, 0, 0]);
}

#[test]
fn a_column_groups_rows() {
    let table = "series,x,tag\n1,1.5,a\n1,2.5,a\n2,3.5,b\n3,4.5,a\n3,5.5,a\n3,6.5,a\n4,7.5,b\n";
    let folder = folder(&[
        ("t.csv", table.as_bytes()),
        ("again.csv", b"series,x,tag\n1,1,a\n2,1,a\n1,1,a\n"),
        ("two.csv", b"series,x,tag\n1,1,a\n1,1,b\n2,1,a\n"),
    ]);
    let asked = |file| RowSettings {
        per_sequence: true,
        ..rows(file, Some("series"), &[])
    };
    let data = open(&in_order(Settings::Rows(asked("t.csv"))), folder.path()).unwrap();
    let batch = evaluate(&data, Part::Train);
    assert_eq!(reals(&batch, "features"), [1.5, 2.5, 0.0, 3.5, 0.0, 0.0]);
    assert_eq!(reals(&batch, "mask"), [1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(ids(&batch, "tag"), [0, 1]);
    assert_eq!(data.schema().balanced, [1.0, 1.0]);
    let said = |asked| error(&in_order(Settings::Rows(asked)), &folder);
    insta::assert_snapshot!(said(asked("again.csv")), @r"
    again.csv, line 4: `series` is `1` again, but other rows stand between
    help: the rows of a sequence follow each other: sort the file, or give each sequence a value of its own
    ");
    insta::assert_snapshot!(said(asked("two.csv")), @r"
    two.csv, line 3: `tag` is `b`, but `a` in line 2, where its sequence begins
    help: leave out `per sequence` if each step has a target
    ");
    let short = RowSettings {
        window: Some(2),
        ..asked("t.csv")
    };
    insta::assert_snapshot!(said(short.clone()), @r"
    t.csv, line 5: the sequence that begins here has 3 rows, more than the window of 2
    help: the longest has 3; make `window` greater, or write `longer cut` or `longer drop`
    ");
    let dropped = RowSettings {
        longer: Longer::Drop,
        ..short
    };
    let two_thirds = DataSettings {
        shuffle: false,
        ..settings(Settings::Rows(dropped), 0.7, 0.3)
    };
    let data = open(&two_thirds, folder.path()).unwrap();
    assert_eq!(Part::ALL.map(|p| data.samples(p)), [2, 1, 0]);
}

fn series(missing: Missing) -> DataSettings {
    let source = Settings::Series(Series {
        path: path("s.csv"),
        time: Some(column("day", "day")),
        targets: vec![column("y", "y")],
        ignored: vec![],
        missing,
        past: 2,
        future: 1,
        stated: vec![],
    });
    in_order(source)
}

#[test]
fn a_series_is_cut_by_time_and_its_holes_know_nothing_later() {
    let table = "day,x,y\n1,10,1\n2,20,2\n3,30,NA\n4,40,4\n5,50,NA\n6,60,6\n7,70,7\n8,80,NA\n9,90,9\n10,100,10\n";
    let folder = folder(&[("s.csv", table.as_bytes())]);
    let data = open(&series(Missing::Interpolate), folder.path()).unwrap();
    let batch = evaluate(&data, Part::Train);
    assert_eq!(
        reals(&batch, "past"),
        [10.0, 1.0, 20.0, 2.0, 20.0, 2.0, 30.0, 3.0, 30.0, 3.0, 40.0, 4.0]
    );
    // The last training row's hole keeps the value before: the one behind it is not for training.
    assert_eq!(reals(&batch, "future"), [3.0, 4.0, 4.0]);
    assert_eq!(reals(&batch, "future_counted"), [0.0, 1.0, 0.0]);
    let batch = evaluate(&data, Part::Validation);
    assert_eq!(reals(&batch, "future"), [6.0, 7.0, 8.0, 9.0, 10.0]);
    assert_eq!(&reals(&batch, "past")[..4], [40.0, 4.0, 50.0, 4.0]);
    insta::assert_snapshot!(error(&series(Missing::Refuse), &folder), @r"
    s.csv, line 4: `y` is missing
    help: write `missing interpolate` in `data`, or leave the column out
    ");
}

#[test]
fn a_series_is_fitted_on_training_rows_and_goes_forward() {
    let table = "day,y\n1,1\n2,5\n3,1\n4,5\n5,100\n6,100\n7,100\n8,100\n";
    let fitted = folder(&[("s.csv", table.as_bytes())]);
    let normal = DataSettings {
        normalise: true,
        ..series(Missing::Refuse)
    };
    let data = open(&normal, fitted.path()).unwrap();
    assert_eq!(reals(&evaluate(&data, Part::Validation), "future"), [48.5; 4]);
    assert_eq!(data.schema().units, [("future".to_string(), 2.0)]);
    let backwards = folder(&[("s.csv", b"day,y\n1,1\n10,1\n9,1\n")]);
    insta::assert_snapshot!(error(&series(Missing::Refuse), &backwards), @r"
    s.csv, line 4: `day` is `9`, not after `10` in the row before
    help: sort the rows by time; a time is a number, or as 2026-11-25
    ");
    let short = folder(&[("s.csv", b"day,y\n1,1\n2,1\n3,1\n")]);
    insta::assert_snapshot!(error(&series(Missing::Refuse), &short), @r"
    the training part of s.csv has 1 rows, too few for 1 steps ahead and 2 back
    help: make `past` or `future` smaller, or give the part a larger share
    ");
}

#[test]
fn all_categories_have_ids_of_their_own() {
    let table = "a,b,kind\nx,u,0\ny,v,1\nx,w,1\nx,w,1\n";
    let folder = folder(&[("t.csv", table.as_bytes())]);
    let source = Settings::Csv {
        path: path("t.csv"),
        target: column("kind", "kind"),
        regression: false,
        categories: vec![],
        ignored: vec![],
        missing: Missing::Refuse,
        stated: vec![],
    };
    let whole = DataSettings {
        split: Split {
            train: 1.0,
            validation: 0.0,
            ..in_order(source.clone()).split
        },
        ..in_order(source)
    };
    let data = open(&whole, folder.path()).unwrap();
    // `a` has x, y and what is unknown: 0 to 2; `b` follows with u, v, w and unknown.
    assert_eq!(
        ids(&evaluate(&data, Part::Train), "categories"),
        [0, 3, 1, 4, 0, 5, 0, 5]
    );
    assert_eq!(
        data.schema().sizes,
        [
            ("a_count".into(), 3),
            ("b_count".into(), 4),
            ("classes".into(), 2),
            ("category".into(), 2),
            ("category_count".into(), 7)
        ]
    );
    // One of class 0, three of class 1: 4 / (2 · 1) and 4 / (2 · 3).
    assert_eq!(data.schema().balanced, [2.0, 4.0 / 6.0]);
}
