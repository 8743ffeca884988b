//! What runs in the background, beside the store's writer and the room workers.

use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use federation::Federation;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::sleep;

use crate::config::Config;
use crate::control::socket;
use crate::supervise::Supervisor;

/// How often measurements that only gather are folded together.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Starts all background tasks.
pub(super) fn start(
    supervisor: &mut Supervisor,
    engine: &Engine,
    federation: &Federation,
    metrics: &PrometheusHandle,
    config: &Config,
) {
    let for_typing = engine.clone();
    supervisor.spawn("typing", move |mut stop| {
        let engine = for_typing.clone();
        async move {
            tokio::select! {
                () = engine.expire_typing() => {}
                () = stop.requested() => {}
            }
        }
    });

    let for_delays = engine.clone();
    supervisor.spawn("delayed events", move |mut stop| {
        let engine = for_delays.clone();
        async move {
            tokio::select! {
                () = engine.run_delayed_events() => {}
                () = stop.requested() => {}
            }
        }
    });

    let for_guests = engine.clone();
    supervisor.spawn("guests", move |mut stop| {
        let engine = for_guests.clone();
        async move {
            tokio::select! {
                () = engine.run_guests() => {}
                () = stop.requested() => {}
            }
        }
    });

    let for_profiles = engine.clone();
    supervisor.spawn("profiles", move |mut stop| {
        let engine = for_profiles.clone();
        async move {
            tokio::select! {
                () = engine.run_unspread() => {}
                () = stop.requested() => {}
            }
        }
    });

    let inbound = engine.inbound();
    supervisor.spawn("federation inbound", move |mut stop| {
        let inbound = inbound.clone();
        async move {
            tokio::select! {
                () = inbound.take_staged() => {}
                () = stop.requested() => {}
            }
        }
    });

    let for_presence = engine.clone();
    supervisor.spawn("presence", move |mut stop| {
        let engine = for_presence.clone();
        async move {
            tokio::select! {
                () = engine.run_presence() => {}
                () = stop.requested() => engine.store_presence().await,
            }
        }
    });

    let for_push = engine.clone();
    supervisor.spawn("push", move |mut stop| {
        let engine = for_push.clone();
        async move {
            tokio::select! {
                () = engine.run_push() => {}
                () = stop.requested() => {}
            }
        }
    });

    let for_pushers = engine.clone();
    supervisor.spawn("pushers", move |mut stop| {
        let engine = for_pushers.clone();
        async move {
            tokio::select! {
                () = engine.run_pushers() => {}
                () = stop.requested() => {}
            }
        }
    });

    let for_retention = engine.clone();
    supervisor.spawn("retention", move |mut stop| {
        let engine = for_retention.clone();
        async move {
            tokio::select! {
                () = engine.run_retention() => {}
                () = stop.requested() => {}
            }
        }
    });

    let outbound = federation.outbound();
    supervisor.spawn("federation outbound", move |mut stop| {
        let outbound = Arc::clone(&outbound);
        async move { outbound.run(stop.requested()).await }
    });

    let metrics = metrics.clone();
    supervisor.spawn("metrics upkeep", move |mut stop| {
        let metrics = metrics.clone();
        async move {
            loop {
                tokio::select! {
                    () = sleep(METRICS_UPKEEP) => metrics.run_upkeep(),
                    () = stop.requested() => return,
                }
            }
        }
    });

    let path = socket::path(&config.server.data_dir);
    let accounts = engine.accounts().clone();
    supervisor.spawn("control socket", move |stop| {
        socket::serve(path.clone(), accounts.clone(), stop)
    });
}
