use proptest::prelude::*;

use super::crc32c::Crc32c;
use super::*;

fn line(text: &str) -> Result<Decoded, HeaderError> {
    decode(text.as_bytes())
}

fn complete(bytes: &[u8]) -> (Header, usize) {
    match decode(bytes) {
        Ok(Decoded::Complete { header, consumed }) => (header, consumed),
        other => panic!("{other:?} of {}", bytes.escape_ascii()),
    }
}

/// A header of version 2 as a proxy would write it.
fn binary(command: u8, family: u8, variable: &[u8]) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((variable.len() as u16).to_be_bytes());
    bytes.extend(variable);
    bytes
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn lines_that_are_taken() {
    let (header, consumed) = complete(b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\nrest");
    assert_eq!(header.client(), Client::At("[2001:db8::1]:65535".parse().expect("an address")));
    assert_eq!(header.destination(), Some("[::1]:0".parse().expect("an address")));
    assert_eq!(consumed, 36);
    for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 anything at all 1 2\r\n"] {
        let (header, consumed) = complete(unknown.as_bytes());
        assert_eq!((header.client(), consumed), (Client::Sender, unknown.len()));
    }
}

#[test]
fn lines_that_are_refused() {
    for text in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1  2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
    ] {
        assert_eq!(line(text), Err(HeaderError::MalformedLine), "{text:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(93));
    assert_eq!(line(&endless), Err(HeaderError::LineTooLong));
    assert_eq!(line(&endless[..106]), Ok(Decoded::Partial));
    assert_eq!(line("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n\r"), Ok(Decoded::Partial), "no bare LF");
}

#[test]
fn what_is_something_else_is_left_alone() {
    for text in ["GET / HTTP/1.1\r\n", "PROXY/", "PUT ", "\r\nGET", "\r\n\r\n\0\r\nQUIX", "\x16\x03\x01"] {
        assert_eq!(line(text), Ok(Decoded::Absent), "{text:?}");
    }
    for text in ["", "P", "PROXY", "\r\n", "\r\n\r\n\0\r\nQUIT"] {
        assert_eq!(line(text), Ok(Decoded::Partial), "{text:?}");
    }
}

#[test]
fn binary_headers_that_are_taken() {
    let bytes = [
        binary(1, 0x11, &[&V4[..], &tlv(2, b"a.test"), &tlv(0x20, &[1, 0, 0, 0, 0])].concat()),
        b"x".to_vec(),
    ]
    .concat();
    let (header, consumed) = complete(&bytes);
    assert_eq!(header.client(), Client::At("192.0.2.1:56324".parse().expect("an address")));
    assert_eq!(header.destination(), Some("198.51.100.7:443".parse().expect("an address")));
    assert_eq!((header.authority(), header.is_tls()), (Some("a.test"), Some(true)));
    assert_eq!(consumed, bytes.len() - 1);

    let six = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &[0; 16], &[1, 2, 3, 4]]
        .concat();
    let (header, _) = complete(&binary(1, 0x21, &six));
    assert_eq!(header.client(), Client::At("[2001:db8::1]:258".parse().expect("an address")));

    assert_eq!(complete(&binary(1, 0x31, &[0; 216])).0.client(), Client::Elsewhere);
    assert_eq!(complete(&binary(0, 0x00, &[])).0.client(), Client::Sender);
    assert_eq!(
        complete(&binary(0, 0x11, &[9; 5])).0.client(),
        Client::Sender,
        "LOCAL: the rest means nothing"
    );
    assert_eq!(complete(&binary(1, 0x00, &tlv(4, &[0; 9]))).0.client(), Client::Sender);
}

#[test]
fn addresses_of_no_protocol_are_skipped_and_mean_nothing() {
    for (family, block) in [(0x10, 12), (0x20, 36), (0x30, 216)] {
        let (header, _) = complete(&binary(1, family, &[&vec![9; block][..], &tlv(2, b"a.test")].concat()));
        assert_eq!((header.client(), header.destination()), (Client::Sender, None), "{family:#x}");
        assert_eq!(header.authority(), Some("a.test"), "{family:#x}");
        assert_eq!(
            decode(&binary(1, family, &vec![9; block - 1])),
            Err(HeaderError::TooShort),
            "{family:#x}"
        );
    }
}

#[test]
fn a_binary_header_has_the_longest_length_and_no_byte_more() {
    // What is left when its fixed part, the addresses and the head of a TLV are taken off.
    let room = MAX_LEN - 16 - V4.len() - 3;
    let longest = binary(1, 0x11, &[&V4[..], &tlv(4, &vec![0; room])].concat());
    assert_eq!((longest.len(), complete(&longest).1), (MAX_LEN, MAX_LEN));
    assert_eq!(decode(&longest[..16]), Ok(Decoded::Partial));
    let longer = binary(1, 0x11, &[&V4[..], &tlv(4, &vec![0; room + 1])].concat());
    assert_eq!(decode(&longer), Err(HeaderError::TooLong(MAX_LEN + 1)));
}

#[test]
fn binary_headers_that_are_refused() {
    let mut third = binary(1, 0x11, &V4);
    third[12] = 0x31;
    for (bytes, error) in [
        (third, HeaderError::Version(3)),
        (binary(2, 0x11, &V4), HeaderError::Command(2)),
        (binary(1, 0x41, &V4), HeaderError::Family(0x41)),
        (binary(1, 0x13, &V4), HeaderError::Family(0x13)),
        (binary(1, 0x11, &V4[..11]), HeaderError::TooShort),
        (binary(1, 0x21, &[0; 35]), HeaderError::TooShort),
        (binary(1, 0x31, &[0; 215]), HeaderError::TooShort),
        (binary(1, 0x11, &[&V4[..], &[4, 0, 2, 0]].concat()), HeaderError::MalformedTlv),
        (binary(1, 0x11, &[&V4[..], &[4, 0]].concat()), HeaderError::MalformedTlv),
        (binary(1, 0x11, &[&V4[..], &tlv(3, &[0; 4])].concat()), HeaderError::Checksum),
        (binary(1, 0x11, &[&V4[..], &tlv(3, &[0; 3])].concat()), HeaderError::MalformedTlv),
        (binary(1, 0x11, &[0; 4096]), HeaderError::TooLong(4112)),
    ] {
        assert_eq!(decode(&bytes), Err(error));
    }
    // A length that is too large is not waited for.
    assert_eq!(decode(&binary(1, 0x11, &[0; 4096])[..16]), Err(HeaderError::TooLong(4112)));
}

#[test]
fn the_checksum_is_that_of_the_header_without_itself() {
    let mut bytes = binary(1, 0x11, &[&V4[..], &tlv(3, &[0; 4]), &tlv(4, b"x")].concat());
    let mut sum = Crc32c::new();
    sum.update(&bytes);
    bytes[31..35].copy_from_slice(&sum.finish().to_be_bytes());
    complete(&bytes);
    bytes[20] ^= 1;
    assert_eq!(decode(&bytes), Err(HeaderError::Checksum));
}

proptest! {
    /// Whatever comes: no panic, no wait beyond the limit, and no byte taken that is not there.
    #[test]
    fn any_bytes_are_judged(start in 0usize..3, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let start = [&b""[..], b"PROXY ", &v2::SIGNATURE][start];
        let bytes = [start, &bytes].concat();
        if let Ok(Decoded::Complete { header, consumed }) = decode(&bytes) {
            prop_assert!(consumed <= bytes.len() && consumed <= MAX_LEN);
            prop_assert!(header.tlvs().map(|tlv| tlv.value.len() + 3).sum::<usize>() <= consumed);
        }
    }

    /// A header that is whole is partial at every shorter length, and what follows changes nothing.
    #[test]
    fn a_header_may_come_in_pieces(
        source: (std::net::IpAddr, u16),
        to: u16,
        text: bool,
        tlvs in proptest::collection::vec((5u8.., proptest::collection::vec(any::<u8>(), 0..40)), 0..4),
        behind in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let address = SocketAddr::from(source);
        let bytes = match (text, address) {
            (true, SocketAddr::V4(_)) => format!("PROXY TCP4 {} 192.0.2.9 {} {to}\r\n", address.ip(), address.port()).into_bytes(),
            (true, SocketAddr::V6(_)) => format!("PROXY TCP6 {} ::9 {} {to}\r\n", address.ip(), address.port()).into_bytes(),
            (false, _) => {
                let (family, mut variable) = match address.ip() {
                    IpAddr::V4(ip) => (0x11, [ip.octets(), [192, 0, 2, 9]].concat()),
                    IpAddr::V6(ip) => (0x21, [ip.octets(), [9; 16]].concat()),
                };
                variable.extend([address.port().to_be_bytes(), to.to_be_bytes()].concat());
                tlvs.iter().filter(|(kind, _)| *kind != 0x20).for_each(|(kind, value)| variable.extend(tlv(*kind, value)));
                binary(1, family, &variable)
            }
        };
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end]), Ok(Decoded::Partial));
        }
        let (header, consumed) = complete(&[&bytes[..], &behind].concat());
        prop_assert_eq!(consumed, bytes.len());
        prop_assert_eq!(header.client(), Client::At(address));
        prop_assert_eq!(header.destination().map(|to| to.port()), Some(to));
    }
}
