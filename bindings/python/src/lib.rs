//! The native module of the Python package.

mod admin;
mod aio;
mod batch;
mod consumer;
mod delivery;
mod errors;
mod handle;
mod many;
mod op;
mod producer;
mod settings;
mod types;
mod values;
mod wait;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::admin::Admin;
    #[pymodule_export]
    use crate::batch::{Batch, Column, Record, RecordIterator};
    #[pymodule_export]
    use crate::consumer::{Batches, Consumer, ConsumerBase};
    #[pymodule_export]
    use crate::delivery::{Delivery, RecordMetadata};
    #[pymodule_export]
    use crate::many::Deliveries;
    #[pymodule_export]
    use crate::producer::Producer;
    #[pymodule_export]
    use crate::settings::_settings;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        ottla_bindings::runtime::prepare_for_forks();
        Ok(())
    }

    /// The clients for event loops.
    #[pymodule]
    mod aio {
        #[pymodule_export]
        use crate::aio::{
            Admin, Batches, Call, Consumer, Deliveries, Delivery, Next, Producer, Sending,
        };
    }
}
