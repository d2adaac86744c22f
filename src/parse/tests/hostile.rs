//! Texts that nobody writes by mistake end quickly, with an error.

use super::check;
use crate::text::{Diagnostics, Sources, render};
use std::time::{Duration, Instant};

#[test]
fn hostile_texts_end_quickly() {
    let n = 100_000;
    let texts = [
        "{".repeat(n),
        "(".repeat(n),
        "[".repeat(n),
        "}".repeat(n),
        format!("def f(x[..]) = {}x", "-".repeat(n)),
        format!("def f(x[..]) = x{}", " -> f".repeat(n)),
        format!("def f(x[..]) = {}x{}", "(".repeat(n), ")".repeat(n)),
        format!("def f(x[..]) = {}x{}", "(".repeat(120), ")".repeat(120)),
        format!("model m {}x{}", "{".repeat(120), "}".repeat(120)),
        format!("model m {{ {} }}", "x = = ;".repeat(20_000)),
        format!("def f(x[..]) = x{}", "(x)".repeat(n)),
        format!("def f(x[..]) = x{}", "^x".repeat(n)),
        format!("def f(x[..]) = {}x", "not ".repeat(n)),
        format!("def f(x[..]) {{ {} }}", "if x { x } else ".repeat(10_000)),
        "\"".repeat(n),
        "x".repeat(n),
        "def f(".repeat(n / 10),
        "0".repeat(n),
        "#".repeat(n),
        "model m {\n".repeat(n / 10),
        " ".repeat(100 << 20),
    ];
    for text in texts {
        let started = Instant::now();
        let shown = check(&text);
        let start = &text[..text.len().min(40)];
        // A moment, with a wide margin for a busy machine without optimisation.
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{start} took {:?}",
            started.elapsed()
        );
        assert!(shown.len() < 100_000, "{start} says {} bytes", shown.len());
    }
}

#[test]
fn bytes_that_are_no_text_are_shown() {
    let mut bytes = b"model m {\n    x -> \"".to_vec();
    bytes.extend([0xff, b'"', b'\n', b'}']);
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let refused = crate::parse::decode(crate::text::FileId(0), bytes).expect_err("0xff is no UTF-8");
    sources.add("t.ms", refused.shown, false);
    diagnostics.push(refused.diagnostic);
    insta::assert_snapshot!(render::text(&diagnostics, &sources, false), @r#"
    error[E0101]: the byte 0xff is not UTF-8
     --> t.ms:2:11
      |
    2 |     x -> "�"
      |           ^ the first byte that is not
      |
      = help: save the file as UTF-8

    1 error
    "#);
    let long = crate::parse::decode(crate::text::FileId(0), vec![b' '; 100 << 20]).expect_err("it is too long");
    assert_eq!(long.diagnostic.message, "the file has more than 8 MB");
}
