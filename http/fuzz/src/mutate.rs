//! Changing inputs, by a seeded generator.

/// A small generator (PCG's multiplier): the same seed gives the same run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(2).wrapping_add(1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 16) % end as u64) as usize
    }
}

/// What HTTP is made of.
const WORDS: [&[u8]; 98] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PUT ",
    b"TRACE ",
    b"/",
    b"*",
    b"http://",
    b"https://",
    b"h:1",
    b"[::1]",
    b"?",
    b"#",
    b"%",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/1.2\r\n",
    b" HTTP/2.0\r\n",
    b"Host: h\r\n",
    b"Host:",
    b"host: [::1]:8\r\n",
    b"Content-Length: 1\r\n",
    b"Content-Length: ",
    b"content-length: 5, 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: ",
    b"transfer-encoding: gzip, chunked\r\n",
    b"chunked",
    b"identity",
    b"gzip",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"close",
    b"keep-alive",
    b"Expect: 100-continue\r\n",
    b"Expect: x\r\n",
    b"TE: trailers\r\n",
    b"Trailer: x\r\n",
    b"X: y\r\n",
    b": ",
    b":",
    b" ",
    b"\t",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b",",
    b";",
    b"\"",
    b"=",
    b"+",
    b"-",
    b"0",
    b"1",
    b"5",
    b"a",
    b"0\r\n\r\n",
    b"1\r\na\r\n",
    b"5\r\nhello\r\n",
    b"5;x=y\r\nhello\r\n",
    b"ffffffffffffffff",
    b"18446744073709551615",
    b"18446744073709551616",
    b"0x",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"--XbX\r\n",
    b"\r\n--XbX",
    b"--XbX--",
    b"Content-Disposition: form-data; name=a\r\n",
    b"; filename=\"f\"",
    b"boundary=",
    b"bytes=",
    b"0-",
    b"-5",
    b"18446744073709551615-",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 304 \r\n",
    b"HTTP/1.0 ",
    b"101",
    b"PROXY TCP4 ",
    b"PROXY TCP6 ",
    b"PROXY UNKNOWN",
    b"192.0.2.1 ",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
    b"HTTP/1.1 103 \r\n\r\n",
];

/// Inputs do not grow beyond this.
const MOST_BYTES: usize = 4096;

/// Makes a new input of one of `seeds`, and at times of another of them.
pub fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(16)).min(input.len());
        match random.below(9) {
            0 | 1 => drop(input.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            2 => drop(input.splice(at..end.max(at), WORDS[random.below(WORDS.len())].iter().copied())),
            3 => drop(input.drain(at..end.max(at))),
            4 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            5 => input.insert(at, random.below(256) as u8),
            6 => {
                let copy = input[at..end.max(at)].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            7 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            // The number by which the input is split.
            _ => input.iter_mut().take(2).for_each(|byte| *byte = random.below(256) as u8),
        }
    }
    input.truncate(MOST_BYTES);
    input
}
