//! Every file of `specs/`, without being listed: checked, compiled, trained for a step, and a snapshot of what each
//! stage prints. `tests/specs/small.txt` says what makes the large ones small; data that are not shipped are made, in
//! the same format, in a temporary folder.

#[path = "specs/made.rs"]
mod made;

use mspec::build;
use mspec::data::{self, Batch, Dataset};
use mspec::ir::experiment::SUM;
use mspec::ir::graph::OutputKind;
use mspec::ir::plan::Plan;
use mspec::machine::{Machine, Program, ProgramId};
use mspec::pipeline::{self, Experiment};
use mspec::resolve::Mode;
use mspec::text::render;
use mspec::train::checkpoint::Bits;
use mspec::train::feed::Feed;
use mspec::train::initialise::initial_values;
use mspec::train::run::step_variables;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a shrunk spec may take; the time is three times the aim of ten seconds, because other tests run beside it.
const TIME_MAX: Duration = Duration::from_secs(30);
const BYTES_MAX: usize = 4 << 30;

/// What makes a spec small.
#[derive(Default)]
struct Small {
    overrides: Vec<(String, String)>,
    /// What data are made if the spec's own are not there.
    data: Option<String>,
    /// The numbers of the stages that have a snapshot.
    stages: Option<String>,
}

fn small(name: &str) -> Small {
    let table = std::fs::read_to_string("tests/specs/small.txt").unwrap();
    let mut small = Small::default();
    let line = table.lines().find(|l| l.split_whitespace().next() == Some(name));
    for word in line.iter().flat_map(|l| l.split_whitespace().skip(1)) {
        match word.split_once('=').expect("a word of the table is key=value") {
            ("data", value) => small.data = Some(value.into()),
            ("stages", value) => small.stages = Some(value.into()),
            (key, value) => small.overrides.push((key.into(), value.into())),
        }
    }
    small
}

/// All specs below `specs/` that have a model, by their paths from there, sorted.
fn specs() -> Vec<String> {
    let (mut specs, mut folders) = (vec![], vec![PathBuf::from("specs")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "ms") {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.lines().any(|l| l.starts_with("model ")) {
                    specs.push(path.strip_prefix("specs").unwrap().to_str().unwrap().to_string());
                }
            }
        }
    }
    specs.sort();
    specs
}

fn messages(failure: pipeline::Failure) -> String {
    render::text(&failure.diagnostics, &failure.sources, false)
}

/// A spec of `specs/`, bound to its data or to made ones; the folder of these lives as long.
fn open(name: &str, overrides: &[(String, String)], made: Option<&str>) -> (Experiment, Dataset, TempDir) {
    let path = Path::new("specs").join(name);
    let read = |at: &Path| std::fs::read(at).map_err(|e| e.to_string());
    let spec = pipeline::load(&path, overrides, &read).map_err(messages).unwrap();
    let mut settings = spec.data().map_err(messages).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dataset = data::open(&settings, path.parent().unwrap()).unwrap_or_else(|error| {
        let made = made.unwrap_or_else(|| panic!("{name}: {error}; tests/specs/small.txt may say which data to make"));
        made::make(made, folder.path(), &mut settings);
        data::open(&settings, folder.path()).unwrap()
    });
    let experiment = spec.resolve(dataset.schema().clone()).map_err(messages).unwrap();
    let said = render::text(&experiment.warnings, &experiment.spec.sources, false);
    assert!(experiment.warnings.is_empty(), "{name}:\n{said}");
    (experiment, dataset, folder)
}

/// Trains one step from the spec's initialisers; gives the loss and how many parameters have changed, or the sums of
/// their gradients where a step goes part by part.
fn step(experiment: &Experiment, dataset: &Dataset, plan: &Plan) -> (f32, usize) {
    let program = ProgramId(0);
    let mut machine = Machine::new(vec![Program::compile(plan, 2).unwrap()], 2).unwrap();
    let machine: &mut dyn mspec::train::Machine = &mut machine;
    let declarations = experiment.declarations().unwrap();
    let settings = experiment.train.as_ref().unwrap();
    let mut before = vec![];
    for slot in 0..machine.layout().slots.len() {
        let name = machine.layout().slots[slot].name.clone();
        if let Some(param) = declarations.params.iter().find(|p| p.path == name) {
            before.push((slot, initial_values(param, settings.seed)));
            machine.persistent_mut(slot).copy_from_slice(&before.last().unwrap().1);
        } else if let Some(state) = declarations.states.iter().find(|s| s.path == name) {
            machine.persistent_mut(slot).fill(state.initial as f32);
        } else if name.ends_with(SUM) {
            before.push((slot, vec![0.0; machine.persistent(slot).len()]));
        }
    }
    let mut batch = Batch::new(dataset.schema(), settings.batch);
    dataset
        .sampler(settings.seed, settings.batch)
        .unwrap()
        .fill(1, &mut batch)
        .unwrap();
    Feed::new(machine, program, &batch, 1).write(machine, &batch, 0);
    let numbers = &pipeline::compile(&experiment.training_graph().unwrap(), None)
        .graph
        .numbers;
    let kept: Vec<Bits> = declarations.kept.iter().map(|k| Bits::of(k.initial)).collect();
    let variable = step_variables(1, 10.0, &kept);
    let numbers: Vec<f32> = numbers.iter().map(|n| n.at(&variable) as f32).collect();
    machine.prepare(program, &numbers, [1, 2]);
    machine.run(program);
    let loss = machine
        .outputs(program)
        .iter()
        .position(|o| o.kind == OutputKind::Loss)
        .unwrap();
    let changed = before
        .iter()
        .filter(|(slot, values)| machine.persistent(*slot) != values.as_slice());
    let changed = changed.count();
    (machine.output(program, loss)[0], changed)
}

/// A snapshot of each stage, named by the spec and the stage.
fn stages(name: &str, experiment: &Experiment, wanted: Option<&str>) -> Plan {
    let batch = experiment.train.as_ref().map_or(1, |t| t.batch);
    let program = experiment.program(Mode::Training, batch).map_err(messages).unwrap();
    let graph = build::build(&program);
    let gradients = experiment.training_graph().map_err(messages).unwrap();
    let compiled = pipeline::compile(&gradients, None);
    let mut params = String::new();
    for param in &program.params {
        writeln!(params, "{} {:?} {:?}", param.path, param.shape, param.initialiser).unwrap();
    }
    let stages = [
        ("0-ast", experiment.spec.file.to_string()),
        ("1-model", program.to_string()),
        ("2-params", params),
        ("3-graph", graph.listing(None)),
        ("4-grad", gradients.listing(None)),
        ("5-kernels", compiled.schedule.to_string()),
        ("6-plan", compiled.plan.to_string()),
    ];
    let name = name.trim_end_matches(".ms").replace('/', "-");
    let wanted = |stage: &str| wanted.is_none_or(|list| list.split(',').any(|number| stage.starts_with(number)));
    for (stage, text) in stages.into_iter().filter(|(stage, _)| wanted(stage)) {
        insta::with_settings!({ omit_expression => true, snapshot_path => "specs/snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("{name}-{stage}"), text);
        });
    }
    compiled.plan
}

/// What experts would say on reading a shipped spec as it is: nothing.
#[test]
fn no_spec_gives_a_warning() {
    let mut told = String::new();
    for name in specs() {
        let Small { data, .. } = small(&name);
        let experiment = stated(&name, &[], |text| text).unwrap_or_else(|| open(&name, &[], data.as_deref()).0);
        let warnings = experiment.lint().map_err(messages).unwrap();
        let said = render::text(&warnings, &experiment.spec.sources, false);
        write!(told, "{said}").unwrap();
    }
    assert!(told.is_empty(), "{told}");
}

/// All that is asked of one spec.
fn check(name: &str) {
    let Small {
        overrides,
        data,
        stages: wanted,
    } = small(name);
    let (experiment, dataset, _folder) = open(name, &overrides, data.as_deref());
    let begin = Instant::now();
    let plan = stages(name, &experiment, wanted.as_deref());
    let bytes = plan.persistent.bytes + plan.transient_bytes;
    assert!(
        bytes < BYTES_MAX,
        "{name}: {bytes} bytes; shrink it in tests/specs/small.txt"
    );
    let (loss, changed) = step(&experiment, &dataset, &plan);
    assert!(loss.is_finite(), "{name}: the loss is {loss}");
    assert!(changed > 0, "{name}: the step changed no parameter");
    let evaluation = experiment.evaluation(2).map_err(messages).unwrap();
    pipeline::compile(&evaluation.batch, Some(&plan.persistent));
    let took = begin.elapsed();
    assert!(took < TIME_MAX, "{name}: {took:?}; shrink it in tests/specs/small.txt");
}

#[test]
fn every_spec_goes_through_all_stages_and_trains() {
    let specs = specs();
    assert!(specs.len() >= 15, "{specs:?}");
    let waiting = Mutex::new(specs.iter());
    let failed = Mutex::new(vec![]);
    let work = || {
        while let Some(name) = { waiting.lock().unwrap().next() } {
            if std::panic::catch_unwind(|| check(name)).is_err() {
                failed.lock().unwrap().push(name.clone());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) {
            scope.spawn(work);
        }
    });
    assert!(failed.lock().unwrap().is_empty(), "{failed:?}");
}

#[test]
fn the_table_names_specs_that_there_are() {
    let table = std::fs::read_to_string("tests/specs/small.txt").unwrap();
    let specs = specs();
    for line in table.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let name = line.split_whitespace().next().unwrap();
        assert!(specs.iter().any(|s| s == name), "there is no specs/{name}");
    }
}

/// A spec as the program sees it without its data, if it states all sizes. `change` may change its text.
fn stated(name: &str, set: &[(&str, &str)], change: impl Fn(String) -> String) -> Option<Experiment> {
    let path = Path::new("specs").join(name);
    let read = |at: &Path| match std::fs::read_to_string(at) {
        Ok(text) => Ok(change(text).into_bytes()),
        Err(error) => Err(error.to_string()),
    };
    let overrides: Vec<_> = set.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let spec = pipeline::load(&path, &overrides, &read).map_err(messages).unwrap();
    let schema = data::stated(&spec.data().map_err(messages).unwrap())?;
    Some(spec.resolve(schema).map_err(messages).unwrap())
}

/// Path and number of elements of all parameters of a spec that states all sizes.
fn parameters(name: &str, set: &[(&str, &str)], change: impl Fn(String) -> String) -> Vec<(String, usize)> {
    let experiment = stated(name, set, change).unwrap_or_else(|| panic!("{name} does not state all sizes"));
    let params = experiment.declarations().map_err(messages).unwrap().params;
    params.into_iter().map(|p| (p.path, p.shape.iter().product())).collect()
}

/// All of a spec's parameters.
fn count(name: &str, set: &[(&str, &str)]) -> usize {
    parameters(name, set, |text| text).iter().map(|p| p.1).sum()
}

#[test]
fn parameter_counts_are_the_papers() {
    for (name, expected) in [
        ("resnet18.ms", 11_689_512),
        ("resnet20.ms", 269_722),
        ("vgg.ms", 138_357_544),
        ("mobilenet.ms", 4_231_976),
        ("convnext.ms", 28_589_128),
        ("vit.ms", 22_050_664),
        ("gpt2.ms", 124_439_808),
        ("bench/gpt2-124m.ms", 124_439_808),
        ("bench/cnn.ms", 269_722),
        ("bench/mlp.ms", 535_818),
        ("t5.ms", 222_903_552),
        ("llama.ms", 8_030_261_248),
    ] {
        assert_eq!(count(name, &[]), expected, "{name}");
    }
    let projection = "x -> conv2d(channels, kernel = 1, stride = stride, bias = false) -> batch_norm";
    let projected = parameters("resnet20.ms", &[], |text| {
        text.replace("x -> shortcut(channels, stride)", projection)
    });
    assert_eq!(projected.iter().map(|p| p.1).sum::<usize>(), 272_474);
}

/// Sizes that the heads of these specs name.
#[test]
fn other_sizes_are_set_from_outside() {
    for (width, heads, depth, expected) in [
        ("1024", "16", "24", 354_823_168),
        ("1280", "20", "36", 774_030_080),
        ("1600", "25", "48", 1_557_611_200),
    ] {
        let set = [("model.width", width), ("model.heads", heads), ("model.depth", depth)];
        assert_eq!(count("gpt2.ms", &set), expected);
    }
    let small = [("width", "512"), ("hidden", "2048"), ("heads", "8"), ("depth", "6")];
    let small = small.map(|(name, value)| (format!("model.{name}"), value));
    let small: Vec<(&str, &str)> = small.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(count("t5.ms", &small), 60_506_624);
    let llama2 = [
        ("data.vocab", "32000"),
        ("data.window", "4096"),
        ("model.hidden", "11008"),
        ("model.groups", "32"),
        ("model.base", "10000"),
    ];
    assert_eq!(count("llama.ms", &llama2), 6_738_415_616);
}

/// The paper's table gives 125M, 350M, 760M, 1.3B, 2.7B, 6.7B, 13.0B and 175.0B. Counted are all weights and biases,
/// the embedding of 50 257 tokens and 2048 positions with them, the tied head once.
#[test]
fn gpt3_has_eight_sizes() {
    let expected: [usize; 8] = [
        125_226_240,
        355_871_744,
        760_300_032,
        1_315_723_264,
        2_651_553_280,
        6_658_404_352,
        12_936_488_380,
        174_604_259_328,
    ];
    for (size, expected) in expected.into_iter().enumerate() {
        assert_eq!(count("gpt3.ms", &[("model.size", &size.to_string())]), expected);
    }
}

/// What is published counts the encoder with its pooler, without what a task puts on it.
#[test]
fn bert_base_has_the_published_parameters() {
    let whole = parameters("bert-pairs.ms", &[], |text| text);
    let encoder = whole.iter().filter(|(path, _)| !path.starts_with("bert.classifier."));
    assert_eq!(encoder.map(|p| p.1).sum::<usize>(), 109_482_240);
    let whole = parameters("bert.ms", &[], |text| text);
    let encoder = whole.iter().filter(|(path, _)| {
        let head = ["bert.transform", "bert.head"];
        !head.iter().any(|head| path.starts_with(head))
    });
    let pooler = 768 * 768 + 768;
    assert_eq!(encoder.map(|p| p.1).sum::<usize>() + pooler, 109_482_240);
}

/// What two stages print is the same, however often it is asked: no order comes from a hash map.
#[test]
fn stages_are_deterministic() {
    let print = || {
        let (experiment, ..) = open("wine.ms", &[("train.batch".into(), "2".into())], None);
        let graph = experiment.training_graph().map_err(messages).unwrap();
        let compiled = pipeline::compile(&graph, None);
        format!("{}{}{}", graph.listing(None), compiled.schedule, compiled.plan)
    };
    let first = print();
    for _ in 0..3 {
        assert!(print() == first, "two runs of the compiler print different stages");
    }
}
