//! Triangles of rows: what lies behind a diagonal, in a kernel's indices and in a tensor's memory.

use crate::ir::affine::{Affine, Digit, Position};
use crate::ir::kernel::VECTOR_AXIS;

/// A digit of an outer index: `(index div divide) mod count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    axis: usize,
    divide: i64,
    count: i64,
}

/// Where the vector index less a digit of an outer one is above `by`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Diagonal {
    row: Piece,
    by: i64,
}

/// What a value is: beyond a diagonal, or everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Beyond what.
    pub diagonal: Option<Diagonal>,
    /// Which number, integer or mask.
    pub bits: u32,
}

/// What a tensor holds beyond a diagonal: at element `e`, where `e mod columns` less `(e div stride) mod rows` is above `by`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Triangle {
    columns: i64,
    stride: i64,
    rows: i64,
    by: i64,
    bits: u32,
}

/// Where both of two hold; none if that is another form.
pub fn both(a: Option<Diagonal>, b: Option<Diagonal>) -> Option<Option<Diagonal>> {
    match (a, b) {
        (Some(a), Some(b)) if a.row == b.row => Some(Some(Diagonal {
            by: a.by.max(b.by),
            ..a
        })),
        (Some(_), Some(_)) => None,
        (one, other) => Some(one.or(other)),
    }
}

impl Known {
    /// A constant.
    pub fn everywhere(bits: u32) -> Known {
        Known { diagonal: None, bits }
    }

    /// What comes of it.
    pub fn with(self, function: impl Fn(u32) -> u32) -> Known {
        Known {
            bits: function(self.bits),
            ..self
        }
    }

    /// Where both are known, something that comes of them.
    pub fn and(self, other: Known, bits: u32) -> Option<Known> {
        let diagonal = both(self.diagonal, other.diagonal)?;
        Some(Known { diagonal, bits })
    }
}

impl Diagonal {
    /// Behind a row's index, which is a digit.
    pub fn of(row: &Position, by: i64, sizes: &[usize]) -> Option<Diagonal> {
        match pieces(row, sizes)?[..] {
            [(1, row)] if row.axis != VECTOR_AXIS => Some(Diagonal { row, by }),
            _ => None,
        }
    }

    /// The least vector index that is beyond it.
    pub fn end(self, sizes: &[usize]) -> Position {
        let Piece { axis, divide, count } = self.row;
        let all = whole(sizes[axis], divide);
        let row = match divide == 1 && count == all {
            true => Position::axis(axis),
            false => Position {
                affine: Affine::default(),
                digits: vec![Digit {
                    coefficient: 1,
                    of: Affine::axis(axis),
                    divide,
                    modulo: (count < all).then_some(count),
                }],
            },
        };
        row.plus(&Affine::constant(self.by + 1).into())
    }
}

/// How many values an index has that is divided.
fn whole(size: usize, divide: i64) -> i64 {
    (size as i64 + divide - 1) / divide
}

/// A position as a sum of multiples of digits, if it is that alone.
fn pieces(position: &Position, sizes: &[usize]) -> Option<Vec<(i64, Piece)>> {
    let affine = position.affine.terms.iter().map(|&(axis, coefficient)| {
        let piece = Piece {
            axis,
            divide: 1,
            count: sizes[axis] as i64,
        };
        Some((coefficient, piece))
    });
    let digits = position.digits.iter().map(|digit| {
        let axis = digit.of.as_axis()?;
        let all = whole(sizes[axis], digit.divide);
        let piece = Piece {
            axis,
            divide: digit.divide,
            count: digit.modulo.map_or(all, |modulo| modulo.min(all)),
        };
        Some((digit.coefficient, piece))
    });
    let pieces: Option<Vec<(i64, Piece)>> = affine.chain(digits).collect();
    pieces.filter(|_| position.affine.constant == 0)
}

/// A position's part without the vector index, if it holds that once and moves by whole rows else.
fn rows(at: &Position, sizes: &[usize]) -> Option<Vec<(i64, Piece)>> {
    let columns = sizes[VECTOR_AXIS] as i64;
    let mut pieces = pieces(at, sizes)?;
    let vector = pieces.iter().position(|(_, piece)| piece.axis == VECTOR_AXIS)?;
    let (coefficient, piece) = pieces.swap_remove(vector);
    let plain = coefficient == 1 && piece.divide == 1 && piece.count == columns;
    let by_rows = |(coefficient, piece): &(i64, Piece)| {
        *coefficient > 0 && coefficient % columns == 0 && piece.axis != VECTOR_AXIS
    };
    (plain && pieces.iter().all(by_rows)).then_some(pieces)
}

/// Which digit `(Σ pieces + column) div stride mod rows` is, for columns below `columns`.
fn row_of(pieces: &[(i64, Piece)], columns: i64, stride: i64, rows: i64, sizes: &[usize]) -> Option<Piece> {
    let mut below = columns - 1;
    let mut found = None;
    for &(coefficient, piece) in pieces {
        let all = whole(sizes[piece.axis], piece.divide);
        let above = if coefficient >= stride {
            if coefficient % stride != 0 {
                return None;
            }
            match coefficient / stride {
                times if times % rows == 0 => continue,
                1 => piece,
                _ => return None,
            }
        } else if coefficient * piece.count <= stride {
            below += coefficient * (piece.count - 1);
            continue;
        } else {
            let of_row = stride / coefficient;
            if stride % coefficient != 0 || piece.count != all && piece.count % of_row != 0 {
                return None;
            }
            below += coefficient * (of_row - 1);
            Piece {
                divide: piece.divide * of_row,
                count: (piece.count + of_row - 1) / of_row,
                ..piece
            }
        };
        // A digit of a digit is one where the first does not wrap inside.
        let all = whole(sizes[above.axis], above.divide);
        if above.count > rows && above.count != all && above.count % rows != 0 || found.is_some() {
            return None;
        }
        found = Some(Piece {
            count: above.count.min(rows),
            ..above
        });
    }
    found.filter(|_| below < stride)
}

impl Triangle {
    /// What a store of all elements leaves.
    pub fn written(at: &Position, sizes: &[usize], known: Known) -> Option<Triangle> {
        let Diagonal { row, by } = known.diagonal?;
        let columns = sizes[VECTOR_AXIS] as i64;
        let pieces = rows(at, sizes)?;
        let of_row = pieces
            .iter()
            .filter(|(_, piece)| piece.axis == row.axis && row.divide % piece.divide == 0);
        let mut strides = of_row.map(|(coefficient, piece)| coefficient * (row.divide / piece.divide));
        let stride = strides.find(|&stride| row_of(&pieces, columns, stride, row.count, sizes) == Some(row))?;
        Some(Triangle {
            columns,
            stride,
            rows: row.count,
            by,
            bits: known.bits,
        })
    }

    /// What a load knows of it.
    pub fn read(self, at: &Position, sizes: &[usize]) -> Option<Known> {
        if sizes[VECTOR_AXIS] as i64 != self.columns {
            return None;
        }
        let row = row_of(&rows(at, sizes)?, self.columns, self.stride, self.rows, sizes)?;
        Some(Known {
            diagonal: Some(Diagonal { row, by: self.by }),
            bits: self.bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::affine::Terms;

    /// Calls a function with each index of a loop, the last axis running fastest.
    fn each_index(sizes: &[usize], each: &mut dyn FnMut(&[usize])) {
        for number in 0..sizes.iter().product() {
            let mut rest = number;
            let mut indices = vec![0; sizes.len()];
            for (index, size) in indices.iter_mut().zip(sizes).rev() {
                (*index, rest) = (rest % size, rest / size);
            }
            each(&indices);
        }
    }

    /// A tensor whose rows lie in memory as some outer axes say, the first one outermost.
    fn lying(order: &[usize], sizes: &[usize]) -> Position {
        let mut stride = sizes[VECTOR_AXIS] as i64;
        let mut terms = Terms::new();
        terms.push((VECTOR_AXIS, 1));
        for &axis in order.iter().rev() {
            terms.push((axis, stride));
            stride *= sizes[axis] as i64;
        }
        terms.sort_unstable();
        Position::from(Affine { constant: 0, terms })
    }

    fn is_behind(triangle: Triangle, element: i64) -> bool {
        element % triangle.columns - element / triangle.stride % triangle.rows > triangle.by
    }

    fn digit(piece: Piece, indices: &[usize]) -> i64 {
        indices[piece.axis] as i64 / piece.divide % piece.count
    }

    /// All that is found, written or read, is so for each element.
    #[test]
    fn triangles_are_where_their_diagonals_are() {
        let sizes = [4, 6, 4, 3];
        let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
        let (mut written, mut read) = (0, 0);
        for order in orders {
            let at = lying(&order, &sizes);
            for (axis, divide, modulo) in [
                (1, 1, 6),
                (1, 1, 3),
                (1, 2, 3),
                (1, 3, 2),
                (2, 1, 4),
                (2, 2, 2),
                (2, 1, 2),
                (3, 1, 3),
            ] {
                let row = Piece {
                    axis,
                    divide,
                    count: modulo,
                };
                let known = Known {
                    diagonal: Some(Diagonal { row, by: -1 }),
                    bits: 7,
                };
                let Some(triangle) = Triangle::written(&at, &sizes, known) else {
                    continue;
                };
                written += 1;
                each_index(&sizes, &mut |indices| {
                    let behind = indices[VECTOR_AXIS] as i64 - digit(row, indices) > -1;
                    assert_eq!(is_behind(triangle, at.at(indices)), behind, "{order:?} {row:?}");
                });
                // The same memory in other loops: all rows in one axis, or cut in two ways.
                for outer in [
                    vec![72],
                    vec![18, 4],
                    vec![4, 18],
                    vec![6, 12],
                    vec![2, 36],
                    vec![24, 3],
                    vec![3, 24],
                ] {
                    let sizes: Vec<usize> = [4].into_iter().chain(outer).collect();
                    let order: Vec<usize> = (1..sizes.len()).collect();
                    let at = lying(&order, &sizes);
                    let Some(Known {
                        diagonal: Some(found),
                        bits: 7,
                    }) = triangle.read(&at, &sizes)
                    else {
                        continue;
                    };
                    read += 1;
                    let end = found.end(&sizes);
                    each_index(&sizes, &mut |indices| {
                        let behind = indices[VECTOR_AXIS] as i64 >= end.at(indices);
                        assert_eq!(is_behind(triangle, at.at(indices)), behind, "{triangle:?} {sizes:?}");
                    });
                }
            }
        }
        assert!(written >= 30 && read >= 100, "{written} {read}");
    }
}
