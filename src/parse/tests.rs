//! Texts → trees and errors, as they are printed; and hostile texts, which end quickly.

use super::parse;
use crate::text::{Diagnostics, Sources, render};
use std::time::{Duration, Instant};

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

#[test]
fn other_languages_words_get_a_hint() {
    let all = [
        "return x",
        "for i in 3 { x }",
        "let y = x",
        "if x > 0 { x }\n    elif x { x }",
        "if x > 0 { x }\n    else { x }",
        "if x = 0 { x }",
        "if x > 0: x",
        "y: 3",
        "y = x ** 2",
        "y = x && x",
        "y = !x",
        "y = 10ms",
        "y = 10deg",
        "y = 'a'",
        "lambda x: x",
    ];
    let shown: Vec<String> = all.iter().map(|lines| body(lines)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    error[E0102]: expected an operator, `=`, `{` or the end of the statement, found `x`
     --> t.ms:2:12
      |
    2 |     return x
      |            ^ expected an operator, `=`, `{` or the end of the statement
      |
      = help: the value of a definition is its last line, without `return`

    1 error

    error[E0102]: expected an operator, `=`, `{` or the end of the statement, found `i`
     --> t.ms:2:9
      |
    2 |     for i in 3 { x }
      |         ^ expected an operator, `=`, `{` or the end of the statement
      |
      = help: `repeat i < n { … }` writes its body n times; `scan t { … }` walks along an axis

    1 error

    error[E0102]: expected an operator, `=`, `{` or the end of the statement, found `y`
     --> t.ms:2:9
      |
    2 |     let y = x
      |         ^ expected an operator, `=`, `{` or the end of the statement
      |
      = help: a name is given its value by `name = …`

    1 error

    error[E0102]: expected an operator, `=`, `{` or the end of the statement, found `x`
     --> t.ms:3:10
      |
    3 |     elif x { x }
      |          ^ expected an operator, `=`, `{` or the end of the statement
      |
      = help: this is written `} else if … {`

    1 error

    error[E0102]: expected an expression or `}`, found the language's word `else`
     --> t.ms:3:5
      |
    3 |     else { x }
      |     ^^^^ expected an expression or `}`
      |
      = help: `else` follows the `}` of its `if` on the same line

    1 error

    error[E0102]: expected an operator or `{`, found `=`
     --> t.ms:2:10
      |
    2 |     if x = 0 { x }
      |          ^ expected an operator or `{`
      |
      = help: a comparison is `==`

    1 error

    error[E0102]: expected an operator or `{`, found `:`
     --> t.ms:2:13
      |
    2 |     if x > 0: x
      |             ^ expected an operator or `{`
      |
      = help: a body stands in braces: `{ … }`

    1 error

    error[E0102]: expected an operator, `=`, `(`, `{` or the end of the statement, found `:`
     --> t.ms:2:6
      |
    2 |     y: 3
      |      ^ expected an operator, `=`, `(`, `{` or the end of the statement
      |
      = help: a setting's value follows its key without a `:`; a name is given a value with `=`

    1 error

    error[E0102]: `**` is written `^`
     --> t.ms:2:11
      |
    2 |     y = x ** 2
      |           ^^
      |
      = help: a power is `x^2`
      = help: write `^` instead of `**`

    1 error

    error[E0102]: `&&` is written `and`
     --> t.ms:2:11
      |
    2 |     y = x && x
      |           ^^
      |
      = help: write `and` instead of `&&`

    1 error

    error[E0102]: `!` is written `not`
     --> t.ms:2:9
      |
    2 |     y = !x
      |         ^
      |
      = help: write `not` instead of `!`

    1 error

    error[E0102]: `10ms` is not a number
     --> t.ms:2:9
      |
    2 |     y = 10ms
      |         ^^^^ unknown ending
      |
      = help: a product is written with `*`: `10 * ms`; only `k` (thousand) and `M` (million) follow a number directly

    1 error

    error[E0102]: `10deg` is not a number
     --> t.ms:2:9
      |
    2 |     y = 10deg
      |         ^^^^^
      |
      = help: a unit stands behind a space: `10 deg`

    1 error

    error[E0102]: a string has double quotes
     --> t.ms:2:9
      |
    2 |     y = 'a'
      |         ^
      |
      = help: write `"…"`
      = help: write `"` instead of `'`

    1 error

    error[E0102]: expected an operator, `=`, `{` or the end of the statement, found `x`
     --> t.ms:2:12
      |
    2 |     lambda x: x
      |            ^ expected an operator, `=`, `{` or the end of the statement
      |
      = help: a layer without a name is written in braces: `{ linear(4) -> relu }`

    1 error
    "#);
}

#[test]
fn broken_statements_say_what_was_expected() {
    let all = [
        "y = ",
        "y = x +\n    x",
        "+ x",
        "y = f (x)",
        "y[.., i = x",
        "y = sum[] x",
        "state = 3",
        "state m",
        "param w[i]",
        "require x",
        "x -> linear(4,, 5)",
        "y = a < b < c",
        "y = x + x -> relu",
        "f(x) = 3",
        "y = (a, b)",
        "repeat { x }",
        "y = x as 3",
        "y = 3 }",
    ];
    let shown: Vec<String> = all.iter().map(|lines| body(lines)).collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    error[E0102]: expected an expression, found the end of the line
     --> t.ms:2:9
      |
    2 |     y =
      |         ^ expected an expression
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    1 error

    error[E0102]: expected an expression, found the end of the line
     --> t.ms:2:12
      |
    2 |     y = x +
      |            ^ expected an expression
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    1 error

    error[E0102]: expected an expression or `}`, found `+`
     --> t.ms:2:5
      |
    2 |     + x
      |     ^ expected an expression or `}`
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    1 error

    error[E0102]: expected an operator, `{` or the end of the statement, found `(`
     --> t.ms:2:11
      |
    2 |     y = f (x)
      |           ^ expected an operator, `{` or the end of the statement
      |
      = help: a `(` that belongs to what is left of it stands directly behind it

    1 error

    error[E0102]: `[` is never closed
     --> t.ms:2:6
      |
    2 |     y[.., i = x
      |      ^ no `]` belongs to this
    3 | }
      | - expected `]` before this

    1 error

    error[E0102]: expected an index, found `]`
     --> t.ms:2:13
      |
    2 |     y = sum[] x
      |             ^ expected an index

    1 error

    error[E0102]: expected a name, found `=`
     --> t.ms:2:11
      |
    2 |     state = 3
      |           ^ expected a name
      |
      = help: `state` is a word of the language; choose another name

    1 error

    error[E0102]: expected `=`, found the end of the line
     --> t.ms:2:12
      |
    2 |     state m
      |            ^ expected `=`
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    1 error

    error[E0102]: expected `~`, found the end of the line
     --> t.ms:2:15
      |
    2 |     param w[i]
      |               ^ expected `~`
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    1 error

    error[E0102]: expected an operator, `,`, `(` or `{`, found the end of the line
     --> t.ms:2:14
      |
    2 |     require x
      |              ^ expected an operator, `,`, `(` or `{`

    1 error

    error[E0102]: expected `)`, found `,`
     --> t.ms:2:19
      |
    2 |     x -> linear(4,, 5)
      |                   ^ expected `)`

    1 error

    error[E0102]: comparisons are not chained
     --> t.ms:2:15
      |
    2 |     y = a < b < c
      |         ----- ^ a second comparison
      |         |
      |         this is one already
      |
      = help: write `a < b and b < c`

    1 error

    error[E0102]: an operator left of the first `->` needs parentheses
     --> t.ms:2:9
      |
    2 |     y = x + x -> relu
      |         ^^^^^ does `->` take all of this, or its last part only?
      |
      = help: write `(x + x)` instead of `x + x`

    1 error

    error[E0102]: the left side of an equation is a name, with or without indices
     --> t.ms:2:5
      |
    2 |     f(x) = 3
      |     ^^^^
      |
      = help: write `h = …` or `y[.., o] = …`; a comparison is `==`

    1 error

    error[E0102]: several values in parentheses
     --> t.ms:2:9
      |
    2 |     y = (a, b)
      |         ^^^^^^
      |
      = help: `(h, e)` joins indices, inside a bracket only; a list is `[a, b]`

    1 error

    error[E0102]: expected an expression or a name, found `{`
     --> t.ms:2:12
      |
    2 |     repeat { x }
      |            ^ expected an expression or a name

    1 error

    error[E0102]: expected a name, found `3`
     --> t.ms:2:14
      |
    2 |     y = x as 3
      |              ^ expected a name

    1 error

    error[E0102]: `}` closes nothing
     --> t.ms:3:1
      |
    3 | }
      | ^ nothing is open here

    1 error
    ");
}

#[test]
fn broken_items_say_what_was_expected() {
    let all = [
        "modle m { x }",
        "x = 3",
        "def f { x }",
        "def f(x[..]) x",
        "def f(x: number) = x",
        "model m(t: int[time]) { t }",
        "model { x }",
        "train {\n    batch: 12\n    lr = \n    loss mse(next\n    steps 100\n}",
        "data {\n    text \"a\n    window 64\n}",
        "import blocks",
        "model m {\n    x -> {\n        relu\n}\ntrain {\n    batch 3\n}",
        "model m { x }\n}",
    ];
    let shown: Vec<String> = all.iter().map(|text| check(text)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    error[E0102]: expected an item, found `modle`
     --> t.ms:1:1
      |
    1 | modle m { x }
      | ^^^^^ no item starts like this
      |
      = help: did you mean `model`?
      = help: the top level holds `import`, `data`, `model`, `train`, `tune` and definitions: `def`, `loss`, `metric`, `optimizer`, `schedule`, `init`

    1 error

    error[E0102]: expected an item, found `x`
     --> t.ms:1:1
      |
    1 | x = 3
      | ^ no item starts like this
      |
      = help: the top level holds `import`, `data`, `model`, `train`, `tune` and definitions: `def`, `loss`, `metric`, `optimizer`, `schedule`, `init`

    1 error

    error[E0102]: expected `(`, found `{`
     --> t.ms:1:7
      |
    1 | def f { x }
      |       ^ expected `(`

    1 error

    error[E0102]: expected `=` or `{`, found `x`
     --> t.ms:1:14
      |
    1 | def f(x[..]) x
      |              ^ expected `=` or `{`

    1 error

    error[E0102]: `number` is no kind of parameter
     --> t.ms:1:10
      |
    1 | def f(x: number) = x
      |          ^^^^^^
      |
      = help: a tensor has a bracket, `x[..]`, a number nothing; the others are `: layer` and words, `: one | other`

    1 error

    error[E0102]: expected `ids`, `real` or `condition`, found `int`
     --> t.ms:1:12
      |
    1 | model m(t: int[time]) { t }
      |            ^^^ expected `ids`, `real` or `condition`

    1 error

    error[E0102]: expected a name, found `{`
     --> t.ms:1:7
      |
    1 | model { x }
      |       ^ expected a name

    1 error

    error[E0102]: expected an expression, `=`, `(`, `{` or `}`, found `:`
     --> t.ms:2:10
      |
    2 |     batch: 12
      |          ^ expected an expression, `=`, `(`, `{` or `}`
      |
      = help: a setting's value follows its key without a `:`; a name is given a value with `=`

    error[E0102]: expected an expression, found the end of the line
     --> t.ms:3:10
      |
    3 |     lr =
      |          ^ expected an expression
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    error[E0102]: `(` is never closed
     --> t.ms:4:13
      |
    4 |     loss mse(next
      |             ^ no `)` belongs to this
    5 |     steps 100
    6 | }
      | - expected `)` before this

    3 errors

    error[E0102]: the string does not end on its line
     --> t.ms:2:10
      |
    2 |     text "a
      |          ^^ this quote is never closed
      |
      = help: close it with `"`; inside a string a quote is written `\"`

    1 error

    error[E0102]: expected a string in quotes, found `blocks`
     --> t.ms:1:8
      |
    1 | import blocks
      |        ^^^^^^ expected a string in quotes

    1 error

    error[E0102]: `{` is never closed
     --> t.ms:1:9
      |
    1 | model m {
      |         ^ no `}` belongs to this
    2 |     x -> {
      |          - perhaps it is this one that lacks its `}`:
    3 |         relu
    4 | }
      | - this brace closes it, but stands further left

    1 error

    error[E0102]: `}` closes nothing
     --> t.ms:2:1
      |
    2 | }
      | ^ nothing is open here

    1 error
    "#);
}

#[test]
fn one_mistake_does_not_hide_the_next() {
    let text = "def f(x[..]) {
    y = x +
    z = ) 3
    y -> g(
}
model m {
    a b c d
    x
}
train {
    batch = = 2
}
";
    insta::assert_snapshot!(check(text), @"
    error[E0102]: expected an expression, found the end of the line
     --> t.ms:2:12
      |
    2 |     y = x +
      |            ^ expected an expression
      |
      = help: a statement goes on in the next line inside `( )` and `[ ]`, and before `->`, only

    error[E0102]: `)` closes nothing
     --> t.ms:3:9
      |
    1 | def f(x[..]) {
      |              - this is open here and needs `}`
    2 |     y = x +
    3 |     z = ) 3
      |         ^

    error[E0102]: `(` is never closed
     --> t.ms:4:11
      |
    4 |     y -> g(
      |           ^ no `)` belongs to this
    5 | }
      | - expected `)` before this

    error[E0102]: expected an operator, `=`, `{` or the end of the statement, found `b`
     --> t.ms:7:7
      |
    7 |     a b c d
      |       ^ expected an operator, `=`, `{` or the end of the statement

    error[E0102]: expected an expression, found `=`
      --> t.ms:11:13
       |
    11 |     batch = = 2
       |             ^ expected an expression
       |
       = help: a comparison is `==`

    5 errors
    ");
}

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
    let refused = super::decode(crate::text::FileId(0), bytes).expect_err("0xff is no UTF-8");
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
    let long = super::decode(crate::text::FileId(0), vec![b' '; 100 << 20]).expect_err("it is too long");
    assert_eq!(long.diagnostic.message, "the file has more than 8 MB");
}
