//! Black-box tests: what people do, and what must be refused, over HTTP.

mod messages;
