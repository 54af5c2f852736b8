//! The web page: the real daemon with a month of sessions behind it, asked as browsers ask, and looked at
//! in a real one.

pub(in crate::scenarios) mod browser;
mod chromium;
mod looks;
mod month;
mod pages;
mod security;
mod views;
