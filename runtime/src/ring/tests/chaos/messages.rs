//! Random things done to sockets that carry messages, and to descriptors that travel.

use std::os::fd::{AsFd, OwnedFd};

use super::*;
use crate::net::{UdpSocket, UnixDatagram, UnixStream};
use crate::yield_now;

fn some_descriptors(choices: &Choices) -> Vec<OwnedFd> {
    (0..choices.below(4)).map(|_| std::io::stderr().as_fd().try_clone_to_owned().unwrap()).collect()
}

async fn ill_treat_udp(choices: &Choices) {
    let (one, other) = (UdpSocket::bind(local()).unwrap(), UdpSocket::bind(local()).unwrap());
    let to = other.local_addr().unwrap();
    let mut kept = Vec::new();
    for _ in 0..choices.below(16) {
        match choices.below(7) {
            0 | 1 => drop(one.submit_to(choices.buffer(), to)),
            2 => drop(choices.some_time_for(one.send_to(choices.buffer(), to)).await),
            3 => drop(choices.some_time_for(one.flush()).await),
            4 => kept.extend(other.try_recv_datagram()),
            5 => drop(choices.some_time_for(other.recv_batch(&mut kept, 5)).await),
            _ => match choices.below(4) {
                0 => kept.clear(),
                1 => drop(one.connect(to)),
                2 => drop(choices.some_time_for(other.readable()).await),
                _ => yield_now().await,
            },
        }
    }
}

async fn ill_treat_datagrams(choices: &Choices) {
    let (one, other) = UnixDatagram::pair().unwrap();
    let mut kept = Vec::new();
    for _ in 0..choices.below(16) {
        match choices.below(5) {
            0 => drop(choices.some_time_for(one.send(choices.buffer())).await),
            1 => {
                let descriptors = some_descriptors(choices);
                drop(choices.some_time_for(one.send_with_fds("x", &descriptors)).await);
            }
            2 => kept.extend(choices.some_time_for(other.recv_with_fds()).await),
            3 => drop(choices.some_time_for(other.recv()).await),
            _ => kept.clear(),
        }
    }
}

async fn ill_treat_passing(choices: &Choices) {
    let (one, other) = UnixStream::pair().unwrap();
    for _ in 0..choices.below(16) {
        match choices.below(3) {
            0 => {
                let descriptors = some_descriptors(choices);
                drop(choices.some_time_for(one.send_with_fds(choices.buffer(), &descriptors)).await);
            }
            1 => drop(choices.some_time_for(one.write_all(choices.buffer())).await),
            _ => drop(choices.some_time_for(other.recv_with_fds()).await),
        }
    }
}

pub(super) async fn ill_treat(choices: Choices) {
    match choices.below(3) {
        0 => ill_treat_udp(&choices).await,
        1 => ill_treat_datagrams(&choices).await,
        _ => ill_treat_passing(&choices).await,
    }
}
