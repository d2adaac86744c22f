//! The catalog of augmentations, one file each: a training sample and random draws in, a changed sample out.
//! What is drawn is a function of (seed, epoch, record), so neither threads nor resumption can change it; a picture
//! and its mask are changed alike. Nothing here reads a file, and nothing allocates once a [`Sample`] is made.

mod affine;
mod brightness;
mod contrast;
mod crop;
mod cutmix;
mod cutout;
mod draw;
mod flip;
mod mixup;
mod noise;
mod resized_crop;
mod rotate;
mod sample;
mod scale;
mod shear;
mod shift;
#[cfg(test)]
mod tests;

pub use affine::Affine;
pub use draw::Draw;
pub use sample::{Sample, Shape};

/// One way to change a training sample.
pub trait Augmentation: Sync {
    /// As the spec writes it.
    fn name(&self) -> &'static str;
    /// What it does, in a sentence, with its source.
    fn summary(&self) -> &'static str;
    /// What it takes, in the order of positional arguments.
    fn parameters(&self) -> &'static [Parameter];
    /// What it does to a sample.
    fn action(&self) -> Action;
}

/// What an augmentation does, given the values of its parameters.
#[derive(Clone, Copy)]
pub enum Action {
    /// Changes one sample.
    Change(fn(&[f64], &mut Draw, &mut Sample)),
    /// Mixes the picture of another sample into one; gives the share of the first in the result.
    Mix(fn(&[f64], &mut Draw, &mut Sample, &Sample) -> f64),
}

/// A parameter of an augmentation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Parameter {
    /// As the spec writes it.
    pub name: &'static str,
    /// What it is measured in.
    pub unit: Measure,
    /// The least value that is allowed.
    pub least: f64,
    /// The greatest.
    pub most: f64,
    /// What it is if not given.
    pub default: Option<f64>,
}

/// What a parameter is measured in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// A whole number of pixels.
    Pixels,
    /// An angle, written `10 deg`.
    Degrees,
    /// A share, written `50%` or `0.5`.
    Share,
    /// A plain number.
    Number,
}

/// Every augmentation.
pub static CATALOG: &[&dyn Augmentation] = &[
    &shift::Shift,
    &crop::Crop,
    &flip::Flip,
    &rotate::Rotate,
    &scale::Scale,
    &shear::Shear,
    &resized_crop::ResizedCrop,
    &brightness::Brightness,
    &contrast::Contrast,
    &noise::Noise,
    &cutout::Cutout,
    &mixup::Mixup,
    &cutmix::Cutmix,
];

/// The augmentation of a name.
pub fn find(name: &str) -> Option<&'static dyn Augmentation> {
    CATALOG.iter().copied().find(|a| a.name() == name)
}

impl Parameter {
    /// A parameter that must be given.
    const fn needed(name: &'static str, unit: Measure, least: f64, most: f64) -> Parameter {
        Parameter {
            name,
            unit,
            least,
            most,
            default: None,
        }
    }

    /// A parameter that need not be given.
    const fn optional(name: &'static str, unit: Measure, least: f64, most: f64, default: f64) -> Parameter {
        Parameter {
            name,
            unit,
            least,
            most,
            default: Some(default),
        }
    }

    /// What may stand for it, in words.
    pub fn expected(&self) -> String {
        let Parameter { least, most, .. } = self;
        match self.unit {
            Measure::Pixels => format!("a whole number of pixels from {least} to {most}"),
            Measure::Degrees => format!("an angle from {least} to {most} degrees, as `10 deg`"),
            Measure::Share => format!("a share from {}% to {}%, as `50%`", least * 100.0, most * 100.0),
            Measure::Number => format!("a number from {least} to {most}"),
        }
    }
}
