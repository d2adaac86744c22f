//! What is said of broken statements, and of the words of other languages in them.

use super::body;

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
