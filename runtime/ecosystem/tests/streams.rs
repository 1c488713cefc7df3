//! Our channels, intervals and listeners by the combinators of futures.

use std::time::Duration;

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn, sync::mpsc, time};
use futures_util::StreamExt as _;

#[test]
fn what_comes_one_by_one_is_a_stream() {
    block_on(async {
        let (sender, receiver) = mpsc::unbounded();
        for number in 0..10 {
            assert!(sender.send(number).is_ok());
        }
        drop(sender);
        let even: Vec<i32> = receiver.filter(|number| std::future::ready(number % 2 == 0)).collect().await;
        assert_eq!(even, [0, 2, 4, 6, 8]);

        let ticks: Vec<_> = time::interval(Duration::from_millis(2)).take(3).collect().await;
        assert!(ticks[2] - ticks[0] >= Duration::from_millis(4));

        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(listener.take(2).map(Result::unwrap).collect::<Vec<_>>());
        let clients =
            [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        assert_eq!(server.await.unwrap().len(), clients.len());
    })
    .unwrap();
}
