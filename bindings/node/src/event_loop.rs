//! How results come back to the JavaScript thread: one weak thread-safe function per environment,
//! called once per burst.

use crate::admin::NativeAdmin;
use crate::consumer::NativeConsumer;
use crate::deliveries::Deliveries;
use crate::producer::NativeProducer;
use crate::settings::settings;
use crate::tree::Tree;
use napi::bindgen_prelude::{Array, Either4, Function, ToNapiValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, sys};
use napi_derive::napi;
use ottla::{RebalanceEvent, TopicPartition};
use ottla_bindings::{CallId, Calls, CompletionQueue, Failure, runtime};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called without arguments; does not keep the process alive by itself.
type WakeFunction = ThreadsafeFunction<(), (), (), napi::Status, false, true>;

/// How a call ended well.
pub(crate) enum Reply {
    Done,
    Tree(Tree),
    Producer(NativeProducer),
    Consumer(NativeConsumer),
    Admin(NativeAdmin),
}

impl ToNapiValue for Reply {
    unsafe fn to_napi_value(env: sys::napi_env, reply: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: the environment is the caller's, who vouches for it.
        unsafe {
            match reply {
                Self::Done => ToNapiValue::to_napi_value(env, ()),
                Self::Tree(tree) => Tree::to_napi_value(env, tree),
                Self::Producer(producer) => NativeProducer::to_napi_value(env, producer),
                Self::Consumer(consumer) => NativeConsumer::to_napi_value(env, consumer),
                Self::Admin(admin) => NativeAdmin::to_napi_value(env, admin),
            }
        }
    }
}

/// What is told besides the ends of calls.
#[derive(Default)]
struct News {
    /// Producers of which records ended, each once.
    deliveries: Vec<Arc<Deliveries>>,
    /// The key that JavaScript gave the consumer, and what happened to its partitions.
    rebalances: Vec<(u32, RebalanceEvent)>,
}

/// What the clients of one JavaScript environment share.
pub(crate) struct Shared {
    queue: Arc<CompletionQueue<(CallId, Result<Reply, Failure>)>>,
    calls: Calls<Reply>,
    news: Mutex<News>,
}

impl Shared {
    /// Starts a call; answers its number, or why it cannot be started.
    pub(crate) fn start<E: Into<Failure>>(
        &self,
        future: impl Future<Output = Result<Reply, E>> + Send + 'static,
    ) -> Started {
        match self.calls.start(future) {
            Ok(id) => Tree::Number(id as f64),
            Err(failure) => failure.into(),
        }
    }

    /// Records of this producer ended.
    pub(crate) fn tell_deliveries(&self, deliveries: Arc<Deliveries>) {
        self.news().deliveries.push(deliveries);
        self.queue.ring();
    }

    /// The partitions of this consumer changed.
    pub(crate) fn tell_rebalance(&self, key: u32, event: RebalanceEvent) {
        self.news().rebalances.push((key, event));
        self.queue.ring();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a call, or a failure.
pub(crate) type Started = Tree;

/// Names and values of settings, as JavaScript checked them.
pub(crate) type JsSettings = Vec<(String, Either4<String, bool, f64, Vec<String>>)>;

/// The native side of one JavaScript environment.
#[napi]
pub struct Loop {
    shared: Arc<Shared>,
    wake: Arc<WakeFunction>,
}

#[napi]
impl Loop {
    /// `wake` is called once per burst and calls `drain`.
    #[napi(constructor)]
    pub fn new(wake: Function<'_, (), ()>) -> napi::Result<Self> {
        let wake = wake.build_threadsafe_function().weak::<true>().build()?;
        let wake: Arc<WakeFunction> = Arc::new(wake);
        let waker = wake.clone();
        let queue = Arc::new(CompletionQueue::new(move || {
            // The environment may be gone: then there is nobody to tell.
            let _ = waker.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }));
        let calls = Calls::new(queue.clone());
        let shared = Arc::new(Shared { queue, calls, news: Mutex::default() });
        Ok(Self { shared, wake })
    }

    /// Keeps the process alive, until `release`.
    #[napi]
    pub fn hold(&self, env: Env) {
        // SAFETY: on the environment's own thread, inside of a call, so that both are alive.
        let _ = unsafe { sys::napi_ref_threadsafe_function(env.raw(), self.wake.raw()) };
    }

    /// Lets the process end.
    #[napi]
    pub fn release(&self, env: Env) {
        // SAFETY: as in `hold`.
        let _ = unsafe { sys::napi_unref_threadsafe_function(env.raw(), self.wake.raw()) };
    }

    /// Ends a call early; it is told as `Cancelled` if it has not ended.
    #[napi]
    pub fn cancel(&self, call: f64) {
        self.shared.calls.cancel(call as CallId);
    }

    /// What happened since the last time: `[ended, deliveries, rebalances]`, where `ended` has a
    /// call's number, whether it succeeded, and its value or failure, one after the other.
    #[napi]
    pub fn drain<'env>(&self, env: &'env Env) -> napi::Result<Array<'env>> {
        let mut ended = Vec::new();
        self.shared.queue.drain(&mut ended);
        let news = std::mem::take(&mut *self.shared.news());
        let mut calls = env.create_array(ended.len() as u32 * 3)?;
        for (i, (id, result)) in ended.into_iter().enumerate() {
            let i = i as u32 * 3;
            calls.set(i, id as f64)?;
            calls.set(i + 1, result.is_ok())?;
            match result {
                Ok(reply) => calls.set(i + 2, reply)?,
                Err(failure) => calls.set(i + 2, Tree::from(failure))?,
            }
        }
        let mut deliveries = env.create_array(0)?;
        for producer in news.deliveries {
            deliveries.insert(producer.take(env)?)?;
        }
        let rebalances = Tree::list(news.rebalances, |(key, event)| {
            Tree::List(vec![Tree::Number(key.into()), rebalance(event)])
        });
        let mut all = env.create_array(3)?;
        all.set(0, calls)?;
        all.set(1, deliveries)?;
        all.set(2, rebalances)?;
        Ok(all)
    }

    /// Begins to make a producer, which JavaScript knows by `key`.
    #[napi(ts_return_type = "number | object")]
    pub fn connect_producer(&self, key: u32, config: JsSettings) -> Tree {
        let shared = self.shared.clone();
        self.shared.start(async move {
            let config = settings(config)?.into_config();
            let max_block = config.producer()?.max_block;
            let producer = ottla::Producer::from_config(config).await?;
            Ok::<_, Failure>(Reply::Producer(NativeProducer::new(key, producer, max_block, shared)))
        })
    }

    /// Begins to make a consumer, which JavaScript knows by `key`.
    #[napi(ts_return_type = "number | object")]
    pub fn connect_consumer(
        &self,
        key: u32,
        config: JsSettings,
        topics: Vec<String>,
        partitions: Vec<(String, i32)>,
        wants_rebalances: bool,
    ) -> Tree {
        let shared = self.shared.clone();
        self.shared.start(async move {
            let config = settings(config)?.into_config();
            let mut builder = ottla::Consumer::builder()
                .config(config)
                .topics(topics)
                .assign(partitions.into_iter().map(TopicPartition::from));
            if wants_rebalances {
                let told = shared.clone();
                builder =
                    builder.on_rebalance(move |event| told.tell_rebalance(key, event.clone()));
            }
            let consumer = builder.build().await?;
            Ok::<_, Failure>(Reply::Consumer(NativeConsumer::new(consumer, shared)))
        })
    }

    /// Begins to make an admin client.
    #[napi(ts_return_type = "number | object")]
    pub fn connect_admin(&self, config: JsSettings) -> Tree {
        let shared = self.shared.clone();
        self.shared.start(async move {
            let config = settings(config)?.into_config();
            let admin = ottla::Admin::builder().config(config).build().await?;
            Ok::<_, Failure>(Reply::Admin(NativeAdmin::new(admin, shared)))
        })
    }
}

/// Runs what wakes tasks or looks at clocks inside of the runtime.
pub(crate) fn within<T>(act: impl FnOnce() -> T) -> Result<T, Failure> {
    let _guard = runtime::runtime()?.enter();
    Ok(act())
}

/// A topic and a partition, as JavaScript has it.
pub(crate) fn partition(partition: &TopicPartition) -> Tree {
    Tree::Map(vec![
        ("topic", (&*partition.topic).into()),
        ("partition", partition.partition.into()),
    ])
}

fn rebalance(event: RebalanceEvent) -> Tree {
    let of = |kind: &str, partitions: Vec<TopicPartition>| {
        let partitions = Tree::list(partitions, |p| partition(&p));
        Tree::Map(vec![("type", kind.into()), ("partitions", partitions)])
    };
    match event {
        RebalanceEvent::Assigned(partitions) => of("assigned", partitions),
        RebalanceEvent::Revoked(partitions) => of("revoked", partitions),
        RebalanceEvent::Lost(partitions) => of("lost", partitions),
        RebalanceEvent::Truncated { partition, .. } => of("truncated", vec![partition]),
    }
}
