//! The fixed list of reasons that decisions give.

/// Every reason.
#[cfg(test)]
pub const ALL: &[&str] = &[
    OUTPUT,
    REDUCTION,
    PRODUCT,
    OPERAND,
    TABLE,
    PICKED,
    SCATTER,
    CHAIN,
    MANY_READS,
    LONG,
    SHARED,
    COPY_FOR_PRODUCT,
    NOT_WRITABLE,
    JOINED_ROWS,
    JOINED_ELEMENTS,
    JOINED_PRODUCT,
    JOINED_COLUMNS,
    MERGED,
    OTHER_SIZE,
    OTHER_ELEMENT,
    NOT_COMPOSABLE,
    CYCLE,
    ONE_ROW,
    NO_REDUCTION_IN_PRODUCT,
    BEHIND_SCATTER,
    SCANNED,
    SCAN,
    BEHIND_SCAN,
    TOO_LONG,
    AGAIN,
    IN_PLACE,
    NOT_IN_PLACE,
];

pub const OUTPUT: &str = "stored: an output";
pub const REDUCTION: &str = "computed once: a reduction";
pub const PRODUCT: &str = "computed once: a matrix product";
pub const OPERAND: &str = "stored: an operand of a matrix product or scatter";
pub const TABLE: &str = "stored: a table that is gathered from";
pub const PICKED: &str = "stored: little of a large tensor, which need not be kept for it";
pub const SCATTER: &str = "stored: a scatter";
pub const CHAIN: &str = "stored in place of what it is computed from";
pub const MANY_READS: &str = "stored: computing it again would read many tensors";
pub const LONG: &str = "stored: computing it again would take long";
pub const SHARED: &str = "stored: many elements share it";
pub const COPY_FOR_PRODUCT: &str = "copied: its strides are not those of a matrix";
pub const NOT_WRITABLE: &str = "stored: its positions cannot be composed with its user's";
pub const JOINED_ROWS: &str = "fused: reads its producer in the same row";
pub const JOINED_ELEMENTS: &str = "fused: reads its producer at the same element";
pub const JOINED_PRODUCT: &str = "fused: epilogue of a matrix product";
pub const JOINED_COLUMNS: &str = "fused: behind a reduction of leading axes";
pub const MERGED: &str = "fused: joins two kernels over the same rows";
pub const OTHER_SIZE: &str = "not fused: another iteration space than its producer";
pub const OTHER_ELEMENT: &str = "not fused: reads its producer at other elements";
pub const NOT_COMPOSABLE: &str = "not fused: its positions cannot be written over its producer's axes";
pub const CYCLE: &str = "not fused: the kernels would wait for each other";
pub const ONE_ROW: &str = "not fused: too few rows for the threads";
pub const NO_REDUCTION_IN_PRODUCT: &str = "not fused: a matrix product's epilogue does not reduce";
pub const BEHIND_SCATTER: &str = "not fused: a scatter is done only at its end";
pub const TOO_LONG: &str = "not fused: the kernel is long enough";
pub const AGAIN: &str = "not fused: computed again for the gradient, later than its producer";
pub const SCANNED: &str = "stored: a scan reads it step by step";
pub const SCAN: &str = "computed once: a scan";
pub const BEHIND_SCAN: &str = "not fused: a scan is a loop of its own";
pub const IN_PLACE: &str = "updated in place";
pub const NOT_IN_PLACE: &str = "updated by a copy: others still read the old value";

#[cfg(test)]
mod tests {
    #[test]
    fn reasons_differ_and_say_what_became_of_the_node() {
        for (at, reason) in super::ALL.iter().enumerate() {
            assert!(!super::ALL[..at].contains(reason), "{reason}");
            assert!(
                reason.contains(": ") || reason.starts_with("stored") || reason.starts_with("updated"),
                "{reason}"
            );
        }
    }
}
