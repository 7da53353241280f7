//! Reports and annotated frames.

mod reports {
    mod annotate;
}
