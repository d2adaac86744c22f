//! The rules, one file each.

pub mod batch_statistics;
pub mod cancelled_bias;
pub mod decayed_scale;
pub mod fading_relu;
pub mod idle_rate;
pub mod inert_dropout;
pub mod learning_rate;
pub mod linear_twice;
pub mod misplaced_dropout;
pub mod never_acts;
pub mod no_gradient;
pub mod normalised_twice;
pub mod not_evaluated;
pub mod one_class;
pub mod random_evaluation;
pub mod small_rotation;
pub mod unclipped_recurrence;
pub mod uncounted_mask;
pub mod unreachable_target;
pub mod unread_column;
pub mod unscaled_input;
pub mod untied_head;
