//! When is a policy fetched, and does the kept one still hold?
