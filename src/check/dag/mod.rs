//! What a DAG file says, as facts, and what is wrong with it.
