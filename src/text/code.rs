//! The catalog of diagnostic codes: number, severity and explanation of each, in one table.
//! `mspec explain` prints it; a test demands a wrong spec for every code.

use super::Severity;
use std::fmt;

macro_rules! codes {
    ($($name:ident $number:literal $severity:ident $title:literal $explanation:literal;)*) => {
        /// The kind of a diagnostic.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the table's titles document the variants")]
        pub enum Code { $($name),* }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// Four digits; the first tells the stage.
            pub fn number(self) -> u16 { match self { $(Code::$name => $number),* } }
            /// Error or warning.
            pub fn severity(self) -> Severity { match self { $(Code::$name => Severity::$severity),* } }
            /// The kind in a few words.
            pub fn title(self) -> &'static str { match self { $(Code::$name => $title),* } }
            /// What it means and what to do, with an example.
            pub fn explanation(self) -> &'static str { match self { $(Code::$name => $explanation),* } }
        }
    };
}

// 01xx text and syntax · 02xx names · 03xx shapes and sizes · 04xx definitions and calls · 05xx data and
// training sections · 06xx limits · 09xx lint (warnings).
codes! {
    InvalidText 101 Error "the file is not valid UTF-8"
        "A spec is a text file in UTF-8. The place shown is the first byte that is not.";
    Syntax 102 Error "the text does not follow the grammar"
        "The message says what was expected at the place shown. Parsing goes on after the statement, so that one mistake does not hide the next.";
    CannotRead 103 Error "a file can't be read"
        "The message says why. Paths in a spec are relative to the file that names them.";
    UnknownName 201 Error "a name is not defined"
        "Names are looked up in the block, the definition, the file, its imports and the standard library, in this order. The nearest known names are suggested.";
    DuplicateName 202 Error "a name is defined twice"
        "One level (a block, a definition, a file) defines a name once. Rename one of the two.";
    UnknownParameter 203 Error "a definition has no such parameter"
        "A named argument must be one of the definition's parameters; the nearest are suggested. Nothing is ignored silently.";
    NoMatch 204 Error "a pattern matches no parameter"
        "A pattern after `on` names parameters by their path, `*` standing for any text: `\"*.w\"`, `\"gpt.0.*\"`. `mspec compile --emit params` lists the paths.";
    ShapeMismatch 301 Error "two sizes that must agree differ"
        "An index that stands alone at two axes demands that they have the same size. The labels show both axes and where each size comes from.";
    WrongRank 302 Error "a tensor has other axes than are asked for"
        "A bracket names each axis of a tensor; `..` stands for all others, the batch among them. The message shows the axes that there are.";
    NoRange 303 Error "nothing tells how far an index goes"
        "An index gets its range from the axis where it stands alone, or from a bound: `y[.., i < n]`.";
    OutOfBounds 304 Error "a position may fall outside its axis"
        "A position that is computed must be provably inside, or say what it reads outside: `(x[.., i - 1] else 0)`.";
    SizeNotWhole 305 Error "a size is not a whole number of at least 1"
        "Sizes are exact fractions while they are computed, and must come out whole: 10 / 4 heads is an error, not 2.";
    FreeIndex 306 Error "an index is neither on the left nor reduced"
        "Each index of an equation's right side stands on the left, where it makes an axis, or under a reduction such as `sum[i]`.";
    WrongKind 401 Error "something of another kind is needed"
        "Numbers, conditions, tensors, ids and layers are told apart. A call without its leading tensor is a layer; a condition is no number: use `where(c, 1, 0)`.";
    WrongArguments 402 Error "a call has too many, too few or doubled arguments"
        "Positional arguments follow the order of the head; after an arrow the leading tensor is what flows. Parameters without a default must be given.";
    WrongValue 403 Error "a value is not allowed"
        "The message says which values are.";
    Requirement 404 Error "a definition's requirement does not hold"
        "A definition states with `require` what its parameters must fulfil, as heads that divide the width.";
    Recursion 405 Error "a definition leads back to itself"
        "Compile time is total: definitions and imports can't be recursive. A bounded `repeat` writes a body several times.";
    NotUpdatable 406 Error "`<-` on something that is not kept"
        "Only a `state`, a `carry` and an optimizer's `param` take a new value; other names are defined once.";
    EmptyBody 407 Error "no value flows"
        "A flow starts with a value, such as a tensor that the data gives, and each line takes what the line above left.";
    NotSupported 408 Error "this is not compiled yet"
        "The language describes it, but this version of the compiler does not translate it.";
    UnknownSetting 501 Error "a section has no such setting"
        "Sections hold a fixed list of settings, so that a typing slip can't become a default.";
    DuplicateSetting 502 Error "a setting is given twice"
        "Each setting stands once, but for those that add up, such as `metric`, `optimizer` and `init`.";
    WrongSetting 503 Error "a setting's value is not understood"
        "The message says what is expected.";
    MissingSetting 504 Error "a needed setting is missing"
        "Nothing is guessed where a guess could hide a mistake.";
    MissingSection 505 Error "a section is missing"
        "A spec has a `data` section and a `model`; to train it needs a `train` section as well.";
    DataSource 506 Error "the data section names no source or several"
        "The line of one source says where samples come from: `text`, `pairs`, `images`, `csv`, `rows`, `series` or `tensors`.";
    NoOptimizer 507 Error "a parameter has no optimizer"
        "The first `optimizer` line whose pattern matches serves a parameter; one without `on` serves all that are left.";
    SizeTooLarge 601 Error "a size is beyond the limit"
        "Sizes, repeats, nesting and the file itself are limited, so that a wrong number ends in an error and not in an exhausted machine.";
    TextTooLong 602 Error "a file is too long"
        "A file has at most 8 MB and 200 000 words and symbols, and a name or number at most 200 characters. A spec is a page or two: large tables belong into the data, shared definitions into an imported file.";
    NestingTooDeep 603 Error "brackets or operators are nested too deeply"
        "Brackets may stand 128 deep in each other, and an expression's tree may be 256 deep, counting operators in a row. Name a part with `h = …`, or make it a definition.";
    TooMuchWork 604 Error "the spec expands to too much"
        "Definitions, repeats and tensors are counted while a spec is expanded.";
    RepeatCount 605 Error "a repeat counts too far"
        "A `repeat` counts from 0 to 4096.";
    Unused 901 Warning "a name is never used"
        "Often a typing slip: the value was meant to be used somewhere.";
    ScheduleLength 902 Warning "a schedule and the run have different lengths"
        "Each phase lasts its `length`, the last one the rest of the run. A phase behind the end is never reached, and behind a schedule that has come to 0 nothing is learned.";
    NormalisedTwice 903 Warning "a loss normalises what is normalised already"
        "Cross-entropies, focal losses and others take logits, of any size, and apply softmax or sigmoid themselves. Given probabilities they can never come near 0: the softmax of (1, 0, 0) is (0.58, 0.21, 0.21). Let the model end with a linear layer.";
    CancelledBias 904 Warning "a bias that the following norm takes off again"
        "A batch norm subtracts each feature's mean, and with it every bias that was added before. The bias costs memory and time and learns nothing: `linear(64, bias = false) -> batch_norm`.";
    NoGradient 905 Warning "a parameter gets no gradient"
        "The loss does not depend on the parameter, or only through what has no gradient: `stop`, conditions, `argmax`, ids, `floor`. It stays as it starts, but for weight decay. A metric of such a parameter says nothing of what is trained.";
    UnreachableTarget 906 Warning "values that can't reach what they are compared with"
        "An activation limits its values: relu to 0 and more, sigmoid to 0 and 1, tanh to -1 and 1. Targets that were normalised lie on both sides of 0, prices far beyond 1. Let a regression end with a linear layer.";
    MisplacedDropout 907 Warning "dropout where it does harm"
        "Dropout belongs between layers. On the model's results it sets what the loss compares to 0; in front of a batch norm the variance in training is another than the one that an evaluation sees (Li et al. 2019).";
    RandomEvaluation 908 Warning "an evaluation draws random numbers"
        "A layer that draws while it is evaluated gives other results each time. Definitions draw under `if training { … } else { … }`.";
    BatchStatistics 909 Warning "statistics of other samples than it seems"
        "A batch norm takes mean and variance over the samples that are computed together: over each part of a batch that goes in parts, over very few if the batch is small, and without running statistics also over those that happen to be evaluated together.";
    DecayedScale 910 Warning "weight decay on the scales of norms"
        "A norm's scale starts at 1 and has no reason to be near 0: decay is for matrices. `weight_decay = 0 on vectors` leaves out scales and biases.";
    NotEvaluated 911 Warning "a validation part that is hardly used"
        "Whether a run over-fits shows in the validation loss beside the training loss, step by step. Without `evaluate every …` there is one evaluation, at the end.";
    NeverActs 912 Warning "a setting that this run is too short for"
        "`early_stop` counts evaluations without improvement: there must be more of them than its patience.";
    UnclippedRecurrence 913 Warning "a recurrent net without a limit on its gradient"
        "A gradient that goes back through many steps of a recurrence may grow at each of them (Pascanu et al. 2012). `clip_norm 1.0` limits it.";
    LearningRate 914 Warning "a learning rate far beyond what the optimizer takes"
        "Adam and its kin divide by the gradient's size, so that each update moves a parameter by about the rate: 1e-3 is a good start. Plain gradient descent multiplies the gradient: 0.01 to 0.1 are usual.";
    OneClass 915 Warning "a softmax over a single class"
        "The softmax of one number is 1, whatever the number, so its cross-entropy is 0. Two classes need two outputs and `cross_entropy`, or one output and `binary_cross_entropy`.";
    LinearTwice 916 Warning "two linear layers with nothing between them"
        "A linear map of a linear map is a linear map: two layers can say no more than one, unless the way between them is narrower than both ends. Put an activation between them.";
    UnscaledInput 917 Warning "large numbers that are not normalised"
        "Weights start so that inputs of about 1 give results of about 1. A column of thousands drowns the others and makes the first steps go astray. `normalise standard` brings each column to mean 0 and variance 1.";
    UnreadColumn 918 Warning "a column that the model does not read"
        "A table gives its numbers as `features` and each category column by its own name. One that the model does not mention has no effect.";
    InertDropout 919 Warning "dropout where the model does not train"
        "Dropout and its kin draw while training alone. In the branch of an `if training { … } else { … }` that is taken otherwise they do nothing.";
    FadingRelu 920 Warning "values that fade through layers with relu"
        "Relu halves the mean square of what it is given. Over many layers that only weights make up for, which He's initialisers do: `init he_normal on matrices` (He et al. 2015). With a norm or a residual connection between the layers there is no need.";
    UntiedHead 921 Warning "a head as large as an embedding, which are most of the model"
        "An embedding and a head over the same vocabulary hold a vector for each of its words. If they share one table, as in `project(wte.table)`, a small model of a large vocabulary has half the parameters (Press and Wolf 2016).";
    SmallRotation 922 Warning "rotary positions with few angles"
        "Rotary positions turn pairs of features, each pair by an angle of its own: the first tells neighbours apart, the last ones what is far. Heads of 32 to 128 features are usual; with a few pairs far positions look alike.";
    UncountedMask 923 Warning "a mask that the loss does not read"
        "Sequences are padded to one length, holes of a series are filled in, some pixels of a mask have no class: a condition of the data tells what is real. A loss that does not read it learns from the filling, and its number says little. Most losses and metrics take it as `counted = mask`.";
}

impl Code {
    /// Finds a code by what the user types: `E0301`, `W0901` or `301`.
    pub fn find(text: &str) -> Option<Code> {
        let digits = text.trim_start_matches(['E', 'W', 'e', 'w']);
        let number: u16 = digits.parse().ok()?;
        Code::ALL.iter().copied().find(|c| c.number() == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.severity() {
            Severity::Error => 'E',
            Severity::Warning => 'W',
        };
        write!(f, "{letter}{:04}", self.number())
    }
}
