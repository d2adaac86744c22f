//! A definition in a spec compiles to the kernels of the same one in the library: activation, norm, loss, schedule,
//! initialiser, penalty and metric. Optimizers are held to it in `optimizers.rs`.

use mspec::ir::experiment::{Evaluation, Schema, SchemaTensor};
use mspec::ir::graph::Element;
use mspec::ir::kernel::Kernel;
use mspec::pipeline::{self, Experiment};
use mspec::text::render;
use std::path::Path;

/// A definition of the library under another name, with the comment lines left out.
fn renamed(head: &str, new: &str) -> String {
    let (kind, name) = head.split_once(' ').unwrap();
    let starts = format!("{kind} {name}(");
    let texts = || mspec::standard::FILES.iter().map(|f| f.1);
    let text = texts().find(|text| text.contains(&starts)).expect("the library has it");
    let lines = text.lines().skip_while(|line| !line.starts_with(&starts));
    // A definition ends where the next one begins, or its comment.
    let rest = lines
        .skip(1)
        .take_while(|line| !line.is_empty() && !line.starts_with('#'));
    let first = text.lines().find(|line| line.starts_with(&starts)).unwrap();
    let body: Vec<&str> = std::iter::once(first).chain(rest).collect();
    body.join("\n").replacen(&starts, &format!("{kind} {new}("), 1)
}

fn resolve(spec: &str) -> Experiment {
    let tensor = |name: &str, axes: &[(&str, usize)], element| SchemaTensor {
        name: name.into(),
        axes: axes.iter().map(|(axis, size)| (axis.to_string(), *size)).collect(),
        element,
        bound_name: None,
        category: false,
    };
    let schema = Schema {
        tensors: vec![
            tensor("x", &[("time", 5), ("width", 24)], Element::Real),
            tensor("y", &[("time", 5)], Element::Id { bound: 7 }),
        ],
        epoch_samples: Some(80),
        ..Schema::default()
    };
    let read = |_: &Path| Ok(spec.as_bytes().to_vec());
    let told = |f: pipeline::Failure| render::text(&f.diagnostics, &f.sources, false);
    let loaded = pipeline::load(Path::new("own.ms"), &[], &read);
    loaded
        .and_then(|spec| spec.resolve(schema))
        .unwrap_or_else(|failure| panic!("{spec}\n{}", told(failure)))
}

/// What differs between a spec that uses the library's definition and one with its own: flow, loss, and a line of `train`.
struct Use {
    definition: &'static str,
    flow: &'static str,
    loss: &'static str,
    line: &'static str,
}

const PLAIN: Use = Use {
    definition: "",
    flow: "relu",
    loss: "cross_entropy(y)",
    line: "",
};

/// `NAME` stands for what the definition is called.
const USES: &[Use] = &[
    Use {
        definition: "def gelu",
        flow: "NAME",
        ..PLAIN
    },
    Use {
        definition: "def mish",
        flow: "NAME",
        ..PLAIN
    },
    Use {
        definition: "def glu",
        flow: "NAME",
        ..PLAIN
    },
    Use {
        definition: "def layer_norm",
        flow: "NAME(eps = 1e-6) as norm",
        ..PLAIN
    },
    Use {
        definition: "def batch_norm",
        flow: "NAME as norm",
        ..PLAIN
    },
    Use {
        definition: "def lstm",
        flow: "NAME(6) as recurrent",
        ..PLAIN
    },
    Use {
        definition: "def attention",
        flow: "NAME(3, causal = true) as mixed",
        ..PLAIN
    },
    Use {
        definition: "loss cross_entropy",
        loss: "NAME(y, smoothing = 0.1)",
        ..PLAIN
    },
    Use {
        definition: "loss focal",
        loss: "NAME(y, gamma = 1.5)",
        ..PLAIN
    },
    Use {
        definition: "loss hinge",
        loss: "NAME(y)",
        ..PLAIN
    },
    Use {
        definition: "metric accuracy",
        line: "metric NAME(y) as right",
        ..PLAIN
    },
    Use {
        definition: "schedule cosine",
        line: "schedule warmup(3) -> NAME(floor = 10%)",
        ..PLAIN
    },
    Use {
        definition: "schedule plateau",
        line: "evaluate every step ; schedule NAME(patience = 2)",
        ..PLAIN
    },
    Use {
        definition: "init he_normal",
        line: "init NAME on matrices",
        ..PLAIN
    },
    Use {
        definition: "def l2",
        line: "penalty NAME(1e-4) on matrices",
        ..PLAIN
    },
];

impl Use {
    fn spec(&self, name: &str, definitions: &str) -> String {
        let [flow, loss, line] = [self.flow, self.loss, self.line].map(|text| text.replace("NAME", name));
        format!(
            "{definitions}\ndata {{\n    tensors \"none\"\n}}\n
model net {{\n    x -> linear(24) -> {flow} -> linear(7)\n}}\n
train {{\n    loss {loss}\n    {line}\n    optimizer sgd(lr = 0.1)\n    batch 4\n    steps 20\n}}\n"
        )
    }
}

#[test]
fn own_definitions_compile_to_the_librarys_kernels() {
    for used in USES {
        let name = used.definition.split_once(' ').unwrap().1;
        let library = resolve(&used.spec(name, ""));
        let own = resolve(&used.spec("mine", &renamed(used.definition, "mine")));
        let compiled = [&library, &own].map(|e| pipeline::compile(&e.training_graph().unwrap(), None));
        let [ours, mine] = compiled;
        let printed = |compiled: &pipeline::Compiled, name: &str| compiled.schedule.to_string().replace(name, "NAME");
        let (ours_text, mine_text) = (printed(&ours, name), printed(&mine, "mine"));
        for (a, b) in ours_text.lines().zip(mine_text.lines()) {
            assert_eq!(a, b, "{name}");
        }
        assert_eq!(ours_text.lines().count(), mine_text.lines().count(), "{name}");
        assert!(ours.plan.kernels.len() > 1);
        // By their text: a constant that is no number is not equal to itself.
        let kernels = |kernels: &[Kernel]| format!("{kernels:?}");
        assert!(
            kernels(&ours.plan.kernels) == kernels(&mine.plan.kernels),
            "{name}: other kernels"
        );
        assert!(
            ours.graph.numbers == mine.graph.numbers,
            "{name}: other numbers of a step"
        );
        let starts = |e: &Experiment| -> Vec<String> {
            let params = e.declarations().unwrap().params.into_iter();
            params
                .map(|p| format!("{} {:?} {:?}", p.path, p.shape, p.initialiser))
                .collect()
        };
        assert_eq!(starts(&library), starts(&own), "{name}");
        let [ours, mine] = [&library, &own].map(|e| e.evaluation(4).unwrap());
        let batch = |e: &Evaluation| kernels(&pipeline::compile(&e.batch, None).plan.kernels);
        assert!(batch(&ours) == batch(&mine), "{name}: other kernels of an evaluation");
    }
}
