//! The reference service where it does not run on io_uring.

mod server;

use server::{Server, covet_bench};

#[test]
fn it_serves_on_epoll_and_says_so() {
    let mut command = covet_bench(&["serve", "--listen", "127.0.0.1:0", "--cores", "0"]);
    command.env("COVET_DRIVER", "epoll");
    let mut server = Server::started(command);
    for _ in 0..2 {
        let mut client = server.connect();
        for _ in 0..3 {
            client.send("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.answer().status, 200);
        }
    }
    server.terminate();
    assert!(server.wait().success());
    let errors = server.errors();
    assert!(errors.contains("serving on epoll") && errors.contains("COVET_DRIVER"), "{errors}");
}
