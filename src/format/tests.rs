//! The layout on chosen texts; and on every shipped spec and the library: a second pass changes nothing, nothing is
//! lost, and no broken text is formatted.

use super::format;
use crate::parse::scan::{TokenKind, scan};
use crate::standard;
use crate::text::{FileId, render};
use std::path::PathBuf;

/// The formatted text of one that parses; formatting again changes nothing, and every token but `;` is still there.
fn formatted(text: &str) -> String {
    let once = format("t.ms", text).unwrap_or_else(|(s, d)| panic!("{}", render::text(&d, &s, false)));
    let twice = format("t.ms", &once).unwrap_or_else(|(s, d)| panic!("{once}\n{}", render::text(&d, &s, false)));
    assert_eq!(once, twice, "a second pass changes the text");
    assert_eq!(words(text), words(&once), "a token or a comment was lost");
    assert!(
        once.lines().all(|line| line == line.trim_end()),
        "spaces at the end of a line"
    );
    once
}

fn words(text: &str) -> Vec<String> {
    let scan = scan(FileId(0), text).unwrap_or_else(|d| panic!("{}", d.message));
    let kept = scan
        .tokens
        .iter()
        .filter(|t| t.kind != TokenKind::Newline && t.text(text) != ";");
    kept.map(|t| t.text(text).to_string()).collect()
}

/// The shipped specs and the standard library.
fn corpus() -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut all: Vec<(String, String)> = standard::FILES
        .iter()
        .map(|(n, t)| (n.to_string(), t.to_string()))
        .collect();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root.join("specs"))
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ms"))
        .collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a spec is text");
        all.push((path.display().to_string(), text));
    }
    all.push(("mixed".into(), MIXED.into()));
    all
}

/// Every form of the language, badly laid out.
const MIXED: &str = r#"
import   "blocks.ms" ; import "more.ms"  # two on a line


# Documented.
def  double (x[..],channels)=x->conv2d(channels,kernel=3)->batch_norm->relu->conv2d(channels,kernel=3)->batch_norm->relu->dropout(0.1)
def level(x[..], channels , inside:layer){
  skip=x -> double(channels)   # kept
  # own line

  skip->max_pool(2)  # after the first
     # between
     -> inside
    -> conv_transpose2d( channels , kernel=2,stride = 2 ) -> concat(skip)->double(channels)
}
def wide(x[.., t, c < width], heads, groups = heads, causal = false, window = inf, mask[.., s] = true, rotate: layer = identity, drop = 0) = x
def commented(x[..], # the input
  size, rate = -1 # and a rate
  ) {
  y[.., (h, e)] = (x[.., stride*i+r - pad, -1 * i] else -inf) * sum[ r,s where not(mask[r]) ] -x[r]^-2 / 3
  if training and not (rate == 0 or rate != 1) { a = 1 ; b = 2 } else if rate<=0 { a = 2; b = 3 } else {
    a=x->repeat 3 { relu } as name->{ linear(4)
      relu }
    b = -a - -a
  }
  state m[..]=0,n = 1 ; m<-m+1
  require rate mod 2 == 0 , "must be even, {rate}"
  penalty 3 * sum[..] x[..]^2
  scan t backwards=true { carry h[j]=0
    h[j]<-h[j] div 2 ; yield h
  }
  where(x > 0, 1, 0)
  widths[0] -> f({ relu ; gelu }, { linear(2)
     relu })
}
metric m(a, average: micro|macro|weighted = macro) { a }
model net ( tokens : ids[ time ] < vocab ) -> logits[time, vocab] {  # opened
  tokens -> residual { layer_norm(bias = false) -> linear(4 * width, bias = false) -> gelu -> linear(width, bias = false) as out }
  repeat i<4 { linear(widths[i]) }
  {}
}
data {

  text "a.txt"
  tokens   bpe("x.json")    # longer

  split train 90 %,validation 10% stratified by -1

  augment { shift(2) ; rotate(10 deg) }
  augment { shift(2)
    noise   0.5
  }
}
tune { grid { train.optimizer.lr=[1e-4,1e-3] ; model.width = [32, 64] } ; folds 5 ; best auc }
"#;

#[test]
fn every_form_has_its_layout() {
    insta::assert_snapshot!(formatted(MIXED), @r#"
    import "blocks.ms"
    import "more.ms"  # two on a line

    # Documented.
    def double(x[..], channels) = x
        -> conv2d(channels, kernel = 3)
        -> batch_norm
        -> relu
        -> conv2d(channels, kernel = 3)
        -> batch_norm
        -> relu
        -> dropout(0.1)
    def level(x[..], channels, inside: layer) {
        skip = x -> double(channels)  # kept
        # own line

        skip -> max_pool(2)  # after the first
            # between
            -> inside
            -> conv_transpose2d(channels, kernel = 2, stride = 2) -> concat(skip) -> double(channels)
    }
    def wide(
        x[.., t, c < width], heads, groups = heads, causal = false, window = inf, mask[.., s] = true,
        rotate: layer = identity, drop = 0
    ) = x
    def commented(
        x[..],  # the input
        size, rate = -1  # and a rate
    ) {
        y[.., (h, e)] = (x[.., stride * i + r - pad, -1 * i] else -inf) * sum[r, s where not (mask[r])] -x[r]^-2 / 3
        if training and not (rate == 0 or rate != 1) { a = 1 ; b = 2 } else if rate <= 0 { a = 2 ; b = 3 } else {
            a = x -> repeat 3 { relu } as name -> {
                linear(4)
                relu
            }
            b = -a - -a
        }
        state m[..] = 0, n = 1
        m <- m + 1
        require rate mod 2 == 0, "must be even, {rate}"
        penalty 3 * sum[..] x[..]^2
        scan t backwards = true {
            carry h[j] = 0
            h[j] <- h[j] div 2
            yield h
        }
        where(x > 0, 1, 0)
        widths[0] -> f({ relu ; gelu }, {
            linear(2)
            relu
        })
    }
    metric m(a, average: micro | macro | weighted = macro) { a }
    model net(tokens: ids[time] < vocab) -> logits[time, vocab] {  # opened
        tokens -> residual {
            layer_norm(bias = false) -> linear(4 * width, bias = false) -> gelu -> linear(width, bias = false) as out
        }
        repeat i < 4 { linear(widths[i]) }
        {}
    }
    data {
        text   "a.txt"
        tokens bpe("x.json")  # longer

        split train 90%, validation 10% stratified by - 1

        augment { shift(2) ; rotate(10 deg) }
        augment {
            shift(2)
            noise 0.5
        }
    }
    tune { grid { train.optimizer.lr = [1e-4, 1e-3] ; model.width = [32, 64] } ; folds 5 ; best auc }
    "#);
}

#[test]
fn settings_stand_in_columns() {
    let text = "train {\nloss a\noptimizer sgd(1)\nweight_decay_of_all = 0 on vectors\n# why\n\nbatch 3\n}";
    insta::assert_snapshot!(formatted(text), @"
    train {
        loss      a
        optimizer sgd(1)
        weight_decay_of_all = 0 on vectors
        # why

        batch 3
    }
    ");
}

#[test]
fn paths_of_a_search_stand_in_columns() {
    let text = "tune {\ntrials 3\nrandom {\ntrain.optimizer.lr=[1, 2] # why\nmodel.width = uniform(1,2)\n\ntrain.batch  = [1]\n}\n}";
    insta::assert_snapshot!(formatted(text), @r"
    tune {
        trials 3
        random {
            train.optimizer.lr = [1, 2]  # why
            model.width        = uniform(1, 2)
    
            train.batch = [1]
        }
    }
    ");
}

#[test]
fn a_second_pass_changes_nothing_and_nothing_is_lost() {
    for (_, text) in corpus() {
        formatted(&text);
        // Other line ends and indents mean the same.
        let windows = text.replace('\n', "\r\n").replace("    ", "\t");
        assert_eq!(formatted(&windows), formatted(&text.replace("    ", "\t")));
        let old_mac = text.replace('\n', "\r").into_bytes();
        let read = crate::parse::decode(crate::text::FileId(0), old_mac).map_err(|refused| refused.diagnostic);
        assert_eq!(read.as_ref(), Ok(&text));
    }
}

#[test]
fn shipped_texts_are_formatted() {
    for (name, text) in corpus().into_iter().filter(|(name, _)| name != "mixed") {
        assert!(formatted(&text) == text, "run `mspec fmt {name}`");
    }
}

#[test]
fn a_text_that_does_not_parse_is_an_error() {
    let (sources, diagnostics) = format("t.ms", "model m { x -> }").expect_err("it is wrong");
    assert!(render::text(&diagnostics, &sources, false).contains("t.ms:1:16"));
}

/// Tokens of the corpus are dropped, doubled, swapped and replaced: the parser and the formatter must cope.
#[test]
fn mutated_texts_never_panic() {
    let mut random = Random(20);
    let mut good = 0;
    for (_, text) in corpus() {
        let tokens = scan(FileId(0), &text)
            .unwrap_or_else(|d| panic!("{}", d.message))
            .tokens;
        for _ in 0..10 {
            let mut pieces: Vec<&str> = vec![];
            let mut end = 0;
            for token in &tokens {
                pieces.push(&text[end..token.start as usize]);
                pieces.push(token.text(&text));
                end = token.end as usize;
            }
            for _ in 0..random.below(3) + 1 {
                let (one, other) = (random.below(tokens.len()) * 2 + 1, random.below(tokens.len()) * 2 + 1);
                match random.below(5) {
                    0 => pieces[one] = "",
                    1 => pieces[one] = pieces[other],
                    2 => pieces.swap(one, other),
                    3 => pieces.insert(one, pieces[other]),
                    _ => pieces[one - 1] = ["", " ", "\n", "\n\n"][random.below(4)],
                }
                if pieces.len() % 2 == 1 {
                    pieces.push("");
                }
            }
            let mutated = pieces.concat();
            match format("t.ms", &mutated) {
                Ok(_) => {
                    formatted(&mutated);
                    good += 1;
                }
                Err((sources, diagnostics)) => assert!(render::text(&diagnostics, &sources, false).contains("error[")),
            }
        }
    }
    assert!(good > 8, "only {good} mutated texts parsed");
}

/// A linear congruential generator: the same texts on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}
