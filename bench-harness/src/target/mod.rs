//! What is measured: the reference service, the null responder, and servers in processes of their own.

pub mod accounting;
pub mod child;
pub mod embedded;
pub mod listen;
pub mod null;
pub mod null_secure;
pub mod null_websocket;
pub mod peers;
pub mod reference;
pub mod slow_clients;
pub mod sockets;
