//! The faults: one line each, with the rule that it breaks, or with the freedom that it takes.

/// One fault of the table.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) fault: F,
    pub(super) name: &'static str,
    /// What it is about.
    pub(super) kind: &'static str,
    /// Whether it breaks a rule of the ports. One that takes a freedom must pass the whole suite.
    pub(super) breaks: bool,
    /// The rule, or the freedom.
    pub(super) rule: &'static str,
}

macro_rules! faults {
    ($($kind:literal { $($verdict:ident $name:ident $rule:literal)* })*) => {
        /// What goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum F { $($($name,)*)* }

        pub(super) static FAULTS: &[Fault] = &[$($(Fault {
            fault: F::$name,
            name: stringify!($name),
            kind: $kind,
            breaks: faults!(@ $verdict),
            rule: $rule,
        },)*)*];
    };
    (@ breaks) => { true };
    (@ free) => { false };
}

faults! {
    "scan" {
        breaks ScanBeginsLate "a range begins at its first key"
        breaks ScanBeginsEarly "a range begins at its first key"
        breaks ScanEndsLate "a range ends before its last key"
        breaks ScanEndsEarly "a scan finds every live record of its range"
        breaks ScanAfterInclusive "a page begins after the key `after`"
        breaks ScanAfterBeforeRange "a key before the range begins at the range"
        breaks ScanAfterIgnored "a page begins after the key `after`"
        breaks ScanLimitIgnored "a page has at most `limit` records"
        breaks ScanOneTooMany "a page has at most `limit` records"
        breaks ScanOverThePage "a page has at most as many records as the limits say"
        breaks ScanEndsAfterAPage "a page says where to go on where there are more"
        breaks ScanSkipsBetweenPages "nothing is lost between pages"
        breaks ScanReversed "records come in key order"
        breaks ScanInOrderOfWriting "records come in key order"
        breaks ScanShowsDeleted "deleted records are invisible"
        breaks ScanOtherPartition "a scan reads one partition"
        breaks ScanOtherArea "a scan reads one backend"
        free ScanGoesOnAtTheEnd "a page may say where to go on although nothing is there any more"
        free ScanShortPages "a page may hold fewer than its limit"
        free ScanEmptyPages "a page may hold none although there are more"
    }
    "closing" {
        breaks ClosedTakesCommits "a closed partition takes no commit"
        breaks ClosedTakesWhatIsNothing "a closed partition takes no commit, also none that has nothing to delete"
        breaks ClosedIsAConflict "a commit of a closed partition is closed"
        breaks ClosedIsTransient "a partition is closed for good"
        breaks ClosedToNobody "a commit learns what took the partition's place"
        breaks ClosedIsNotRead "a closed partition is read as before"
        breaks ClosedIsNotErased "a closed partition can be erased"
        breaks ClosedUntilAnErasure "a closed partition stays closed"
        breaks CloseToAnother "a partition is closed once"
        breaks CloseBackToOne "a partition closed to none stays so"
        breaks CloseToNoneRefused "a partition closed to another can be closed to none"
        breaks CloseAgainRefused "closing again as before changes nothing"
        breaks CloseOfNothingRefused "a partition that never was can be closed"
        breaks CloseOtherAreas "a close is of one area"
    }
    "mark" {
        breaks MarkNotWritten "an erasure writes its mark"
        breaks MarkOnlyWithRecords "an erasure of nothing writes its mark too"
        breaks MarkStays "a mark takes the place of an earlier one"
        breaks MarkKeepsItsBeginning "a mark keeps nothing of an earlier one"
        breaks MarkBelow "a mark's number is above what was erased"
        breaks MarkCounted "a mark counts for no deletion"
        breaks MarkUntold "a mark is a write of its call"
    }
    "origin" {
        breaks OriginIgnored "what is brought keeps its number and times"
        breaks OriginNumberIgnored "what is brought keeps its number"
        breaks OriginCreatedIgnored "what is brought keeps its creation"
        breaks OriginUpdatedIgnored "what is brought keeps its last write"
        breaks OriginOverNewer "a record of a higher number is kept"
        breaks OriginEqualRefused "a record of the same number can be brought again"
        breaks OriginNumberNotFollowed "the next number is above what was brought"
    }
    "stamp" {
        breaks StampOfTheRecord "a stamp is when the record was written here"
        breaks StampNever "a stamp is when the record was written here"
        breaks StampOfTheRead "a stamp is the same in every read"
    }
    "load pages" {
        breaks LoadInOnePage "a load's page has at most as many records as the limits say"
        breaks LoadGoesOnWithoutItsSink "a sink's error ends the load"
    }
    "keys" {
        breaks KeysBeginLate "keys are those that a scan finds"
        breaks KeysEndLate "keys are those that a scan finds"
        breaks KeysEndEarly "keys are those that a scan finds"
        breaks KeysAfterInclusive "a page begins after the key `after`"
        breaks KeysAfterIgnored "a page begins after the key `after`"
        breaks KeysLimitIgnored "a page has at most `limit` keys"
        breaks KeysOverThePage "a page has at most as many keys as the limits say"
        breaks KeysEndAfterAPage "a page says where to go on where there are more"
        breaks KeysReversed "keys come in their order"
        breaks KeysShowDeleted "deleted records are invisible"
        breaks KeysOtherPartition "keys are of one partition"
    }
    "load" {
        breaks LoadBeginsLate "a range begins at its first key"
        breaks LoadEndsLate "a range ends before its last key"
        breaks LoadEndsEarly "a load finds every live record of its range"
        breaks LoadOnePage "a load is whole, whatever its size"
        breaks LoadReversed "records come in key order"
        breaks LoadShowsDeleted "deleted records are invisible"
        breaks LoadTorn "a load is of one instant"
        breaks LoadOtherPartition "a load reads one partition"
    }
    "get" {
        breaks GetOtherPartition "a record is one partition's"
        breaks GetOtherArea "a record is one backend's"
        breaks GetShowsDeleted "deleted records are invisible"
        breaks GetNearest "a get finds its key alone"
        breaks GetWhateverCase "keys are told apart by case"
        breaks GetRemembersTheFirst "a latest read sees every acknowledged write"
        breaks GetLagsMemory "personal memory is always the latest"
        breaks GetMissingIsAnError "what is not there is none"
        free GetLagsIdentity "identity may lag at session freshness, but for a process's own writes"
        free NotMetered "no rule says how a backend counts its requests"
    }
    "names" {
        breaks LongestNamesRefused "a name of the longest length is taken"
    }
    "preconditions" {
        breaks PutAbsentOverwrites "a put under `Absent` refuses what is there"
        breaks PutAbsentMeetsTombstones "`Absent` is satisfied by what was deleted"
        breaks PutAnyConflicts "a put under `Any` never ends in a conflict"
        breaks PutExactIgnoresTheTag "a put under `Exact` refuses another state"
        breaks PutExactCreates "a put under `Exact` never creates"
        breaks PutExactEmptyTagMatches "an empty tag matches nothing"
        breaks PutPresentCreates "a put under `Present` refuses what is not there"
        breaks DeleteAnyMissingIsAnError "a delete under `Any` finds nothing to delete"
        breaks DeleteExactIgnoresTheTag "a delete under `Exact` refuses another state"
        breaks DeleteExactOfNothing "a delete under `Exact` refuses what is gone"
        breaks DeleteExactEmptyTagMatches "an empty tag matches nothing"
        breaks DeletePresentOfNothing "a delete under `Present` refuses what is not there"
        breaks DeleteKeepsTheRecord "a deleted record is gone"
        breaks ConflictShowsNothing "a conflict shows the revision that is there"
        breaks ConflictShowsTheCallers "a conflict shows the revision that is there"
        breaks ConflictSaysItExists "a conflict is a `Conflict`"
        breaks ExistsSaysConflict "what exists is `AlreadyExists`"
        breaks RefusalSaysUnknown "a refused commit was not applied"
        free WitnessOnTrust "a backend that sends the tag alone takes the rest of a witness on trust"
    }
    "checks of a commit" {
        breaks BuildTimeIgnored "a commit is not built after its time"
        breaks ClockUnchecked "an instant that no record can hold is invalid"
        breaks OverCommitted "a call that is over commits nothing"
        breaks OverErased "a call that is over erases nothing"
        breaks OperationsLimitedEarly "a commit of as many operations as the limits say is taken"
        breaks BytesLimitedEarly "a commit of as many bytes as the limits say is taken"
    }
    "all or nothing" {
        breaks FailureKeepsTheFirst "a commit that fails writes nothing"
        breaks FailureKeepsTheRest "a commit that fails writes nothing"
        breaks CommitOnlyTheFirst "a commit does all its operations"
        breaks CommitLeavesTheLast "a commit does all its operations"
        breaks CommitTorn "no reader sees a part of a commit"
        breaks CommitInAnotherArea "a commit writes its own backend"
        breaks IndexMissing "a failed operation is named"
        breaks IndexOffByOne "the failed operation is the one named"
        breaks IndexAlwaysZero "the failed operation is the one named"
        breaks AnswersReversed "answers are in the order of the operations"
        breaks AnswersForPutsAlone "there is an answer for each operation"
        breaks DeletedSaysNothing "a deletion says `Deleted`"
        breaks NothingSaysDeleted "a delete that found nothing says so"
    }
    "stamps" {
        breaks NumberOfEachOperation "records of a commit share a number"
        breaks NumberFollowsTheClock "numbers grow although a clock is behind"
        breaks NumberRestarts "numbers grow over deletion"
        breaks NumberRestartsAfterErasure "numbers grow over an erasure"
        breaks NumberCounts "a number is at least the clock"
        breaks NumberAnsweredWrong "the answer has the number of the record"
        breaks CreatedMoves "a replacement keeps its creation"
        breaks CreatedOutlivesDeletion "a record created anew begins anew"
        breaks CreatedKeptUnderPresent "under `Present` nothing of what is replaced is kept"
        breaks CreatedAnsweredWrong "the answer has the creation of the record"
        breaks UpdatedStays "a replacement has the time of its commit"
        breaks UpdatedBySystemClock "times are those of the call's clock"
        breaks UpdatedAnsweredWrong "the answer has the commit's time"
        breaks OpsOnlyTheLast "a record keeps the op ids of its last four writes"
        breaks OpsDropped "a record keeps the op ids of its last four writes"
        breaks OpsOnlyThree "a record keeps the op ids of its last four writes"
        breaks OpsReversed "op ids are kept oldest first"
        breaks OpsMissUnderPresent "op ids end with the commit's, also under `Present`"
        breaks OpsAnsweredWrong "the answer has the op ids of the record"
        free OpsOutliveDeletion "a record created anew may keep the op ids of its tombstone"
        free OpsKeptUnderPresent "what is before the commit's op id under `Present` is the backend's affair"
    }
    "tags" {
        breaks TagStays "each write has another tag"
        breaks TagOfTheValue "a tag never comes back"
        breaks TagRestarts "a tag never comes back, also after deletion"
        breaks TagChangesWhenRead "a tag is that of a state"
        breaks TagAnsweredWrong "the answer has the tag of the record"
        breaks TagEmpty "a record has a tag"
        breaks TagTooLong "a tag has at most 120 bytes"
        breaks TagUnprintable "a tag is visible ASCII"
        free TagOfTheCommit "records of a commit may have one tag"
        free TagLongest "a tag may have 120 bytes"
    }
    "schema versions" {
        breaks SchemaUncheckedByPut "a newer release's record is not replaced"
        breaks SchemaUncheckedByDelete "a newer release's record is not deleted"
        breaks SchemaNotKept "a record keeps its schema version"
        breaks SchemaEqualRefused "a record of the same schema version is replaced"
        free SchemaUncheckedUnderPresent "under `Present` the schema version may be left unread"
    }
    "content" {
        breaks ValueCut "values come back as they were"
        breaks ValueWithoutNulls "values come back as they were"
        breaks ValueFloatsRounded "values come back as they were"
        breaks ValueIntegersAreFloats "values come back as they were"
        breaks ValueTrimmed "values come back as they were"
        breaks OwnerDropped "a record keeps its owner"
        breaks OwnerPersonDropped "a record keeps its owner"
        breaks TypeDropped "a record keeps its type"
        breaks RecordKeyIsTheKey "a record keeps its full key"
    }
    "expiry" {
        breaks ExpiredInGet "what is over is absent"
        breaks ExpiredInScan "what is over is absent"
        breaks ExpiredInKeys "what is over is absent"
        breaks ExpiredInLoad "what is over is absent"
        breaks ExpiredUnderAbsent "`Absent` is satisfied by what is over"
        breaks ExpiredDeleted "a delete finds nothing of what is over"
        breaks ExpiredLivesOn "what is written over what is over begins a new life"
        breaks ExpiryALittleLate "a record is absent from its expiry on"
        breaks ExpiryBySystemClock "what is over is so by the call's clock"
        breaks ExpiryDropped "a record keeps its expiry"
        breaks ExpiryOutlivesReplacement "a replacement has its own expiry or none"
        breaks ExpiryKeptUnderPresent "under `Present` nothing of what is replaced is kept"
        breaks ExpiredLetGoByOneClock "one clock that was ahead lets nothing go"
        breaks ExpiredTold "what is over is no change"
        breaks ExpiredNotErased "an erasure takes what is over too"
        free ExpiredUnderExact "a write under `Exact` may take place over what is over"
        free ExpiredErasedUncounted "what was over may not count as erased"
        free ExpiredUntold "a history may cease to tell that what is over was written"
    }
    "erase" {
        breaks EraseOneTooFar "an erasure ends before the last key"
        breaks EraseBeginsLate "an erasure begins at the first key"
        breaks EraseOnlyTheFirstRange "an erasure takes all its ranges"
        breaks EraseThePartition "an erasure takes its ranges alone"
        breaks EraseOtherPartitions "an erasure is of one partition"
        breaks EraseKeepsTheHistory "an erasure clears the history's keys"
        breaks EraseKeepsTheHistoryWithoutRecords "an erasure of nothing clears the history too"
        breaks EraseHistoryOfTheErasedAlone "an erasure clears the keys of records deleted before"
        breaks EraseKeepsCursors "cursors of before an erasure need a snapshot"
        breaks EraseTellsDeletions "what was erased is not told"
        breaks EraseCountsNothing "an erasure says how many it deleted"
        breaks EraseCountsRanges "an erasure says how many it deleted"
        breaks EraseEndsOtherCursors "an erasure of a partition is nothing to another"
        breaks EraseLeavesTombstonesVisible "what was erased is gone"
    }
    "changes" {
        breaks ChangesReversed "changes come in the order of their commits"
        breaks ChangesOnlyTheFirst "every operation of a commit is told"
        breaks ChangesLimitIgnored "a page has at most `limit` changes"
        breaks ChangesEndAfterAPage "a cursor goes on behind its page"
        breaks ChangesBeginAtTheEnd "without a cursor changes are told from the beginning"
        breaks ChangesNeverMove "a cursor goes on behind its page"
        breaks ChangesSkipOne "every commit is told"
        breaks ChangesWithoutDeletions "deletions are told"
        breaks ChangesDeletionsAsWrites "a deletion is told as one"
        breaks ChangesWritesAsDeletions "a write is not told as a deletion"
        breaks ChangesOfOthers "changes are those of one partition"
        breaks ChangesOfOtherAreas "changes are those of one area"
        breaks ChangesOfNothing "a delete that found nothing is no change"
        breaks ChangesNumberWrong "a change has the number of its commit"
        breaks CursorOfAnotherArea "a cursor of another area is invalid"
        breaks CursorOfAnotherPartition "a cursor of another partition is invalid"
        breaks CursorOfAnotherLayout "a cursor of another layout needs a snapshot"
        breaks CursorAhead "a cursor far ahead of the clock needs a snapshot"
        breaks CursorAheadOfTheHistory "a cursor ahead of the history needs a snapshot"
        breaks CursorOfAnotherCommit "a cursor of a history that grew again needs a snapshot"
        breaks CursorOld "a cursor older than the history needs a snapshot"
        breaks HistoryOfOneDay "changes are told for thirty days"
        breaks HistoryOfTheLastHundred "changes are told for thirty days"
        free HistoryForEver "how long changes are told after thirty days is free"
        free ChangesInParts "a page may end inside a commit"
        free ChangesWithoutNumbers "a number is told where it is known"
        free ChangesOnceEach "a record that was written again may be told once"
        free ChangesTwice "each change is told at least once"
    }
    "partitions" {
        breaks PartitionsNone "every partition with a record is listed"
        breaks PartitionsOfAllAreas "partitions are those of one area"
        breaks PartitionsEndAfterAPage "a list of partitions says where to go on"
        breaks PartitionsAfterInclusive "a list goes on after its last name"
        breaks PartitionsLimitIgnored "a page has at most `limit` names"
        breaks PartitionsTwice "each partition is listed once"
        breaks PartitionsForgetDeletions "a partition with traces of deleted records is listed"
        breaks PartitionsOfCommitsThatFailed "a partition in which nothing was written is not listed"
    }
    "writes of a call" {
        breaks CommitUnmarked "a commit is a write of its call"
        breaks DeletionUnmarked "a deletion is a write of its call"
        breaks RefusedCommitLeftOpen "a refused commit is settled as not applied"
        breaks RefusedCommitSettledApplied "a refused commit is settled as not applied"
        breaks CommitOfNothingMarked "a delete that found nothing wrote nothing"
        breaks EraseUnmarked "an erasure is a write of its call"
        breaks ReadsMarked "a read is no write"
        breaks ProbeMarked "a probe writes nothing"
        free CommitLeftOpen "an applied write is unknown to a call given up, settled or not"
        free EraseOfNothingMarked "an erasure that found nothing may be a write: it cleared the history"
    }
    "probe, close, forms" {
        breaks ProbeFails "a healthy backend says so"
        breaks CloseFails "a close without a queue is no error"
        breaks CloseLosesTheLast "acknowledged writes outlive a close"
        breaks DebugShowsKeys "a debug form shows no key"
        breaks ErrorsShowKeys "an error shows no key"
        breaks LogsShowKeys "a log line shows no key"
        breaks LogsOfTasksShowKeys "a log line of a worker thread shows no key"
        free ServiceUnnamed "a backend is of whatever service"
    }
    "payloads" {
        breaks PutOverwrites "a used name is refused for other bytes"
        breaks PutSaysItIsThere "a used name is refused for other bytes"
        breaks PutComparesLengths "a used name is refused for other bytes"
        breaks PutRefusesTheSame "the same bytes again are the same payload"
        breaks PutSaysConflict "a used name is `AlreadyExists`"
        breaks PutLengthWrong "a put answers the length"
        breaks PutDigestWrong "a put answers the SHA-256"
        breaks PutSwallowsErrors "a body's error is the call's"
        breaks PutRenamesErrors "a body's error is its own"
        breaks PutKeepsParts "nothing is readable after a body that failed"
        breaks PutReadableEarly "nothing is readable before the body is whole"
        breaks PutDropsTheLastChunk "a payload is whole"
        breaks PutCutsLongOnes "a payload is whole"
        breaks PutRefusesNothing "a payload may be empty"
        breaks PutMarked "an upload is no write of its call"
        breaks PutWhenOver "a call that is over uploads nothing"
        breaks OpenMissingIsAnError "what is missing is none"
        breaks OpenRangeCut "a range past the payload is invalid"
        breaks OpenRangeBeginsLate "a range is read to the byte"
        breaks OpenRangeEndsLate "a range is read to the byte"
        breaks OpenRangeIgnored "a range is read to the byte"
        breaks OpenRangeMisnamed "a bad range is named"
        breaks OpenRangeOfNothing "a range of what is missing is none"
        breaks OpenLengthOfTheRange "the length is the payload's"
        breaks OpenFlipsAByte "bytes are those that were written"
        breaks OpenEndsEarly "a body is whole, or ends in an error"
        breaks OpenEmptyIsNone "an empty payload is there"
        breaks OpenOtherArea "the same path in another area is another payload"
        breaks HeadMissing "a payload that is there has a head"
        breaks HeadOfNothing "what is missing is none"
        breaks HeadLengthWrong "a head has the length"
        breaks HeadCreatedWrong "a head has the time of writing"
        breaks HeadOtherArea "the same path in another area is another payload"
        breaks DeleteMissingIsAnError "deleting what is missing is no error"
        breaks DeleteKeeps "what was deleted is gone"
        breaks DeleteTakesTheHousehold "a delete takes one payload"
        breaks DeleteOtherAreas "the same path in another area is another payload"
        breaks DeleteUnmarked "a deletion is a write of its call"
        breaks DeleteOfNothingUnmarked "a deletion of nothing is a write of its call too"
        breaks DeleteWhenOver "a call that is over deletes nothing"
        breaks ListWithoutPrefix "a list has the names of its prefix"
        breaks ListInOrderOfWriting "a list is in name order"
        breaks ListReversed "a list is in name order"
        breaks ListEndsAfterAPage "a list says where to go on"
        breaks ListAfterInclusive "a list goes on after its last name"
        breaks ListAfterIgnored "a list goes on after its last name"
        breaks ListLimitIgnored "a page has at most `limit` names"
        breaks ListOtherAreas "a list is of one area"
        breaks ListLengthWrong "a list has the lengths"
        breaks ListCreatedWrong "a list has the times of writing"
        breaks ListSkipsBetweenPages "nothing is lost between pages"
        breaks ListShowsUnfinished "what is not whole is in no list"
        breaks ListEmptyPrefixIsNothing "an empty prefix is every name's"
        breaks BlobProbeFails "a healthy backend says so"
        breaks BlobProbeMarked "a probe writes nothing"
        free ListGoesOnAtTheEnd "a list may say where to go on although nothing is there any more"
        free OpenInTinyChunks "a body comes in chunks of any length"
    }
}
