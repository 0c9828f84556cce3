//! The Bicep files deploy what the code expects.
//!
//! `make check-infra` works out what each environment deploys and compares all of it; this comparison of texts needs nothing
//! but the crate, so that a change here can't leave the files behind.

use std::{fs, path::Path};

use super::*;
use crate::azure::cosmos::queries::INDEXED;

/// A file of `infra/modules` without its comments.
fn module(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/modules").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// What stands between `begin` and the end of the array that it opens; `begin` occurs once.
fn array<'a>(text: &'a str, begin: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{begin} is not there"));
    assert!(!rest.contains(begin), "{begin} is there twice");
    rest.split_once(']').expect("an array that ends").0
}

/// The strings in an array, in order.
fn strings(array: &str) -> Vec<&str> {
    array.split('\'').skip(1).step_by(2).collect()
}

#[test]
fn the_tables_and_containers_of_the_code_are_deployed() {
    let storage = module("storage.bicep");
    assert_eq!(strings(array(&storage, "var tables = [")), TABLES);
    assert_eq!(strings(array(&storage, "var containers = [")), BLOB_CONTAINERS);
    for (items, name) in [("table in tables", "table"), ("container in containers", "container")] {
        let declared = format!("[for {items}: {{");
        let (_, body) = storage.split_once(&declared).unwrap_or_else(|| panic!("{declared}"));
        let named = body.lines().find(|line| line.trim_start().starts_with("name:")).unwrap();
        assert_eq!(named.trim(), format!("name: '${{prefix}}${{{name}}}'"));
    }
}

#[test]
fn the_container_is_deployed_as_the_code_expects() {
    let cosmos = module("cosmos.bicep");
    assert_eq!(strings(array(&cosmos, "paths: [")), [PARTITION_KEY_PATH]);
    let ttl = cosmos.lines().find_map(|line| line.trim().strip_prefix("defaultTtl: ")).unwrap();
    assert_eq!(ttl, DEFAULT_TTL_SECONDS.to_string());
    assert_eq!(strings(array(&cosmos, "includedPaths: [")), INDEXING_INCLUDED_PATHS);
    assert_eq!(strings(array(&cosmos, "excludedPaths: [")), INDEXING_EXCLUDED_PATHS);
}

#[test]
fn every_query_has_its_index_path_in_the_deployed_container() {
    let cosmos = module("cosmos.bicep");
    let included = strings(array(&cosmos, "includedPaths: ["));
    for (query, paths) in INDEXED {
        for path in paths {
            assert!(*path == "/id/?" || included.contains(path), "{path}, needed by {query}");
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    let text = "includedPaths: [\n  {\n    path: '/pk/?'\n  }\n  {\n    path: '/x/?'\n  }\n]\n";
    assert_eq!(strings(array(text, "includedPaths: [")), ["/pk/?", "/x/?"]);
    assert_ne!(strings(array(text, "includedPaths: [")), INDEXING_INCLUDED_PATHS);
}
