//! Each checker proves itself: silent on good histories.

mod good;
mod scene;
