//! Large answers in parts. What a connection writes goes through a buffer that keeps the size that it has once had, up to
//! 128 KiB, for as long as the connection stands: of thousands of clients that wait, each would keep that of its first sync.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// How much is gathered before it is written. The buffer begins with 8 KiB, and has room for one more part and its frame.
pub(super) const WRITTEN_BYTES: usize = 4_096;

/// The largest part.
const PART_BYTES: usize = 3_584;

/// A body whose parts are small, however it came.
struct Parts {
    body: BoxBody,
    /// What is left of the last that came.
    rest: Bytes,
}

/// The body in small parts. One that is small as a whole stays as it is.
pub(super) fn small(body: BoxBody) -> BoxBody {
    match body.size() {
        BodySize::None => body,
        BodySize::Sized(bytes) if bytes <= PART_BYTES as u64 => body,
        BodySize::Sized(_) | BodySize::Stream => BoxBody::new(Parts {
            body,
            rest: Bytes::new(),
        }),
    }
}

impl MessageBody for Parts {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(more)) => self.rest = more,
                end => return Poll::Ready(end),
            }
        }
        let part = self.rest.len().min(PART_BYTES);
        Poll::Ready(Some(Ok(self.rest.split_to(part))))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use actix_web::body::BodyStream;
    use futures_util::stream;

    use super::*;

    async fn parts(body: BoxBody) -> Vec<Bytes> {
        let mut body = small(body);
        let mut parts = Vec::new();
        while let Some(part) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
            parts.push(part.expect("a part"));
        }
        parts
    }

    #[tokio::test]
    async fn large_bodies_come_in_parts_and_whole() {
        let long: Bytes = (0..10_000_u32).map(|n| n as u8).collect();
        let chunks = [Bytes::from_static(b"first"), Bytes::new(), long.clone()];
        let chunks = stream::iter(chunks.map(Ok::<_, std::convert::Infallible>));
        for (body, expected, count) in [
            (BoxBody::new(long.clone()), long.to_vec(), 3),
            (
                BoxBody::new(Bytes::from_static(b"short")),
                b"short".to_vec(),
                1,
            ),
            (
                BoxBody::new(BodyStream::new(chunks)),
                [b"first", &*long].concat(),
                4,
            ),
        ] {
            let size = body.size();
            assert_eq!(
                small(BoxBody::new(long.clone())).size(),
                BodySize::Sized(10_000)
            );
            let parts = parts(body).await;
            assert!(
                parts
                    .iter()
                    .all(|part| (1..=PART_BYTES).contains(&part.len()))
            );
            assert_eq!(parts.len(), count, "{size:?}");
            assert_eq!(parts.concat(), expected);
        }
    }
}
