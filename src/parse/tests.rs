//! Texts → trees and errors, as they are printed; mistakes and hostile texts have files of their own.

use super::parse;
use crate::text::{Diagnostics, Sources, render};

mod hostile;
mod items;
mod statements;

/// The tree of a text without mistakes.
fn tree(text: &str) -> String {
    let mut diagnostics = Diagnostics::default();
    let mut sources = Sources::default();
    let file = sources.add("t.ms", text, false);
    let tree = parse(file, text, &mut diagnostics);
    assert!(
        diagnostics.is_empty(),
        "{}",
        render::text(&diagnostics, &sources, false)
    );
    tree.to_string()
}

/// All errors of a text.
fn check(text: &str) -> String {
    let mut diagnostics = Diagnostics::default();
    let mut sources = Sources::default();
    let file = sources.add("t.ms", text, false);
    parse(file, text, &mut diagnostics);
    render::text(&diagnostics, &sources, false)
}

/// Errors of some lines within a definition.
fn body(lines: &str) -> String {
    check(&format!("def f(x[..]) {{\n    {lines}\n}}\n"))
}

#[test]
fn precedence_is_the_languages() {
    let text = "def f(x[..]) {
    a or b and not c == d + e * f div -g ^ -h ^ i mod sum[k] j * l - m
    -a ^ 2 * b
    x -> f -> (a + b) * c as d
    (x[i - 1] else 0) * 2
    count[..] - 1
}";
    insta::assert_snapshot!(tree(text), @"
    def f
        takes x[..]
        (a or (b and (not (c == ((d + (((e * f) div (-(g ^ (-(h ^ i))))) mod (sum[k] (j * l)))) - m)))))
        (-((a ^ 2) * b))
        ((x -> f) -> ((a + b) * (c as d)))
        ((x[(i - 1)] else 0) * 2)
        ((count[..]) - 1)
    ");
}

#[test]
fn items_have_their_parts() {
    let text = r#"# One.
# Two.
def f(x[.., (h < 4, e)], n = 1, act: layer = relu, kind: a | b = a, id[..] < n) = x
model m(t: ids[time] < vocab, u: real) -> y[time, 2 * n] {
    t -> residual { relu } -> level(2) { a ; b }
    repeat i < 3 { a } as b
    if c { a } else if d { b } else { e }
    scan t backwards = c { carry h[j] = 0, k = 1
 yield h }
    param w[i, o] ~ normal(1), b ~ 0
}
data {
    split train 90%, validation 10% stratified
    augment { shift(2) ; rotate(10 deg) }
    init normal(0.02) on "*.w", vectors
    a.b = [1, 2k]
}
import "a\"b.ms"
"#;
    insta::assert_snapshot!(tree(text), @r#"
    def f =
        # One.
        # Two.
        takes x[.., join(h < 4, e)]
        takes n = 1
        takes act: layer = relu
        takes kind: a | b = a
        takes id[..] < n
        x
    model m
        takes 2 inputs
        takes t: ids[time] < vocab
        takes u: real[]
        gives y[time, (2 * n)]
        ((t -> residual({
            relu
        })) -> level(2, {
            a
            b
        }))
        (repeat i < 3 {
            a
        } as b)
        if c {
            a
        } else {
            if d {
                b
            } else {
                e
            }
        }
        scan t backwards = c {
            carry h[j] = 0, k = 1
            yield h
        }
        param w[i, o] ~ normal(1), b[] ~ 0
    data
        split train 90 %, validation 10 % stratified
        augment
          with 2
            shift shift(2)
            rotate rotate(10 deg)
        init normal(0.02) on "*.w", vectors
        a.b = list[1, 2k]
    import "a\"b.ms"
    "#);
}
