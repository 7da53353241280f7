//! The clients for asyncio's event loops.

mod admin;
mod call;
mod consumer;
mod coroutine;
mod delivery;
mod hub;
mod producer;

pub(crate) use admin::Admin;
pub(crate) use call::Call;
pub(crate) use consumer::{Batches, Consumer, Next};
pub(crate) use delivery::{Deliveries, Delivery};
pub(crate) use producer::{Producer, Sending};

use crate::errors::to_py;
use crate::handle::closed;
use crate::op::op;
use call::Began;
use pyo3::prelude::*;
use std::sync::{Arc, OnceLock};

/// A client once it is connected.
type Slot<C> = Arc<OnceLock<Arc<C>>>;

/// The client behind a slot.
fn connected<'a, C>(slot: &'a Slot<C>, what: &str) -> PyResult<&'a Arc<C>> {
    slot.get().ok_or_else(|| {
        let mut failure = closed(what);
        failure.message = format!("the {what} is not connected: await it, or use async with");
        failure.is_fatal = false;
        to_py(failure)
    })
}

/// Connects a client, unless it is, and gives its Python object back.
fn connecting<C: Send + Sync + 'static, P: pyo3::PyClass>(
    name: &'static str,
    slot: &Slot<C>,
    client: Py<P>,
    connect: impl Future<Output = Result<Arc<C>, ottla::Error>> + Send + 'static,
) -> Call {
    let slot = slot.clone();
    let mut connect = Some(connect);
    let begin = move |py: Python<'_>| {
        let (slot, client) = (slot.clone(), client.clone_ref(py));
        let unconnected = connect.take().filter(|_| slot.get().is_none());
        let Some(connect) = unconnected else { return Ok(Began::Ready(client.into_any())) };
        let shown = move |_: Python<'_>, connected| {
            // Somebody else may have been quicker: theirs is used.
            let _ = slot.set(connected);
            Ok(client.into_any())
        };
        Ok(Began::Pending(op(connect, shown)))
    };
    Call::new(name, Box::new(begin))
}
