//! Every query text, each with the index paths that it needs.
//!
//! The container's indexing policy excludes everything but these paths. Azure refuses an `ORDER BY` on an excluded path
//! and answers a filter on one by reading every document; the emulator does neither, so a test compares this list with
//! the container that the Bicep files declare.

/// A query text and the paths that the indexing policy must include for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryText {
    /// The text.
    pub(crate) text: &'static str,
    /// Paths in the notation of an indexing policy. `/id/?` is always indexed by the service and need not be included.
    pub(crate) paths: &'static [&'static str],
}

/// The items of a key range, in key order, tombstones included. One partition.
pub(crate) const RANGE: QueryText =
    QueryText { text: "SELECT * FROM c WHERE c.id >= @from AND c.id < @to ORDER BY c.id", paths: &["/id/?"] };

/// The items with these keys, tombstones included. One partition.
pub(crate) const KEYS: QueryText =
    QueryText { text: "SELECT * FROM c WHERE ARRAY_CONTAINS(@keys, c.id)", paths: &["/id/?"] };

/// Names of partitions that hold live records. All partitions; the filter on `tombstone` is answered from the
/// documents, so it costs about one request unit per KiB of what lies after the cursor.
pub(crate) const PARTITIONS: QueryText = QueryText {
    text: "SELECT DISTINCT VALUE c.pk FROM c WHERE c.pk > @after AND NOT IS_DEFINED(c.tombstone) ORDER BY c.pk",
    paths: &["/pk/?"],
};

/// All of them.
pub(crate) const ALL: [QueryText; 3] = [RANGE, KEYS, PARTITIONS];

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
    fn every_property_in_a_condition_is_declared_or_known_to_be_read_from_the_document() {
        for query in ALL {
            for property in properties(query.text) {
                let declared = query.paths.contains(&format!("/{property}/?").as_str());
                assert!(declared || property == "tombstone", "{property} in {}", query.text);
            }
        }
    }

    #[test]
    fn queries_of_one_partition_filter_and_order_by_id_alone() {
        for query in [RANGE, KEYS] {
            assert!(properties(query.text).iter().all(|property| *property == "id"), "{}", query.text);
        }
    }
}
