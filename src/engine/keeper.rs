//! Keeps the policies of recipient domains: looks them up, fetches, refreshes, asks once.
