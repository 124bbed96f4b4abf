//! Topics: what they must be like.
