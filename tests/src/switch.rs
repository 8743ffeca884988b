//! A cable that can be cut: whoever connects to its one end talks to a server at the other, while it is whole.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A cable, whole at first. It lives as long as the runtime of the test.
pub struct Switch {
    whole: watch::Sender<bool>,
}

impl Switch {
    /// From one address, where it listens, to another. Addresses with ports.
    ///
    /// # Panics
    /// If somebody listens at the one end already.
    pub async fn between(front: &str, back: String) -> Self {
        let listener = TcpListener::bind(front).await.expect("a free port");
        let (whole, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, back.clone(), seen.clone()));
            }
        });
        Self { whole }
    }

    /// Ends all connections, and every new one at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Makes it whole again.
    pub fn heal(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, back: String, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(back).await else {
        return;
    };
    tokio::select! {
        // It ends when either side has enough.
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}
