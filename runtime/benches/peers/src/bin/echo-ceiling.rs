//! TCP echo on a raw ring: what the kernel alone costs.

use runtime_peers::raw_ring::Echo;
use runtime_peers::{Arguments, listener, pin};

fn main() {
    let arguments = Arguments::from_process();
    pin(arguments.core);
    let listener = listener(arguments.port);
    let mut echo = Echo::new();
    echo.accept(&listener);
    loop {
        echo.turn();
    }
}
