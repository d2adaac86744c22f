//! Where each pixel of a changed picture comes from: affine maps from output positions to input positions, both
//! measured in pixels from the picture's centre, rows downwards. Maps are composed before anything is read, so that
//! a chain of them blurs as little as one.

/// (row, column) ↦ (a·row + b·column + c, d·row + e·column + f).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Affine {
    /// a, b, c.
    pub row: [f64; 3],
    /// d, e, f.
    pub column: [f64; 3],
}

impl Affine {
    /// Each pixel comes from its own place.
    pub const IDENTITY: Affine = Affine {
        row: [1.0, 0.0, 0.0],
        column: [0.0, 1.0, 0.0],
    };

    /// Each pixel comes from this far below and to the right.
    pub fn translation(rows: f64, columns: f64) -> Affine {
        Affine {
            row: [1.0, 0.0, rows],
            column: [0.0, 1.0, columns],
        }
    }

    /// Distances from the centre are multiplied, rows by one factor and columns by another.
    pub fn scaling(rows: f64, columns: f64) -> Affine {
        Affine {
            row: [rows, 0.0, 0.0],
            column: [0.0, columns, 0.0],
        }
    }

    /// The position that a position comes from.
    pub fn at(&self, row: f64, column: f64) -> (f64, f64) {
        let along = |[a, b, c]: [f64; 3]| a * row + b * column + c;
        (along(self.row), along(self.column))
    }

    /// `self` after `first`: the picture that `first` makes is changed by `self`, so positions go through `self`'s
    /// map, then through `first`'s.
    pub fn after(&self, first: &Affine) -> Affine {
        let line = |[a, b, c]: [f64; 3]| {
            [
                a * self.row[0] + b * self.column[0],
                a * self.row[1] + b * self.column[1],
                a * self.row[2] + b * self.column[2] + c,
            ]
        };
        Affine {
            row: line(first.row),
            column: line(first.column),
        }
    }
}
