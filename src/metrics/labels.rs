//! The values of labels, from enums.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal,)* })*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$case_doc])* $case,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$case),*];

            /// The value of the label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$case => $word,)* }
            }
        })*
    };
}

labels! {
    /// A stage of the processor: the same engine with another fold.
    Stage {
        /// Events to verdicts, windows and outcomes, by business number.
        Conversation = "conversation",
        /// Charges to the ledger, by portfolio.
        Ledger = "ledger",
    }

    /// What a partition's task does. The metric's value is the place in this list, from 0.
    State {
        /// It catches up with its changelog.
        Restoring = "restoring",
        /// It folds what comes.
        Running = "running",
        /// It waits for something outside, such as the schema registry, and will go on by itself.
        Paused = "paused",
        /// Going on could lose something: somebody has to look.
        Halted = "halted",
    }

    /// How a transaction ended.
    Outcome {
        /// All of it is there.
        Committed = "committed",
        /// None of it is there; it is folded again.
        Aborted = "aborted",
        /// The broker did not say. The committed offsets tell, and it is counted once more as they do.
        Unknown = "unknown",
    }

    /// A step of a commit.
    Step {
        /// Waiting until the brokers have all that was produced.
        Drain = "drain",
        /// Adding the input's offsets to the transaction.
        Offsets = "offsets",
        /// Committing it.
        Commit = "commit",
    }

    /// Memory in which a store looks before it asks its files.
    Cache {
        /// What is in no file yet.
        Memtable = "memtable",
        /// Blocks of files that were read before.
        Blocks = "block_cache",
    }

    /// What came of looking.
    Lookup {
        /// It was there.
        Hit = "hit",
        /// It was not.
        Miss = "miss",
    }

    /// What a worker's time goes into.
    Activity {
        /// Folding, and making records of effects.
        Fold = "fold",
        /// Waiting for the broker to answer.
        Blocked = "blocked",
        /// Waiting for records.
        Poll = "poll",
    }
}
