//! A batch that goes part by part is the large batch to rounding: losses, parameters after some updates, whatever a loss
//! divides by. And sharpness-aware minimisation against its definition.

use mspec::data::random::Stream;
use mspec::data::{Batch, open};
use mspec::ir::experiment::LossScale;
use mspec::ir::number::StepVariable;
use mspec::machine::{Machine, Program, ProgramId, Values};
use mspec::pipeline::{self, Compiled};
use mspec::text::Code;
use mspec::train::initialise::initial_values;
use mspec::train::update::{Aside, Moment, Parted, Stage, Updater};
use std::collections::BTreeMap;
use std::path::Path;

/// Losses of some updates, and the parameters and the model's states behind them.
struct Trained {
    /// How many programs made the updates.
    programs: usize,
    losses: Vec<f32>,
    params: BTreeMap<String, Vec<f32>>,
    states: BTreeMap<String, Vec<f32>>,
}

/// Compiles and trains; `Err` holds the codes of what is said.
fn train(items: &str, loss: &str, settings: &str, steps: u64) -> Result<Trained, Vec<Code>> {
    let text = format!(
        "data {{ csv \"fruit.csv\" ; target kind ; missing fill ; normalise standard ; split train 100% ; shuffle false }}\n\
         {items}\n\
         train {{ loss {loss} ; steps {steps} ; {settings} }}\n"
    );
    let spec = pipeline::load(Path::new("x.ms"), &[], &|_| Ok(text.clone().into_bytes())).unwrap();
    let data = open(&spec.data().unwrap(), Path::new("tests/data")).unwrap();
    let codes = |f: pipeline::Failure| f.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>();
    let sources = spec.sources.clone();
    let experiment = spec.resolve(data.schema().clone()).map_err(|f| {
        eprintln!("{}", mspec::text::render::text(&f.diagnostics, &sources, false));
        codes(f)
    })?;
    let mut programs: Vec<Compiled> = vec![];
    let mut stage = |graph: &mspec::ir::graph::Graph| {
        let layout = programs.first().map(|p| p.plan.persistent.clone());
        programs.push(pipeline::compile(graph, layout.as_ref()));
        Stage {
            program: ProgramId(programs.len() - 1),
            numbers: graph.numbers.clone(),
        }
    };
    let (main, parted) = match experiment.accumulation().map_err(codes)? {
        None => (stage(&experiment.training_graph().unwrap()), None),
        Some(a) => {
            let main = stage(&a.gradient);
            let parted = Parted {
                parts: a.parts,
                counts: a.counts.as_ref().map(|c| (stage(c), a.totals.clone())),
                aside: a.aside.as_ref().zip(a.again.as_ref()).map(|(there, again)| Aside {
                    there: stage(there),
                    again: stage(again),
                    back: a.back.as_ref().map(&mut stage),
                }),
                update: stage(&a.update),
            };
            (main, Some(parted))
        }
    };
    let compiled: Vec<Program> = programs.iter().map(|p| Program::compile(&p.plan, 1).unwrap()).collect();
    let count = compiled.len();
    let mut machine = Machine::new(compiled, 1).unwrap();
    let declarations = experiment.declarations().unwrap();
    let slots = machine.layout().slots.clone();
    for (at, slot) in slots.iter().enumerate() {
        if let Some(param) = declarations.params.iter().find(|p| p.path == slot.name) {
            mspec::train::Machine::persistent_mut(&mut machine, at).copy_from_slice(&initial_values(param, 3));
        }
        if let Some(state) = declarations.states.iter().find(|s| s.path == slot.name) {
            mspec::train::Machine::persistent_mut(&mut machine, at).fill(state.initial as f32);
        }
    }
    let settings = experiment.train.as_ref().unwrap();
    let mut sampler = data.sampler(1, settings.batch).unwrap();
    let mut batch = Batch::new(data.schema(), settings.batch);
    let mut updater = Updater::new(&machine, &main, parted.as_ref(), &batch);
    let keys = Stream::new(1, "step");
    let scale = match settings.loss_scale {
        LossScale::Static(scale) => scale,
        LossScale::Dynamic => 65536.0,
    };
    let mut losses = vec![];
    for step in 1..=steps {
        sampler.fill(step, &mut batch).unwrap();
        let variable = |v| match v {
            StepVariable::Step => step as f64,
            StepVariable::LossScale => scale,
            _ => 1.0,
        };
        losses.push(
            updater
                .run(&mut machine, &batch, &Moment::new(step, &variable, &keys))
                .loss,
        );
    }
    let value = |at: usize| match machine.persistent(at) {
        Values::F32(values) => values.to_vec(),
        Values::I32(_) => panic!("parameters are reals"),
    };
    let named = |wanted: &dyn Fn(&str) -> bool| {
        let slots = slots.iter().enumerate().filter(|(_, s)| wanted(&s.name));
        slots.map(|(at, s)| (s.name.clone(), value(at))).collect()
    };
    Ok(Trained {
        programs: count,
        losses,
        params: named(&|name| declarations.params.iter().any(|p| p.path == name)),
        states: named(&|name| declarations.states.iter().any(|s| s.path == name && !s.optimizer)),
    })
}

#[track_caller]
fn close(a: &Trained, b: &Trained, tolerance: f32) {
    for (x, y) in a.losses.iter().zip(&b.losses) {
        assert!((x - y).abs() <= tolerance * y.abs(), "loss {x} instead of {y}");
    }
    for (name, want) in &b.params {
        let most = want.iter().fold(1e-3f32, |m, w| m.max(w.abs()));
        for (x, y) in a.params[name].iter().zip(want) {
            assert!((x - y).abs() <= tolerance * most, "{name}: {x} instead of {y}");
        }
    }
}

const MODEL: &str = "model net { features -> linear(6) -> tanh -> linear(classes) }";

/// Losses that divide by what the data say: masks, weights of classes, several terms.
const LOSSES: &[(&str, &str)] = &[
    ("cross_entropy(kind)", ""),
    ("cross_entropy(kind, smoothing = 0.2) + 0.5 * focal(kind)", ""),
    (
        "some(kind)",
        "loss some(x[.., k], t[..]) = mean[.. where t[..] == 1] (x[.., 0] - 0.3)^2",
    ),
    (
        "weighed(kind)",
        "loss weighed(x[.., k], t[..]) { w[..] = where(t[..] == 0, 3, 0.5) ; \
         (sum[..] w[..] * (x[.., t[..]] - 1)^2) / sum[..] w[..] }",
    ),
    // By how often each class is there: a total with an axis.
    (
        "balanced(kind)",
        "loss balanced(x[.., k < n], t[..]) { often[k < n] = sum[..] where(t[..] == k, 1, 0) ; \
         mean[..] (x[.., t[..]] - 1)^2 / max(often[t[..]], 1) }",
    ),
    (
        "shifted(kind)",
        "loss shifted(x[.., k], t[..]) = 1 - (sum[.., k] x[.., k] * where(k == t[..], 1, 0)) / count[..]",
    ),
];

#[test]
fn parts_add_up_to_the_large_batch() {
    for (loss, definition) in LOSSES {
        let items = format!("{definition}\n{MODEL}");
        let optimizer = "optimizer sgd(lr = 0.1, momentum = 0.9) ; clip_norm 1 ; penalty l2(0.01) on matrices";
        let whole = train(&items, loss, &format!("{optimizer} ; batch 8"), 4).unwrap();
        assert!(whole.losses[0] != whole.losses[3], "{loss} learns");
        for parts in [2, 8] {
            let parted = train(&items, loss, &format!("{optimizer} ; batch 8 in {parts}"), 4).unwrap();
            eprintln!("{loss} in {parts}");
            close(&parted, &whole, 2e-6);
        }
    }
}

#[test]
fn a_state_changes_once_a_part() {
    let items = "def counted(x[.., c]) { state n = 0 ; if training { n <- n + 1 } else { n <- n } ; x }\n\
                 model net { features -> counted -> linear(classes) }";
    let count = |settings: &str| {
        let settings = format!("optimizer sgd(lr = 0.1) ; {settings}");
        let trained = train(items, "cross_entropy(kind)", &settings, 3).unwrap();
        trained.states["net.counted.n"].clone()
    };
    assert_eq!(count("batch 8"), [3.0]);
    assert_eq!(count("batch 8 in 4"), [12.0]);
    // What looks aside for the gradient leaves states alone.
    assert_eq!(count("batch 8 in 2 ; sam 0.05"), [6.0]);
}

#[test]
fn a_loss_scale_is_taken_back() {
    let optimizer = "optimizer sgd(lr = 0.1, momentum = 0.9) ; batch 8 in 2 ; precision bf16";
    let plain = train(MODEL, "cross_entropy(kind)", optimizer, 4).unwrap();
    let scaled = train(
        MODEL,
        "cross_entropy(kind)",
        &format!("{optimizer} ; loss_scale 1024"),
        4,
    )
    .unwrap();
    // A power of two changes no bit, but for what is too small for a normal number.
    assert_eq!(plain.params, scaled.params);
    let full = train(
        MODEL,
        "cross_entropy(kind)",
        "optimizer sgd(lr = 0.1, momentum = 0.9) ; batch 8 in 2",
        4,
    )
    .unwrap();
    close(&plain, &full, 2e-2);
    assert!(plain.params != full.params, "rounding shows");
}

#[test]
fn sharpness_aware_steps_in_sixteen_bits_are_those_in_all_but_for_rounding() {
    let with = |more: &str| {
        let settings = format!("optimizer sgd(lr = 0.1, momentum = 0.9) ; batch 8 in 2 ; {more}");
        train(MODEL, "cross_entropy(kind)", &settings, 4).unwrap()
    };
    let full = with("sam 0.05");
    for precision in ["bf16", "f16 ; loss_scale 1024"] {
        let half = with(&format!("sam 0.05 ; precision {precision}"));
        close(&half, &full, 2e-2);
        assert!(half.params != full.params, "rounding shows");
        let plain = with(&format!("precision {precision}"));
        assert!(half.params != plain.params, "the look aside shows");
    }
}

/// Only what has a scale, as binary16 always has, asks whether the gradient is finite before it updates.
#[test]
fn bfloat16_without_a_scale_updates_in_one_program() {
    let trained = |settings: &str| {
        let settings = format!("optimizer sgd(lr = 0.1, momentum = 0.9) ; batch 8 ; precision {settings}");
        train(MODEL, "cross_entropy(kind)", &settings, 4).unwrap()
    };
    let [plain, scaled, half] = ["bf16", "bf16 ; loss_scale 1024", "f16 ; loss_scale 1024"].map(trained);
    assert_eq!(
        [&plain, &scaled, &half].map(|t| t.programs),
        [1, 2, 2],
        "with another program that updates"
    );
    assert_eq!(plain.params, scaled.params);
}

/// The gradient aside is not finite in 16 bits, the first one is: the parameters are where they were.
#[test]
fn a_sharpness_aware_step_that_overflows_leaves_the_parameters() {
    let with = |settings: &str| {
        let settings = format!("batch 8 ; optimizer {settings}");
        train(MODEL, "cross_entropy(kind)", &settings, 1).unwrap().params
    };
    let start = with("sgd(lr = 0)");
    assert_eq!(with("sgd(lr = 0.1) ; sam 1e6 ; precision f16 ; loss_scale 1"), start);
    assert!(with("sgd(lr = 0.1) ; sam 0.05 ; precision f16 ; loss_scale 1") != start);
}

/// A batch that overflows in 16 bits already on the way to a batch norm changes nothing of it; a large one that does not
/// overflow changes its running mean, though the gradient overflows and the step is skipped, as in PyTorch.
#[test]
fn a_step_that_overflows_leaves_finite_states() {
    let items = |factor: &str| {
        format!(
            "def stretched(x[..]) = {factor} * x\n\
             model net {{ features -> stretched -> linear(6) -> batch_norm -> linear(classes) }}"
        )
    };
    let with = |factor: &str, settings: &str| {
        let settings = format!("optimizer sgd(lr = 0.1) ; precision f16 ; {settings}");
        train(&items(factor), "cross_entropy(kind)", &settings, 1).unwrap()
    };
    let running = |trained: &Trained| {
        ["mean", "variance"].map(|what| trained.states[&format!("net.batch_norm.running_{what}")].clone())
    };
    for batch in ["batch 8", "batch 8 in 2"] {
        let forward = with("1e6", &format!("{batch} ; loss_scale 1"));
        assert!(!forward.losses[0].is_finite(), "the batch overflows");
        assert_eq!(running(&forward), [vec![0.0; 6], vec![1.0; 6]]);
        let sound = with("1", &format!("{batch} ; loss_scale 1"));
        let backward = with("1", &format!("{batch} ; loss_scale 1e30"));
        assert!(backward.losses[0].is_finite());
        assert_eq!(backward.params, forward.params, "both steps are skipped");
        assert!(sound.params != forward.params);
        assert_eq!(running(&backward), running(&sound));
        assert!(running(&sound)[0].iter().all(|mean| *mean != 0.0));
    }
}

#[test]
fn what_is_no_sum_of_sums_is_refused() {
    let refused = |definition: &str| {
        let items = format!("{definition}\n{MODEL}");
        train(&items, "odd(kind)", "optimizer sgd(lr = 0.1) ; batch 8 in 2", 1).err()
    };
    let root = "loss odd(x[.., k], t[..]) = sqrt(mean[.., k] (x[.., k] - real(t[..]))^2)";
    assert_eq!(refused(root), Some(vec![Code::NotSupported]));
    let greatest = "loss odd(x[.., k], t[..]) = max[..] (x[.., 0] - real(t[..]))^2";
    assert_eq!(refused(greatest), Some(vec![Code::NotSupported]));
    let centred = "loss odd(x[.., k], t[..]) { m = mean[..] x[.., 0] ; mean[..] (x[.., 0] - m)^2 * real(t[..]) }";
    assert_eq!(refused(centred), Some(vec![Code::NotSupported]));
    let sound = "loss odd(x[.., k], t[..]) = 2 * (mean[.., k] (x[.., k] - real(t[..]))^2) - 3";
    assert_eq!(refused(sound), None);
}

#[test]
fn sharpness_aware_steps_follow_their_definition() {
    // One weight, one feature: the gradient of (w x)^2 / 2 is x^2 w, aside it is x^2 (w + 0.1 sign(w)).
    let items = "def scaled(x[.., c]) { param w[c] ~ 1 ; y[..] = sum[c] w[c] * x[.., c] }\n\
                 loss half(y[..], t[..]) = (mean[..] y[..]^2) / 2 + 0 * (mean[..] real(t[..]))\n\
                 model net { features -> scaled }";
    let plain = train(items, "half(kind)", "optimizer sgd(lr = 0.1) ; batch 8", 1).unwrap();
    let sharp = train(items, "half(kind)", "optimizer sgd(lr = 0.1) ; batch 8 ; sam 0.05", 1).unwrap();
    let parted = train(
        items,
        "half(kind)",
        "optimizer sgd(lr = 0.1) ; batch 8 in 4 ; sam 0.05",
        1,
    )
    .unwrap();
    close(&parted, &sharp, 2e-6);
    assert_eq!(
        plain.losses, sharp.losses,
        "the loss is that of the parameters, not of the point aside"
    );
    // The loss is quadratic, w' H w / 2: from w = 1, the plain step gives the gradient g = H w, the other one's is
    // g + 0.05 H g / |g|; and the plain step from that point gives the same.
    let from = |values: &[f32]| {
        let list: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(i, v)| format!("where(c == {i}, {v}, 0)"))
            .collect();
        let items = format!(
            "def scaled(x[.., c]) {{ param w[c] ~ 0 ; y[..] = sum[c] (w[c] + {}) * x[.., c] }}\n\
             loss half(y[..], t[..]) = (mean[..] y[..]^2) / 2 + 0 * (mean[..] real(t[..]))\n\
             model net {{ features -> scaled }}",
            list.join(" + ")
        );
        train(&items, "half(kind)", "optimizer sgd(lr = 0.1) ; batch 8", 1)
            .unwrap()
            .params["net.scaled.w"]
            .clone()
    };
    let gradient: Vec<f32> = plain.params["net.scaled.w"].iter().map(|w| (1.0 - w) / 0.1).collect();
    let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    let aside: Vec<f32> = gradient.iter().map(|g| 1.0 + 0.05 * g / norm).collect();
    for (got, change) in sharp.params["net.scaled.w"].iter().zip(from(&aside)) {
        assert!((got - (1.0 + change)).abs() < 1e-5, "{got} instead of {}", 1.0 + change);
    }
    assert!(sharp.params != plain.params);
}
