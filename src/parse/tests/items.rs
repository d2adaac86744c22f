//! What is said of broken items, and that one mistake does not hide the next.

use super::check;

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
      = help: a tensor has a bracket, `x[..]`, a number nothing; the others are `: layer`, `: steps` and words, `: one | other`

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
