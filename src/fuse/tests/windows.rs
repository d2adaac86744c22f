//! Convolutions, forward and both gradients: right, and without a tensor of all windows side by side.

use super::build::Build;
use super::check;
use crate::ir::affine::{Affine, Digit, Guard, Position};
use crate::ir::graph::*;
use crate::ir::kernel::{KernelBody, Schedule};

/// A convolution of two images.
#[derive(Clone, Copy, Debug)]
struct Convolution {
    side: usize,
    channels: usize,
    out: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Convolution {
    fn result(self) -> usize {
        (self.side + 2 * self.pad - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
    }

    /// Elements of all windows side by side.
    fn windows(self) -> usize {
        2 * (self.result() * self.kernel).pow(2) * self.channels
    }

    /// An affine form of two axes, and what it must lie in.
    fn within(self, terms: [(usize, i64); 2], constant: i64, high: usize) -> (Position, Guard) {
        let mut of = Affine::constant(constant);
        for (axis, factor) in terms {
            of = of.plus(&Affine::axis(axis).times(factor));
        }
        let (of, low, high) = (Position::from(of), 0, high as i64);
        (of.clone(), Guard::Within { of, low, high })
    }

    /// Which window has element `r` of itself at `p`, for axes `p` and `r`, and what must hold if there is one.
    fn read_by(self, [p, r]: [usize; 2]) -> (Position, Vec<Guard>) {
        let (stride, pad) = (self.stride as i64, self.pad as i64);
        let terms = [(p, 1), (r, -(self.dilation as i64))];
        let (of, within) = self.within(terms, pad, self.stride * self.result());
        if stride == 1 {
            return (of, vec![within]);
        }
        // Moved up by whole strides, so that it is never negative.
        let above = self.kernel as i64;
        let of = of.affine.plus(&Affine::constant(above * stride));
        let digit = Digit {
            coefficient: 1,
            of: of.clone(),
            divide: stride,
            modulo: None,
        };
        let window = Position {
            affine: Affine::constant(-above),
            digits: vec![digit],
        };
        (window, vec![within, Guard::Divisible { of, by: stride }])
    }

    /// The result and the gradients by weights and image; the latter with a stride or with a dilation.
    fn graph(self) -> Graph {
        let Convolution {
            side,
            channels,
            out,
            kernel,
            ..
        } = self;
        let result = self.result();
        let mut b = Build::default();
        let image = b.input(&[2, side, side, channels]);
        let weight = b.input(&[kernel, kernel, channels, out]);
        let gradient = b.input(&[2, result, result, out]);
        // Axes: sample, i, j, r, s, channel.
        let (stride, dilation, pad) = (self.stride as i64, self.dilation as i64, self.pad as i64);
        let (row, row_guard) = self.within([(1, stride), (3, dilation)], -pad, side);
        let (column, column_guard) = self.within([(2, stride), (4, dilation)], -pad, side);
        let guards = if pad > 0 { vec![row_guard, column_guard] } else { vec![] };
        let windows = b.guarded(
            image,
            &[2, result, result, kernel, kernel, channels],
            vec![Position::axis(0), row, column, Position::axis(5)],
            guards,
            0.0,
        );
        let forward = b.contract(windows, weight, "bijrsc,rsco->bijo");
        b.output(forward);
        let by_weight = b.contract(windows, gradient, "bijrsc,bijo->rsco");
        b.output(by_weight);
        if stride == 1 || dilation == 1 {
            let by_window = b.contract(gradient, weight, "bijo,rsco->bijrsc");
            // Axes: sample, p, q, channel, r, s.
            let (row, row_guards) = self.read_by([1, 4]);
            let (column, column_guards) = self.read_by([2, 5]);
            let [sample, channel, r, s] = [0, 3, 4, 5].map(Position::axis);
            let spread = b.guarded(
                by_window,
                &[2, side, side, channels, kernel, kernel],
                vec![sample, row, column, r, s, channel],
                [row_guards, column_guards].concat(),
                0.0,
            );
            let by_image = b.sum(spread, &[4, 5]);
            b.output(by_image);
        }
        b.graph
    }
}

fn products(schedule: &Schedule) -> usize {
    let is_product =
        |call: &&crate::ir::kernel::Call| matches!(schedule.kernels[call.kernel].body, KernelBody::Product(_));
    schedule.calls.iter().filter(is_product).count()
}

const PLAIN: Convolution = Convolution {
    side: 8,
    channels: 8,
    out: 16,
    kernel: 3,
    stride: 1,
    dilation: 1,
    pad: 1,
};

#[test]
fn convolutions_are_products_that_read_windows_where_they_lie() {
    let cases = [
        PLAIN,
        Convolution {
            kernel: 5,
            pad: 2,
            ..PLAIN
        },
        Convolution {
            dilation: 2,
            pad: 2,
            ..PLAIN
        },
        // As many windows as the padded image allows: more than it has elements.
        Convolution {
            kernel: 4,
            pad: 3,
            ..PLAIN
        },
    ];
    for case in cases {
        let schedule = check(&case.graph());
        assert_eq!(products(&schedule), 3, "{case:?}\n{schedule}");
        let largest = schedule.tensors.iter().map(|t| t.elements).max();
        assert!(largest < Some(case.windows()), "{case:?}\n{schedule}");
    }
}

#[test]
fn strides_fall_into_phases() {
    let cases = [
        Convolution {
            side: 16,
            stride: 2,
            ..PLAIN
        },
        Convolution {
            side: 18,
            stride: 3,
            kernel: 5,
            pad: 2,
            ..PLAIN
        },
        Convolution {
            side: 16,
            stride: 2,
            kernel: 5,
            pad: 2,
            ..PLAIN
        },
    ];
    for case in cases {
        let mut graph = case.graph();
        graph.outputs.drain(..2);
        let schedule = check(&graph);
        assert_eq!(products(&schedule), 1, "{case:?}\n{schedule}");
        let largest = schedule.tensors.iter().map(|t| t.elements).max();
        assert!(largest < Some(case.windows()), "{case:?}\n{schedule}");
    }
}

#[test]
fn other_convolutions_are_right_too() {
    let cases = [
        Convolution { stride: 2, ..PLAIN },
        Convolution {
            stride: 2,
            kernel: 4,
            ..PLAIN
        },
        Convolution {
            stride: 3,
            kernel: 2,
            pad: 0,
            ..PLAIN
        },
        // Phases that look at different windows.
        Convolution {
            side: 16,
            stride: 2,
            kernel: 4,
            ..PLAIN
        },
        // A side that is no multiple of the stride, windows that overlap nowhere, one element in each.
        Convolution {
            side: 9,
            stride: 2,
            ..PLAIN
        },
        Convolution {
            side: 16,
            stride: 4,
            kernel: 4,
            pad: 0,
            ..PLAIN
        },
        Convolution {
            side: 16,
            stride: 2,
            kernel: 1,
            pad: 0,
            ..PLAIN
        },
        Convolution { pad: 0, ..PLAIN },
        Convolution {
            kernel: 1,
            pad: 0,
            ..PLAIN
        },
        Convolution {
            channels: 1,
            out: 40,
            ..PLAIN
        },
        Convolution {
            channels: 3,
            out: 17,
            pad: 2,
            ..PLAIN
        },
        Convolution {
            side: 7,
            channels: 40,
            ..PLAIN
        },
        // Too few rows in a strip.
        Convolution {
            side: 4,
            channels: 64,
            ..PLAIN
        },
    ];
    for case in cases {
        check(&case.graph());
    }
}

#[test]
fn images_with_channels_in_front_are_read_in_windows_too() {
    let mut b = Build::default();
    let image = b.input(&[2, 8, 14, 14]);
    let weight = b.input(&[16, 8, 3, 3]);
    let of = |i, r| Affine::axis(i).plus(&Affine::axis(r)).plus(&Affine::constant(-1));
    let within = |of: Affine| Guard::Within {
        of: of.into(),
        low: 0,
        high: 14,
    };
    // Axes: sample, i, j, channel, r, s.
    let windows = b.guarded(
        image,
        &[2, 14, 14, 8, 3, 3],
        vec![Position::axis(0), Position::axis(3), of(1, 4).into(), of(2, 5).into()],
        vec![within(of(1, 4)), within(of(2, 5))],
        0.0,
    );
    let result = b.contract(windows, weight, "bijcrs,ocrs->bijo");
    b.output(result);
    let schedule = check(&b.graph);
    assert_eq!(products(&schedule), 1, "{schedule}");
    let largest = schedule.tensors.iter().map(|t| t.elements).max();
    assert!(largest < Some(2 * 14 * 14 * 8 * 9), "{schedule}");
}
