//! Section `metrics`: who may read the measurements.

use ipnet::IpNet;

use super::section::section;

section! {
    /// Measurements for Prometheus, at /metrics on the client listener.
    "metrics" Metrics {
        /// The networks that may read them. Requests that came through a proxy are refused in any
        /// case. An empty list closes the page.
        allow: Vec<IpNet>, default ["127.0.0.0/8", "::1"];
    }
}
