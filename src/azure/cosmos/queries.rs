//! Every query text.
//!
//! The container's indexing policy excludes everything but the paths that these need. Azure refuses an `ORDER BY` on an
//! excluded path and answers a filter on one by reading every document; the emulator does neither, so a test compares
//! the paths below with the container that the Bicep files declare.

/// The items of a key range, in key order, tombstones included. One partition.
pub(crate) const RANGE: &str = "SELECT * FROM c WHERE c.id >= @from AND c.id < @to ORDER BY c.id";

/// The items with these keys, tombstones included. One partition.
pub(crate) const KEYS: &str = "SELECT * FROM c WHERE ARRAY_CONTAINS(@keys, c.id)";

/// Names of partitions that hold records or traces of them: deletions and erasures are changes too. All partitions.
pub(crate) const PARTITIONS: &str = "SELECT DISTINCT VALUE c.pk FROM c WHERE c.pk > @after ORDER BY c.pk";

/// Each text with the paths that the indexing policy must include for it, in the policy's notation. `/id/?` is always
/// indexed by the service and need not be included.
#[cfg(test)]
pub(crate) const INDEXED: [(&str, &[&str]); 3] = [(RANGE, &["/id/?"]), (KEYS, &["/id/?"]), (PARTITIONS, &["/pk/?"])];

#[cfg(test)]
mod tests {
    use super::*;

    /// The properties that a text filters or orders by.
    fn properties(text: &str) -> Vec<&str> {
        let conditions = text.split_once("WHERE").map_or("", |(_, rest)| rest);
        conditions
            .split("c.")
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn every_property_in_a_condition_is_indexed() {
        for (text, paths) in INDEXED {
            for property in properties(text) {
                assert!(paths.contains(&format!("/{property}/?").as_str()), "{property} in {text}");
            }
        }
    }

    #[test]
    fn the_container_indexes_every_path_needed() {
        for path in INDEXED.iter().flat_map(|(_, paths)| *paths).filter(|path| **path != "/id/?") {
            assert!(crate::azure::names::INDEXING_INCLUDED_PATHS.contains(path), "{path}");
        }
    }

    #[test]
    fn queries_of_one_partition_filter_and_order_by_id_alone() {
        for text in [RANGE, KEYS] {
            assert!(properties(text).iter().all(|property| *property == "id"), "{text}");
        }
    }
}
