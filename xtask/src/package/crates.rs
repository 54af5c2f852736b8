//! The crates that the programs are linked with, and under what licence each is: the package must say so.

use std::collections::BTreeSet;

use crate::tools::{cargo, output_of};

/// What goes into the package and is linked.
const PACKAGES: [&str; 3] = ["sealpost", "sealpost-capi", "sealpost-toy-mta"];

/// A line for each crate, in the order of their names.
///
/// # Errors
/// When cargo cannot tell.
pub(super) fn list() -> Result<String, String> {
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}\t{l}"]);
    for package in PACKAGES {
        tree.args(["--package", package]);
    }
    Ok(of_tree(&output_of(&mut tree)?))
}

/// Of what `cargo tree` prints: those of the workspace, which have a path behind their version, are left out.
fn of_tree(printed: &str) -> String {
    let lines: BTreeSet<String> = printed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(name, _)| !name.contains(" ("))
        .map(|(name, licence)| {
            let licence = licence.trim_end_matches(" (*)");
            format!("{name}: {licence}\n")
        })
        .collect();
    lines.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_is_listed_once_with_its_licence_and_ours_are_not() {
        let printed = "sealpost v0.1.0 (/somewhere)\tMIT OR Apache-2.0\n\
                       ring v0.17.14\tApache-2.0 AND ISC\n\
                       cfg-if v1.0.4\tMIT OR Apache-2.0\n\
                       ring v0.17.14\tApache-2.0 AND ISC (*)\n\n";
        assert_eq!(
            of_tree(printed),
            "cfg-if v1.0.4: MIT OR Apache-2.0\nring v0.17.14: Apache-2.0 AND ISC\n"
        );
    }
}
