//! Reports and annotated frames.

mod reports {
    mod annotate;
    mod diff;
    mod html;
    mod log;
    mod sample;
    mod xml;
}
