//! docs/backends.md is true: its table names every property of the ports, and none that there is not; its code is that of the example's test.

use std::collections::BTreeSet;

use openjibo_store::conformance::properties;

const PAGE: &str = include_str!("../../docs/backends.md");
const EXAMPLE: &str = include_str!("example_backend.rs");

/// Whether a family is above the ports: its behaviour is the same for all backends. All others are rules of the ports.
fn is_above_the_ports(family: &str) -> bool {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
    ["rules", "behaviour"].iter().any(|kind| std::path::Path::new(&format!("{folder}/{kind}/{family}.rs")).exists())
}

/// The rows of the table of rules, each with the names in it, but for its head and for the rows that name a chapter.
fn rules() -> Vec<(&'static str, Vec<&'static str>)> {
    let (_, table) = PAGE.split_once("\n| rule | held by |\n|---|---|\n").expect("the page has a table of rules");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let rows = rows.filter(|line| !line.starts_with("| **"));
    rows.map(|row| {
        let (rule, held_by) = row.trim_matches(['|', ' ']).split_once(" | ").expect("a row has two cells");
        (rule, held_by.split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

fn known() -> BTreeSet<String> {
    properties().iter().map(|property| format!("{}::{}", property.family, property.name)).collect()
}

#[test]
fn each_rule_names_properties_that_there_are() {
    let known = known();
    for (rule, names) in rules() {
        assert!(!names.is_empty(), "no property is named: {rule}");
        for name in names {
            assert!(known.contains(name), "there is no property {name}: {rule}");
        }
    }
}

#[test]
fn each_property_of_the_ports_is_in_the_table() {
    let named: BTreeSet<&str> = rules().into_iter().flat_map(|(_, names)| names).collect();
    let of_ports = properties().iter().filter(|property| !is_above_the_ports(property.family));
    let of_ports: Vec<String> = of_ports.map(|property| format!("{}::{}", property.family, property.name)).collect();
    assert!(of_ports.len() >= 65, "{}: a family of the ports is taken for one above them", of_ports.len());
    let missing: Vec<&String> = of_ports.iter().filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/backends.md has no rule for {missing:#?}");
}

#[test]
fn the_code_of_the_page_is_that_of_the_examples_test() {
    let blocks: Vec<&str> = PAGE.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let lines: BTreeSet<&str> = EXAMPLE.lines().map(str::trim).collect();
    for line in blocks.iter().flat_map(|block| block.lines()) {
        assert!(lines.contains(line.trim()), "the example's test has no line {line:?}");
    }
}
